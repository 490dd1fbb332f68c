"""Replace a whole definition by its name."""

from __future__ import annotations

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.telling import tell_change, tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import Editor
from hearth.workspace.edits import Refused
from hearth.workspace.edits.symbol import replace_symbol


class ReplaceSymbolParams(msgspec.Struct, frozen=True):
    """``name`` is that of a function, class or method, such as ``Reader.parse``; ``new`` its whole new text."""

    path: str
    name: str
    new: str


class ReplaceSymbol:
    """Replaces a definition, found by its name; decorators and comments above it stay unless new brings some."""

    name = "replace_symbol"
    params = ReplaceSymbolParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def label(self, params: ReplaceSymbolParams) -> str:
        """The name and the path."""
        return f"{params.name} in {params.path}"

    async def run(self, params: ReplaceSymbolParams) -> ToolResult:
        """Replace; the result shows the lines as they are now."""
        syntax = self._editor.syntax
        if syntax is None:
            return tell_refusal(Refused("no definitions are known here: use edit"), [params.path])
        try:
            draft = self._editor.open(params.path)
        except WorkspaceError as error:
            return ToolResult(f"not edited: {error}", failed=True)
        refused = draft.apply(lambda text: replace_symbol(syntax, draft.path, text, params.name, params.new))
        refused = refused or self._editor.save([draft])
        return tell_refusal(refused, [draft.path]) if refused else tell_change([draft])
