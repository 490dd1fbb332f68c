"""List the project's files by pattern."""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import keep_start
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
            found = [name for name in self._workspace.walk() if _matches(name, pattern)]
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        if not found:
            return ToolResult(f"no file matches {params.pattern}")
        kept, left_out = keep_start(found[:MOST_FILES])
        left_out += max(0, len(found) - MOST_FILES)
        lines = [*kept, f"[{left_out} more]"] if left_out else kept
        count = f"{len(kept)} file" if len(kept) == 1 else f"{len(kept)} files"
        return ToolResult("\n".join(lines), for_person=count)


def _matches(name: str, pattern: str) -> bool:
    if "/" not in pattern and "**" not in pattern:
        return PurePosixPath(name).match(pattern)
    return _match_parts(PurePosixPath(name).parts, PurePosixPath(pattern).parts)


def _match_parts(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match_parts(parts[skip:], patterns[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and PurePosixPath(parts[0]).match(patterns[0]) and _match_parts(parts[1:], patterns[1:])
