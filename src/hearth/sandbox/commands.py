"""What one session needs to run commands: the shell, what runs in the background, and an end of it all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hearth.sandbox.background import Background
from hearth.sandbox.command import PlainShell
from hearth.sandbox.leash import Leash
from hearth.sandbox.voice import Outlet


class Commands:
    """The commands of one session. ``outlet`` is where they are heard while they run."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.outlet = Outlet()
        self._leash = Leash()
        self.shell = PlainShell(directory, environment, self.outlet, self._leash)
        self.background = Background(self.shell)

    def busy(self) -> bool:
        """Whether one runs in the background."""
        return any(not job.ended for job in self.background.jobs)

    async def close(self) -> None:
        """End every one of them."""
        try:
            await self.background.close()
        finally:
            self._leash.close()
