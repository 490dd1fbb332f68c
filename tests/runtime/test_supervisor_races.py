"""What may happen between two steps of the supervisor: callers who leave, drains for several, engines that fail late;
and what of the memory is ours."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import EngineFailed
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine, EngineState, LoadProgress
from hearth.runtime.kv.cache import PrefixCache
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import PretendEngine
from hearth.runtime.restarts import Restarts
from hearth.runtime.seat import Seat, SeatState
from hearth.runtime.supervisor import Supervisor
from hearth.runtime.watch.watchdog import Watchdog
from hearth.settings import EngineSettings, ForeignSettings, Settings
from hearth.weights.hardware import Machine, describe_machine
from hearth.weights.hardware.gpu import Gpu
from hearth.weights.store import ModelCard

GIB = 1 << 30


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    for name in ("one", "two"):
        gguf_models.write_llama(found.models / f"{name}.gguf")
    gguf_models.write_llama(found.models / "wide.gguf", blocks=8)
    return found


class Stable:
    """Makes pretending engines and remembers them."""

    def __init__(self) -> None:
        self.made: list[PretendEngine] = []

    def __call__(self, card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        self.made.append(PretendEngine(card=card))
        return self.made[-1]

    @property
    def names(self) -> list[str]:
        return [engine.card.name for engine in self.made]


def quiet(_progress: LoadProgress) -> None:
    return None


async def held(paths: Paths, *names: str) -> dict[str, int]:
    """What each model is admitted with."""
    supervisor = Supervisor(Settings(), paths, Stable(), measure=lambda: describe_machine((), 16 * GIB))
    for name in names:
        await supervisor.ready(name, quiet)
    found = {record["model"]: record["held_bytes"][-1] for record in supervisor.report()}
    await supervisor.close()
    return found


def supervise(paths: Paths, stable: Stable, room_bytes: float = 0.0, restarts: Restarts | None = None) -> Supervisor:
    settings = Settings(engine=EngineSettings(memory_gib=room_bytes / GIB))
    machine = describe_machine((), 16 * GIB)
    return Supervisor(settings, paths, stable, restarts, measure=lambda: machine)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


class Waiter:
    """A task that tells when it waits."""

    def __init__(self, start: Callable[[Callable[[LoadProgress], None]], Awaitable[object]]) -> None:
        self.waits = asyncio.Event()
        self.task = asyncio.ensure_future(start(lambda _progress: self.waits.set()))

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_who_leaves_does_not_end_the_drain_of_another(paths: Paths) -> None:
    stable = Stable()
    needed = await held(paths, "one")
    supervisor = supervise(paths, stable, 1.5 * needed["one"])
    async with supervisor.lease("one", quiet):
        unloading = Waiter(lambda tell: supervisor.unload("one", tell))
        await unloading.waits.wait()
        other = Waiter(lambda tell: supervisor.unload("one", tell))
        await other.waits.wait()
        wants = Waiter(lambda tell: supervisor.ready("two", tell))
        await wants.waits.wait()
        await wants.leave()
        assert supervisor.report()[0]["state"] == "draining"
        await other.leave()
        assert supervisor.report()[0]["state"] == "draining"
    await unloading.task
    assert supervisor.report() == []
    await supervisor.close()


async def test_two_models_that_take_turns_do_not_starve_who_needs_the_room_of_both(paths: Paths) -> None:
    stable = Stable()
    needed = await held(paths, "one", "wide")
    assert needed["wide"] > needed["one"]
    room = max(2.2 * needed["one"], 1.1 * needed["wide"])
    assert room < needed["wide"] + needed["one"]
    supervisor = supervise(paths, stable, room)
    served: list[str] = []

    async def use(name: str, until: asyncio.Event) -> None:
        async with supervisor.lease(name, quiet):
            served.append(name)
            await until.wait()

    first, second = asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(use("one", first))
    await eventually(lambda: served == ["one"])
    await supervisor.ready("two", quiet)
    big = Waiter(lambda tell: supervisor.ready("wide", tell))
    await big.waits.wait()
    # "two" was idle when "wide" began to wait, and is asked for now; then "one" again, before "two" is done.
    two = asyncio.create_task(use("two", second))
    await eventually(lambda: "two" in served)
    first.set()
    await one
    await asyncio.sleep(1.2)
    again = asyncio.create_task(use("one", first))
    await asyncio.sleep(0.1)
    assert served.count("one") == 1, "who waits for it was overtaken"
    second.set()
    await big.task
    await asyncio.gather(two, again)
    assert stable.names[2] == "wide"
    await supervisor.close()


async def test_an_engine_whose_cache_cannot_be_opened_is_ended_and_replaced(paths: Paths) -> None:
    engine = PretendEngine()
    failed: list[str] = []

    async def open_cache(_engine: Engine, _watch: Watchdog) -> PrefixCache | None:
        raise RuntimeError("the cache is broken")

    seat = Seat(
        engine,
        None,
        (0,),
        open_cache,
        lambda engine: Watchdog(engine, None, paths),
        lambda engine: failed.append(engine.cause),
    )
    with pytest.raises(EngineFailed, match="the cache is broken"):
        await seat.ready(quiet)
    assert (engine.state, seat.usable) == (EngineState.FAILED, False)
    await eventually(lambda: len(failed) == 1)
    await seat.end()
    assert len(failed) == 1


async def test_a_death_is_noted_however_soon_the_next_caller_comes(paths: Paths) -> None:
    class Slowly(PretendEngine):
        async def wait(self) -> None:
            await super().wait()
            await asyncio.sleep(0.2)

    def make(card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        return Slowly(card=card)

    restarts = Restarts()
    supervisor = Supervisor(Settings(), paths, make, restarts, measure=lambda: describe_machine((), 16 * GIB))
    engine = await supervisor.ready("one", quiet)
    await engine.fail("killed by SIGKILL")
    told: list[LoadProgress] = []
    await supervisor.ready("one", told.append)
    assert any("its engine failed" in progress.detail for progress in told)
    pause = restarts.pause(engine.card)
    assert pause is None or pause.failures == 1
    await supervisor.close()


async def test_a_seat_that_is_ended_is_gone_though_who_asked_for_it_left(paths: Paths) -> None:
    class Lasting(PretendEngine):
        async def stop(self) -> None:
            await asyncio.sleep(0.1)
            await super().stop()

    def make(card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        return Lasting(card=card)

    supervisor = Supervisor(Settings(), paths, make, measure=lambda: describe_machine((), 16 * GIB))
    await supervisor.ready("one", quiet)
    leaving = asyncio.create_task(supervisor.unload("one", quiet))
    await asyncio.sleep(0)
    assert supervisor.report()[0]["state"] == SeatState.STOPPING
    leaving.cancel()
    await asyncio.wait([leaving])
    await eventually(lambda: supervisor.report() == [])
    await supervisor.close()


async def test_shared_memory_that_an_idle_model_holds_is_had_by_letting_it_go(paths: Paths) -> None:
    """Graphics that share the RAM: what the first model took is missing from what is free."""

    class Resident(PretendEngine):
        @property
        def pid(self) -> int | None:
            # Of a process that is not there nothing is told, as of any where there is no /proc.
            return 1 << 30 if self.state is EngineState.READY else None

    made: list[Resident] = []

    def make(card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        made.append(Resident(card=card))
        return made[-1]

    def measure() -> Machine:
        free = 0 if any(engine.state is EngineState.READY for engine in made) else 2 * GIB
        gpu = Gpu(0, "shared", "apple", 64 * GIB, free, shared=True)
        return Machine((gpu,), 64 * GIB, free, 4, (), True, None, ())

    supervisor = Supervisor(Settings(), paths, make, measure=measure)
    await supervisor.ready("one", quiet)
    await supervisor.ready("two", quiet)
    assert [engine.state for engine in made] == [EngineState.STOPPED, EngineState.READY]
    await supervisor.close()


async def test_a_model_elsewhere_that_is_let_go_is_met_anew_by_who_waited(paths: Paths) -> None:
    stable = Stable()
    settings = Settings(engines={"there": ForeignSettings(kind="openai", url="http://127.0.0.1:9")})
    supervisor = Supervisor(settings, paths, stable)
    async with supervisor.lease("m@there", quiet):
        unloading = Waiter(lambda tell: supervisor.unload("m@there", tell))
        await unloading.waits.wait()
        wants = Waiter(lambda tell: supervisor.ready("m@there", tell))
        await wants.waits.wait()
        # Nor does it hold up anybody who stands in line.
        assert (await supervisor.ready("one", quiet)).card.name == "one"
    await unloading.task
    await wants.task
    assert stable.names == ["m@there", "one", "m@there"]
    await supervisor.close()


async def test_close_ends_what_other_seats_hold_whatever_one_of_them_meets(paths: Paths) -> None:
    stable = Stable()
    no_pauses = Restarts(clock=itertools.count(0, 1_000_000).__next__)
    supervisor = supervise(paths, stable, restarts=no_pauses)
    for name in ("one", "two"):
        await supervisor.ready(name, quiet)
    await stable.made[0].fail("struck by lightning")
    await supervisor.close()
    assert [engine.state for engine in stable.made] == [EngineState.FAILED, EngineState.STOPPED]
