"""Run one shell command in its own process group, bounded in time and output. The box will stand behind this seam."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MOST_OUTPUT = 2 * 1024 * 1024
"""Bytes of output that are kept; the middle of a longer one is dropped."""
GRACE_S = 2.0
"""Seconds between SIGTERM and SIGKILL of the group."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """``output`` is stdout and stderr as they came; ``code`` is the exit status, negative for a signal."""

    output: str
    code: int
    timed_out: bool = False


class Shell(Protocol):
    """Something that runs commands. ``run`` MUST NOT leave a process behind: when it returns, fails or is cancelled."""

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run ``command`` with a shell, at most ``timeout_s`` seconds."""
        ...


class PlainShell:
    """Runs commands with the rights of this process: no box yet."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = dict(environment)

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run it with ``bash -c`` (``sh`` where there is none); stdin is empty."""
        shell = "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"
        process = await asyncio.create_subprocess_exec(
            shell,
            "-c",
            command,
            cwd=self._directory,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        kept = _Ends(MOST_OUTPUT)
        timed_out = False
        try:
            async with asyncio.timeout(timeout_s):
                # A background child may keep the pipe open for ever: the command is over when the shell is.
                reading = asyncio.ensure_future(_drain(process, kept))
                await process.wait()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reading, 0.2)
        except TimeoutError:
            timed_out = True
        finally:
            await asyncio.shield(_end_group(process))
        return CommandResult(kept.text(), process.returncode if process.returncode is not None else -1, timed_out)


async def _drain(process: asyncio.subprocess.Process, kept: _Ends) -> None:
    assert process.stdout is not None
    while data := await process.stdout.read(65536):
        kept.add(data)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    # The group outlives its leader when the command left children behind.
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Ends:
    """Keeps the first and the last half of what is added."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * self._half:
            self._dropped += len(self._tail) - self._half
            del self._tail[: -self._half]

    def text(self) -> str:
        middle = f"\n[{self._dropped:,} bytes cut here]\n".encode() if self._dropped else b""
        return (bytes(self._head) + middle + bytes(self._tail)).decode("utf-8", errors="replace")
