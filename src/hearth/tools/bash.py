"""Run a command in the project's folder."""

from __future__ import annotations

import re

import msgspec

from hearth.sandbox.command import Shell
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_ends

LONGEST_TIMEOUT_S = 3600
_TERMINAL_CODES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\-~])")


class BashParams(msgspec.Struct, frozen=True):
    """``timeout`` in seconds; 0 takes the setting."""

    command: str
    timeout: int = 0


class Bash:
    """Runs one command through the shell that it was given."""

    name = "bash"
    params = BashParams

    def __init__(self, shell: Shell, timeout_s: float) -> None:
        self._shell = shell
        self._timeout_s = timeout_s

    def label(self, params: BashParams) -> str:
        """The command's first line."""
        lines = params.command.strip().splitlines() or [""]
        return lines[0] if len(lines) == 1 else f"{lines[0]} …"

    async def run(self, params: BashParams) -> ToolResult:
        """The output, then the exit status if it is not 0."""
        timeout_s = min(params.timeout, LONGEST_TIMEOUT_S) if params.timeout > 0 else self._timeout_s
        try:
            result = await self._shell.run(params.command, timeout_s)
        except (OSError, ValueError) as error:
            return ToolResult(f"the command could not be started: {error}", failed=True)
        output = keep_ends(clean_output(result.output)).rstrip()
        notes = []
        if result.timed_out:
            notes.append(f"[stopped after {timeout_s:g} s; its whole process group was ended]")
        elif result.code < 0:
            notes.append(f"[ended by signal {-result.code}]")
        elif result.code > 0:
            notes.append(f"[exit {result.code}]")
        elif not output:
            notes.append("[no output]")
        text = "\n".join([*([output] if output else []), *notes])
        return ToolResult(text, for_person=text, failed=result.timed_out or result.code != 0)


def clean_output(output: str) -> str:
    """Drop colours and cursor codes; of a line rewritten by carriage returns only the last state stays."""
    plain = _TERMINAL_CODES.sub("", output).replace("\r\n", "\n")
    if "\r" not in plain:
        return plain
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in plain.split("\n"))
