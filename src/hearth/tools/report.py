"""How a sub-agent ends: its answer in a fixed form, checked against the project."""

from __future__ import annotations

import re

import msgspec

from hearth.tools.task import Finding
from hearth.tools.tool import ToolResult
from hearth.workspace.files import Workspace

MOST_FINDINGS = 20
_PLACE = re.compile(r"^[-*\s]*`?([^\s:`]+)`?(?::(\d+)(?:-\d+)?)?`?[:,]?\s*(.*)$", re.DOTALL)


class ReportParams(msgspec.Struct, frozen=True):
    """``findings`` are lines such as ``src/app.py:12 where requests are parsed``."""

    summary: str
    findings: list[str] = []


class ReportTool:
    """Takes the report of a sub-agent. ``summary`` is None until it is given."""

    name = "report"
    params = ReportParams

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.summary: str | None = None
        self.findings: tuple[Finding, ...] = ()

    def label(self, params: ReportParams) -> str:
        """The summary's first line."""
        return (params.summary.strip().splitlines() or [""])[0]

    async def run(self, params: ReportParams) -> ToolResult:
        """Take it; findings whose file is not there are left out, for a caller would look for them in vain."""
        if not params.summary.strip():
            return ToolResult("report was not taken: summary is empty; say what you found or did", failed=True)
        found = [read_finding(line) for line in params.findings[:MOST_FINDINGS]]
        self.findings = tuple(finding for finding in found if self._workspace.exists(finding.path))
        self.summary = params.summary.strip()
        return ToolResult("reported")


def read_finding(line: str) -> Finding:
    """A place from one line as models write it: ``PATH:LINE what``, with or without a bullet, ticks and a range."""
    match = _PLACE.match(line.strip())
    if match is None:
        return Finding(line.strip())
    return Finding(match[1], int(match[2] or 0), match[3].strip(" -–—"))
