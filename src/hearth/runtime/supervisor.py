"""Who runs: starts the engine that a request needs, shares it, and stops it only when nobody uses it.

What is decided is in ``scheduler`` and ``admission``; here it is carried out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from shlex import quote
from typing import Any

from hearth.errors import EngineFailed, HearthError, ModelUnavailable, OutOfMemory
from hearth.paths import Paths
from hearth.runtime.admission import Admission, Plan, Scale
from hearth.runtime.engine import Engine, LoadProgress, Tell
from hearth.runtime.engines import Engines
from hearth.runtime.kv.caches import Caches
from hearth.runtime.launch import SMALLEST_CONTEXT, Launch
from hearth.runtime.line import Line, await_beat
from hearth.runtime.llama.probe import Probe
from hearth.runtime.restarts import Restarts
from hearth.runtime.scheduler import Bytes, Fit, Refuse, Resident, Wait, best_fit, decide
from hearth.runtime.seat import Lease, OpenWatch, Seat, SeatState
from hearth.runtime.watch.watchdog import open_watchdog
from hearth.settings import Settings
from hearth.weights.hardware import Machine
from hearth.weights.pins import Pins
from hearth.weights.store import ModelCard, Store

MakeEngine = Callable[[ModelCard, Launch, Paths], Engine]

_BEAT_S = 1.0
_MOMENT_S = 0.05
_SHOWN_FOR_S = 2.0
_SLOWEST_ROUND_S = 30.0

log = logging.getLogger("hearth.runtime")


class Supervisor:
    """The engines of one daemon: as many models as have room, the others in order of arrival."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        make_engine: MakeEngine | None = None,
        restarts: Restarts | None = None,
        measure: Callable[[], Machine] | None = None,
        open_watch: OpenWatch | None = None,
    ) -> None:
        """``make_engine`` is called for each start, in place of ``Engines.make``; it MUST NOT start anything.
        ``measure`` tells of the machine as engines see it; ``open_watch`` makes the watchdog of an engine that
        is ready."""
        self._paths = paths
        self._store = Store(paths.models)
        self._engines = Engines(settings, paths, self._store)
        self._make_engine = make_engine or self._engines.make
        self._pins = Pins(paths.models)
        self._caches = Caches(settings.kv, paths.kv)
        self._admission = Admission(
            settings.engine,
            self._store,
            measure or self._engines.measure,
            self._engines.refine,
            Probe(paths),
            saves=settings.kv.enabled,
        )
        self._seats: dict[str, Seat] = {}
        self._line = Line()
        self._restarts = restarts or Restarts()
        self._open_watch = open_watch or partial(open_watchdog, settings.engine.stuck_s, paths)
        self._idle_unload_s = settings.engine.idle_unload_s
        self._rounds: asyncio.Task[None] | None = None
        self._closed = False

    def cards(self) -> list[ModelCard]:
        """Every model that can be asked for."""
        return self._engines.cards()

    async def refresh(self) -> None:
        """Ask the owner's other engines for their models, if the settings leave that open. Never raises."""
        await self._engines.refresh()

    def note_use(self, card: ModelCard, speed: tuple[float, float] | None) -> None:
        """Keep that the model was used just now, and its speed in tokens a second (prefill, decode) if it is known.

        Raises StateError when it cannot be written, ModelUnavailable when the model is gone.
        """
        if self._engines.is_foreign(card):
            return
        if speed is None:
            self._store.touch(card.name)
        else:
            self._store.note_speed(card.name, *speed)

    async def ready(self, name: str, tell: Tell) -> Engine:
        """Start the model's engine if it does not run, and return it. Raises as ``lease`` does."""
        async with self.lease(name, tell) as lease:
            return lease.engine

    @asynccontextmanager
    async def lease(self, name: str, tell: Tell) -> AsyncIterator[Lease]:
        """An engine that is ready and stays while the context is open.

        Concurrent callers share one start; an engine that failed is replaced by a new one. A load for which the memory
        does not suffice is tried once more after all idle models have gone. ``tell`` hears of progress until the engine
        is there. Raises ModelUnavailable, CorruptModel or EngineFailed.
        """
        card = self._engines.resolve(name)
        again = False
        while True:
            await self._until_it_may_start(card, tell)
            seat = await self._take_seat(card, tell, alone=again)
            if seat is None:
                continue
            try:
                try:
                    lease = await seat.ready(tell)
                except OutOfMemory as error:
                    if again:
                        raise await self._admission.smaller(seat.engine.card, seat.held, error) from error
                    again = True
                    continue
                yield lease
                return
            finally:
                seat.leave()
                if seat.state is SeatState.FAILED and not seat.users and self._engines.is_foreign(card):
                    # Names of models elsewhere come from outside: what is not there is not kept in the status.
                    await self._end(seat)

    async def plan_context(self, card: ModelCard) -> int:
        """Tokens that one request could hold if the model were loaded now, 0 when that cannot be told. A forecast:
        nothing is loaded, and the engine has the last word. Raises as ``lease``."""
        if self._engines.is_foreign(card):
            return self._engines.wished_context(card)
        if (seat := self._seated(card)) is not None and seat.plan is not None:
            return seat.plan.launch.context
        _, room, scale, residents = await self._weigh(card)
        fit = best_fit(residents, room, scale)
        return fit.how.launch.context if fit else 0

    async def unload(self, name: str, tell: Tell) -> None:
        """Unload a model once nobody uses it; nobody more is let in meanwhile. Raises ModelUnavailable when it is not
        loaded."""
        seat = self._seats.get(name)
        if seat is None:
            loaded = ", ".join(self._seats) or "none"
            raise ModelUnavailable(f"model {name[:200]!r} is not loaded", f"loaded: {loaded}")
        order = object()
        seat.drain(order)
        try:
            while not seat.idle.is_set():
                tell(LoadProgress(name, "waiting", 0.0, f"{name} is busy"))
                await await_beat(seat.idle)
            await self._end(seat)
        finally:
            seat.drain(order, wanted=False)

    async def load_pinned(self) -> None:
        """Load the models that are pinned, one after the other. What is wrong with one is for the log."""
        for name in sorted(self._pins.read()):
            try:
                await self.ready(name, lambda _progress: None)
            except HearthError as error:
                log.warning("%s is pinned and cannot be loaded: %s", name, error)

    def report(self) -> list[dict[str, Any]]:
        """One record for each engine, as ``Seat.report`` has it."""
        pinned = self._pins.read()
        return [seat.report(pinned=seat.name in pinned) for seat in self._seats.values()]

    async def memory(self) -> list[dict[str, Any]]:
        """One record for each device, cards first: name, total_bytes, free_bytes, and room_bytes, what our models may
        take in all."""
        machine = await self._admission.machine(_SHOWN_FOR_S)
        room = self._admission.room(machine, self._ours(machine))
        devices = [(gpu.name, gpu.total_bytes, gpu.free_bytes) for gpu in machine.gpus]
        devices.append(("RAM", machine.ram_bytes, machine.ram_free_bytes))
        return [
            {"name": name, "total_bytes": total, "free_bytes": free, "room_bytes": ours}
            for (name, total, free), ours in zip(devices, room, strict=True)
        ]

    async def close(self) -> None:
        """Stop every engine, busy or not, and refuse what comes after. Safe to call twice."""
        self._closed = True
        if self._rounds is not None:
            self._rounds.cancel()
        if ending := [seat.end() for seat in self._seats.values()]:
            await asyncio.wait(ending)

    async def _until_it_may_start(self, card: ModelCard, tell: Tell) -> None:
        """Wait out the pause of a model whose engine failed; other models go on. Raises EngineFailed when it failed
        again and again."""
        while (pause := self._restarts.pause(card)) and not self._seated(card):
            if pause.hopeless:
                raise EngineFailed(
                    f"the engine of {card.name} failed {pause.failures} times within ten minutes, the last time: "
                    f"{pause.cause}",
                    f"see: hearth logs {quote(card.name)}; it is tried again in {pause.wait_s:.0f} s",
                )
            tell(
                LoadProgress(card.name, "waiting", 0.0, f"its engine failed, a new one starts in {pause.wait_s:.0f} s")
            )
            await asyncio.sleep(min(pause.wait_s, _BEAT_S))

    def _seated(self, card: ModelCard) -> Seat | None:
        """The seat of this model as its files are now; None when it must be loaded."""
        seat = self._seats.get(card.name)
        return seat if seat is not None and seat.engine.card == card and seat.usable else None

    async def _take_seat(self, card: ModelCard, tell: Tell, *, alone: bool) -> Seat | None:
        """A seat with one more user; None when the model's engine failed meanwhile. Who needs a load stands in line,
        and so does who wants a model that is drained for somebody."""
        seat = self._seated(card)
        if seat is not None and not seat.draining:
            seat.take()
            return seat
        if self._engines.is_foreign(card):
            return await self._meet(card, tell)
        async with self._line.turn(partial(_tell_place, card.name, tell)):
            return await self._admit(card, tell, alone=alone)

    async def _admit(self, card: ModelCard, tell: Tell, *, alone: bool) -> Seat | None:
        """Make room and load, with the turn in hand. ``alone`` lets all idle models go. None when the model's engine
        failed while one stood in line. Raises as ``lease``."""
        order = object()
        asked_to_go: set[Seat] = set()
        try:
            while True:
                if self._closed:
                    raise EngineFailed("the daemon is stopping", "run the command again")
                if (seat := self._seated(card)) is not None:
                    if not seat.draining:
                        seat.take()
                        return seat
                    await _wait_out(card.name, tell)
                    continue
                if self._restarts.pause(card):
                    return None
                if await self._someone_moves(tell, card.name):
                    continue
                machine, room, scale, residents = await self._weigh(card)
                decision = decide(residents, room, scale)
                if isinstance(decision, Refuse):
                    raise await self._refusal(card, decision, machine, room)
                if isinstance(decision, Wait):
                    # What is idle may be used until its turn comes. But what was drained stays so, or two models that
                    # take turns would never be idle at once.
                    going = {self._seats[name] for name in decision.drain}
                    going |= asked_to_go & {self._seats[name] for name in decision.idle}
                else:
                    idle = (each.name for each in residents if alone and not each.busy and not each.pinned)
                    going = {self._seats[name] for name in (*decision.unload, *idle)}
                for seat in going | asked_to_go:
                    seat.drain(order, wanted=seat in going)
                asked_to_go = going
                if isinstance(decision, Wait):
                    await self._await_idle(going, card.name, tell)
                elif (seat := await self._load(card, decision.fit, going, tell)) is not None:
                    return seat
        finally:
            for seat in asked_to_go:
                seat.drain(order, wanted=False)

    async def _someone_moves(self, tell: Tell, name: str) -> bool:
        """Wait for what is on its way: two loads at once would count the same memory twice. False when all is still."""
        for seat in list(self._seats.values()):
            if seat.state is SeatState.STARTING and any(seat.held):
                tell(LoadProgress(name, "waiting", 0.0, f"{seat.name} is loading"))
                await asyncio.wait([seat.load], timeout=_BEAT_S)
                return True
            if not seat.usable:
                await self._end(seat)
                return True
            if seat.name == name:
                # Its files were replaced: the old one goes when nobody uses it.
                await self._await_idle({seat}, name, tell)
                if seat.idle.is_set():
                    await self._end(seat)
                return True
        return False

    async def _weigh(self, card: ModelCard) -> tuple[Machine, Bytes, Scale, list[Resident]]:
        machine = await self._admission.machine()
        room = self._admission.room(machine, self._ours(machine))
        scale = await self._admission.scale(card, machine, room)
        pinned = await asyncio.to_thread(self._pins.read)
        residents = [seat.resident(len(room), pinned=seat.name in pinned) for seat in self._seats.values()]
        return machine, room, scale, residents

    def _ours(self, machine: Machine) -> Bytes:
        """What our engines have taken of each device; of the RAM only what the system could not take back."""
        seats = [each for each in self._seats.values() if each.state not in (SeatState.STOPPED, SeatState.FAILED)]
        residents = [seat.resident(len(machine.gpus) + 1, pinned=False) for seat in seats]
        cards = [sum(each.held[index] for each in residents) for index in range(len(machine.gpus))]
        return *cards, sum(seat.ram_bytes(unified=machine.unified) for seat in seats)

    async def _refusal(self, card: ModelCard, decision: Refuse, machine: Machine, room: Bytes) -> HearthError:
        if not decision.pinned:
            return await self._admission.too_large(card, machine, room)
        names = " and ".join(decision.pinned)
        return EngineFailed(
            f"model {card.name} does not fit beside {names}, pinned",
            f"run: hearth models unpin {quote(decision.pinned[0])}",
        )

    async def _await_idle(self, seats: set[Seat], wanted: str, tell: Tell) -> None:
        """Wait a moment for one of them."""
        busy = [seat for seat in seats if not seat.idle.is_set()]
        if busy:
            names = " and ".join(sorted(seat.name for seat in busy))
            tell(LoadProgress(wanted, "waiting", 0.0, f"{names} {'is' if len(busy) == 1 else 'are'} busy"))
            await await_beat(busy[0].idle)

    async def _load(self, card: ModelCard, fit: Fit, going: set[Seat], tell: Tell) -> Seat | None:
        """Unload those and begin the load; None when one of them is in use again."""
        engine = self._make_engine(card, fit.how.launch, self._paths)
        if going:
            await engine.check()
        for seat in going:
            if seat.users:
                return None
            tell(LoadProgress(card.name, "stopping", 0.0, f"stopping {seat.name}"))
            await self._end(seat)
        if self._closed:
            return None
        return self._begin(engine, fit.how, fit.held)

    async def _meet(self, card: ModelCard, tell: Tell) -> Seat:
        """A model that somebody else runs: no memory of ours is asked for, and nobody stands in line."""
        while (seat := self._seats.get(card.name)) is not None:
            if seat is not self._seated(card):
                await self._end(seat)
            elif seat.draining:
                await _wait_out(card.name, tell)
            else:
                seat.take()
                return seat
        if self._closed:
            raise EngineFailed("the daemon is stopping", "run the command again")
        return self._begin(self._make_engine(card, Launch(context=SMALLEST_CONTEXT), self._paths), None, (0,))

    def _begin(self, engine: Engine, plan: Plan | None, held: Bytes) -> Seat:
        """The load begins, with one user."""
        seat = Seat(engine, plan, held, self._caches.open, self._open_watch, self._note_failure)
        self._seats[seat.name] = seat
        seat.take()
        if self._idle_unload_s and self._rounds is None:
            self._rounds = asyncio.create_task(self._unload_the_unused())
        return seat

    async def _end(self, seat: Seat) -> None:
        """It is forgotten when it has ended, whether the caller is still there or not."""
        ending = seat.end()
        ending.add_done_callback(lambda _task: self._forget(seat))
        await asyncio.shield(ending)
        # Of a task that has ended nobody is called back, nor anybody else let run, before this returns.
        self._forget(seat)

    def _forget(self, seat: Seat) -> None:
        if self._seats.get(seat.name) is seat:
            del self._seats[seat.name]

    async def _unload_the_unused(self) -> None:
        """Look round for ever."""
        while True:
            await asyncio.sleep(min(self._idle_unload_s / 4, _SLOWEST_ROUND_S))
            pinned = self._pins.read()
            for seat in list(self._seats.values()):
                unused = time.monotonic() - seat.used_at >= self._idle_unload_s
                if seat.state is SeatState.READY and unused and seat.name not in pinned:
                    log.info("%s: unloaded, nobody asked for it for %.0f s", seat.name, self._idle_unload_s)
                    await self._end(seat)

    def _note_failure(self, engine: Engine) -> None:
        self._restarts.note(engine.card, engine.cause)


def _tell_place(name: str, tell: Tell, before: int) -> None:
    if before:
        tell(LoadProgress(name, "waiting", 0.0, f"place {before + 1} in line"))


async def _wait_out(name: str, tell: Tell) -> None:
    """A moment of an unload that somebody has ordered."""
    tell(LoadProgress(name, "waiting", 0.0, f"{name} is being unloaded"))
    await asyncio.sleep(_MOMENT_S)
