"""The daemon's life seen from outside: is it there, start it in the background, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hearth.errors import DaemonUnavailable, StateError
from hearth.ops.local import ask
from hearth.ops.record import home_is_taken, read_record
from hearth.paths import Paths
from hearth.settings import Settings

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
LOOK_PAUSE_S = 0.05
LOST_AFTER_S = 2.0
"""How long a daemon that says it runs may be without its socket: one that ends removes it just before its record."""


async def ensure_daemon(
    paths: Paths, settings: Settings, environment: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """Return when a daemon answers on ``paths.socket``; start one in the background when none does.

    ``tell`` gets one short line about what is waited for, about once a second, and only when something is waited
    for. Does nothing when ``settings.gateway.url`` names another endpoint. Several faces may call at once: one
    daemon is started. Raises StateError when the home cannot be written, DaemonUnavailable with the last line of
    the log otherwise.
    """
    if settings.gateway.url or await is_alive(paths.socket):
        return
    paths.ensure()
    started = time.monotonic()
    told = 0
    child: subprocess.Popen[bytes] | None = None
    with contextlib.ExitStack() as held:
        while not await is_alive(paths.socket):
            waited = time.monotonic() - started
            if child is None and not home_is_taken(paths) and _take_start_lock(paths, held):
                child = _spawn(paths, environment)
            if child is not None and child.poll() is not None and not home_is_taken(paths):
                raise _did_not_start(paths)
            if waited > START_LIMIT_S or (waited > LOST_AFTER_S and _has_lost_its_socket(paths)):
                raise silent(paths)
            if waited >= told:
                tell(f"starting the daemon · {told} s" if told else "starting the daemon")
                told += 1
            await asyncio.sleep(LOOK_PAUSE_S)


async def is_alive(socket: Path, timeout_s: float = 2.0) -> bool:
    """Whether a daemon answers its health check on this socket."""
    try:
        return (await ask(socket, "GET", "/health", timeout_s=timeout_s)).status == 200
    except (OSError, TimeoutError):
        return False


async def stop_daemon(paths: Paths, tell: Callable[[str], None], limit_s: float = STOP_LIMIT_S) -> bool:
    """Stop the daemon of this home: asked first, then signalled, then killed. False when none runs.

    ``limit_s`` is how long it may take after being asked, and again after SIGTERM. Returns when its process has let go
    of the home. Raises DaemonUnavailable when it cannot be stopped.
    """
    if not home_is_taken(paths):
        return False
    record = read_record(paths)
    with contextlib.suppress(OSError, TimeoutError):
        await ask(paths.socket, "POST", "/hearth/stop")
        if await _gone(paths, limit_s):
            return True
    if record is None:
        raise DaemonUnavailable("the daemon holds its home but does not say who it is", "run: hearth logs")
    for number, wait_s in ((signal.SIGTERM, limit_s), (signal.SIGKILL, 5.0)):
        tell(f"the daemon does not answer: {number.name} to pid {record.pid}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
            # One that was suspended (Ctrl-Z) takes the signal only when it goes on.
            os.kill(record.pid, signal.SIGCONT)
        if await _gone(paths, wait_s):
            return True
    raise DaemonUnavailable(f"pid {record.pid} does not stop", f"run: kill -9 {record.pid}")


def log_file(paths: Paths) -> Path:
    """The daemon's log."""
    return paths.logs / "daemon.log"


def _spawn(paths: Paths, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon in a session of its own; what it says before its log is open goes to the log file too.

    ``-P`` and the working folder keep modules of the project that the person works on from being imported.
    """
    log = _open(log_file(paths), os.O_WRONLY | os.O_APPEND)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "hearth", "serve", "--background"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_anywhere(environment),
            cwd=paths.data,
            start_new_session=True,
        )
    finally:
        os.close(log)


def run_aside(paths: Paths, environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Start a command of ours that nobody waits for and nobody hears, last in line for the processor. Its id; 0 where
    it cannot be started."""
    lowest = ["nice", "-n", "19"] if shutil.which("nice", path=environment.get("PATH")) else []
    try:
        process = subprocess.Popen(
            [*lowest, sys.executable, "-P", "-m", "hearth", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_anywhere(environment),
            cwd=paths.data,
            start_new_session=True,
        )
    except OSError:
        return 0
    # It outlives this process: there is no end of it to wait for, and no warning that nobody did.
    process.returncode = 0
    return process.pid


def _anywhere(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process in another folder."""
    passed = dict(environment)
    if home := passed.get("HEARTH_HOME"):
        passed["HEARTH_HOME"] = str(Path(home).expanduser().absolute())
    return passed


def _take_start_lock(paths: Paths, held: contextlib.ExitStack) -> bool:
    """Be the one face that starts the daemon. The lock is let go when ``held`` closes or this process ends."""
    descriptor = _open(paths.runtime / "start.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True


def _open(path: Path, how: int) -> int:
    try:
        return os.open(path, how | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {path}: {error.strerror}", f"mend or remove {path}") from error


async def _gone(paths: Paths, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while home_is_taken(paths):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_PAUSE_S)
    return True


def silent(paths: Paths) -> DaemonUnavailable:
    """The error for a daemon that holds its home and does not answer."""
    record = read_record(paths)
    if record is None:
        return DaemonUnavailable("the daemon is starting and does not answer yet", "run: hearth logs")
    if _has_lost_its_socket(paths):
        return DaemonUnavailable(f"the daemon (pid {record.pid}) runs, but {paths.socket} is gone", "run: hearth stop")
    return DaemonUnavailable(f"the daemon (pid {record.pid}) runs but does not answer", "run: hearth stop")


def _has_lost_its_socket(paths: Paths) -> bool:
    """Whether somebody removed the socket of a living daemon: it writes its record after it listens."""
    return not paths.socket.exists() and read_record(paths) is not None


def _did_not_start(paths: Paths) -> DaemonUnavailable:
    said = _last_line(log_file(paths))
    if not said:
        return DaemonUnavailable("the daemon did not start and left no word", "run: hearth serve, which says why")
    return DaemonUnavailable(f"the daemon did not start: {said.removeprefix('hearth: ')}", "run: hearth logs")


def _last_line(path: Path) -> str:
    try:
        lines = path.read_bytes()[-4096:].decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else ""
