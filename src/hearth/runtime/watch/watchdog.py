"""Watches over one engine while requests wait for it: gives up what gets no answer, ends an engine that is stuck.

``vigil`` decides, this carries it out. While nobody waits, or all hear something, nothing is asked and nothing runs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from hearth.errors import HearthError
from hearth.paths import Paths
from hearth.runtime.completion import complete
from hearth.runtime.engine import Activity, Engine, EngineState
from hearth.runtime.watch.diagnosis import read_pulse, write_diagnosis
from hearth.runtime.watch.vigil import Canary, Health, Limits, Look, Pending, Pulse, Verdict, Vigil

_PAUSES_KEPT = 64
_LOOKS_KEPT = 16
_DIAGNOSIS_S = 10.0

log = logging.getLogger("hearth.runtime")

CardBusy = Callable[[], Awaitable[float | None]]
"""How busy the cards are that an engine computes on, 0 to 1; None when nobody can tell."""


class GivenUp(Exception):
    """The engine does nothing for this request. It may live on; the message says what was seen, in one line. ``again``
    says that it, or another in its place, may be asked once more."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Followed:
    """One request on its way through an engine."""

    def __init__(self, number: int, slot: int | None, expected_s: float) -> None:
        self.number = number
        self.slot = slot
        self.expected_s = expected_s
        self.pieces = 0
        """How many pieces of the answer came."""
        self.given_up = ""
        """Why nobody waits for it any more; empty while somebody does."""
        self._heard_at = time.monotonic()
        self._listening = True
        self._pauses: deque[float] = deque(maxlen=_PAUSES_KEPT)
        self._scope = asyncio.timeout(None)

    def began(self) -> None:
        """The engine has taken it up: the head of its answer came."""
        self._heard_at = time.monotonic()

    async def hear(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same pieces. What the one who takes them does in between is not held against the engine: a client may
        not read for a minute."""
        self._listening, self._heard_at = True, time.monotonic()
        async for piece in pieces:
            self._note_piece()
            yield piece
            self._listening, self._heard_at = True, time.monotonic()
        self._listening = False

    async def hear_whole(self, body: Awaitable[bytes]) -> bytes:
        """An answer in one piece; what comes after is not held against the engine."""
        whole = await body
        self._note_piece()
        return whole

    def _note_piece(self) -> None:
        now = time.monotonic()
        if self.pieces:
            self._pauses.append(now - self._heard_at)
        self.pieces += 1
        self._heard_at = now
        self._listening = False

    def pending(self) -> Pending | None:
        """What the vigil has to know of it; None while it is not the engine that is waited for."""
        if not self._listening or self.given_up:
            return None
        pause_s = statistics.median(self._pauses) if self._pauses else 0.0
        return Pending(self.number, self.slot, self._heard_at, self.pieces, pause_s, self.expected_s)

    def give_up(self, why: str) -> None:
        """Whoever waits for it gets GivenUp."""
        self.given_up = why
        with suppress(RuntimeError):  # it is over already
            self._scope.reschedule(asyncio.get_running_loop().time())


class Watchdog:
    """Of one engine that is ready, until it is closed or the engine ends."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits | None,
        paths: Paths,
        *,
        pulse: Callable[[Engine], Pulse | None] | None = None,
        card_busy: CardBusy | None = None,
    ) -> None:
        """Nothing runs yet, and without ``limits`` nothing ever will. ``pulse`` is asked in place of the system for
        what the engine's processes have used: an engine that has none is not ours, and is never ended."""
        self._engine = engine
        self._limits = limits or Limits()
        self._watches = limits is not None
        self._paths = paths
        self._pulse = pulse
        self._card_busy = card_busy
        self._ours = engine.pid is not None or pulse is not None
        cards = any(device != "CPU" for device in engine.held)
        self._vigil = Vigil(self._limits, ours=self._ours, cards=cards)
        self._numbers = itertools.count(1)
        self._followed: dict[int, Followed] = {}
        self._came = asyncio.Event()
        self._admits = asyncio.Event()
        self._admits.set()
        self._verdict = Verdict()
        self._doubt = ""
        self._canary: Canary | None = None
        self._asking: asyncio.Task[None] | None = None
        self._looks: deque[Look] = deque(maxlen=_LOOKS_KEPT)
        self._task: asyncio.Task[None] | None = None
        self._given_up = 0

    @property
    def admitting(self) -> bool:
        """Whether new requests may be sent to the engine."""
        return self._admits.is_set()

    async def admitted(self) -> None:
        """Return when new requests may be sent to the engine, or it has ended."""
        await self._admits.wait()

    @property
    def why(self) -> str:
        """What is held against the engine, in one line; empty when it is healthy."""
        return self._doubt or ", ".join(self._verdict.signals)

    @asynccontextmanager
    async def follow(self, slot: int | None = None, *, expected_s: float = 0.0) -> AsyncIterator[Followed]:
        """Around everything that one request has with the engine. ``slot`` is where it was sent, None when the engine
        chooses; ``expected_s`` what reading its prompt should take, 0 when nobody knows. Raises GivenUp."""
        followed = Followed(next(self._numbers), slot, expected_s)
        self._followed[followed.number] = followed
        self._came.set()
        if self._task is None and self._watches:
            self._task = asyncio.create_task(self._watch())
        try:
            async with followed._scope:
                yield followed
        except TimeoutError as error:
            if followed.given_up:
                raise GivenUp(followed.given_up, again=self._ours) from error
            raise
        finally:
            del self._followed[followed.number]

    def report(self) -> dict[str, Any]:
        """health, why, silent_s (the longest silence of a request, None when none waits), given_up (requests)."""
        now = time.monotonic()
        health = Health.SUSPECT if self._doubt else self._verdict.health
        silent = max((now - pending.heard_at for pending in self._pending()), default=None)
        return {"health": str(health), "why": self.why, "silent_s": silent, "given_up": self._given_up}

    async def close(self) -> None:
        """Watch no more. The engine is left as it is."""
        self._admits.set()
        for task in (self._task, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    def _pending(self) -> list[Pending]:
        return [pending for followed in self._followed.values() if (pending := followed.pending())]

    async def _watch(self) -> None:
        try:
            while self._engine.state is EngineState.READY:
                await self._until_silence()
                look = await self._look()
                if self._engine.state is not EngineState.READY:
                    break
                pending = self._pending()
                self._vigil.note(look, pending)
                self._looks.append(look)
                await self._act(self._vigil.judge(pending, time.monotonic(), self._canary))
        finally:
            # Whatever ended the watch: who waits to be let in must not wait for ever.
            self._admits.set()

    async def _until_silence(self) -> None:
        """Return when the engine is to be looked at: a request has heard nothing for a while, or there is a doubt."""
        looked_at = self._looks[-1].at if self._looks else 0.0
        while True:
            now = time.monotonic()
            heard = [pending.heard_at for pending in self._pending()]
            silent = now - min(heard) if heard else 0.0
            if self._doubt or silent >= self._limits.quiet_s:
                wait_s = looked_at + self._limits.look_every_s - now
                if wait_s <= 0:
                    return
            else:
                self._settle()
                wait_s = self._limits.quiet_s - silent
            if self._followed or self._doubt:
                await asyncio.sleep(wait_s)
            else:
                self._came.clear()
                await self._came.wait()

    def _settle(self) -> None:
        """All hear something, or nobody waits."""
        self._vigil.rest()
        self._looks.clear()
        self._forget_canary()
        self._set(Verdict())

    async def _look(self) -> Look:
        activity: Activity | None = None
        # ValueError: what it tells is no account of slots.
        with suppress(OSError, ValueError):
            async with asyncio.timeout(self._limits.look_s):
                activity = await self._engine.look()
        busy = await self._card_busy() if self._card_busy else None
        return Look(time.monotonic(), activity, await self._read_pulse(), busy)

    async def _read_pulse(self) -> Pulse | None:
        if self._pulse is not None:
            return self._pulse(self._engine)
        pid = self._engine.pid
        return await asyncio.to_thread(read_pulse, pid) if pid else None

    async def _act(self, verdict: Verdict) -> None:
        self._set(verdict)
        for number in verdict.lost & self._followed.keys():
            self._given_up += 1
            why = f"the engine of {self._engine.card.name} gave {', '.join(verdict.signals)}"
            log.warning("%s; the request is given up", why)
            self._followed[number].give_up(why)
            if self._ours:
                self._doubt = why
        if verdict.health is Health.STUCK:
            await complete(self._end(verdict))
            return
        if self._canary is not None and self._canary.came:
            self._forget_canary()
            self._doubt = ""
        if (verdict.ask_token or self._doubt) and self._canary is None:
            self._canary = Canary(time.monotonic())
            self._asking = asyncio.create_task(self._ask_token(self._canary.asked_at))
        if self._doubt and not self._pending() and self._canary is not None:
            await self._resolve_doubt(self._canary)

    async def _resolve_doubt(self, canary: Canary) -> None:
        """Nobody waits any more: a request was given up, and now a token is waited for."""
        waited = time.monotonic() - canary.asked_at
        if canary.came is False or waited > self._limits.canary_s:
            signals = (self._doubt, "no token comes when it is asked for one")
            await complete(self._end(Verdict(Health.STUCK, signals, after_s=waited)))

    async def _ask_token(self, asked_at: float) -> None:
        try:
            await self._engine.canary()
            came = True
        except (HearthError, OSError) as error:
            log.info("the engine of %s did not decode a token: %s", self._engine.card.name, error)
            came = False
        self._canary = Canary(asked_at, came)

    def _forget_canary(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._canary = self._asking = None

    def _set(self, verdict: Verdict) -> None:
        if verdict.health is not self._verdict.health and verdict.health is not Health.STUCK:
            log.info("engine of %s: %s %s", self._engine.card.name, verdict.health, ", ".join(verdict.signals))
        self._verdict = verdict
        if verdict.health is Health.HEALTHY and not self._doubt:
            self._admits.set()
        else:
            self._admits.clear()

    async def _end(self, verdict: Verdict) -> None:
        """Keep what is known, then end the engine: who waits for it loses it at once."""
        name = self._engine.card.name
        cause = f"the engine of {name} was stuck: {', '.join(verdict.signals)}"
        log.warning("%s (found after %.2f s)", cause, verdict.after_s)
        told = {
            "model": name,
            "cause": cause,
            "found_after_s": round(verdict.after_s, 3),
            "requests": [{**asdict(pending), "silent_s": _since(pending)} for pending in self._pending()],
            "looks": [_shown(look) for look in self._looks],
        }
        plain = re.sub(r"[^\w.-]", "_", name)[:80]
        log_file = self._paths.engine_log(name)
        try:
            # A disk may hang, and be why the engine does.
            async with asyncio.timeout(_DIAGNOSIS_S):
                await asyncio.to_thread(write_diagnosis, self._paths.logs, plain, self._engine.pid, told, log_file)
        except OSError as error:
            log.warning("what the engine was at is not kept: %s", error.strerror or error or type(error).__name__)
        finally:
            await self._engine.fail(cause)


def open_watchdog(stuck_s: float, paths: Paths, engine: Engine) -> Watchdog:
    """The watchdog of an engine that is ready. ``stuck_s`` is the silence in an answer that looks wrong, the other
    limits are in proportion; 0 watches nothing."""
    limits = Limits()
    return Watchdog(engine, limits.scaled(stuck_s / limits.decode_s) if stuck_s else None, paths)


def _since(pending: Pending) -> float:
    return round(time.monotonic() - pending.heard_at, 3)


def _shown(look: Look) -> dict[str, Any]:
    activity = look.activity
    return {
        "seconds_ago": round(time.monotonic() - look.at, 3),
        "answered": activity is not None,
        "working": sorted(activity.working) if activity else None,
        "tokens": dict(activity.tokens) if activity else None,
        "waiting": activity.waiting if activity else None,
        "pulse": asdict(look.pulse) if look.pulse else None,
        "card_busy": look.card_busy,
    }
