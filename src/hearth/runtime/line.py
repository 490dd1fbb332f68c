"""First come, first served, and everybody is told their place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

BEAT_S = 1.0


class Line:
    """A queue for one counter."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Event] = []

    @asynccontextmanager
    async def turn(self, tell: Callable[[int], None]) -> AsyncIterator[None]:
        """One's turn lasts while the context is open. ``tell`` hears each second how many are before one; a caller who
        leaves lets those behind move up."""
        mine = asyncio.Event()
        self._waiting.append(mine)
        self._waiting[0].set()
        try:
            while not mine.is_set():
                tell(self._waiting.index(mine))
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await mine.wait()
            yield
        finally:
            self._waiting.remove(mine)
            if self._waiting:
                self._waiting[0].set()
