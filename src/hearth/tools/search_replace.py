"""Edits as SEARCH/REPLACE text."""

from __future__ import annotations

import msgspec

from hearth.tools.multi_edit import OneEdit, replace_several
from hearth.tools.telling import tell_refusal
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import Editor
from hearth.workspace.edits import Refused
from hearth.workspace.edits.blocks import parse_blocks


class SearchReplaceParams(msgspec.Struct, frozen=True):
    """``blocks`` is the text with the blocks; ``path`` the file of those that name none."""

    blocks: str
    path: str = ""


class SearchReplace:
    """Carries out SEARCH/REPLACE blocks, all or none."""

    name = "search_replace"
    params = SearchReplaceParams

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def label(self, params: SearchReplaceParams) -> str:
        """The paths."""
        blocks = parse_blocks(params.blocks, params.path)
        if isinstance(blocks, Refused):
            return params.path
        return ", ".join(dict.fromkeys(block.path for block in blocks))

    async def run(self, params: SearchReplaceParams) -> ToolResult:
        """Replace all; the result shows the lines as they are now."""
        blocks = parse_blocks(params.blocks, params.path)
        if isinstance(blocks, Refused):
            return tell_refusal(blocks, [params.path] if params.path else [])
        edits = [OneEdit(block.path, block.old, block.new) for block in blocks]
        return replace_several(self._editor, edits, self.name, "block")
