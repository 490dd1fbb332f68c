"""A careful walk through the bytes of a GGUF's header: in a file, or wherever ranges of bytes can be asked for.

Each length is held against the file's size and against what a header may hold before a byte of it is fetched.
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn, Protocol

from hearth.errors import CorruptModel

FETCH_AGAIN = "fetch or copy the file again"

LARGEST_CHUNK = 8 << 20
"""Bytes of the largest read that a Source is asked for."""

LONGEST_HEADER = 128 << 20
"""Bytes. No known header comes near: the largest, with 260,000 tokens and their merges, is below 20 MB."""

# A header at all limits is read in less than a second and takes some 130 MB. The largest vocabulary known has 260,000
# tokens and 510,000 merges; chat templates are below 1 MB.
_MOST_STRINGS = 1 << 21
_MOST_TEXT = 16 << 20
_MOST_NUMBERS = 1 << 19
_FIRST_CHUNK = 256 << 10

_U64 = struct.Struct("<Q")


class Source(Protocol):
    """Where the bytes come from. A read MUST NOT give more than was asked for, nor bytes of another version of the
    file than the reads before it; it gives fewer only where the file ends. Its errors pass through the reader."""

    @property
    def size_bytes(self) -> int:
        """Length of the whole file, weights and all."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """The ``size`` bytes from ``offset`` on."""
        ...


class Cursor:
    """A place in a Source that moves forward only. ``at`` is its distance from the file's start in bytes.

    Reads grow from 256 KiB to 8 MiB, none goes back, and what is skipped is not read. Every method raises CorruptModel
    rather than go past the end.
    """

    def __init__(self, source: Source, name: str) -> None:
        """``name`` is what errors call the file."""
        self.at = 0
        self.size_bytes = source.size_bytes
        self._source = source
        self._name = name
        self._window = b""
        self._window_at = 0
        self._chunk = _FIRST_CHUNK
        self._strings_left = _MOST_STRINGS
        self._text_left = _MOST_TEXT
        self._numbers_left = _MOST_NUMBERS

    def number(self, form: struct.Struct) -> Any:
        """The next number, of one form."""
        index = self._reach(form.size)
        self.at += form.size
        return form.unpack_from(self._window, index)[0]

    def numbers(self, letter: str, count: int) -> tuple[Any, ...]:
        """The next ``count`` numbers, of the form that ``struct`` calls ``letter``."""
        self._numbers_left -= count
        if self._numbers_left < 0:
            self.fail(f"its lists hold more than {_MOST_NUMBERS:,} numbers")
        form = f"<{count}{letter}"
        size = struct.calcsize(form)
        index = self._reach(size)
        self.at += size
        return struct.unpack_from(form, self._window, index)

    def length(self) -> int:
        """The length or count that comes next."""
        return int(self.number(_U64))

    def text(self, size: int) -> str:
        """The next ``size`` bytes as text. What is not UTF-8 becomes U+FFFD."""
        index = self._reach(size)
        self._text_left -= size
        if self._text_left < 0:
            self.fail(f"its names and texts hold more than {_MOST_TEXT:,} bytes")
        self.at += size
        return self._window[index : index + size].decode(errors="replace")

    def first_bytes(self, size: int) -> bytes:
        """The next ``size`` bytes, or as many as there are."""
        size = min(size, self.size_bytes - self.at)
        index = self._reach(size)
        self.at += size
        return self._window[index : index + size]

    def skip(self, size: int) -> None:
        """Go past ``size`` bytes."""
        self._need(size)
        self.at += size

    def skip_strings(self, count: int) -> None:
        """Go past ``count`` texts, each after its length. A million takes a tenth of a second."""
        self._need(count * _U64.size)
        self._strings_left -= count
        if self._strings_left < 0:
            self.fail(f"its lists hold more than {_MOST_STRINGS:,} texts")
        length_of = _U64.unpack_from
        while count:
            index = self._reach(_U64.size)
            last, passed, window = len(self._window) - _U64.size, index, self._window
            left = count
            # The window ends, or a text reaches beyond it: then the step out of it is checked.
            while left and index <= last:
                passed = index
                index += length_of(window, index)[0] + 8
                left -= 1
            self.at = self._window_at + passed
            self.skip(self._window_at + index - self.at)
            count = left

    def fail(self, what: str, at: int | None = None) -> NoReturn:
        """Raise CorruptModel: at byte ``at``, or where the cursor is, is what cannot be."""
        place = self.at if at is None else at
        self.refuse(f"has a damaged header: at byte {place:,} {what}")

    def refuse(self, what: str, fix: str = FETCH_AGAIN) -> NoReturn:
        """Raise CorruptModel; ``what`` follows the file's name."""
        raise CorruptModel(f"{self._name} {what}", fix)

    def _need(self, size: int) -> None:
        if self.at + size > self.size_bytes:
            self.refuse(
                f"is cut short or damaged: at byte {self.at:,} its header goes past the end, "
                f"which is at byte {self.size_bytes:,}"
            )
        if self.at + size > LONGEST_HEADER:
            self.fail(f"it goes on beyond {LONGEST_HEADER:,} bytes")

    def _reach(self, size: int) -> int:
        """Have the next ``size`` bytes in the window; their place in it is given."""
        index = self.at - self._window_at
        if index + size <= len(self._window):
            return index
        self._need(size)
        # Empty when the cursor skipped beyond the window.
        kept = self._window[index:]
        start = self.at + len(kept)
        size = min(max(self._chunk, size - len(kept)), min(self.size_bytes, LONGEST_HEADER) - start)
        fresh = self._source.read(start, size) if size else b""
        if len(fresh) != size:
            self.refuse(f"is cut short: it ends at byte {start + len(fresh):,} of {self.size_bytes:,}")
        self._window, self._window_at = kept + fresh, self.at
        self._chunk = min(2 * self._chunk, LARGEST_CHUNK)
        return 0
