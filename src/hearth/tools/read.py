"""Read a file, whole or by lines."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, Literal

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.outputs import Shelf
from hearth.tools.pace import Pace
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import LONGEST_LINE, LONGEST_OUTPUT, cut_line, keep_start
from hearth.workspace.edits.hashline import show_anchored
from hearth.workspace.edits.lines import number_line, split_lines
from hearth.workspace.encoding import Document, decode
from hearth.workspace.files import LARGEST_TEXT, Workspace
from hearth.workspace.sight import Sight

MOST_LINES = 800
LARGEST_PIECE = 1 << 20

Margin = Literal["none", "numbers", "anchors"]
"""What stands in front of each line: nothing, its number, or its anchor (``workspace/edits/hashline.py``)."""
_MARGINS: dict[Margin, Callable[[int, str], str]] = {
    "none": lambda _, line: line,
    "numbers": number_line,
    "anchors": show_anchored,
}


class ReadParams(msgspec.Struct, frozen=True):
    """``offset`` is the first line, counted from 1."""

    path: str
    offset: int = 1
    limit: int = MOST_LINES


class Read:
    """Reads the lines of one file; a large one is read by parts, never whole."""

    name = "read"
    params = ReadParams

    def __init__(
        self,
        workspace: Workspace,
        sight: Sight | None = None,
        margin: Margin = "none",
        shelf: Shelf | None = None,
        longest: int = LONGEST_OUTPUT,
    ) -> None:
        """``shelf`` holds what can be read beside the project; ``longest`` is characters of one result."""
        self._workspace = workspace
        self._sight = sight
        self._margin = margin
        self._shelf = shelf
        self._longest = longest

    def label(self, params: ReadParams) -> str:
        """The path, with the first line where it is not 1."""
        return params.path if params.offset <= 1 else f"{params.path} from line {params.offset}"

    async def run(self, params: ReadParams) -> ToolResult:
        """The lines as they are, then a note if there are more. Text that is not UTF-8 is read as Latin-1."""
        first, limit = max(params.offset, 1), max(1, min(params.limit, MOST_LINES))
        try:
            shelved = self._shelf is not None and self._shelf.holds(params.path)
            descriptor = self._shelf.open(params.path) if self._shelf and shelved else self._workspace.open(params.path)
            with os.fdopen(descriptor, "rb") as file:
                size = os.fstat(descriptor).st_size
                data = file.read(LARGEST_TEXT + 1) if size <= LARGEST_TEXT else b""
                document = decode(data) if size <= LARGEST_TEXT and len(data) <= LARGEST_TEXT else None
                if document is None:
                    file.seek(0)
                    start = file.read(8192)
                    if b"\0" in start or (data and len(data) <= LARGEST_TEXT):
                        return ToolResult(f"{params.path} is binary ({max(size, len(data)):,} bytes)", failed=True)
                    file.seek(0)
                    found = await _read_lines(file, first, limit + 1)  # one line more tells that there are more
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        except OSError as error:
            return ToolResult(f"{params.path}: {error.strerror}", failed=True)
        if document is not None:
            found = await _read_lines(io.BytesIO(document.text.encode("utf-8")), first, limit + 1)
        show = _MARGINS[self._margin]
        shown = [show(number, line) for number, (line, _) in enumerate(found, first)]
        kept, _ = keep_start(shown[:limit], self._longest)
        if self._sight and document is not None and not shelved:
            self._note(self._sight, params.path, document, first, [line for line, _ in found[: len(kept)]])
        return _tell(params.path, found, kept, first, document)

    def _note(self, sight: Sight, path: str, document: Document, first: int, lines: list[str]) -> None:
        """What was shown counts as seen, but for lines that were cut."""
        there = split_lines(document.text)
        whole = 0
        while whole < len(lines) and lines[whole] == there[first - 1 + whole]:
            whole += 1
        name = self._workspace.relative(path)
        sight.note_read(name, document.digest, document.text, first, first + whole - 1, len(there))


async def _read_lines(file: BinaryIO, first: int, most: int) -> list[tuple[str, bool]]:
    """The lines from ``first`` on as they are shown. Of a line only LARGEST_PIECE bytes are ever in memory."""
    found: list[tuple[str, bool]] = []
    pace = Pace()
    number = 0
    while len(found) < most and (piece := file.readline(LARGEST_PIECE)):
        await pace.rest()
        number += 1
        last, beyond = piece, 0
        while len(last) == LARGEST_PIECE and not last.endswith(b"\n"):
            await pace.rest()
            last = file.readline(LARGEST_PIECE)
            beyond += len(last)
        if number >= first:
            found.append(_show_line(piece, beyond))
    return found


def _show_line(piece: bytes, beyond: int) -> tuple[str, bool]:
    """The line as it is shown, and whether it is UTF-8."""
    if beyond:  # the piece may end within a character
        text = piece.decode("utf-8", errors="ignore")
        return f"{text[:LONGEST_LINE]} [{len(text) - LONGEST_LINE + beyond:,} characters cut]", True
    try:
        return cut_line(piece.decode("utf-8").rstrip("\r\n")), True
    except UnicodeDecodeError:
        return cut_line(piece.decode("utf-8", errors="replace").rstrip("\r\n")), False


def _tell(
    path: str, found: list[tuple[str, bool]], kept: list[str], first: int, document: Document | None
) -> ToolResult:
    if not found:
        return ToolResult(f"[{path} is empty]" if first == 1 else f"[{path} has no line {first}]", failed=first > 1)
    notes = []
    if document is not None and document.encoding == "latin-1":
        notes.append("[not UTF-8: read as Latin-1; edit keeps its bytes]")
    elif not all(sound for _, sound in found):
        notes.append("[not UTF-8: odd bytes are shown as \ufffd; edit refuses this file]")
    if len(kept) < len(found):
        last = first + len(kept) - 1
        notes.append(f"[lines {first}-{last}; there are more: read on with offset {last + 1}]")
    return ToolResult("\n".join([*kept, *notes]), for_person=f"{len(kept)} lines")
