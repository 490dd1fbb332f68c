"""Edit lines by the anchors that read shows."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import show_person, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import AROUND, Editor
from hearth.workspace.edits import split_lines
from hearth.workspace.edits.hashline import AnchoredEdit, replace_anchored, show_anchored

MOST_SHOWN = 60


class LineEdit(msgspec.Struct, frozen=True):
    """Lines from anchor ``first`` to ``last`` become ``new``; with ``below`` new is put below ``first``."""

    first: str
    new: str
    last: str = ""
    below: bool = False


class HashlineParams(msgspec.Struct, frozen=True):
    """All edits of one file; anchors are those of the file before any of them."""

    path: str
    edits: list[LineEdit]


class Hashline:
    """Replaces lines named by anchors, all or none; an anchor is never bound to another line than was shown."""

    name = "hashline"
    params = HashlineParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def label(self, params: HashlineParams) -> str:
        """The path."""
        return params.path

    async def run(self, params: HashlineParams) -> ToolResult:
        """Replace; the result shows the lines with their new anchors."""
        try:
            draft = self._editor.open(params.path)
        except WorkspaceError as error:
            return ToolResult(f"not edited: {error}", failed=True)
        edits = [AnchoredEdit(edit.first, edit.new, edit.last, edit.below) for edit in params.edits]
        refused = draft.apply(lambda text: replace_anchored(text, edits)) or self._editor.save([draft])
        if refused:
            return tell_refusal(refused, [draft.path])
        lines = split_lines(draft.text or "")
        numbers = {
            number
            for first, last in draft.spans
            for number in range(max(1, first - AROUND), min(len(lines), last + AROUND) + 1)
        }
        shown = [show_anchored(number, lines[number - 1]) for number in sorted(numbers)[:MOST_SHOWN]]
        text = "\n".join([f"edited {draft.path}; the lines now:", *shown])
        return ToolResult(text, for_person=show_person([draft]), changed=(draft.path,))
