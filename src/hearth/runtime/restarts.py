"""When an engine that failed may be started again. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
WINDOW_S = 600.0
MOST_FAILURES = 5
"""Failures within the window after which nobody waits for the next start any more: requests are refused at once, and
one start is tried each ``LONGEST_WAIT_S``, for ever."""


@dataclass(slots=True)
class _History:
    failed_at: list[float] = field(default_factory=list)
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """How long the next start must wait in seconds, after how many failures, and why the last one failed. ``hopeless``
    says that a request should not wait for it."""

    wait_s: float
    failures: int
    cause: str
    hopeless: bool


class Restarts:
    """The failures of each model's engines within ten minutes: each doubles the wait, from 1 s up to 60 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._histories: dict[Hashable, _History] = {}

    def note(self, model: Hashable, cause: str) -> None:
        """An engine of the model failed just now."""
        history = self._histories.setdefault(model, _History())
        history.failed_at = [*self._recent(history), self._clock()]
        history.cause = cause

    def pause(self, model: Hashable) -> Pause | None:
        """What the next start has to wait for; None when it may begin now."""
        history = self._histories.get(model)
        recent = self._recent(history) if history else []
        if history is None or not recent:
            return None
        hopeless = len(recent) >= MOST_FAILURES
        wait = LONGEST_WAIT_S if hopeless else min(FIRST_WAIT_S * 2 ** (len(recent) - 1), LONGEST_WAIT_S)
        left = recent[-1] + wait - self._clock()
        # Rounding may make it a little more than the whole.
        return Pause(min(left, wait), len(recent), history.cause, hopeless) if left > 0 else None

    def _recent(self, history: _History) -> list[float]:
        return [at for at in history.failed_at if self._clock() - at < WINDOW_S]
