"""What a pull tells while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 10.0
"""The speed is that of the last seconds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the pull is. ``file`` arrives now, ``number`` of ``count``; bytes are of all files together.

    ``speed`` is in bytes a second, 0 while unknown; ``eta_s`` seconds to go, None while unknown.
    """

    file: str
    number: int
    count: int
    done_bytes: int
    size_bytes: int
    speed: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for a person: it waits, goes on where it was, tries again."""

    text: str


Report = Callable[[Progress | Notice], None]
"""Takes what a pull tells. It is called by the thread that pulls, a few times a second. MUST NOT raise."""


class Speed:
    """Bytes a second over the last seconds. The caller brings the clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, done_bytes: int) -> float:
        """Take how much is there now; the speed since about ten seconds ago, 0 when nothing is known."""
        while self._seen and (now_s - self._seen[0][0] > WINDOW_S or self._seen[-1][1] > done_bytes):
            self._seen.popleft()
        self._seen.append((now_s, done_bytes))
        then_s, then_bytes = self._seen[0]
        return (done_bytes - then_bytes) / (now_s - then_s) if now_s > then_s else 0.0


def eta_s(left_bytes: int, speed: float) -> float | None:
    """Seconds to go; None when nothing moves."""
    return left_bytes / speed if speed > 0 else None
