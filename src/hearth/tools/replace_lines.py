"""Replace lines by their numbers."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import CHANGED, tell_change, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import AROUND, MOST_READ, Draft, Editor
from hearth.workspace.edits import Refused, split_lines
from hearth.workspace.edits.explain import show_lines
from hearth.workspace.edits.span import replace_span
from hearth.workspace.sight import covers

MOST_SHOWN = 20


class ReplaceLinesParams(msgspec.Struct, frozen=True):
    """Lines ``first`` to ``last`` count from 1 and both belong to it; ``last = first - 1`` puts ``new`` before them."""

    path: str
    first: int
    last: int
    new: str


class ReplaceLines:
    """Replaces lines whose numbers the model has seen as they are now."""

    name = "replace_lines"
    params = ReplaceLinesParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def label(self, params: ReplaceLinesParams) -> str:
        """The path and the lines."""
        return f"{params.path} lines {params.first}-{params.last}"

    async def run(self, params: ReplaceLinesParams) -> ToolResult:
        """Replace; the result shows the lines as they are now."""
        try:
            draft = self._editor.open(params.path)
        except WorkspaceError as error:
            return ToolResult(f"not edited: {error}", failed=True)
        refused = self._ask_for_sight(draft, params)
        refused = refused or draft.apply(lambda text: replace_span(text, params.first, params.last, params.new))
        refused = refused or self._editor.save([draft])
        return tell_refusal(refused, [draft.path]) if refused else tell_change([draft])

    def _ask_for_sight(self, draft: Draft, params: ReplaceLinesParams) -> Refused | None:
        """Numbers that were never shown, or that have moved since, name other lines than those that are meant."""
        count = len(split_lines(draft.old_text))
        first, last = max(1, min(params.first, count)), max(1, min(max(params.last, params.first), count))
        if not self._editor.asks_for_sight() or not count or covers(draft.ranges, first, last):
            return None
        why = CHANGED if draft.stale else "their numbers may have moved"
        if not draft.ranges and self._editor.seen(draft.path) is None:
            why = "you have not read the file"
        low = max(1, first - AROUND)
        limit = min(last - low + 1 + AROUND, MOST_READ)
        region = (low, min(count, low + min(limit, MOST_SHOWN) - 1))
        shown = show_lines(draft.old_text, *region)
        self._editor.note_shown(draft, region)
        call = f"next: read {draft.path} with offset {low} and limit {limit}"
        advice = f"lines from {low} on as they are now:\n{shown}\n{call}"
        return Refused(f"lines {first}-{last} were not shown to you as they are now: {why}", "unseen", advice, region)
