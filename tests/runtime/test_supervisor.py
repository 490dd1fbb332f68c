"""Who may use which engine when: pretending engines for the order of things, real ones for the end of it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import CorruptModel, EngineFailed, ModelUnavailable, OutOfMemory
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import LARGEST_OWN_CONTEXT, Engine, EngineState, LoadProgress, Tell
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import PretendEngine, Script
from hearth.runtime.restarts import MOST_FAILURES, Restarts
from hearth.runtime.supervisor import MakeEngine, Supervisor
from hearth.settings import EngineSettings, ForeignSettings, Settings
from hearth.weights.pins import Pins
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

    def began(self) -> None:
        """It looks like one that loads."""
        self._state = EngineState.STARTING

    async def start(self, tell: Tell = lambda _progress: None) -> None:
        self.began()
        await asyncio.sleep(0.05)
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


@pytest.fixture
async def supervise_one(paths: Paths) -> Callable[[MakeEngine], Supervisor]:
    """With memory for one model at a time."""
    supervisor = Supervisor(Settings(), paths, Stable())
    await supervisor.ready("one", quiet)
    settings = Settings(engine=EngineSettings(memory_gib=1.5 * held(supervisor)[0] / (1 << 30)))
    await supervisor.close()
    return lambda make: Supervisor(settings, paths, make)


def held(supervisor: Supervisor) -> list[int]:
    """RAM that each model was admitted with."""
    return [record["held_bytes"][-1] for record in supervisor.report()]


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


async def test_what_a_model_would_be_loaded_with_is_known_before(paths: Paths) -> None:
    """Trained for 2,048 tokens: nobody gets more, whatever is wished."""
    for wished, planned in ((0, 2_048), (512, 512), (60_000, 2_048)):
        stable = Stable()
        supervisor = Supervisor(Settings(engine=EngineSettings(context=wished)), paths, stable)
        (card,) = (card for card in supervisor.cards() if card.name == "one")
        assert await supervisor.plan_context(card) == planned
        assert (stable.made, supervisor.report()) == ([], [])
        await supervisor.ready("one", quiet)
        assert await supervisor.plan_context(card) == planned
        await supervisor.close()


async def test_a_plan_counts_with_the_room_that_the_others_can_make(paths: Paths) -> None:
    for name in ("long", "wide"):
        gguf_models.write_llama(paths.models / f"{name}.gguf", context=1 << 20, width=512)
    (paths.models / "notes.gguf").write_bytes(b"this is a text")
    supervisor = Supervisor(Settings(), paths, Stable())
    await supervisor.ready("long", quiet)
    (whole,) = held(supervisor)
    await supervisor.close()
    # Enough for one of them, not for both; what is left beside the other holds half of the cache at most.
    supervisor = Supervisor(Settings(engine=EngineSettings(memory_gib=1.5 * whole / (1 << 30))), paths, Stable())
    cards = {card.name: card for card in supervisor.cards()}
    await supervisor.ready("wide", quiet)
    assert await supervisor.plan_context(cards["long"]) == LARGEST_OWN_CONTEXT
    Pins(paths.models).set("wide", pinned=True)
    assert await supervisor.plan_context(cards["long"]) < LARGEST_OWN_CONTEXT
    with pytest.raises(CorruptModel):
        await supervisor.plan_context(cards["notes"])
    await supervisor.close()


async def test_of_an_engine_elsewhere_only_the_owner_has_plans(paths: Paths) -> None:
    there = {
        "own": ForeignSettings(kind="ollama", models=("m",), context=9_000),
        "any": ForeignSettings(kind="vllm", url="http://127.0.0.1:1", models=("m",)),
    }
    supervisor = Supervisor(Settings(engines=there), paths, Stable())
    planned = {card.name: await supervisor.plan_context(card) for card in supervisor.cards() if "@" in card.name}
    assert planned == {"m@own": 9_000, "m@any": 0}
    await supervisor.close()


async def test_two_models_that_both_fit_are_loaded_side_by_side(supervise: Supervise) -> None:
    stable = Stable()
    supervisor = supervise(stable)
    async with supervisor.lease("one", quiet), supervisor.lease("two", quiet):
        assert [record["state"] for record in supervisor.report()] == ["busy", "busy"]
    assert [record["state"] for record in supervisor.report()] == ["ready", "ready"]
    await supervisor.close()


async def test_a_second_model_takes_the_place_of_an_idle_one(supervise_one: Supervise) -> None:
    stable = Stable()
    supervisor = supervise_one(stable)
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


async def test_a_busy_engine_is_waited_for_in_order_of_arrival(supervise_one: Supervise) -> None:
    stable = Stable()
    supervisor = supervise_one(stable)
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


async def test_a_waiting_caller_who_leaves_holds_nobody_up(supervise_one: Supervise) -> None:
    supervisor = supervise_one(Stable())
    waits = asyncio.Event()
    async with supervisor.lease("one", quiet):
        second = asyncio.create_task(supervisor.ready("two", lambda _progress: waits.set()))
        await waits.wait()
        assert supervisor.report()[0]["state"] == "draining"
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


@pytest.mark.slow
async def test_a_real_engine_that_is_killed_is_replaced(paths: Paths) -> None:
    supervisor = Supervisor(Settings(), paths)
    async with supervisor.lease("one", quiet) as lease:
        [record] = supervisor.report()
        assert (record["model"], record["state"], record["context"], record["slots"]) == ("one", "busy", 2048, 2)
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


@pytest.mark.slow
async def test_a_file_that_cannot_load_costs_nobody_a_place(paths: Paths) -> None:
    supervisor = Supervisor(Settings(), paths)
    engine = await supervisor.ready("one", quiet)
    (paths.models / "two.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(CorruptModel):
        await supervisor.ready("two", quiet)
    assert await supervisor.ready("one", quiet) is engine
    await supervisor.close()


@pytest.mark.slow
async def test_two_real_models_in_turn(paths: Paths) -> None:
    supervisor = Supervisor(Settings(), paths)
    for name in ("one", "two", str(paths.models / "one.gguf")):
        async with supervisor.lease(name, quiet) as lease:
            assert lease.engine.card.name == name
    assert [record["state"] for record in supervisor.report()] == ["ready"] * 3
    await supervisor.close()
    assert [record["state"] for record in supervisor.report()] == ["stopped"] * 3


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


async def test_a_pinned_model_stays_and_is_named_as_what_is_in_the_way(supervise_one: Supervise, paths: Paths) -> None:
    stable = Stable()
    supervisor = supervise_one(stable)
    await supervisor.ready("one", quiet)
    Pins(paths.models).set("one", True)
    with pytest.raises(EngineFailed, match="two does not fit beside one, pinned") as refused:
        await supervisor.ready("two", quiet)
    assert refused.value.fix == "run: hearth models unpin one"
    Pins(paths.models).set("one", False)
    assert (await supervisor.ready("two", quiet)).state is EngineState.READY
    assert supervisor.report()[0]["model"] == "two"
    await supervisor.close()


async def test_what_can_never_fit_is_refused_with_what_would(paths: Paths) -> None:
    gguf_models.write_llama(paths.models / "one.gguf", context=1 << 20)
    supervisor = Supervisor(Settings(engine=EngineSettings(memory_gib=0.05, context=1 << 20)), paths, Stable())
    with pytest.raises(EngineFailed, match="one does not fit into the memory") as refused:
        await supervisor.ready("one", quiet)
    assert "HEARTH_CONTEXT" in refused.value.fix or "smaller model" in refused.value.fix
    await supervisor.close()


async def test_a_model_is_unloaded_once_nobody_uses_it_and_not_before(supervise: Supervise) -> None:
    stable = Stable()
    supervisor = supervise(stable)
    waits = asyncio.Event()
    with pytest.raises(ModelUnavailable, match="'one' is not loaded"):
        await supervisor.unload("one", quiet)
    async with supervisor.lease("one", quiet):
        leaving = asyncio.create_task(supervisor.unload("one", lambda _progress: waits.set()))
        await waits.wait()
        late = asyncio.create_task(supervisor.ready("one", quiet))
        await asyncio.sleep(0.1)
        assert not late.done()
        assert stable.made[0].state is EngineState.READY
    await leaving
    assert await late is stable.made[1]
    assert stable.made[0].state is EngineState.STOPPED
    await supervisor.close()


async def test_a_model_that_nobody_asks_for_is_unloaded_unless_it_is_pinned(paths: Paths) -> None:
    supervisor = Supervisor(Settings(engine=EngineSettings(idle_unload_s=0.2)), paths, Stable())
    Pins(paths.models).set("two", True)
    Pins(paths.models).set("gone", True)
    await supervisor.load_pinned()
    async with supervisor.lease("one", quiet):
        await asyncio.sleep(0.5)
        assert [record["model"] for record in supervisor.report()] == ["two", "one"]
    async with asyncio.timeout(20):
        while len(supervisor.report()) > 1:
            await asyncio.sleep(0.05)
    assert supervisor.report()[0]["model"] == "two"
    await supervisor.close()


class HungryEngine(PretendEngine):
    """Has memory only when its neighbour is gone."""

    neighbour: PretendEngine

    async def start(self, tell: Tell = lambda _progress: None) -> None:
        if self.neighbour.state is EngineState.READY:
            await self.fail("not enough memory")
            raise OutOfMemory(self.cause)
        await super().start(tell)


@pytest.mark.slow
async def test_a_load_without_memory_is_tried_again_when_the_idle_have_gone(paths: Paths) -> None:
    made: list[PretendEngine] = []

    def make(card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        if card.name == "one":
            made.append(PretendEngine(card=card))
        else:
            hungry = HungryEngine(card=card)
            hungry.neighbour = made[0]
            made.append(hungry)
        return made[-1]

    supervisor = Supervisor(Settings(), paths, make)
    async with supervisor.lease("one", quiet):
        with pytest.raises(OutOfMemory, match="not enough memory") as refused:
            await supervisor.ready("two", quiet)
        assert "HEARTH_CONTEXT" in refused.value.fix
    assert (await supervisor.ready("two", quiet)).card.name == "two"
    assert [record["model"] for record in supervisor.report()] == ["two"]
    await supervisor.close()


async def test_memory_is_told_by_device(supervise: Supervise) -> None:
    supervisor = supervise(Stable())
    await supervisor.ready("one", quiet)
    [ram] = await supervisor.memory()
    assert ram["name"] == "RAM"
    assert 0 < held(supervisor)[0] < ram["room_bytes"] < ram["total_bytes"]
    await supervisor.close()
