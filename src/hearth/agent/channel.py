"""Where the events of a session go: to who listens to the turn that runs, else nowhere."""

from __future__ import annotations

from hearth.agent.loop import Emit
from hearth.events import Event


class Channel:
    """One listener at a time. What parts of a session say between turns is heard by nobody."""

    def __init__(self) -> None:
        self.listener: Emit | None = None

    def emit(self, event: Event) -> None:
        """Tell it."""
        if self.listener:
            self.listener(event)
