"""Give a piece of work to a sub-agent: what it reads and tries stays out of the caller's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_start

LONGEST_REPORT = 4_000
"""Characters of a report: what a caller is spared is the point of asking."""
Kind = Literal["explore", "work"]


class Finding(msgspec.Struct, frozen=True):
    """A place in the project and what is there; ``line`` counts from 1, 0 is the whole file."""

    path: str
    line: int = 0
    what: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place} {self.what}".rstrip()


class Report(msgspec.Struct, frozen=True):
    """What every sub-agent gives back, whatever became of it.

    ``stopped`` came to a limit and says what it had by then; ``failed`` had no model or an error.
    """

    status: Literal["done", "stopped", "failed"]
    summary: str
    findings: tuple[Finding, ...] = ()
    changed: tuple[str, ...] = ()
    steps: int = 0

    def to_text(self) -> str:
        """The report as a model reads it: always the same lines in the same order."""
        lines = [f"status: {self.status} ({self.steps} {'step' if self.steps == 1 else 'steps'})"]
        lines += [f"summary: {self.summary}"]
        if self.findings:
            lines += ["findings:", *(f"- {finding}" for finding in self.findings)]
        if self.changed:
            lines += [f"changed: {', '.join(self.changed)}"]
        kept, left_out = keep_start(lines, LONGEST_REPORT)
        return "\n".join([*kept, *([f"[{left_out} lines left out]"] if left_out else [])])


Spawn = Callable[[str, Kind], Awaitable[Report]]
"""Runs a sub-agent on a goal. It MUST NOT raise for what the sub-agent did, and ends it when it is cancelled."""


class TaskParams(msgspec.Struct, frozen=True):
    """``goal`` is all that the sub-agent is told."""

    goal: str
    kind: Kind = "explore"


class Task:
    """Runs a sub-agent to its end and returns its report."""

    name = "task"
    params = TaskParams

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn

    def label(self, params: TaskParams) -> str:
        """The kind and the goal's first line."""
        return f"{params.kind}: {(params.goal.strip().splitlines() or [''])[0]}"

    async def run(self, params: TaskParams) -> ToolResult:
        """The report; an empty goal is refused."""
        if not params.goal.strip():
            return ToolResult("task did not run: goal is empty; say what to find or do, and where", failed=True)
        report = await self._spawn(params.goal, params.kind)
        text = report.to_text()
        return ToolResult(text, for_person=text, failed=report.status == "failed", changed=report.changed)
