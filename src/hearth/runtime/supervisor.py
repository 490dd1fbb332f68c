"""Who runs: starts the engine that a request needs, shares it, and stops it only when nobody uses it.

This file alone names concrete engine classes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from shlex import quote
from typing import Any

from hearth.errors import EngineFailed, HearthError
from hearth.paths import Paths
from hearth.runtime.completion import complete
from hearth.runtime.embedded import EmbeddedEngine
from hearth.runtime.engine import Engine, EngineState, LoadProgress, Tell
from hearth.runtime.kv.cache import PrefixCache
from hearth.runtime.kv.store import KvStore
from hearth.runtime.launch import Launch
from hearth.runtime.presets import plain_launch
from hearth.runtime.process import resident_bytes
from hearth.runtime.restarts import Restarts
from hearth.settings import Settings
from hearth.weights.gguf import read_header
from hearth.weights.store import ModelCard, Store

MakeEngine = Callable[[ModelCard, Launch, Paths], Engine]

SAVE_LIMIT_S = 10.0
"""How long an engine that is stopped may take to save what its slots hold."""
_WAITING_BEAT_S = 1.0

log = logging.getLogger("hearth.runtime")


@dataclass(frozen=True, slots=True)
class Lease:
    """An engine that stays while somebody holds it. ``cache`` places requests into its slots; None when it saves no
    KV state, and places them itself."""

    engine: Engine
    cache: PrefixCache | None


class _Seat:
    """A loaded (or loading) engine and those who use it."""

    def __init__(
        self,
        engine: Engine,
        open_cache: Callable[[Engine], Awaitable[PrefixCache | None]],
        failed: Callable[[Engine], None],
    ) -> None:
        self.engine = engine
        self._open_cache = open_cache
        self._failed = failed
        self.cache: PrefixCache | None = None
        self.since = time.time()
        self.users = 0
        self.ended = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.listeners: list[Tell] = []
        self._watch: asyncio.Task[None] | None = None
        self.load = asyncio.create_task(self._start())
        # A load that fails after its last caller left has nobody to raise to; the engine keeps the cause.
        self.load.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _start(self) -> None:
        try:
            await self.engine.start(self._tell_all)
        except EngineFailed:
            self._failed(self.engine)
            raise
        self._watch = asyncio.create_task(self._watch_for_death())
        self.cache = await self._open_cache(self.engine)

    async def _watch_for_death(self) -> None:
        await self.engine.wait()
        if self.engine.state is EngineState.FAILED:
            self._failed(self.engine)

    def _tell_all(self, progress: LoadProgress) -> None:
        for tell in self.listeners:
            tell(progress)

    def take(self) -> None:
        self.users += 1
        self.idle.clear()

    def leave(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.idle.set()

    async def ready(self, tell: Tell) -> Lease:
        """Wait for the load, which goes on when this caller is cancelled: another may want it, or come back."""
        self.listeners.append(tell)
        try:
            await asyncio.wait([self.load])
        finally:
            self.listeners.remove(tell)
        if self.load.cancelled():
            raise EngineFailed(f"model {self.engine.card.name}: its engine was stopped while it loaded", "ask again")
        self.load.result()
        return Lease(self.engine, self.cache)

    @property
    def usable(self) -> bool:
        """Whether a caller may still be seated here."""
        return not self.ended and self.engine.state not in (EngineState.STOPPING, EngineState.FAILED)

    async def end(self) -> None:
        """Save what its slots hold and stop the engine. The load is cancelled first: a cancelled start ends its own
        process."""
        self.ended = True
        self.load.cancel()
        await asyncio.wait([self.load])
        if self._watch is not None:
            self._watch.cancel()
        if self.cache is not None:
            if self.engine.state is EngineState.READY:
                await self.cache.save_all(SAVE_LIMIT_S)
            await self.cache.close()
        await asyncio.shield(self.engine.stop())
        if self.cache is not None:
            await asyncio.to_thread(self.cache.clear_parts)


class Supervisor:
    """The engines of one daemon. One model is loaded at a time: a second name waits until the first is idle, in order
    of arrival, and takes its place."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        make_engine: MakeEngine | None = None,
        restarts: Restarts | None = None,
    ) -> None:
        """``make_engine`` is called for each start, in place of the embedded engine; it MUST NOT start anything."""
        self._settings = settings.engine
        self._chosen = settings.model
        self._paths = paths
        self._make_engine = make_engine or partial(
            EmbeddedEngine, saves=settings.kv.enabled, load_timeout_s=settings.engine.load_timeout_s
        )
        self._store = Store(paths.models)
        self._kv = settings.kv
        self._kv_store = KvStore(paths.kv, int(settings.kv.quota_gib * (1 << 30)))
        self._kv_open: bool | None = None
        self._seat: _Seat | None = None
        self._door = asyncio.Lock()
        self._closed = False
        self._restarts = restarts or Restarts()

    def cards(self) -> list[ModelCard]:
        """Every model that can be asked for."""
        return self._store.cards(self._chosen)

    def note_use(self, card: ModelCard, speed: tuple[float, float] | None) -> None:
        """Keep that the model was used just now, and its speed in tokens a second (prefill, decode) if it is known.

        Raises StateError when it cannot be written, ModelUnavailable when the model is gone.
        """
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

        Concurrent callers share one start; an engine that failed is replaced by a new one. ``tell`` hears of
        progress until the engine is there. Raises ModelUnavailable, CorruptModel or EngineFailed.
        """
        card = self._store.resolve(name)
        await self._until_it_may_start(card, tell)
        async with self._door:
            seat = await self._seat_for(card, tell)
            seat.take()
        try:
            yield await seat.ready(tell)
        finally:
            seat.leave()

    async def _until_it_may_start(self, card: ModelCard, tell: Tell) -> None:
        """Wait out the pause of a model whose engine failed; other models go on. Raises EngineFailed when it failed
        again and again."""
        while (pause := self._restarts.pause(card)) and not self._is_seated(card):
            if pause.hopeless:
                raise EngineFailed(
                    f"the engine of {card.name} failed {pause.failures} times within ten minutes, the last time: "
                    f"{pause.cause}",
                    f"see: hearth logs {quote(card.name)}; it is tried again in {pause.wait_s:.0f} s",
                )
            tell(
                LoadProgress(card.name, "waiting", 0.0, f"its engine failed, a new one starts in {pause.wait_s:.0f} s")
            )
            await asyncio.sleep(min(pause.wait_s, _WAITING_BEAT_S))

    def _is_seated(self, card: ModelCard) -> bool:
        return self._seat is not None and self._seat.engine.card == card and self._seat.usable

    def _note_failure(self, engine: Engine) -> None:
        self._restarts.note(engine.card, engine.cause)

    async def _seat_for(self, card: ModelCard, tell: Tell) -> _Seat:
        """The seat of this model, a new one when its file was replaced. The door is held: whoever comes later waits
        behind, so no model starves."""
        seat = self._seat
        if seat is not None and self._is_seated(card):
            return seat
        engine = self._make_engine(card, await self._launch(card), self._paths)
        if seat is not None:
            if seat.usable:
                await engine.check()
                await _drained(seat, card.name, tell)
                tell(LoadProgress(card.name, "stopping", 0.0, f"stopping {seat.engine.card.name}"))
            # A caller who leaves must not leave an engine that is neither saved nor stopped.
            await complete(seat.end())
        if self._closed:
            raise EngineFailed("the daemon is stopping", "run the command again")
        self._seat = _Seat(engine, self._open_cache, self._note_failure)
        return self._seat

    async def _launch(self, card: ModelCard) -> Launch:
        try:
            header = await asyncio.to_thread(read_header, card.path)
        except HearthError:
            # The engine's own check says what is wrong, in its turn.
            return plain_launch(self._settings, 0)
        return plain_launch(self._settings, header.context_length)

    async def _open_cache(self, engine: Engine) -> PrefixCache | None:
        """The cache of an engine that is ready; None when it saves no state, or the owner or the disk forbids it."""
        if not self._kv.enabled or not engine.kv_state:
            return None
        if self._kv_open is None:
            try:
                await asyncio.to_thread(self._kv_store.open)
                self._kv_open = True
            except OSError as error:
                self._kv_open = False
                log.warning("KV state is not saved: %s: %s", self._kv_store.folder, error.strerror or error)
        return PrefixCache(engine, self._kv_store, rest_s=self._kv.rest_s) if self._kv_open else None

    def report(self) -> list[dict[str, Any]]:
        """One record for each engine: model, state, pid, context (tokens), slots, rss_bytes (None when unknown),
        since (seconds since the epoch), users, cause, kv (None when it saves no state; else how many were saved and
        restored, and what is wrong with saving)."""
        if self._seat is None:
            return []
        engine = self._seat.engine
        return [
            {
                "model": engine.card.name,
                "state": str(engine.state),
                "pid": engine.pid,
                "context": engine.context_length,
                "slots": engine.slots,
                "rss_bytes": resident_bytes(engine.pid) if engine.pid else None,
                "since": self._seat.since,
                "users": self._seat.users,
                "cause": engine.cause,
                "kv": self._seat.cache.report() if self._seat.cache else None,
            }
        ]

    async def close(self) -> None:
        """Stop every engine, busy or not, and refuse what comes after. Safe to call twice."""
        self._closed = True
        if self._seat is not None:
            await self._seat.end()


async def _drained(seat: _Seat, wanted: str, tell: Tell) -> None:
    """Wait until nobody uses the seat, telling the caller of it."""
    began = time.monotonic()
    while not seat.idle.is_set():
        elapsed = time.monotonic() - began
        tell(LoadProgress(wanted, "waiting", elapsed, f"{seat.engine.card.name} is busy"))
        try:
            async with asyncio.timeout(_WAITING_BEAT_S):
                await seat.idle.wait()
        except TimeoutError:
            continue
