"""Where the events of a session go: to who listens to the turn that runs, else to the next who does."""

from __future__ import annotations

from collections import deque

from hearth.agent.loop import Emit
from hearth.events import Event

MOST_WAITING = 100
"""Events of between the turns that are kept; the oldest are forgotten first."""


class Channel:
    """One listener at a time. What parts of a session say while nobody listens is told to the next one first."""

    def __init__(self) -> None:
        self._listener: Emit | None = None
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)

    def emit(self, event: Event) -> None:
        """Tell it."""
        if self._listener:
            self._listener(event)
        else:
            self._waiting.append(event)

    def listen(self, listener: Emit | None) -> None:
        """From now on tell this one; None for nobody."""
        self._listener = listener
        while listener and self._waiting:
            listener(self._waiting.popleft())
