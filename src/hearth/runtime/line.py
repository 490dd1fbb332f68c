"""Who is next: first come, first served where everybody is told their place, and by rank where there are several
places."""

from __future__ import annotations

import asyncio
import heapq
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
                await await_beat(mine)
            yield
        finally:
            self._waiting.remove(mine)
            if self._waiting:
                self._waiting[0].set()


async def await_beat(event: asyncio.Event) -> None:
    """Until it is set, a second at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(BEAT_S):
            await event.wait()


class Places:
    """Several counters and one crowd: whoever waits is served by rank, the lowest first, then in order of arrival. No
    rank is ever sure of its turn while lower ones come."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._arrived = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def acquire(self, rank: int = 0) -> None:
        """Wait for a place and take it."""
        if self._free:
            self._free -= 1
            return
        self._arrived += 1
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, self._arrived, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was given in the very moment in which its taker left.
                self.release()
            raise

    def release(self) -> None:
        """Give the place back: to who is next."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    @asynccontextmanager
    async def held(self, rank: int = 0) -> AsyncIterator[None]:
        """A place for as long as the context is open."""
        await self.acquire(rank)
        try:
            yield
        finally:
            self.release()
