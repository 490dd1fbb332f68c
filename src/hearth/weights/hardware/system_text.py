"""What the system tells as text: its files, and what the vendors' programs print.

The one file of weights that starts processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 10.0
"""A vendor's program answers in 0.1 to 3 s; the first call after boot wakes the cards and takes longest."""

_LAST_WORDS_S = 1.0
_LARGEST_TEXT = 8 << 20


@dataclass(frozen=True, slots=True)
class Printed:
    """What a program wrote to its standard output, and in plain words what went wrong; both empty when it is absent."""

    text: str = ""
    problem: str = ""


Run = Callable[[Sequence[str]], Printed]
"""Runs a command and returns what it printed. MUST NOT raise, wait for ever or ask anything of the terminal."""


def whole(text: str) -> int | None:
    """The number that a text is, of at most 20 digits; None for ``N/A``, ``max``, ``-1`` and everything else."""
    text = text.strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 20 else None


def read_file(path: Path) -> str:
    """A file of the system; empty when it is not there or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # a path with a null byte is a ValueError
        return ""


def run_program(command: Sequence[str], limit_s: float = LIMIT_S) -> Printed:
    """Run one; a failing or hanging one is a ``problem``. It and all that it started are ended at the limit."""
    program = shutil.which(command[0])
    if program is None:
        return Printed()
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        return Printed(problem=f"{command[0]} does not start: {error.strerror or error}")
    try:
        written, complaint = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return Printed(problem=f"{command[0]} did not answer within {limit_s:g} s")
    text = written[:_LARGEST_TEXT].decode("utf-8", "replace")
    if process.returncode:
        said = (complaint.decode("utf-8", "replace").strip() or text.strip() or "no word").splitlines()[0]
        return Printed(problem=f"{command[0]} failed (exit {process.returncode}): {said[:200]}")
    return Printed(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group. One that hangs inside a broken driver cannot be killed: it is left, not waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WORDS_S)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
