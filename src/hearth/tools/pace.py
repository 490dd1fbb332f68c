"""Long work in short stretches: between them a key press is heard, and a cancellation comes through."""

from __future__ import annotations

import asyncio
import time

LONGEST_STRETCH_S = 0.1
"""Seconds of work after which others get their turn."""


class Pace:
    """Counts one stretch of work after the other."""

    def __init__(self) -> None:
        self._until = 0.0

    async def rest(self) -> None:
        """Let others run when a stretch is over; cheap enough to be called at every line of a file."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + LONGEST_STRETCH_S
