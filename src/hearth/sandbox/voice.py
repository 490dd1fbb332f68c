"""A running command's output, told to a person: in few pieces, in bounded ones, and as plain text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hearth.sandbox.plain import Cleaner

Told = Callable[[str], None]

EVERY_S = 0.2
"""Seconds between two pieces: a person reads no faster."""
SELDOM_S = 2.0
"""Seconds between two pieces of a command that has said a lot."""
LONGEST_PIECE = 4_000
"""Characters of one piece: two screens. Of more, the last ones."""
MUCH = 200_000
"""Characters told of one command after which only its latest line is told, and seldom."""
LATEST = 200


class Outlet:
    """Where a command's output goes while it runs. Between turns nobody listens, and nothing is told."""

    def __init__(self) -> None:
        self.listener: Told | None = None

    def __call__(self, text: str) -> None:
        """Tell it to whoever listens."""
        if self.listener:
            self.listener(text)


class Voice:
    """Tells one command's output. It must be used within the event loop, and closed."""

    def __init__(self, tell: Told) -> None:
        self._tell = tell
        self._cleaner = Cleaner()
        self._waiting = ""
        self._dropped = False
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, data: bytes) -> None:
        """Take output; what came first is told at once, what follows together."""
        self._keep(self._cleaner.add(data))
        if self._timer is None and self._waiting:
            self._flush()

    def close(self) -> None:
        """Tell the rest."""
        self._keep(self._cleaner.add(b"", last=True))
        if self._timer:
            self._timer.cancel()
        self._speak()

    def _keep(self, text: str) -> None:
        self._waiting += text
        limit = LONGEST_PIECE if self._told < MUCH else LATEST
        if len(self._waiting) > limit:
            self._waiting = self._waiting[-limit:]
            self._dropped = True

    def _flush(self) -> None:
        self._timer = None
        if self._speak():
            pause = EVERY_S if self._told < MUCH else SELDOM_S
            self._timer = asyncio.get_running_loop().call_later(pause, self._flush)

    def _speak(self) -> bool:
        piece, self._waiting = self._waiting, ""
        if self._dropped:
            piece = f"[…]\n{piece.split(chr(10), 1)[-1]}"
            self._dropped = False
        if piece:
            self._told += len(piece)
            self._tell(piece)
        return bool(piece)
