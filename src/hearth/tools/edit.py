"""Replace exact text in a file."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import cut_lines
from hearth.workspace.edits import Refused, replace_text, show_change
from hearth.workspace.files import Workspace


class EditParams(msgspec.Struct, frozen=True):
    """``all`` replaces every occurrence."""

    path: str
    old: str
    new: str
    all: bool = False


class Edit:
    """Replaces text that occurs exactly once, or everywhere; writes atomically or not at all."""

    name = "edit"
    params = EditParams

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def label(self, params: EditParams) -> str:
        """The path."""
        return params.path

    async def run(self, params: EditParams) -> ToolResult:
        """Replace; the result shows the lines as they are now."""
        try:
            before = self._workspace.read_text(params.path)
            outcome = replace_text(before, params.old, params.new, params.all)
            if isinstance(outcome, Refused):
                return ToolResult(f"not edited: {outcome.reason}", failed=True)
            self._workspace.write_text(params.path, outcome.text)
        except WorkspaceError as error:
            return ToolResult(f"not edited: {error}", failed=True)
        path = self._workspace.relative(params.path)
        shown = cut_lines(show_change(before, outcome.text))
        return ToolResult(f"edited {path}\n{shown}", for_person=shown, changed=(path,))
