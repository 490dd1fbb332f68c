"""Asks what is known of a text in a process of its own, so that a text of which a grammar dies ends no session.

Grammars crash: ``{`` before a character beyond the first plane takes that of bash along (tree-sitter-bash issue 337),
400 times ``- `` that of YAML. And a parser that mends may go on for minutes without asking whether it should.
"""

from __future__ import annotations

import math
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TypeVar

import msgspec

from hearth.errors import WorkspaceError
from hearth.workspace.syntax.definitions import Definition, Outline
from hearth.workspace.syntax.languages import language_of
from hearth.workspace.syntax.problems import SyntaxProblem

LIMIT_S = 20.0
"""Seconds for one text; the worst of 3,000 real files took 0.6."""
SPARE_S = 2
"""Seconds after which a child ends by itself: whoever asked may have been killed meanwhile."""

_LENGTH_BYTES = 4
_BLOCK = 1 << 16
_MOST_KEPT = 256
_COMMAND = (sys.executable, "-P", "-m", "hearth.workspace.syntax.worker")

_Found = TypeVar("_Found")


class SyntaxReader:
    """The functions of ``hearth.workspace.syntax``, answered by a child that is started when first asked.

    Nothing is known of a text of which the child died or over which it took too long: no mistakes, no definitions. The
    next text has a new child. Where none can be started nothing is known either, but the text is asked about again.
    Any thread may ask; one at a time is answered. The child ends with its reader.
    """

    def __init__(self, limit_s: float = LIMIT_S, command: Sequence[str] = _COMMAND) -> None:
        self._limit_s = limit_s
        self._command = command
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._unreadable: dict[bytes, None] = {}

    def language_of(self, path: str) -> str | None:
        """As ``syntax.language_of``."""
        return language_of(path)

    def find_errors(self, path: str, text: str) -> tuple[SyntaxProblem, ...]:
        """As ``syntax.find_errors``."""
        return self._find((), tuple[SyntaxProblem, ...], "find_errors", path, text)

    def find_new_errors(self, path: str, before: str, after: str) -> tuple[SyntaxProblem, ...]:
        """As ``syntax.find_new_errors``."""
        return self._find((), tuple[SyntaxProblem, ...], "find_new_errors", path, before, after)

    def list_definitions(self, path: str, text: str) -> tuple[Definition, ...]:
        """As ``syntax.list_definitions``."""
        return self._find((), tuple[Definition, ...], "list_definitions", path, text)

    def outline(self, path: str, text: str) -> Outline:
        """As ``syntax.outline``. Raises WorkspaceError when nobody could be asked: who keeps what is found must not
        keep that there was nothing."""
        try:
            return self._ask(Outline(), Outline, "outline", path, text)
        except OSError as error:
            raise WorkspaceError(f"{path}: the grammars cannot be asked: {error}") from error

    def enclosing(self, path: str, text: str, line: int) -> str:
        """As ``syntax.enclosing``."""
        return self._find("", str, "enclosing", path, text, line)

    def _find(self, unknown: _Found, kind: type[_Found], function: str, path: str, *arguments: str | int) -> _Found:
        try:
            return self._ask(unknown, kind, function, path, *arguments)
        except OSError:
            return unknown

    def _ask(self, unknown: _Found, kind: type[_Found], function: str, path: str, *arguments: str | int) -> _Found:
        if language_of(path) is None:
            return unknown
        packed = [each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each for each in arguments]
        request = msgspec.msgpack.encode([function, [path.encode("utf-8", "surrogatepass"), *packed]])
        digest = blake2b(request, digest_size=16).digest()
        with self._lock:
            answer = None if digest in self._unreadable else self._exchange(request)
            found = msgspec.msgpack.decode(answer, type=kind | None) if answer is not None else None
            if answer is None:
                self._keep_unreadable(digest)
        return unknown if found is None else found

    def _exchange(self, request: bytes) -> bytes | None:
        """The child's answer; None when it died of this text, or took too long over it. Raises OSError when there is
        no child to ask: none can be started, or what was started ends with an error of its own."""
        while True:
            child, self._child = self._child, None
            fresh = child is None
            child = child or _Child(self._command, self._limit_s)
            try:
                answer = child.exchange(request, self._limit_s)
            except TimeoutError:
                child.end()
                return None
            except (EOFError, OSError):
                status = child.end() or 0
            else:
                self._child = child
                return answer
            # One that had answered before may have been killed by anybody: only a new one dies of the text.
            if fresh and status >= 0:
                raise OSError(f"{self._command[0]} ended with status {status}")
            if fresh:
                return None

    def _keep_unreadable(self, digest: bytes) -> None:
        """The next child would die of it as well."""
        self._unreadable[digest] = None
        if len(self._unreadable) > _MOST_KEPT:
            del self._unreadable[next(iter(self._unreadable))]


class _Child:
    """A worker at the other end of two pipes."""

    def __init__(self, command: Sequence[str], limit_s: float) -> None:
        """Raises OSError if it cannot be started."""
        process = subprocess.Popen(
            [*command, str(math.ceil(limit_s) + SPARE_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # What is typed at the terminal is meant for the one that asks.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._input, False)
        self.end = weakref.finalize(self, _end, process)

    def exchange(self, request: bytes, limit_s: float) -> bytes:
        """The answer to a request. Raises EOFError when the child is gone, TimeoutError, OSError."""
        end = time.monotonic() + limit_s
        self._write(len(request).to_bytes(_LENGTH_BYTES, "big") + request, end)
        length = int.from_bytes(self._read(_LENGTH_BYTES, end), "big")
        return self._read(length, end)

    def _write(self, data: bytes, end: float) -> None:
        waiting = memoryview(data)
        while waiting:
            _wait(self._input, selectors.EVENT_WRITE, end)
            waiting = waiting[os.write(self._input, waiting) :]

    def _read(self, length: int, end: float) -> bytes:
        parts: list[bytes] = []
        while length:
            _wait(self._output, selectors.EVENT_READ, end)
            part = os.read(self._output, min(length, _BLOCK))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def _wait(descriptor: int, event: int, end: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, event)
        if not selector.select(max(end - time.monotonic(), 0)):
            raise TimeoutError


def _end(process: subprocess.Popen[bytes]) -> int:
    """End it; how it ended: a negative status is that of a signal."""
    # It keeps nothing: there is nothing to wait for.
    process.kill()
    status = process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    return status
