"""Reads a GGUF without its weights: header, metadata, table of tensors; and refuses one that is not whole.

Nothing in the file is believed: each count and length is checked before memory is given to it.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

from hearth.errors import ModelUnavailable
from hearth.weights.gguf_cursor import Cursor, Source

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_PAIRS = 1 << 16
_MOST_TENSORS = 1 << 16
_MOST_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32
# In bytes. The format allows keys of 65,535 and tensor names of 64; some converters write longer names.
_LONGEST_KEY = (1 << 16) - 1
_LONGEST_NAME = 1024
_LONGEST_TEXT = 1 << 20
_LONGEST_TUPLE = 4096

_LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALARS = {kind: struct.Struct("<" + letter) for kind, letter in _LETTERS.items()}
_INTEGERS = frozenset({0, 1, 2, 3, 4, 5, 10, 11})
_BYTE = 0
_U32 = 4
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
class ArrayInfo:
    """A list that is not kept: ``kind`` is the format's number for its elements (8: texts, 0: bytes), ``count`` how
    many there are. A single text of more than 1 MiB stands as a list of bytes."""

    kind: int
    count: int


Value: TypeAlias = bool | int | float | str | tuple[bool, ...] | tuple[int, ...] | tuple[float, ...] | ArrayInfo
"""Of the metadata. Lists of up to 4,096 numbers are tuples; longer ones, and all lists of texts, are ArrayInfo."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor. ``shape`` is in the file's order, the elements of a row first; ``kind`` the format's number of its
    type; ``offset`` where its data begin, in bytes from the file's start. ``size_bytes`` is 0 when ``kind`` is not
    known here: then it is for the engine to judge."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Gguf:
    """A GGUF without its weights. ``header_bytes`` is where the tensors' data begin, ``size_bytes`` the whole file.

    Of a split model it is one part: the first has the metadata and perhaps no tensors, the others only their place.
    """

    version: int
    alignment: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    header_bytes: int
    size_bytes: int

    @property
    def architecture(self) -> str:
        """As the engine calls it; empty only in later parts of a split model."""
        name = self.metadata.get("general.architecture", "")
        return name if isinstance(name, str) else ""

    @property
    def context_length(self) -> int:
        """Tokens that the model was trained for, 0 when unsaid."""
        tokens = self.metadata.get(f"{self.architecture}.context_length", 0)
        return tokens if isinstance(tokens, int) else 0

    @property
    def part_count(self) -> int:
        """In how many files the model comes."""
        count = self.metadata.get("split.count", 1)
        return max(count, 1) if isinstance(count, int) else 1


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a start needs to know of a file. ``context_length`` is what the model was trained for, 0 when unsaid."""

    architecture: str
    context_length: int
    size_bytes: int


def read_header(path: Path) -> GgufHeader:
    """Check the file and say what a start needs to know; reads and raises as ``read_gguf`` does."""
    gguf = read_gguf(path)
    return GgufHeader(gguf.architecture, gguf.context_length, gguf.size_bytes)


def read_gguf(path: Path) -> Gguf:
    """Check the file and read all but its weights.

    Raises ModelUnavailable when there is no such file or it cannot be read, CorruptModel when it is not a GGUF, or
    not a whole one. Never reads more than 128 MiB. A large vocabulary takes about a tenth of a second.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelUnavailable(f"{path} is a folder, not a model file", "name a .gguf file")
        if not stat.S_ISREG(status.st_mode):
            raise ModelUnavailable(f"{path} is not a plain file", "name a .gguf file")
        with path.open("rb") as file:
            return read_gguf_from(_FileSource(file), str(path))
    except FileNotFoundError as error:
        raise ModelUnavailable(f"there is no file {path}", "run: hearth models list") from error
    except PermissionError as error:
        raise ModelUnavailable(f"{path} may not be read", f"run: chmod u+r {path}") from error
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"cannot read {path}: {error}", "run: hearth models list") from error


def read_gguf_from(source: Source, name: str = "the file") -> Gguf:
    """Read all but the weights from wherever ranges of bytes can be asked for; ``name`` is what errors call it.

    Raises CorruptModel when it is not a GGUF or not a whole one, and whatever ``source`` raises. Reads forward only, in
    pieces that grow from 256 KiB to 8 MiB, at most 128 MiB: seven reads for a header of 20 MB.
    """
    return _Reader(Cursor(source, name)).read()


class _FileSource:
    def __init__(self, file: BinaryIO) -> None:
        self.size_bytes = os.fstat(file.fileno()).st_size
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)


