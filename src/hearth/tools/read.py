"""Read a file, whole or by lines."""

from __future__ import annotations

import os
from typing import BinaryIO

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.pace import Pace
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import LONGEST_LINE, cut_line, keep_start
from hearth.workspace.files import Workspace

MOST_LINES = 800
LARGEST_PIECE = 1 << 20


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
        first, limit = max(params.offset, 1), max(1, min(params.limit, MOST_LINES))
        try:
            descriptor = self._workspace.open(params.path)
            with os.fdopen(descriptor, "rb") as file:
                if b"\0" in file.read(8192):
                    size = os.fstat(descriptor).st_size
                    return ToolResult(f"{params.path} is binary ({size:,} bytes)", failed=True)
                file.seek(0)
                found = await _read_lines(file, first, limit + 1)  # one line more tells that there are more
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        except OSError as error:
            return ToolResult(f"{params.path}: {error.strerror}", failed=True)
        return _show(params.path, found, first, limit)


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


def _show(path: str, found: list[tuple[str, bool]], first: int, limit: int) -> ToolResult:
    if not found:
        return ToolResult(f"[{path} is empty]" if first == 1 else f"[{path} has no line {first}]", failed=first > 1)
    kept, _ = keep_start([line for line, _ in found[:limit]])
    notes = []
    if not all(sound for _, sound in found):
        notes.append("[not UTF-8: odd bytes are shown as \ufffd; edit refuses this file]")
    if len(kept) < len(found):
        last = first + len(kept) - 1
        notes.append(f"[lines {first}-{last}; there are more: read on with offset {last + 1}]")
    return ToolResult("\n".join([*kept, *notes]), for_person=f"{len(kept)} lines")
