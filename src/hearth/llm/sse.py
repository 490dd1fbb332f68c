"""Read server-sent events from bytes in any chunking: pure, never raises."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of one line; a server that sends more without a line end is not speaking SSE."""

_FIELDS = frozenset({"data", "event", "id", "retry"})
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Data:
    """One whole event: its data lines joined by line feeds."""

    text: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that starts with a colon: a sign of life, perhaps with a word for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """A line that no server-sent event has; at most the first 200 characters."""

    line: str


SseItem = Data | Comment | Garbage


class SseReader:
    """Turns bytes into items. The same bytes give the same items, however they are cut into chunks.

    Follows the WHATWG parsing rules (lines end with CR, LF or CRLF; one leading space of a value is dropped), except
    that an unknown field is reported as Garbage, and an event cut off by the end of the stream is still reported.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[str] = []
        self._started = False

    def feed(self, chunk: bytes) -> list[SseItem]:
        """The items that these bytes complete."""
        lines = (self._buffer + chunk).splitlines(keepends=True)
        # A CR at the very end may be the first half of CRLF: it waits for the next byte.
        self._buffer = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        items = self._read(lines)
        if len(self._buffer) > LONGEST_LINE:
            items.append(Garbage(_short(self._buffer)))
            self._buffer = b""
        return items

    def close(self) -> list[SseItem]:
        """The items that the end of the stream completes."""
        rest, self._buffer = self._buffer, b""
        return self._read([rest, b"\n"] if rest else [b"\n"])

    def _read(self, lines: list[bytes]) -> list[SseItem]:
        items: list[SseItem] = []
        for raw in lines:
            line = raw.rstrip(b"\r\n")
            if not self._started:
                self._started = True
                line = line.removeprefix(_BOM)
            if item := self._take(line):
                items.append(item)
        return items

    def _take(self, line: bytes) -> SseItem | None:
        if not line:
            if not self._data:
                return None
            text = "\n".join(self._data)
            self._data = []
            return Data(text)
        name, _, value = line.decode("utf-8", errors="replace").partition(":")
        value = value.removeprefix(" ")
        if not name:
            return Comment(value)
        if name not in _FIELDS:
            return Garbage(_short(line))
        if name == "data":
            self._data.append(value)
        return None


def _short(line: bytes) -> str:
    return line[:800].decode("utf-8", errors="replace")[:200]
