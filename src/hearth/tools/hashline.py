"""Edit lines by the anchors that read shows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import show_person, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import AROUND, Draft, Editor
from hearth.workspace.edits import Refused, split_lines
from hearth.workspace.edits.hashline import AnchoredEdit, number_of, refuse_anchor, replace_anchored, show_anchored
from hearth.workspace.sight import covers

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
        refused = self._ask_for_sight(draft, edits)
        refused = refused or draft.apply(lambda text: replace_anchored(text, edits)) or self._editor.save([draft])
        if refused:
            self._editor.note_shown(draft, refused.region if refused.kind == "stale" else (0, 0))
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

    def _ask_for_sight(self, draft: Draft, edits: Sequence[AnchoredEdit]) -> Refused | None:
        """Whether the anchors are those of lines that still have the numbers under which they were shown."""
        if not self._editor.asks_for_sight():
            return None
        lines = split_lines(draft.old_text)
        for edit in edits:
            for anchor in (edit.first, edit.last):
                number = number_of(anchor)
                if 0 < number <= len(lines) and not covers(draft.ranges, number, number):
                    reason = f"line {number} was not shown to you as it is now, or has moved since"
                    return refuse_anchor(lines, number, reason)
        return None
