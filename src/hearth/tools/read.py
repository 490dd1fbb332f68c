"""Read a file, whole or by lines."""

from __future__ import annotations

import itertools
import os

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import cut_line, keep_start
from hearth.workspace.files import Workspace

MOST_LINES = 800


class ReadParams(msgspec.Struct, frozen=True):
    """``offset`` is the first line, counted from 1."""

    path: str
    offset: int = 1
    limit: int = MOST_LINES


class Read:
    """Reads the lines of one file; a large one is read by parts, never whole."""

    name = "read"
    params = ReadParams

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def label(self, params: ReadParams) -> str:
        """The path, with the first line where it is not 1."""
        return params.path if params.offset <= 1 else f"{params.path} from line {params.offset}"

    async def run(self, params: ReadParams) -> ToolResult:
        """The lines as they are, then a note if there are more. Text that is not UTF-8 is shown and marked."""
        first = max(params.offset, 1)
        try:
            descriptor = self._workspace.open(params.path)
            with os.fdopen(descriptor, "rb") as file:
                if b"\0" in file.read(8192):
                    size = os.fstat(descriptor).st_size
                    return ToolResult(f"{params.path} is binary ({size:,} bytes)", failed=True)
                file.seek(0)
                # One line more than asked for tells whether there are more; a line is read in bounded pieces.
                wanted = itertools.islice(iter(lambda: file.readline(1 << 20), b""), first - 1, None)
                raw = list(itertools.islice(wanted, max(1, min(params.limit, MOST_LINES)) + 1))
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        return _show(params.path, raw, first, max(1, min(params.limit, MOST_LINES)))


def _show(path: str, raw: list[bytes], first: int, limit: int) -> ToolResult:
    if not raw:
        return ToolResult(f"[{path} is empty]" if first == 1 else f"[{path} has no line {first}]", failed=first > 1)
    broken = False
    lines: list[str] = []
    for piece in raw:
        try:
            text = piece.decode("utf-8")
        except UnicodeDecodeError:
            text, broken = piece.decode("utf-8", errors="replace"), True
        lines.append(cut_line(text.rstrip("\r\n")))
    kept, _ = keep_start(lines[:limit])
    notes = []
    if broken:
        notes.append("[not UTF-8: odd bytes are shown as \ufffd; edit refuses this file]")
    if len(kept) < len(raw):
        last = first + len(kept) - 1
        notes.append(f"[lines {first}-{last}; there are more: read on with offset {last + 1}]")
    return ToolResult("\n".join([*kept, *notes]), for_person=f"{len(kept)} lines")
