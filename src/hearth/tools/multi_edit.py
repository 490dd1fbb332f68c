"""Several replacements in one or several files: all or none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import tell_change, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import Draft, Editor
from hearth.workspace.edits import Refused, replace_text


class OneEdit(msgspec.Struct, frozen=True):
    """One of the replacements; ``all`` replaces every occurrence."""

    path: str
    old: str
    new: str
    all: bool = False


class MultiEditParams(msgspec.Struct, frozen=True):
    """The replacements, made in this order: a later one sees what an earlier one of the same file made."""

    edits: list[OneEdit]


class MultiEdit:
    """Replaces several texts; one that does not apply leaves all files as they were."""

    name = "multi_edit"
    params = MultiEditParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def label(self, params: MultiEditParams) -> str:
        """The paths."""
        return ", ".join(dict.fromkeys(edit.path for edit in params.edits))

    async def run(self, params: MultiEditParams) -> ToolResult:
        """Replace all; the result shows the lines as they are now."""
        return replace_several(self._editor, params.edits, self.name)


def replace_several(editor: Editor, edits: Sequence[OneEdit], tool: str, what: str = "edit") -> ToolResult:
    """Make all replacements or none. Of several that do not apply each is told, the first with what helps.

    ``old`` may be empty for a file that is not there yet: then ``new`` is its text.
    """
    drafts: dict[str, Draft] = {}
    failures: list[str] = []
    for number, edit in enumerate(edits, 1):
        refused = _replace_one(editor, drafts, edit, tool)
        if refused:
            detail = f"\n{refused.detail}" if refused.detail and not failures else ""
            failures.append(f"{what} {number} ({edit.path}): {refused.reason}{detail}")
    if not edits:
        return tell_refusal(Refused(f"there is no {what}"), [])
    if failures:
        head = f"{len(failures)} of {len(edits)} {what}s do not apply, so none was made"
        rest = ["the others apply: send them all again with these mended"] if len(failures) < len(edits) else []
        return tell_refusal(Refused(head, "missing", "\n".join([*failures, *rest])), list(drafts))
    refused = editor.save(list(drafts.values()))
    return tell_refusal(refused, list(drafts)) if refused else tell_change(list(drafts.values()))


def _replace_one(editor: Editor, drafts: dict[str, Draft], edit: OneEdit, tool: str) -> Refused | None:
    try:
        name = editor.relative(edit.path)
        if name not in drafts:
            if not edit.old and not editor.exists(name):
                drafts[name] = editor.create(name, edit.new)
                return None
            drafts[name] = editor.open(name)
    except WorkspaceError as error:
        return Refused(str(error), "file")
    draft = drafts[name]
    where = editor.where(draft)
    refused = draft.apply(lambda text: replace_text(text, edit.old, edit.new, edit.all, where))
    return editor.explain(draft, edit.old, refused, tool) if refused else None
