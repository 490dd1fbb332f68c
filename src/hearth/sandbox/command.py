"""Run shell commands, each in a group of its own, bounded in time and output. The box will stand behind this seam."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hearth.sandbox.leash import Leash
from hearth.sandbox.voice import Told, Voice

MOST_OUTPUT = 2 * 1024 * 1024
"""Bytes of output that are kept; the middle of a longer one is dropped."""
GRACE_S = 2.0
"""Seconds between SIGTERM and SIGKILL of the group."""
QUIET_SPELL_S = 0.2
"""Seconds without output after which a finished command's pipe counts as drained."""
MOST_QUIET_SPELLS = 10
QUIET = {
    "COLUMNS": "80",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LINES": "24",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "TERM": "dumb",
    # An edit that keeps a file's size within the second of the last one would meet Python's stale .pyc.
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What every command finds in its environment: no pager, no prompt, no colours, one width."""
_FORK = re.compile(r"(?<![&<>|])&(?![&>\d])")
"""A lone ``&``: what stands before it goes on while the shell does."""

Hear = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """``output`` is stdout and stderr as they came; ``code`` is the exit status, negative for a signal; ``left`` says
    that what it had put into the background still ran when its shell was gone, and was ended."""

    output: str
    code: int
    timed_out: bool = False
    left: bool = False


class Shell(Protocol):
    """Something that runs commands. ``run`` MUST NOT leave a process behind: when it returns, fails or is cancelled."""

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run ``command`` with a shell, at most ``timeout_s`` seconds."""
        ...


class Launcher(Protocol):
    """Something that starts commands and lets them run. Whoever starts one MUST end it."""

    async def start(self, command: str, hear: Hear) -> Running:
        """Start ``command`` with a shell. Raises OSError or ValueError if it cannot be started."""
        ...


class PlainShell:
    """Runs commands with the rights of this process: no box yet.

    A command that makes a session or a group of its own (``setsid``, ``set -m``) leaves the group, and outlives it.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        on_output: Told | None = None,
        leash: Leash | None = None,
    ) -> None:
        """``on_output`` is told what a command says while ``run`` waits for it; what runs is tied to ``leash``."""
        self._directory = directory
        self._environment = {**environment, **QUIET}
        self._on_output = on_output
        self._leash = leash

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run it with ``bash -c`` (``sh`` where there is none); stdin is empty.

        Raises OSError or ValueError if it cannot be started.
        """
        kept = Ends(MOST_OUTPUT)
        voice = Voice(self._on_output) if self._on_output else None

        def hear(data: bytes) -> None:
            kept.add(data)
            if voice:
                voice.add(data)

        running = await self.start(command, hear)
        timed_out = False
        try:
            async with asyncio.timeout(timeout_s):
                await running.wait()
        except TimeoutError:
            timed_out = True
        finally:
            try:
                await running.end()
            finally:
                if voice:
                    voice.close()
        return CommandResult(kept.text(), running.code, timed_out, running.left)

    async def start(self, command: str, hear: Hear) -> Running:
        """Start it and let it run; ``hear`` gets its output. Raises OSError or ValueError if it cannot be started."""
        shell = "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"
        # A pipe of our own: with asyncio's, waiting for the process also waits for every child that holds the pipe.
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                shell,
                "-c",
                command,
                cwd=self._directory,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        if self._leash:
            self._leash.hold(process.pid)
        return Running(process, read_end, hear, self._leash, forks=bool(_FORK.search(command)))


class Running:
    """A command that was started, with all that it starts. ``end`` it, whatever happens."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        read_end: int,
        hear: Hear,
        leash: Leash | None = None,
        *,
        forks: bool = False,
    ) -> None:
        """``read_end`` is the pipe that its output comes through; it is closed when all is over. ``forks`` says that it
        seems to put something into the background: ``left`` is whether that still ran when the shell was gone."""
        self._forks = forks
        self.left = False
        self._process = process
        self._leash = leash
        self._total = 0
        self._reading = asyncio.create_task(self._drain(read_end, hear))

    @property
    def code(self) -> int:
        """The exit status, negative for a signal; -1 while it is not known."""
        return self._process.returncode if self._process.returncode is not None else -1

    async def wait(self) -> None:
        """Until the shell is gone and what it said is heard."""
        await self._process.wait()
        await self._settle()

    async def end(self) -> None:
        """End the whole group: asked first while the shell lives, then killed. Safe to call twice."""
        if self._forks and self._process.returncode is not None and not self.left:
            self.left = _lives(self._process.pid)
        try:
            await _end_group(self._process)
            await self._settle()
        finally:
            self._reading.cancel()
            if self._leash:
                self._leash.free(self._process.pid)

    async def _drain(self, read_end: int, hear: Hear) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            while data := await reader.read(65536):
                self._total += len(data)
                hear(data)
        finally:
            transport.close()

    async def _settle(self) -> None:
        # The command is over when its shell is: what is in the pipe still counts, but a child in the background may
        # hold the pipe open for ever, silent or not.
        for _ in range(MOST_QUIET_SPELLS):
            before = self._total
            await asyncio.wait({self._reading}, timeout=QUIET_SPELL_S)
            if self._reading.done() or self._total == before:
                return


async def _end_group(process: asyncio.subprocess.Process) -> None:
    # The group outlives its leader when the command left children behind. Cancelled again, it waits no longer.
    try:
        if process.returncode is None:
            _signal(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_S)
    finally:
        _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _lives(group: int) -> bool:
    """Whether something of the group runs. A zombie that nobody has fetched yet runs no more."""
    try:
        os.killpg(group, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    states = [_state(entry) for entry in Path("/proc").glob("[0-9]*/stat")]
    return not states or any(state and state[0] != "Z" and state[2] == str(group) for state in states)


def _state(file: Path) -> list[str]:
    """A process's state, parent and group, as /proc has them."""
    try:
        return file.read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class Ends:
    """Keeps the first and the last half of what is added."""

    def __init__(self, limit: int) -> None:
        """``limit`` in bytes."""
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take more."""
        self.total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._half:  # not at each call: moving the tail costs more than adding to it
            del self._tail[: -self._half]

    def text(self) -> str:
        """What was kept, as text."""
        return self.data().decode("utf-8", errors="replace")

    def data(self) -> bytes:
        """What was kept; between its halves it says how much is missing."""
        tail = self._tail[-self._half :]
        dropped = self.total - len(self._head) - len(tail)
        middle = f"\n[{dropped:,} bytes cut here]\n".encode() if dropped else b""
        return bytes(self._head + middle + tail)
