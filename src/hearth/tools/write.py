"""Write a whole file."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import cut_lines
from hearth.workspace.edits import show_change
from hearth.workspace.files import Workspace


class WriteParams(msgspec.Struct, frozen=True):
    """``content`` is the whole new text."""

    path: str
    content: str


class Write:
    """Creates a file or replaces it whole, atomically."""

    name = "write"
    params = WriteParams

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def label(self, params: WriteParams) -> str:
        """The path and the number of lines."""
        return f"{params.path} ({_count(params.content)})"

    async def run(self, params: WriteParams) -> ToolResult:
        """Write it; refuses to replace a file that is not text."""
        try:
            before = self._workspace.read_text(params.path) if self._workspace.exists(params.path) else ""
            self._workspace.write_text(params.path, params.content)
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        path = self._workspace.relative(params.path)
        shown = cut_lines(show_change(before, params.content))
        return ToolResult(f"wrote {path} ({_count(params.content)})", for_person=shown, changed=(path,))


def _count(text: str) -> str:
    lines = len(text.splitlines())
    return f"{lines} line" if lines == 1 else f"{lines} lines"
