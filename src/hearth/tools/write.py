"""Write a whole file."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import CHANGED, say_lines, show_person, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import MOST_READ, Draft, Editor
from hearth.workspace.edits import Refused, show_change
from hearth.workspace.edits.lines import count_lines, fit_ends
from hearth.workspace.sight import Ranges

MOST_SHOWN = 60
LONGEST_SHOWN = 4_000
"""Lines and characters of what a refusal shows of a file, so that it need not be read first."""


class WriteParams(msgspec.Struct, frozen=True):
    """``content`` is the whole new text; ``drops`` names, with commas, definitions that it leaves out on purpose."""

    path: str
    content: str
    drops: str = ""


class Write:
    """Creates a file or replaces it whole, atomically.

    A file that is there must have been seen as it is, and loses no definition unasked.
    """

    name = "write"
    params = WriteParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._told: dict[str, tuple[bytes, str]] = {}

    def label(self, params: WriteParams) -> str:
        """The path and the number of lines."""
        return f"{params.path} ({say_lines(params.content)})"

    async def run(self, params: WriteParams) -> ToolResult:
        """Write it, with the line ends, mark and encoding that the file has."""
        try:
            name = self._editor.relative(params.path)
            new = not self._editor.exists(name)
            draft = self._editor.create(name, params.content) if new else self._editor.open(name)
        except WorkspaceError as error:
            return ToolResult(f"not written: {error}", failed=True)
        refused = None if new else self._replace(draft, params)
        refused = refused or self._editor.save([draft])
        if refused:
            return tell_refusal(refused, [name], "written")
        told = f"wrote {name} ({say_lines(draft.text or '')})"
        return ToolResult(told, for_person=show_person([draft]), changed=(name,))

    def _replace(self, draft: Draft, params: WriteParams) -> Refused | None:
        """Make the draft the new text, if the model knows what it replaces."""
        if self._editor.asks_for_sight() and draft.old_text and (refused := self._ask_for_sight(draft, params.content)):
            return refused
        old, content = draft.old_text, params.content
        put = fit_ends(content, old, 0, len(old))
        if old.endswith("\n") and put and not put.endswith("\n"):
            put += "\r\n" if old.endswith("\r\n") else "\n"
        if put == old:
            return Refused("the file has this very text already", "same")
        draft.text, draft.whole, draft.drops = put, True, params.drops
        draft.stale = False
        return None

    def _ask_for_sight(self, draft: Draft, content: str) -> Refused | None:
        """Whether the model knows what it replaces: it has read it, or was told by a refusal and wrote another text
        since. A call that is only repeated shows nothing."""
        seen = self._editor.seen(draft.path)
        count = count_lines(draft.old_text)
        digest = draft.before.digest if draft.before else b""
        told, first = self._told.get(draft.path, (b"", ""))
        if told == digest and content != first and (seen is None or draft.stale):
            return None
        if seen is None:
            reason = f"the file is there and you have not read it ({say_lines(draft.old_text)})"
            if count > MOST_SHOWN or len(draft.old_text) > LONGEST_SHOWN:
                return Refused(reason, "unseen", f"next: read {draft.path}, then edit a part of it, or write it again")
            self._told[draft.path] = digest, content
            now = f"its lines are:\n{draft.old_text.rstrip()}"
            return Refused(reason, "unseen", f"{now}\nnext: edit a part of it, or read {draft.path} and write it again")
        if draft.stale:
            change = show_change(seen.text, draft.old_text, context=1, limit=MOST_SHOWN) if seen.text else ""
            # Who knows the file as it was and sees all that changed knows it as it is.
            if change and seen.whole and len(change) <= LONGEST_SHOWN and not change.endswith(" more lines]"):
                self._told[draft.path] = digest, content
                return Refused(CHANGED, "stale", f"what changed:\n{change}\nnext: write it with that change kept")
            shown = f"what changed:\n{change}\n" if change else ""
            step = f"next: read {draft.path}, then write it again with that change kept"
            return Refused(CHANGED, "stale", f"{shown}{step}")
        if not seen.whole:
            unseen = _first_unseen(seen.ranges, count)
            advice = f"next: read {draft.path} with offset {unseen} and limit {min(count - unseen + 1, MOST_READ)}"
            return Refused(f"you have not seen all of its {count} lines: use edit, or read the rest", "unseen", advice)
        return None


def _first_unseen(ranges: Ranges, count: int) -> int:
    line = 1
    for low, high in ranges:
        if low > line:
            break
        line = max(line, high + 1)
    return min(line, max(count, 1))
