"""Search the project's files for a pattern."""

from __future__ import annotations

import fnmatch
import re

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import cut_line, keep_start
from hearth.workspace.files import Workspace

MOST_MATCHES = 100
LONGEST_MATCH = 300


class GrepParams(msgspec.Struct, frozen=True):
    """``pattern`` is a regular expression; ``path`` a folder or file; ``glob`` filters file names."""

    pattern: str
    path: str = "."
    glob: str = ""


class Grep:
    """Finds lines by regular expression; binary and very large files are left out."""

    name = "grep"
    params = GrepParams

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def label(self, params: GrepParams) -> str:
        """The pattern, and where."""
        return params.pattern if params.path == "." else f"{params.pattern} in {params.path}"

    async def run(self, params: GrepParams) -> ToolResult:
        """``path:line: text`` for each match, at most MOST_MATCHES."""
        try:
            pattern = re.compile(params.pattern)
        except re.error:
            # Models often mean the text itself: "foo(" is no expression but a fine search.
            pattern = re.compile(re.escape(params.pattern))
        try:
            found = self._search(pattern, params)
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        if not found:
            return ToolResult(f"no match for {params.pattern}")
        kept, left_out = keep_start(found[:MOST_MATCHES])
        left_out += max(0, len(found) - MOST_MATCHES)
        lines = (
            [*kept, f"[{left_out} or more matches left out: narrow the pattern or give a path]"] if left_out else kept
        )
        count = f"{len(kept)} match" if len(kept) == 1 else f"{len(kept)} matches"
        return ToolResult("\n".join(lines), for_person=count)

    def _search(self, pattern: re.Pattern[str], params: GrepParams) -> list[str]:
        found: list[str] = []
        for name in self._workspace.walk(params.path):
            if params.glob and not _matches(name, params.glob):
                continue
            try:
                text = self._workspace.read_text(name)
            except WorkspaceError:
                continue  # binary, too large or unreadable: not what a search is for
            for number, line in enumerate(text.splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{name}:{number}: {cut_line(line, LONGEST_MATCH)}")
            if len(found) > MOST_MATCHES:
                break
        return found


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatch(name, glob) or fnmatch.fnmatch(name.rsplit("/", 1)[-1], glob)
