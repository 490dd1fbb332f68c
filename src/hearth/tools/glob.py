"""List the project's files by pattern."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_start, readable
from hearth.workspace.files import Workspace

MOST_FILES = 200


class GlobParams(msgspec.Struct, frozen=True):
    """``pattern`` such as ``src/**/*.py``; without a slash it matches file names anywhere."""

    pattern: str


class Glob:
    """Lists files, sorted by path."""

    name = "glob"
    params = GlobParams

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def label(self, params: GlobParams) -> str:
        """The pattern."""
        return params.pattern

    async def run(self, params: GlobParams) -> ToolResult:
        """One path a line."""
        try:
            pattern = self._workspace.relative(params.pattern)
            found = [name for name in self._workspace.walk() if matches(name, pattern)]
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        if not found:
            return ToolResult(f"no file matches {params.pattern}")
        kept, left_out = keep_start([readable(name) for name in found[:MOST_FILES]])
        left_out += max(0, len(found) - MOST_FILES)
        lines = [*kept, f"[{left_out} more]"] if left_out else kept
        count = f"{len(kept)} file" if len(kept) == 1 else f"{len(kept)} files"
        return ToolResult("\n".join(lines), for_person=count)


def matches(name: str, pattern: str) -> bool:
    """Whether a file's path matches: ``*`` stays within a folder, ``**`` crosses them; without a slash any folder."""
    parts, patterns = tuple(name.split("/")), tuple(pattern.split("/"))
    if len(patterns) == 1 and pattern != "**":
        return fnmatchcase(parts[-1], pattern)
    return _match_parts(parts, patterns)


def _match_parts(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        rest = patterns[1:]
        while rest[:1] == ("**",):  # a row of them says no more than one, and would cost exponential time
            rest = rest[1:]
        return any(_match_parts(parts[skip:], rest) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match_parts(parts[1:], patterns[1:])
