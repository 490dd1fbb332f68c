"""Replace text in a file."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import Report, show_person, tell_change, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import Draft, Editor
from hearth.workspace.edits import Refused, replace_text
from hearth.workspace.edits.explain import explain_tersely


class EditParams(msgspec.Struct, frozen=True):
    """``all`` replaces every occurrence."""

    path: str
    old: str
    new: str
    all: bool = False


class Edit:
    """Replaces text that occurs once, or everywhere; writes atomically or not at all."""

    name = "edit"
    params = EditParams

    def __init__(self, editor: Editor, report: Report = "full") -> None:
        self._editor = editor
        self._report = report

    def label(self, params: EditParams) -> str:
        """The path."""
        return params.path

    async def run(self, params: EditParams) -> ToolResult:
        """Replace; the result shows the lines as they are now."""
        try:
            draft = self._editor.open(params.path)
        except WorkspaceError as error:
            return ToolResult(f"not edited: {error}", failed=True)
        where = self._editor.where(draft)
        refused = draft.apply(lambda text: replace_text(text, params.old, params.new, params.all, where))
        if refused and self._report == "full":
            refused = self._editor.explain(draft, params.old, refused)
        refused = refused or self._editor.save([draft])
        if self._report == "terse":
            return _tell_tersely(draft, params.old, refused)
        return tell_refusal(refused, [draft.path]) if refused else tell_change([draft])


def _tell_tersely(draft: Draft, old: str, refused: Refused | None) -> ToolResult:
    if refused:
        reason = explain_tersely(draft.old_text, old) if refused.kind == "missing" else refused.reason
        return ToolResult(f"not edited: {reason}", failed=True)
    shown = show_person([draft])
    return ToolResult(f"edited {draft.path}\n{shown}", for_person=shown, changed=(draft.path,))
