"""Starts and ends child processes. The only file of the server half that may."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hearth.errors import EngineFailed

TAIL_LINES = 400
_LOG_BYTES = 4 << 20
_READ_BYTES = 1 << 16


class Process:
    """One child process in a group of its own, so that what it starts ends with it.

    Its output, both streams, goes to a log file (rotated at 4 MiB, one older file kept) and its last lines stay in
    memory. Its standard input stays open until it ends: a child that reads its end of file knows that we are gone.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log_file: Path) -> None:
        """Nothing is started yet. ``environment`` is the whole of it, nothing is inherited."""
        self._command = list(command)
        self._environment = dict(environment)
        self._log_file = log_file
        self._child: asyncio.subprocess.Process | None = None
        self._exit: asyncio.Task[int] | None = None
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """The last lines of output, without line ends."""
        self.heard_at = 0.0
        """``time.monotonic()`` of the last output, or of the start."""

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child is not None and not self.ended else None

    @property
    def ended(self) -> bool:
        """Whether it has been started and is gone, its output read."""
        return self._exit is not None and self._exit.done()

    async def start(self, first_line: str) -> None:
        """Start it and write one line to its standard input. Raises EngineFailed when that is not possible."""
        self.heard_at = time.monotonic()
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
            self._exit = asyncio.create_task(self._follow(self._child))
            assert self._child.stdin is not None
            self._child.stdin.write(first_line.encode() + b"\n")
        except OSError as error:
            raise EngineFailed(f"cannot start {self._command[0]}: {error.strerror}", "run: hearth doctor") from error

    async def wait(self) -> int:
        """Return its exit code when it is gone; negative is the signal that ended it. Callers may be cancelled."""
        assert self._exit is not None, "not started"
        return await asyncio.shield(self._exit)

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, wait ``grace_s`` seconds, then kill the whole group. Safe to call at any time, and twice."""
        if self._child is None or self._exit is None:
            return
        if not self._exit.done():
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.wait()
        self._signal(signal.SIGKILL)
        await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        # The group outlives its leader while a grandchild is left; when nobody is left there is nothing to signal.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def _follow(self, child: asyncio.subprocess.Process) -> int:
        assert child.stdout is not None
        reader = asyncio.create_task(self._read(child.stdout))
        code = await child.wait()
        # What it started must not live on, and would hold the output open.
        self._signal(signal.SIGKILL)
        await asyncio.wait([reader], timeout=1.0)
        reader.cancel()
        return code

    async def _read(self, stream: asyncio.StreamReader) -> None:
        log = logging.handlers.RotatingFileHandler(
            self._log_file, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
        )
        rest = ""
        try:
            while chunk := await stream.read(_READ_BYTES):
                self.heard_at = time.monotonic()
                *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
                self._keep(log, lines)
        finally:
            self._keep(log, [rest] if rest else [])
            log.close()

    def _keep(self, log: logging.Handler, lines: Sequence[str]) -> None:
        for line in lines:
            self.tail.append(line)
            log.emit(logging.makeLogRecord({"msg": line}))


def describe_exit(code: int) -> str:
    """An exit code in words: ``killed by SIGKILL``, ``exit code 3``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def resident_bytes(pid: int) -> int | None:
    """Memory that a process holds in RAM; None where the system does not tell (no ``/proc``) or it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
