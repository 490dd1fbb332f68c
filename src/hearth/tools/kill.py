"""End a command in the background."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hearth.sandbox.background import Background
from hearth.tools.bash import find_job, name_status, show_output
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_ends


class KillParams(msgspec.Struct, frozen=True):
    """``id`` is what bash gave."""

    id: str


class Kill:
    """Ends a command in the background with its whole process group."""

    name = "kill"
    params = KillParams

    def __init__(self, background: Background, shorten: Callable[[str], str] = keep_ends) -> None:
        """``shorten`` cuts long output down to what a model is shown of it."""
        self._background = background
        self._shorten = shorten

    def label(self, params: KillParams) -> str:
        """The id, and the command that it stands for."""
        job = self._background.find(params.id)
        return f"{params.id}: {job.command.splitlines()[0]}" if job and job.command.strip() else params.id

    async def run(self, params: KillParams) -> ToolResult:
        """Its last words, and how it ended. One that has ended already is no failure."""
        job = find_job(self._background, params.id)
        if isinstance(job, str):
            return ToolResult(job, failed=True)
        before = job.ended
        await job.end()
        output = show_output(job, self._shorten)
        how = name_status(job.code)
        note = f"[{job.id} had ended before: {how}]" if before else f"[{job.id} is ended: {how}]"
        text = f"{output}\n{note}" if output else note
        return ToolResult(text, for_person=text)
