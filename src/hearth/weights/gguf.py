"""A light check of a GGUF's header: is the file there, is it a GGUF, is it whole.

Only the header is read, each length in it is checked against the file's size before it is believed.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from hearth.errors import CorruptModel, ModelUnavailable

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
# No known header comes near: the largest, with 260,000 tokens and their merges, is below 20 MB.
_LONGEST_HEADER = 256 << 20
_MOST_PAIRS = 1 << 16
_MOST_TENSORS = 1 << 20
_MOST_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32
_AGAIN = "fetch or copy the file again"

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING = 8
_ARRAY = 9

BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""For each tensor type: elements in a block, bytes of a block (``GGML_QUANT_SIZES`` of the gguf package)."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a start needs to know of a file. ``context_length`` is what the model was trained for, 0 when unsaid."""

    architecture: str
    context_length: int
    size_bytes: int


def read_header(path: Path) -> GgufHeader:
    """Check the file and read its header.

    Raises ModelUnavailable when there is no such file or it cannot be read, CorruptModel when it is not a GGUF, or
    not a whole one. Never reads more than 256 MiB, and no tensor data. A large vocabulary takes about half a second.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelUnavailable(f"{path} is a folder, not a model file", "name a .gguf file")
        if not stat.S_ISREG(status.st_mode):
            raise ModelUnavailable(f"{path} is not a plain file", "name a .gguf file")
        with path.open("rb") as file:
            return _Reader(path, file, os.fstat(file.fileno()).st_size).header()
    except FileNotFoundError as error:
        raise ModelUnavailable(f"there is no file {path}", "run: hearth models list") from error
    except PermissionError as error:
        raise ModelUnavailable(f"{path} may not be read", f"run: chmod u+r {path}") from error
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"cannot read {path}: {error}", "run: hearth models list") from error


class _Reader:
    """Walks through a header; every method raises CorruptModel rather than read past the file's end."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._size = size
        self._at = 0

    def header(self) -> GgufHeader:
        start = self._file.read(4)
        self._at = len(start)
        if start != MAGIC:
            self._corrupt("is empty" if not start else f"is not a GGUF: it begins with {start!r}")
        version = self._number("I")
        if version not in _VERSIONS:
            self._corrupt(f"has GGUF version {version}; this engine reads versions 2 and 3")
        tensors, pairs = self._number("Q"), self._number("Q")
        if tensors > _MOST_TENSORS or pairs > _MOST_PAIRS:
            self._corrupt(f"has a damaged header: {tensors} tensors, {pairs} entries")
        entries: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._text()
            entries[key] = self._value(self._number("I"))
        is_part = "split.count" in entries
        if not tensors and not is_part:
            self._corrupt("has a damaged header: 0 tensors")
        if tensors:
            self._check_tensors(tensors, entries.get("general.alignment", _DEFAULT_ALIGNMENT))
        # Of a split model the first part may hold the entries alone, and the others have no entries but their place.
        if is_part:
            return GgufHeader(str(entries.get("general.architecture") or ""), self._context(entries), self._size)
        architecture = entries.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            self._corrupt("has a damaged header: it names no architecture")
        return GgufHeader(architecture, self._context(entries), self._size)

    def _context(self, entries: dict[str, Any]) -> int:
        context = entries.get(f"{entries.get('general.architecture')}.context_length", 0)
        return context if isinstance(context, int) else 0

    def _check_tensors(self, count: int, alignment: Any) -> None:
        if not isinstance(alignment, int) or alignment < 1 or alignment > 1 << 20:
            self._corrupt(f"has a damaged header: alignment {alignment!r}")
        end = 0
        for _ in range(count):
            self._text()
            dimensions = self._number("I")
            if dimensions > _MOST_DIMENSIONS:
                self._corrupt(f"has a damaged header: a tensor of {dimensions} dimensions")
            elements = prod(self._number("Q") for _ in range(dimensions))
            kind, offset = self._number("I"), self._number("Q")
            # A type that we do not know is the engine's to judge; its offset must be in the file all the same.
            per_block, block_bytes = BLOCKS.get(kind, (1, 0))
            end = max(end, offset + -(-elements // per_block) * block_bytes)
        data = -(-self._at // alignment) * alignment
        if data + end > self._size:
            self._corrupt(f"is cut short: {self._size:,} of {data + end:,} bytes are there")

    def _value(self, kind: int) -> Any:
        """Numbers and texts as they are; arrays are passed over, they stand for None."""
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            return self._number(self._scalar(kind))
        inner, count = self._number("I"), self._number("Q")
        if inner == _STRING:
            self._need(count * 8)
            for _ in range(count):
                self._skip(self._number("Q"))
        elif inner == _ARRAY:
            self._corrupt("has a damaged header: an array of arrays")
        else:
            self._skip(count * struct.calcsize(self._scalar(inner)))
        return None

    def _scalar(self, kind: int) -> str:
        if kind not in _SCALARS:
            self._corrupt(f"has a damaged header: entry of unknown kind {kind}")
        return _SCALARS[kind]

    def _number(self, form: str) -> Any:
        size = struct.calcsize(form)
        self._need(size)
        self._at += size
        data = self._file.read(size)
        if len(data) < size:
            self._corrupt("is cut short")
        return struct.unpack("<" + form, data)[0]

    def _text(self) -> str:
        size = self._number("Q")
        self._need(size)
        self._at += size
        return self._file.read(size).decode(errors="replace")

    def _skip(self, size: int) -> None:
        self._need(size)
        self._at += size
        self._file.seek(self._at)

    def _need(self, size: int) -> None:
        if self._at + size > self._size:
            self._corrupt(f"is cut short or damaged: its header goes past the end, at {self._size:,} bytes")
        if self._at + size > _LONGEST_HEADER:
            self._corrupt("has a damaged header: it does not end")

    def _corrupt(self, what: str) -> NoReturn:
        raise CorruptModel(f"{self._path} {what}", _AGAIN)
