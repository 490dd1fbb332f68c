"""Commands die with hearth, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hearth.sandbox.command import PlainShell
from hearth.sandbox.leash import Leash

OWNER = """
import asyncio, os, sys
from pathlib import Path
from hearth.sandbox.background import Background
from hearth.sandbox.command import PlainShell
from hearth.sandbox.leash import Leash

async def main():
    leash = Leash()
    shell = PlainShell(Path.cwd(), os.environ, leash=leash)
    await Background(shell).start("sleep 600 & echo $! > grandchild; echo $$ > background; wait")
    running = asyncio.create_task(shell.run("echo $$ > foreground; sleep 600", 600))
    while len(leash._held) < 2:
        await asyncio.sleep(0.01)
    Path("held").write_text("1")
    await running

asyncio.run(main())
"""


def read_pid(file: Path) -> int:
    for _ in range(1000):
        if file.exists() and file.read_text().strip():
            return int(file.read_text())
        time.sleep(0.01)
    raise AssertionError(f"{file.name} never came")


def gone(pid: int) -> bool:
    """Whether a process ends (or is a zombie that nobody reaps) within some seconds."""
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_ends_hearth_ends_its_commands(tmp_path: Path, number: signal.Signals) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], cwd=tmp_path, stderr=subprocess.DEVNULL)
    pids = [read_pid(tmp_path / name) for name in ("background", "grandchild", "foreground")]
    read_pid(tmp_path / "held")
    owner.send_signal(number)
    assert owner.wait(60) != 0
    assert all(gone(pid) for pid in pids)


def start_sleep() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def test_closing_kills_what_is_held_and_spares_what_is_free() -> None:
    leash, held, free = Leash(), start_sleep(), start_sleep()
    leash.hold(held.pid)
    leash.hold(free.pid)
    leash.free(free.pid)
    leash.close()
    assert held.wait(20) == -signal.SIGKILL
    assert free.poll() is None
    free.kill()
    free.wait()
    leash.close()


def test_a_watch_that_was_ended_is_started_again() -> None:
    leash, first, second = Leash(), start_sleep(), start_sleep()
    leash.hold(first.pid)
    assert leash._watch
    os.kill(leash._watch.pid, signal.SIGKILL)
    leash._watch.wait()
    leash.hold(second.pid)
    leash.close()
    assert [first.wait(20), second.wait(20)] == [-signal.SIGKILL] * 2


async def test_a_command_that_is_over_is_not_held(tmp_path: Path) -> None:
    leash = Leash()
    await PlainShell(tmp_path, os.environ, leash=leash).run("true", 20)
    assert leash._held == set()
    leash.close()