class _Entry(NamedTuple):
    """Where an entry of the metadata begins, its type, and of an array the type of its elements."""

    at: int
    kind: int
    inner: int


class _Row(NamedTuple):
    """A tensor as the table has it: ``at`` is where its row begins, ``offset`` counts from where the data begin.
    ``least`` is the bytes that it takes at least, more than ``size`` where the type is unknown."""

    at: int
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int
    least: int


# What the engine insists on in every model: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model-loader.cpp
_TEXT_KEYS = ("general.architecture", "general.name", "tokenizer.ggml.model", "tokenizer.chat_template")
_TEXTS_KEYS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")
_COUNT_KEYS = ("split.no", "split.count", "split.tensors.count")
_MODEL_COUNT_KEYS = ("context_length", "block_count", "embedding_length")
_MODEL_COUNTS_KEYS = ("feed_forward_length", "attention.head_count", "attention.head_count_kv")


class _Reader:
    """Reads one GGUF once."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._metadata: dict[str, Value] = {}
        self._entries: dict[str, _Entry] = {}

    def read(self) -> Gguf:
        cursor = self._cursor
        version = self._version()
        at = cursor.at
        tensor_count, pair_count = cursor.length(), cursor.length()
        if tensor_count > _MOST_TENSORS or pair_count > _MOST_PAIRS:
            cursor.fail(f"are counts of {tensor_count} tensors and {pair_count} entries", at)
        for _ in range(pair_count):
            self._read_entry()
        self._check_types()
        alignment = self._alignment()
        is_part = self._is_part()
        if not tensor_count and not is_part:
            cursor.fail("is a count of 0 tensors", at)
        names: set[str] = set()
        rows = [self._read_row(names, alignment) for _ in range(tensor_count)]
        data = -(-cursor.at // alignment) * alignment if rows else cursor.at
        self._check_places(rows, data)
        # Of a split model the first part may hold the entries alone, and the others have no entries but their place.
        tensors = tuple(TensorInfo(row.name, row.shape, row.kind, data + row.offset, row.size) for row in rows)
        gguf = Gguf(version, alignment, self._metadata, tensors, data, cursor.size_bytes)
        if not is_part and not gguf.architecture:
            cursor.fail("it ends, and it names no architecture")
        return gguf

    def _version(self) -> int:
        cursor = self._cursor
        start = cursor.first_bytes(len(MAGIC))
        if start != MAGIC:
            cursor.refuse("is empty" if not start else f"is not a GGUF: it begins with {start!r}")
        version = int(cursor.number(_SCALARS[_U32]))
        turned = int.from_bytes(version.to_bytes(4, "little"), "big")
        if turned in (1, *_VERSIONS):
            fix = "fetch the little-endian file of this model"
            cursor.refuse(f"is big-endian (at byte 4: version {turned}); this engine reads little-endian files", fix)
        if version not in _VERSIONS:
            cursor.refuse(f"has GGUF version {version} (at byte 4); this engine reads versions 2 and 3")
        return version

    def _name(self, longest: int, what: str) -> str:
        at = self._cursor.at
        size = self._cursor.length()
        if size > longest and at + size <= self._cursor.size_bytes:
            self._cursor.fail(f"is a {what} of {size:,} bytes", at)
        return self._cursor.text(size)

    def _read_entry(self) -> None:
        cursor = self._cursor
        at = cursor.at
        key = self._name(_LONGEST_KEY, "key")
        if not key or key in self._metadata:
            cursor.fail(f"is the key {_quote(key)} again" if key else "is a key without a name", at)
        kind, inner = int(cursor.number(_SCALARS[_U32])), -1
        if kind == _ARRAY:
            inner = int(cursor.number(_SCALARS[_U32]))
            self._metadata[key] = self._array(inner)
        elif kind == _STRING:
            size = cursor.length()
            if size <= _LONGEST_TEXT:
                self._metadata[key] = cursor.text(size)
            else:
                cursor.skip(size)
                self._metadata[key] = ArrayInfo(_BYTE, size)
        elif kind in _SCALARS:
            self._metadata[key] = cursor.number(_SCALARS[kind])
        else:
            cursor.fail(f"is {_quote(key)}, an entry of unknown kind {kind}", at)
        self._entries[key] = _Entry(at, kind, inner)

    def _array(self, inner: int) -> Value:
        cursor = self._cursor
        at = cursor.at - 4
        count = cursor.length()
        if inner == _STRING:
            cursor.skip_strings(count)
        elif inner == _ARRAY:
            cursor.fail("is an array of arrays", at)
        elif inner not in _LETTERS:
            cursor.fail(f"is an array of unknown kind {inner}", at)
        elif count <= _LONGEST_TUPLE:
            return cursor.numbers(_LETTERS[inner], count)
        else:
            cursor.skip(count * _SCALARS[inner].size)
        return ArrayInfo(inner, count)

    def _check_types(self) -> None:
        for key in _TEXT_KEYS:
            self._expect(key, "a text", lambda entry: entry.kind == _STRING)
        for key in _TEXTS_KEYS:
            self._expect(key, "a list of texts", lambda entry: entry.inner == _STRING)
        architecture = self._metadata.get("general.architecture")
        for key in (*_COUNT_KEYS, *(f"{architecture}.{key}" for key in _MODEL_COUNT_KEYS)):
            self._expect(key, "a whole number", lambda entry: entry.kind in _INTEGERS)
            value = self._metadata.get(key)
            if isinstance(value, int) and not 0 <= value < 1 << 32:
                self._cursor.fail(f"is {_quote(key)} with the value {value}", self._entries[key].at)
        for key in (f"{architecture}.{key}" for key in _MODEL_COUNTS_KEYS):
            self._expect(key, "whole numbers", lambda entry: entry.kind in _INTEGERS or entry.inner in _INTEGERS)

    def _expect(self, key: str, what: str, fits: Callable[[_Entry], bool]) -> None:
        entry = self._entries.get(key)
        if entry is not None and not fits(entry):
            self._cursor.fail(f"is {_quote(key)}, which is not {what}", entry.at)

    def _alignment(self) -> int:
        key = "general.alignment"
        if key not in self._entries:
            return _DEFAULT_ALIGNMENT
        value, entry = self._metadata[key], self._entries[key]
        # As the engine demands: 32 bits, a power of two.
        if entry.kind != _U32 or not isinstance(value, int) or value.bit_count() != 1:
            self._cursor.fail(f"is an alignment of {value!r}", entry.at)
        return value

    def _is_part(self) -> bool:
        """Merged models keep a count of 0 or 1."""
        count, number = self._metadata.get("split.count", 0), self._metadata.get("split.no", 0)
        if not isinstance(count, int) or count < 2:
            return False
        if isinstance(number, int) and number >= count:
            self._cursor.fail(f"is the place of part {number + 1} of {count}", self._entries["split.no"].at)
        return True

    def _read_row(self, names: set[str], alignment: int) -> _Row:
        cursor = self._cursor
        at = cursor.at
        name = self._name(_LONGEST_NAME, "tensor's name")
        if name in names:
            cursor.fail(f"is the tensor {_quote(name)} again", at)
        names.add(name)
        dimensions = cursor.number(_SCALARS[_U32])
        if dimensions > _MOST_DIMENSIONS:
            cursor.fail(f"is a tensor of {dimensions} dimensions", at)
        shape = cursor.numbers("Q", dimensions)
        kind, offset = int(cursor.number(_SCALARS[_U32])), cursor.length()
        row = shape[0] if shape else 1
        elements = prod(shape)
        # The engine counts in signed 64 bits.
        if max(elements, *shape, 1) >= 1 << 63:
            cursor.fail(f"is the tensor {_quote(name)} of absurd dimensions {shape}", at)
        per_block, block_bytes = BLOCKS.get(kind, (1, 0))
        if row % per_block:
            cursor.fail(f"is the tensor {_quote(name)} with rows of {row} elements in blocks of {per_block}", at)
        if offset % alignment:
            cursor.fail(f"is the tensor {_quote(name)} at offset {offset:,}, not aligned to {alignment:,}", at)
        size = elements // per_block * block_bytes
        # A type that we do not know is the engine's to judge; its first byte must be there all the same.
        return _Row(at, name, shape, kind, offset, size, max(size, min(elements, 1)))

    def _check_places(self, rows: list[_Row], data: int) -> None:
        end, last = 0, rows[0] if rows else None
        for row in sorted(rows, key=lambda row: (row.offset, row.least)):
            if last and row.least and row.offset < end:
                self._cursor.fail(f"is the tensor {_quote(row.name)}, which overlaps {_quote(last.name)}", row.at)
            if row.offset + row.least > end:
                end, last = row.offset + row.least, row
        if last and data + end > self._cursor.size_bytes:
            self._cursor.refuse(
                f"is cut short: {self._cursor.size_bytes:,} of {data + end:,} bytes are there, "
                f"as the tensor {_quote(last.name)} at byte {last.at:,} says"
            )


def _quote(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:80] + "…")
