"""Run a command in the project's folder."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Collection

import msgspec

from hearth.errors import LimitReached
from hearth.sandbox.background import Background, Job
from hearth.sandbox.command import CommandResult, Shell
from hearth.sandbox.plain import clean_output
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_ends

LONGEST_TIMEOUT_S = 3600
FIRST_LOOK_S = 1.0
"""Seconds that a command in the background is looked at: what fails at once is told at once."""
NOT_FOUND = 127
"""The status of a shell that found no such command."""
_MISSING = re.compile(r"\b(\w+): (?:command )?not found")
LEFT = "[what it left running was ended with it{}]"
INSTEAD = "; what is to go on is started with background, without &"


class BashParams(msgspec.Struct, frozen=True):
    """``timeout`` in seconds; 0 takes the setting. In the ``background`` there is none."""

    command: str
    timeout: int = 0
    background: bool = False


class Bash:
    """Runs one command through the shell that it was given, or lets it run in the background."""

    name = "bash"
    params = BashParams

    def __init__(
        self,
        shell: Shell,
        timeout_s: float,
        background: Background | None = None,
        shorten: Callable[[str], str] = keep_ends,
        tools: Collection[str] = (),
    ) -> None:
        """``shorten`` cuts long output down to what a model is shown of it; ``tools`` are those beside this one."""
        self._shell = shell
        self._timeout_s = timeout_s
        self._background = background
        self._shorten = shorten
        self._tools = tools

    def label(self, params: BashParams) -> str:
        """The command's first line."""
        lines = params.command.strip().splitlines() or [""]
        first = lines[0] if len(lines) == 1 else f"{lines[0]} …"
        return f"{first} (in the background)" if params.background else first

    async def run(self, params: BashParams) -> ToolResult:
        """The output, then the exit status if it is not 0; of a command in the background its id."""
        try:
            if params.background:
                return await self._start(params.command)
            timeout_s = min(params.timeout, LONGEST_TIMEOUT_S) if params.timeout > 0 else self._timeout_s
            result = await self._shell.run(params.command, timeout_s)
        except (OSError, ValueError) as error:
            return ToolResult(f"the command could not be started: {_explain(error)}", failed=True)
        except LimitReached as error:
            return ToolResult(f"the command was not started: {error}", failed=True)
        output = self._shorten(clean_output(result.output)).rstrip()
        if result.timed_out:
            return _tell(output, f"[stopped after {timeout_s:g} s; its whole process group was ended]", failed=True)
        notes = [describe_end(result.code, bool(output)), self._name_tool(result), self._tell_left(result.left)]
        return _tell(output, "\n".join(note for note in notes if note), failed=result.code != 0)

    def _tell_left(self, left: bool) -> str:
        return LEFT.format(INSTEAD if self._background else "") if left else ""

    def _name_tool(self, result: CommandResult) -> str:
        """What to say to a model that took a tool for a command."""
        missing = _MISSING.search(result.output) if result.code == NOT_FOUND else None
        if missing is None or missing[1] not in self._tools:
            return ""
        return f"[{missing[1]} is a tool and no command: call it]"

    async def _start(self, command: str) -> ToolResult:
        if self._background is None:
            return ToolResult("nothing can run in the background here: leave background out", failed=True)
        job = await self._background.start(command)
        try:
            await job.wait(FIRST_LOOK_S)
        except BaseException:
            # Nobody was told its id.
            await job.end()
            self._background.drop(job)
            raise
        output = show_output(job, self._shorten)
        if job.ended:
            self._background.drop(job)
            notes = [describe_end(job.code, bool(output)), self._tell_left(job.left)]
            return _tell(output, "\n".join(note for note in notes if note), failed=job.code != 0)
        note = f'[runs in the background as {job.id}: output(id="{job.id}") reads on, kill(id="{job.id}") ends it]'
        return _tell(output, note, failed=False)


def _explain(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return "it is too long: write its text into a file first, and let the command read that"
    return str(error)


def describe_end(code: int, said: bool) -> str:
    """How a command ended, in brackets; empty when it ended well and ``said`` something."""
    if code < 0:
        return f"[ended by signal {-code}]"
    if code > 0:
        return f"[exit {code}]"
    return "" if said else "[no output]"


def name_status(code: int) -> str:
    """An exit status in two words."""
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def show_output(job: Job, shorten: Callable[[str], str]) -> str:
    """What a command in the background has said since the last look, as a model is shown it."""
    return shorten(clean_output(job.take())).rstrip()


def find_job(background: Background, id: str) -> Job | str:
    """The command of this id, or what to tell a model that named none."""
    job = background.find(id)
    if job:
        return job
    known = ", ".join(f"{job.id} ({'ended' if job.ended else 'runs'}: {job.command[:60]})" for job in background.jobs)
    return f"there is no command {id!r} in the background; {f'there are: {known}' if known else 'there is none at all'}"


def _tell(output: str, note: str, failed: bool) -> ToolResult:
    text = "\n".join(part for part in (output, note) if part)
    return ToolResult(text, for_person=text, failed=failed)
