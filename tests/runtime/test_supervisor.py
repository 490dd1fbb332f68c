"""Who may use which engine when: pretending engines for the order of things, real ones for the end of it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import CorruptModel, EngineFailed, ModelUnavailable
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine, EngineState, LoadProgress, Tell
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import PretendEngine, Script
from hearth.runtime.restarts import MOST_FAILURES, Restarts
from hearth.runtime.supervisor import MakeEngine, Supervisor
from hearth.settings import Settings
from hearth.weights.store import ModelCard


class Stable:
    """Makes pretending engines and remembers them."""

    def __init__(self, script: Script | None = None, broken: int = 0) -> None:
        self.made: list[PretendEngine] = []
        self._script = script or Script()
        self._broken = broken

    def __call__(self, card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        kind = PretendEngine if len(self.made) >= self._broken else BrokenEngine
        self.made.append(kind(self._script, card=card))
        return self.made[-1]

    @property
    def names(self) -> list[str]:
        return [engine.card.name for engine in self.made]


class BrokenEngine(PretendEngine):
    """Never gets ready."""

    async def start(self, tell: Tell = lambda _progress: None) -> None:
        await self.fail("the moon is in the way")
        raise EngineFailed(self.cause)


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    for name in ("one", "two"):
        gguf_models.write_llama(found.models / f"{name}.gguf")
    return found


@pytest.fixture
def supervise(paths: Paths) -> Callable[[MakeEngine], Supervisor]:
    return lambda make: Supervisor(Settings(), paths, make)


def quiet(_progress: LoadProgress) -> None:
    return None


Supervise = Callable[[MakeEngine], Supervisor]


async def test_concurrent_callers_share_one_start(supervise: Supervise) -> None:
    stable = Stable(Script(loading_s=0.1))
    supervisor = supervise(stable)
    told: list[list[LoadProgress]] = [[], [], []]
    engines = await asyncio.gather(*(supervisor.ready("one", tell.append) for tell in told))
    assert len(stable.made) == 1
    assert set(engines) == {stable.made[0]}
    assert all(tell[-1].phase == "ready" for tell in told)
    assert await supervisor.ready("one", quiet) is stable.made[0]
    await supervisor.close()
    assert stable.made[0].state is EngineState.STOPPED


async def test_nothing_runs_before_it_is_asked_for(supervise: Supervise) -> None:
    supervisor = supervise(Stable())
    assert [card.name for card in supervisor.cards() if card.name != "pilot"] == ["one", "two"]
    assert supervisor.report() == []
    with pytest.raises(ModelUnavailable, match="there is no model 'three'"):
        await supervisor.ready("three", quiet)
    await supervisor.close()


async def test_a_second_model_takes_the_place_of_an_idle_one(supervise: Supervise) -> None:
    stable = Stable()
    supervisor = supervise(stable)
    await supervisor.ready("one", quiet)
    told: list[LoadProgress] = []
    await supervisor.ready("two", told.append)
    assert [engine.state for engine in stable.made] == [EngineState.STOPPED, EngineState.READY]
    assert told[0] == LoadProgress("two", "stopping", 0.0, "stopping one")
    await supervisor.close()


async def test_a_file_that_was_replaced_is_loaded_anew(supervise: Supervise, paths: Paths) -> None:
    stable = Stable()
    supervisor = supervise(stable)
    await supervisor.ready("one", quiet)
    await supervisor.ready("one", quiet)
    assert stable.names == ["one"]
    gguf_models.write_llama(paths.models / "new", seed=1).rename(paths.models / "one.gguf")
    os.utime(paths.models / "one.gguf", ns=(1, 1))
    await supervisor.ready("one", quiet)
    assert stable.names == ["one", "one"]
    assert [engine.state for engine in stable.made] == [EngineState.STOPPED, EngineState.READY]
    await supervisor.close()


async def test_a_busy_engine_is_waited_for_in_order_of_arrival(supervise: Supervise) -> None:
    stable = Stable()
    supervisor = supervise(stable)
    order: list[str] = []
    waits = asyncio.Event()

    async def use(name: str, tell: Tell) -> None:
        async with supervisor.lease(name, tell) as lease:
            order.append(lease.engine.card.name)

    async with supervisor.lease("one", quiet) as first:
        second = asyncio.create_task(use("two", lambda progress: waits.set() if progress.phase == "waiting" else None))
        await waits.wait()
        # A late caller of the loaded model stands behind, or the waiting model would starve.
        third = asyncio.create_task(use("one", quiet))
        await asyncio.sleep(0)
        assert first.engine.state is EngineState.READY
        assert order == []
    await asyncio.gather(second, third)
    assert order == ["two", "one"]
    assert stable.names == ["one", "two", "one"]
    await supervisor.close()


async def test_a_waiting_caller_who_leaves_holds_nobody_up(supervise: Supervise) -> None:
    supervisor = supervise(Stable())
    waits = asyncio.Event()
    async with supervisor.lease("one", quiet):
        second = asyncio.create_task(supervisor.ready("two", lambda _progress: waits.set()))
        await waits.wait()
        second.cancel()
        await asyncio.wait([second])
        async with supervisor.lease("one", quiet) as lease:
            assert lease.engine.state is EngineState.READY
    await supervisor.close()


async def test_a_caller_who_leaves_during_the_load_does_not_end_it(supervise: Supervise) -> None:
    stable = Stable(Script(loading_s=0.2))
    supervisor = supervise(stable)
    loading = asyncio.Event()
    first = asyncio.create_task(supervisor.ready("one", lambda _progress: loading.set()))
    await loading.wait()
    first.cancel()
    await asyncio.wait([first])
    await supervisor.ready("one", quiet)
    assert len(stable.made) == 1
    await supervisor.close()


async def test_a_failed_start_reaches_every_caller_and_the_next_call_tries_again(supervise: Supervise) -> None:
    stable = Stable(broken=1)
    supervisor = supervise(stable)
    results = await asyncio.gather(*(supervisor.ready("one", quiet) for _ in range(2)), return_exceptions=True)
    assert [str(result) for result in results] == ["the moon is in the way"] * 2
    assert supervisor.report()[0]["cause"] == "the moon is in the way"
    engine = await supervisor.ready("one", quiet)
    assert engine is stable.made[1]
    await supervisor.close()


async def test_an_engine_that_died_is_replaced_while_its_last_user_still_holds_it(supervise: Supervise) -> None:
    stable = Stable()
    supervisor = supervise(stable)
    async with supervisor.lease("one", quiet) as first:
        await stable.made[0].fail("killed by SIGKILL")
        async with supervisor.lease("one", quiet) as second:
            assert second.engine is not first.engine
            assert second.engine.state is EngineState.READY
        assert supervisor.report()[0]["users"] == 0
    await supervisor.close()


async def test_close_ends_what_runs_and_what_loads(supervise: Supervise) -> None:
    stable = Stable(Script(loading_s=600))
    supervisor = supervise(stable)
    loading = asyncio.Event()
    waiting = asyncio.create_task(supervisor.ready("one", lambda _progress: loading.set()))
    await loading.wait()
    await supervisor.close()
    with pytest.raises(EngineFailed, match="stopped while it loaded"):
        await waiting
    with pytest.raises(EngineFailed, match="the daemon is stopping"):
        await supervisor.ready("one", quiet)
    await supervisor.close()
    assert stable.made[0].state is EngineState.STOPPED


async def test_a_real_engine_that_is_killed_is_replaced(paths: Paths) -> None:
    supervisor = Supervisor(Settings(), paths)
    async with supervisor.lease("one", quiet) as lease:
        [record] = supervisor.report()
        assert (record["model"], record["state"], record["context"], record["slots"]) == ("one", "ready", 2048, 2)
        assert record["users"] == 1
        assert record["rss_bytes"] > 1 << 20
        os.kill(record["pid"], signal.SIGKILL)
        await lease.engine.wait()
    [record] = supervisor.report()
    assert (record["state"], record["cause"]) == ("failed", "the engine of one died: killed by SIGKILL")
    async with supervisor.lease("one", quiet) as again:
        assert again.engine.state is EngineState.READY
        assert again.engine.pid not in (None, lease.engine.pid)
    await supervisor.close()
    assert list(paths.runtime.iterdir()) == []


async def test_a_file_that_cannot_load_costs_nobody_a_place(paths: Paths) -> None:
    supervisor = Supervisor(Settings(), paths)
    engine = await supervisor.ready("one", quiet)
    (paths.models / "two.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(CorruptModel):
        await supervisor.ready("two", quiet)
    assert await supervisor.ready("one", quiet) is engine
    await supervisor.close()


async def test_two_real_models_in_turn(paths: Paths) -> None:
    supervisor = Supervisor(Settings(), paths)
    for name in ("one", "two", str(paths.models / "one.gguf")):
        async with supervisor.lease(name, quiet) as lease:
            assert lease.engine.card.name == name
    assert [record["state"] for record in supervisor.report()] == ["ready"]
    await supervisor.close()
    assert [record["state"] for record in supervisor.report()] == ["stopped"]


async def test_a_model_that_fails_again_and_again_is_refused_at_once(paths: Paths) -> None:
    now = [0.0]
    stable = Stable(broken=MOST_FAILURES)
    supervisor = Supervisor(Settings(), paths, stable, Restarts(lambda: now[0]))
    for number in range(MOST_FAILURES):
        with pytest.raises(EngineFailed, match="the moon is in the way"):
            await supervisor.ready("one", quiet)
        assert len(stable.made) == number + 1
        now[0] += 50
    with pytest.raises(EngineFailed, match="failed 5 times within ten minutes, the last time: the moon") as refused:
        await supervisor.ready("one", quiet)
    assert "hearth logs one" in refused.value.fix
    assert len(stable.made) == MOST_FAILURES
    assert (await supervisor.ready("two", quiet)).card.name == "two"
    now[0] += 60
    assert (await supervisor.ready("one", quiet)).card.name == "one"
    await supervisor.close()


async def test_after_a_failure_the_next_start_waits_and_says_so(supervise: Supervise) -> None:
    supervisor = supervise(Stable(broken=1))
    told: list[LoadProgress] = []
    with pytest.raises(EngineFailed):
        await supervisor.ready("one", quiet)
    assert (await supervisor.ready("one", told.append)).state is EngineState.READY
    assert "its engine failed, a new one starts in 1 s" in told[0].detail
    await supervisor.close()
