"""Starts and ends child processes. The only file of the server half that may."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from hearth.errors import EngineFailed

TAIL_LINES = 400
_LOG_BYTES = 4 << 20
_LAST_WORDS_S = 1.0


class Process:
    """One child process in a group of its own, so that what it starts ends with it.

    Its output, both streams, goes to a log file (rotated at 4 MiB, one older file kept) and its last lines stay in
    memory. Its standard input stays open until it ends: a child that reads its end of file knows that we are gone.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log_file: Path) -> None:
        """Nothing is started yet. ``environment`` is the whole of it, nothing is inherited."""
        self._command = list(command)
        self._environment = dict(environment)
        self._output = _Output(log_file)
        self._child: asyncio.SubprocessTransport | None = None
        self._exit: asyncio.Task[int] | None = None

    @property
    def tail(self) -> Sequence[str]:
        """The last lines of output, without line ends."""
        return self._output.tail

    @property
    def heard_at(self) -> float:
        """``time.monotonic()`` of the last output, or of the start."""
        return self._output.heard_at

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.get_pid() if self._child is not None and not self.ended else None

    @property
    def ended(self) -> bool:
        """Whether it has been started and is gone, its output read."""
        return self._exit is not None and self._exit.done()

    async def start(self, first_line: str) -> None:
        """Start it and write one line to its standard input. Raises EngineFailed when that is not possible."""
        try:
            # Not create_subprocess_exec: its wait() lasts until the output is closed, which a grandchild may hold open.
            self._child, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: self._output,
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineFailed(f"cannot start {self._command[0]}: {error.strerror}", "run: hearth doctor") from error
        self._exit = asyncio.create_task(self._follow(self._child))
        # A cast: uvloop's pipe transport is none of asyncio's classes.
        standard_input = cast(asyncio.WriteTransport, self._child.get_pipe_transport(0))
        # uvloop's raises when the child is dead already: that is seen by whoever waits for it.
        with suppress(RuntimeError):
            standard_input.write(first_line.encode() + b"\n")

    async def wait(self) -> int:
        """Return its exit code when it is gone; negative is the signal that ended it. Callers may be cancelled."""
        assert self._exit is not None, "not started"
        return await asyncio.shield(self._exit)

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, wait ``grace_s`` seconds, then kill the whole group. Safe to call at any time, and twice."""
        if self._child is None or self._exit is None or self._exit.done():
            return
        _signal_group(self._child.get_pid(), signal.SIGTERM)
        await asyncio.wait([self._exit], timeout=grace_s)
        if not self._exit.done():
            _signal_group(self._child.get_pid(), signal.SIGKILL)
        await self.wait()

    async def _follow(self, child: asyncio.SubprocessTransport) -> int:
        await self._output.exited.wait()
        # What it started must not live on, and would hold the output open.
        _signal_group(child.get_pid(), signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._output.closed.wait()
        self._output.finish()
        child.close()
        code = child.get_returncode()
        assert code is not None
        return code


class _Output(asyncio.SubprocessProtocol):
    """What a child says, and whether it is gone. The event loop calls it."""

    def __init__(self, log_file: Path) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.heard_at = time.monotonic()
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._rest = b""
        self._log = logging.handlers.RotatingFileHandler(
            log_file, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard_at = time.monotonic()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.heard_at = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._keep(lines)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()

    def finish(self) -> None:
        """Keep an unfinished last line, close the log."""
        self._keep([self._rest] if self._rest else [])
        self._rest = b""
        # On a full disk the last lines cannot be written: the process has ended all the same.
        with suppress(OSError):
            self._log.close()

    def _keep(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace")
            self.tail.append(text)
            self._log.emit(logging.makeLogRecord({"msg": text}))


def _signal_group(leader: int, number: signal.Signals) -> None:
    # The group outlives its leader while a grandchild is left; when nobody is left there is nothing to signal.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


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


def private_bytes(pid: int) -> int | None:
    """Of those, what is in no file: the rest may go when memory is short. None as ``resident_bytes``."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    kept = [fields.get(name, "").split() for name in ("RssAnon", "RssShmem")]
    return sum(int(words[0]) for words in kept if words and words[0].isdigit()) * 1024


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
