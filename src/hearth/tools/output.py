"""Read on in the output of a command in the background."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hearth.sandbox.background import Background
from hearth.tools.bash import find_job, name_status, show_output
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_ends

LONGEST_WAIT_S = 600


class OutputParams(msgspec.Struct, frozen=True):
    """``wait`` is for how many seconds at most the command's end is awaited."""

    id: str
    wait: int = 0


class Output:
    """Tells what a command in the background has said since the last look, and whether it still runs."""

    name = "output"
    params = OutputParams

    def __init__(self, background: Background, shorten: Callable[[str], str] = keep_ends) -> None:
        """``shorten`` cuts long output down to what a model is shown of it."""
        self._background = background
        self._shorten = shorten

    def label(self, params: OutputParams) -> str:
        """The id, and the command that it stands for."""
        job = self._background.find(params.id)
        return f"{params.id}: {job.command.splitlines()[0]}" if job and job.command.strip() else params.id

    async def run(self, params: OutputParams) -> ToolResult:
        """What is new, then its state in brackets; an exit status other than 0 is a failed result."""
        job = find_job(self._background, params.id)
        if isinstance(job, str):
            return ToolResult(job, failed=True)
        if params.wait > 0:
            await job.wait(min(params.wait, LONGEST_WAIT_S))
        ended = job.ended
        output = show_output(job, self._shorten)
        note = f"{job.id} still runs"
        if ended:
            note = f"{job.id} has ended: {name_status(job.code)}"
            note += "; what it left running was ended with it" if job.left else ""
        text = f"{output}\n[{note}]" if output else f"[nothing new; {note}]"
        return ToolResult(text, for_person=text, failed=ended and job.code != 0)
