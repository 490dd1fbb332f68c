"""List the project's files by pattern."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.pace import Pace
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import LONGEST_OUTPUT, keep_start, readable
from hearth.workspace.files import Workspace

MOST_FILES = 200


class GlobParams(msgspec.Struct, frozen=True):
    """``pattern`` such as ``src/**/*.py``; without a slash it matches file names anywhere."""

    pattern: str


class Glob:
    """Lists files, sorted by path."""

    name = "glob"
    params = GlobParams

    def __init__(self, workspace: Workspace, longest: int = LONGEST_OUTPUT) -> None:
        """``longest``: characters of one result."""
        self._workspace = workspace
        self._longest = longest

    def label(self, params: GlobParams) -> str:
        """The pattern."""
        return params.pattern

    async def run(self, params: GlobParams) -> ToolResult:
        """One path a line."""
        try:
            pattern = self._workspace.relative(params.pattern)
            found = await self._find(pattern)
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        if not found:
            return ToolResult(f"no file matches {params.pattern}")
        kept, left_out = keep_start([readable(name) for name in found[:MOST_FILES]], self._longest)
        left_out += max(0, len(found) - MOST_FILES)
        lines = [*kept, f"[{left_out} more]"] if left_out else kept
        count = f"{len(kept)} file" if len(kept) == 1 else f"{len(kept)} files"
        return ToolResult("\n".join(lines), for_person=count)

    async def _find(self, pattern: str) -> list[str]:
        found: list[str] = []
        pace = Pace()
        for name in self._workspace.walk():
            await pace.rest()
            if matches(name, pattern):
                found.append(name)
        return found


def matches(name: str, pattern: str) -> bool:
    """Whether a file's path matches: ``*`` stays within a folder, ``**`` crosses them; without a slash any folder."""
    parts, patterns = tuple(name.split("/")), tuple(pattern.split("/"))
    if len(patterns) == 1 and pattern != "**":
        return fnmatchcase(parts[-1], pattern)
    # How many parts the patterns so far may have used up: a set, because trying each way alone costs exponential time.
    used = {0}
    for part_pattern in patterns:
        if part_pattern == "**":
            used = set(range(min(used, default=len(parts) + 1), len(parts) + 1))
        else:
            used = {at + 1 for at in used if at < len(parts) and fnmatchcase(parts[at], part_pattern)}
    return len(parts) in used
