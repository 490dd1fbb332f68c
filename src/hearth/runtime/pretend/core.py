"""What all answers of one pretending engine share: that it computes, how much it has computed, that it is stuck."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hearth.runtime.pretend.script import Fault

FOR_EVER_S = 86_400.0
_BLOCK = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Hung:
    """A fault that kept a request waiting until somebody broke it off: for so many seconds, ``still_s`` of them
    after the engine had computed for the last time."""

    fault: Fault
    waited_s: float
    still_s: float


class Core:
    """``burns`` says that the processor is really kept busy while something is computed, for a process that is judged
    by that; ``die`` ends the engine as a crash does."""

    def __init__(self, *, burns: bool, die: Callable[[], None]) -> None:
        self.frozen = False
        self.hung: list[Hung] = []
        self.die = die
        self._burns = burns
        self._used_s = 0.0
        self._computed_at = 0.0
        self._running: dict[object, float] = {}
        self._between_batches = asyncio.Event()
        self._between_batches.set()
        self._thaw = asyncio.Event()

    @property
    def used_s(self) -> float:
        """Processor seconds that it pretends to have used."""
        now = time.monotonic()
        return self._used_s + sum(now - since for since in self._running.values())

    async def compute(self, seconds: float) -> None:
        """Take so long over something; for ever once it is frozen."""
        await self.thawed()
        mark = object()
        self._running[mark] = time.monotonic()
        try:
            if self._burns and seconds:
                await _burn(seconds)
            else:
                await asyncio.sleep(seconds)
        finally:
            if (since := self._running.pop(mark, None)) is not None:
                self._computed_at = time.monotonic()
                self._used_s += self._computed_at - since
        await self.thawed()

    @property
    def computing(self) -> int:
        """For how many answers something is computed now."""
        return len(self._running)

    async def hang(self, fault: Fault) -> None:
        """Keep this request waiting for ever, and with a frozen engine all others."""
        if fault in (Fault.FREEZE, Fault.FREEZE_IN_PREFILL):
            self.freeze()
        began = time.monotonic()
        try:
            await asyncio.sleep(FOR_EVER_S)
        finally:
            now = time.monotonic()
            still_since = now if self._running else max(began, self._computed_at)
            self.hung.append(Hung(fault, now - began, now - still_since))

    def freeze(self) -> None:
        """Compute no more."""
        self.frozen = True
        self._used_s = self.used_s
        self._running.clear()

    async def thawed(self) -> None:
        """Return at once, or never when it is frozen."""
        if self.frozen:
            await self._thaw.wait()

    @asynccontextmanager
    async def batch(self, *, alone: bool) -> AsyncIterator[None]:
        """One batch; with ``alone`` nothing is told until it is over."""
        if alone:
            self._between_batches.clear()
        try:
            yield
        finally:
            self._between_batches.set()

    async def may_tell(self) -> None:
        """Return when it is between two batches; never when it is frozen."""
        await self._between_batches.wait()
        await self.thawed()


async def _burn(seconds: float) -> None:
    left = threading.Event()
    try:
        await asyncio.to_thread(_hash, time.monotonic() + seconds, left)
    finally:
        left.set()


def _hash(until: float, left: threading.Event) -> None:
    # Hashing lets go of the interpreter's lock: the server answers meanwhile.
    while time.monotonic() < until and not left.is_set():
        hashlib.blake2b(_BLOCK)
