"""Lines and server-sent events out of bytes that arrive in pieces of any size."""

from __future__ import annotations

from hearth.runtime.dialect import Untranslatable
from hearth.runtime.foreign.dialects.fields import read_request
from hearth.runtime.foreign.dialects.refusals import error_event

LARGEST_LINE = 16 << 20
"""Bytes of one line. What sends more is no chat, and is not gathered for ever."""
DONE = b"data: [DONE]\n\n"


class TooLong(Exception):
    """A line grew beyond LARGEST_LINE."""


class Lines:
    """Whole lines, without their ends."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now. Raises TooLong."""
        searched = len(self._held)
        self._held += chunk
        if self._held.find(b"\n", searched) < 0:
            if len(self._held) > LARGEST_LINE:
                raise TooLong
            return []
        *lines, rest = bytes(self._held).split(b"\n")
        self._held = bytearray(rest)
        return [line.removesuffix(b"\r") for line in lines]

    def rest(self) -> bytes:
        """What has come of a last line without its end."""
        rest = bytes(self._held).removesuffix(b"\r")
        self._held.clear()
        return rest


class Events:
    """The data of server-sent events; names, ids and comments are left out."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that are whole now. Raises TooLong."""
        return [data for line in self._lines.feed(chunk) if (data := self._take(line)) is not None]

    def rest(self) -> list[bytes]:
        """The data of a last event without its empty line."""
        self._take(self._lines.rest())
        data = self._take(b"")
        return [] if data is None else [data]

    def _take(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            return data
        return None


class Stream:
    """The common part of a translated stream: after an error nothing more is said, so that it stays the last word."""

    def __init__(self, asked: bytes, context: int) -> None:
        """``asked`` is the client's request; what cannot be read of it was refused before. ``context`` in tokens."""
        try:
            request = read_request(asked)
        except Untranslatable:
            request = {}
        options = request.get("stream_options")
        self._wants_usage = bool(options.get("include_usage")) if isinstance(options, dict) else False
        self._only_one = request.get("parallel_tool_calls") is False
        self._model = request.get("model")
        self._asked = asked
        self._context = context
        self._broken = False

    def _break(self, event: bytes) -> bytes:
        self._broken = True
        return event

    def _garbage(self, data: bytes) -> bytes:
        return self._break(error_event(502, f"the engine sent what is no answer: {data[:200]!r}"))

    def _endless(self) -> bytes:
        return self._break(error_event(502, f"the engine sent a line of more than {LARGEST_LINE >> 20} MiB"))
