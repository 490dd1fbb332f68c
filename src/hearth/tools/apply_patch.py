"""Edits in the patch language of gpt-oss."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import tell_change, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import Draft, Editor
from hearth.workspace.edits import Refused
from hearth.workspace.edits.hunks import apply_hunks
from hearth.workspace.edits.patch import Operation, parse_patch


class ApplyPatchParams(msgspec.Struct, frozen=True):
    """``patch`` is the whole text from ``*** Begin Patch`` to ``*** End Patch``."""

    patch: str


class ApplyPatch:
    """Adds, updates, moves and deletes files as a patch says, all or none."""

    name = "apply_patch"
    params = ApplyPatchParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def label(self, params: ApplyPatchParams) -> str:
        """The paths."""
        operations = parse_patch(params.patch)
        if isinstance(operations, Refused):
            return "a patch"
        return ", ".join(dict.fromkeys(operation.path for operation in operations))

    async def run(self, params: ApplyPatchParams) -> ToolResult:
        """Apply it; the result shows the lines as they are now."""
        operations = parse_patch(params.patch)
        if isinstance(operations, Refused):
            return tell_refusal(operations, [], "patched")
        drafts: dict[str, Draft] = {}
        try:
            for operation in operations:
                if refused := self._prepare(operation, drafts):
                    where = f"{operation.path}: " if len(operations) > 1 else ""
                    reason = f"{where}{refused.reason}"
                    return tell_refusal(Refused(reason, refused.kind, refused.detail), _paths(operations), "patched")
        except WorkspaceError as error:
            return tell_refusal(Refused(str(error), "file"), _paths(operations), "patched")
        changed = [draft for draft in drafts.values() if draft.before or draft.text is not None]
        refused = self._editor.save(changed)
        if refused and refused.kind == "drops":
            refused = Refused(
                refused.reason, "drops", "next: change the file with *** Update File, or delete it alone first"
            )
        return tell_refusal(refused, _paths(operations), "patched") if refused else tell_change(changed)

    def _prepare(self, operation: Operation, drafts: dict[str, Draft]) -> Refused | None:
        name = self._editor.relative(operation.path)
        match operation.kind:
            case "add":
                return self._add(name, operation.text, drafts)
            case "delete":
                drafts[name] = drafts[name] if name in drafts else self._editor.open(name)
                if drafts[name].text is None:
                    return Refused(f"{name} is deleted twice")
                drafts[name].text = None
                return None
            case "update":
                return self._update(name, operation, drafts)

    def _add(self, name: str, text: str, drafts: dict[str, Draft]) -> Refused | None:
        """A new file; one that the same patch deletes is replaced whole, behind the gate of whole texts."""
        gone = drafts.get(name)
        if gone is not None and gone.text is None and gone.before is not None:
            gone.text, gone.whole = text, True
            return None
        if gone is not None or self._editor.exists(name):
            return Refused(f"{name} is there already: change it with *** Update File: {name}")
        drafts[name] = self._editor.create(name, text)
        return None

    def _update(self, name: str, operation: Operation, drafts: dict[str, Draft]) -> Refused | None:
        draft = drafts[name] if name in drafts else self._editor.open(name)
        if draft.text is None:
            return Refused(f"{name} is changed after it was deleted or moved")
        drafts[name] = draft
        if operation.hunks:
            where = self._editor.where(draft)
            refused = draft.apply(lambda text: apply_hunks(text, operation.hunks, where))
            if refused:
                return self._editor.explain(draft, refused.detail, refused, self.name)
        target = self._editor.relative(operation.target) if operation.target else name
        if target == name:
            return None
        if target in drafts or self._editor.exists(target):
            return Refused(f"{target} is there already: {name} cannot be moved to it")
        like = name if draft.before else draft.like
        drafts[target] = Draft(target, None, draft.text, draft.spans, draft.notes, like=like, origin=draft.source)
        draft.text = None
        return None


def _paths(operations: Sequence[Operation]) -> list[str]:
    return list(dict.fromkeys(operation.path for operation in operations))
