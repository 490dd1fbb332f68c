"""One loaded model: its engine, who uses it, what it holds. The one writer of a model's state."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hearth.errors import EngineFailed
from hearth.runtime.admission import Plan
from hearth.runtime.engine import Engine, EngineState, LoadProgress, Tell
from hearth.runtime.kv.cache import PrefixCache
from hearth.runtime.process import private_bytes, resident_bytes
from hearth.runtime.scheduler import Bytes, Resident
from hearth.runtime.watch.watchdog import Watchdog

SAVE_LIMIT_S = 10.0
"""How long an engine that is stopped may take to save what its slots hold."""


class SeatState(StrEnum):
    """Where a model is: that of its engine, and while it is ready what is made of it.

    stopped → starting → ready ⇄ busy → draining → stopping → stopped; each of them may become failed.
    """

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Lease:
    """An engine that stays while somebody holds it. ``cache`` places requests into its slots; None when it saves no
    KV state, and places them itself. ``watch`` follows each request."""

    engine: Engine
    cache: PrefixCache | None
    watch: Watchdog


log = logging.getLogger("hearth.runtime")

OpenCache = Callable[[Engine, Watchdog], Awaitable[PrefixCache | None]]
OpenWatch = Callable[[Engine], Watchdog]
Failed = Callable[[Engine], None]


class Seat:
    """A model that is loaded or loading, and those who use it."""

    def __init__(
        self,
        engine: Engine,
        plan: Plan | None,
        held: Bytes,
        open_cache: OpenCache,
        open_watch: OpenWatch,
        failed: Failed,
    ) -> None:
        """The load begins at once. ``held`` is what it was admitted with on each device; ``failed`` hears of an engine
        that died, or did not start."""
        self.engine = engine
        self.plan = plan
        self.held = held
        self.cache: PrefixCache | None = None
        self.since = time.time()
        self.used_at = time.monotonic()
        self.users = 0
        self._drained_for: set[object] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self._open_cache = open_cache
        self._open_watch = open_watch
        self._watchdog: Watchdog | None = None
        self._failed = failed
        self._told_failure = False
        self._ending: asyncio.Task[None] | None = None
        self._listeners: list[Tell] = []
        self._death: asyncio.Task[None] | None = None
        self.load = asyncio.create_task(self._start())
        # A load that fails after its last caller left has nobody to raise to; the engine keeps the cause.
        self.load.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def name(self) -> str:
        """The model's."""
        return self.engine.card.name

    @property
    def state(self) -> SeatState:
        """Where it is."""
        state = SeatState(str(self.engine.state))
        if state is SeatState.STOPPED and self._ending is None and not self.load.done():
            return SeatState.STARTING
        if self._ending is not None and not self._ending.done():
            return SeatState.STOPPING
        if state is not SeatState.READY:
            return state
        return SeatState.DRAINING if self.draining else SeatState.BUSY if self.users else SeatState.READY

    @property
    def draining(self) -> bool:
        """Whether nobody more is let in: it makes room, for one or several."""
        return bool(self._drained_for)

    def drain(self, who: object, *, wanted: bool = True) -> None:
        """Let nobody more in as long as ``who`` wants it so; when it is not ``wanted`` any more, others still may."""
        if wanted:
            self._drained_for.add(who)
        else:
            self._drained_for.discard(who)

    @property
    def usable(self) -> bool:
        """Whether it serves, or will."""
        return self.state not in (SeatState.STOPPED, SeatState.STOPPING, SeatState.FAILED)

    def resident(self, devices: int, *, pinned: bool) -> Resident:
        """What the scheduler has to know of it, for a machine that has so many devices by now."""
        *cards, ram = self.held
        held = (*cards, *(0 for _ in range(devices)))[: devices - 1]
        return Resident(self.name, (*held, ram), bool(self.users), pinned, self.used_at)

    def take(self) -> None:
        """One more uses it."""
        self.users += 1
        self.idle.clear()

    def leave(self) -> None:
        """One less."""
        self.users -= 1
        self.used_at = time.monotonic()
        if self.users == 0:
            self.idle.set()

    async def ready(self, tell: Tell) -> Lease:
        """Wait for the load, which goes on when this caller is cancelled: another may want it, or come back.

        Raises what the load raised.
        """
        self._listeners.append(tell)
        try:
            await asyncio.wait([self.load])
        finally:
            self._listeners.remove(tell)
        if self.load.cancelled():
            raise EngineFailed(f"model {self.name}: its engine was stopped while it loaded", "ask again")
        self.load.result()
        assert self._watchdog is not None, "a load that ended well has opened it"
        if not self._watchdog.admitting:
            tell(LoadProgress(self.name, "waiting", 0.0, f"its engine may be stuck: {self._watchdog.why}"))
            await self._watchdog.admitted()
        return Lease(self.engine, self.cache, self._watchdog)

    def end(self) -> asyncio.Task[None]:
        """Save what its slots hold and stop the engine: the task that does it, the same however often it is asked for.
        From now on nobody can use it. It does not raise; who waits for it shields it."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return self._ending

    async def _end(self) -> None:
        # The load is cancelled first: a cancelled start ends its own process.
        self.load.cancel()
        await asyncio.wait([self.load])
        if self._death is not None:
            self._death.cancel()
            # It died, and the next caller was quicker than the news of it.
            self._note_failure()
        try:
            await self._let_go()
        except Exception:
            log.exception("%s: what its slots hold may not be saved", self.name)
        await self.engine.stop()
        if self.cache is not None:
            await asyncio.to_thread(self.cache.clear_parts)

    async def _let_go(self) -> None:
        if self._watchdog is not None:
            await self._watchdog.close()
        if self.cache is not None:
            if self.engine.state is EngineState.READY:
                await self.cache.save_all(SAVE_LIMIT_S)
            await self.cache.close()

    def ram_bytes(self, *, unified: bool) -> int:
        """RAM that the system could not take from it: not the pages of its file, but what graphics that share the RAM
        hold, which no account of a process has. Where the system does not tell, what it was admitted with."""
        if self.engine.pid is None:
            return 0
        told = private_bytes(self.engine.pid)
        if unified and self.plan is not None and self.plan.launch.gpu_layers != 0:
            return max(told or 0, self.held[-1])
        return max(0, self.held[-1] - self.engine.card.size_bytes) if told is None else told

    def report(self, *, pinned: bool) -> dict[str, Any]:
        """model, state, pid, context (tokens), slots, rss_bytes (None when unknown), since (seconds since the epoch),
        users, pinned, held_bytes (what it was admitted with on each device), taken_bytes (by the engine's account), why
        (how it is placed), cause, kv (None when it saves no state; else how many were saved and restored, and what is
        wrong with saving), watch (as ``Watchdog.report`` has it)."""
        engine = self.engine
        return {
            "model": self.name,
            "state": str(self.state),
            "pid": engine.pid,
            "context": engine.context_length,
            "slots": engine.slots,
            "rss_bytes": resident_bytes(engine.pid) if engine.pid else None,
            "since": self.since,
            "users": self.users,
            "pinned": pinned,
            "held_bytes": list(self.held),
            "taken_bytes": dict(engine.held),
            "why": self.plan.why if self.plan else "",
            "cause": engine.cause,
            "kv": self.cache.report() if self.cache else None,
            "watch": self._watchdog.report() if self._watchdog else None,
        }

    async def _start(self) -> None:
        try:
            await self.engine.start(self._tell_all)
        except EngineFailed:
            self._told_failure = True
            self._failed(self.engine)
            raise
        self._death = asyncio.create_task(self._await_death())
        try:
            self._watchdog = self._open_watch(self.engine)
            self.cache = await self._open_cache(self.engine, self._watchdog)
        except Exception as error:
            # One that is ready and that nobody can be given would be in the way for ever.
            log.exception("%s: its engine is up and cannot be used", self.name)
            cause = f"model {self.name}: its engine is up and cannot be used: {error or type(error).__name__}"
            await self.engine.fail(cause)
            raise EngineFailed(cause, "run: hearth logs") from error

    async def _await_death(self) -> None:
        await self.engine.wait()
        self._note_failure()

    def _note_failure(self) -> None:
        if self.engine.state is EngineState.FAILED and not self._told_failure:
            self._told_failure = True
            self._failed(self.engine)

    def _tell_all(self, progress: LoadProgress) -> None:
        for tell in self._listeners:
            tell(progress)
