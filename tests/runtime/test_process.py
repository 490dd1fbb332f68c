"""A child process: its output, its end, and that nothing of it is left."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import uvloop

from hearth.errors import EngineFailed
from hearth.runtime.process import TAIL_LINES, Process, describe_exit, is_alive, resident_bytes


def python(code: str, folder: Path, **environment: str) -> Process:
    return Process(
        [sys.executable, "-c", code],
        environment={"PYTHONUNBUFFERED": "1", **environment},
        log_file=folder / "child.log",
    )


async def seen(process: Process, text: str) -> None:
    """Return when a line of output has come that begins with ``text``."""
    while True:
        if any(line.startswith(text) for line in process.tail):
            return
        await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    while True:
        if not _runs(pid):
            return
        await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    """Alive and no zombie: an orphan's body may wait for the machine's init."""
    if not is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_gets_one_line_and_its_output_is_kept(tmp_path: Path) -> None:
    code = "import os,sys; print(input(), os.environ['A']); print('wrong', file=sys.stderr); sys.exit(3)"
    process = python(code, tmp_path, A="b")
    await process.start("hello")
    assert await process.wait() == 3
    assert sorted(process.tail) == ["hello b", "wrong"]
    assert sorted((tmp_path / "child.log").read_text().splitlines()) == ["hello b", "wrong"]
    assert process.pid is None


async def test_its_input_stays_open_while_it_runs(tmp_path: Path) -> None:
    process = python("import sys; print(sys.stdin.readline()); print('end', sys.stdin.read())", tmp_path)
    await process.start("first")
    await seen(process, "first")
    assert process.pid is not None
    await process.stop(0.1)
    assert "end " not in process.tail


async def test_much_output_and_no_line_end(tmp_path: Path) -> None:
    process = python("print('x' * 300_000); print('y\\n' * 1000, end=''); print('last', end='')", tmp_path)
    await process.start("")
    await process.wait()
    assert len(process.tail) == TAIL_LINES
    assert process.tail[-1] == "last"


async def test_the_log_is_rotated(tmp_path: Path) -> None:
    process = python("for _ in range(5000): print('z' * 1000)", tmp_path)
    await process.start("")
    await process.wait()
    assert (tmp_path / "child.log.1").stat().st_size > 4_000_000
    assert (tmp_path / "child.log").stat().st_size < 4_200_000


async def test_a_log_that_cannot_be_written_does_not_hide_the_end(tmp_path: Path) -> None:
    (tmp_path / "child.log").symlink_to("/dev/full")
    process = python("print('a last word'); raise SystemExit(3)", tmp_path)
    await process.start("")
    assert await process.wait() == 3
    assert list(process.tail) == ["a last word"]


async def test_stop_asks_first(tmp_path: Path) -> None:
    code = "import signal,sys; signal.signal(15, lambda *a: sys.exit(7)); print('up'); signal.pause()"
    process = python(code, tmp_path)
    await process.start("")
    await seen(process, "up")
    await process.stop(30)
    assert await process.wait() == 7


async def test_stop_kills_what_does_not_listen_and_all_that_it_started(tmp_path: Path) -> None:
    code = (
        "import signal,subprocess,sys; signal.signal(15, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('child', child.pid); signal.pause()"
    )
    process = python(code, tmp_path)
    await process.start("")
    await seen(process, "child")
    grandchild = int(process.tail[0].split()[1])
    await asyncio.gather(process.stop(0.2), process.stop(0.2))
    assert await process.wait() == -signal.SIGKILL
    await gone(grandchild)


async def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess,sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('child', child.pid)"
    )
    process = python(code, tmp_path)
    await process.start("")
    assert await process.wait() == 0
    await gone(int(process.tail[0].split()[1]))


async def test_stop_before_start_and_after_the_end(tmp_path: Path) -> None:
    process = python("pass", tmp_path)
    await process.stop(1)
    await process.start("")
    await process.wait()
    await process.stop(1)
    assert process.ended


async def test_heard_at_moves_with_the_output(tmp_path: Path) -> None:
    process = python("input(); print('a'); input()", tmp_path)
    before = time.monotonic()
    await process.start("go")
    await seen(process, "a")
    assert before < process.heard_at <= time.monotonic()
    await process.stop(0)


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    process = Process(["/no/such/program"], environment={}, log_file=tmp_path / "log")
    with pytest.raises(EngineFailed, match="cannot start /no/such/program"):
        await process.start("")


async def test_a_cancelled_wait_leaves_it_running(tmp_path: Path) -> None:
    process = python("input(); input()", tmp_path)
    await process.start("go")
    waiting = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert process.pid is not None
    await process.stop(0)


def test_a_child_that_is_dead_before_it_is_told_anything_is_seen_as_dead(tmp_path: Path) -> None:
    # On uvloop, as in the daemon: its pipes refuse to be written to when the other end is gone.
    async def start_many() -> list[int]:
        codes = []
        for _ in range(30):
            process = Process(["/bin/sh", "-c", "exit 3"], environment={}, log_file=tmp_path / "child.log")
            await process.start("go")
            codes.append(await process.wait())
        return codes

    assert uvloop.run(start_many()) == [3] * 30


def test_exits_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(-99) == "killed by signal 99"


def test_memory_of_a_process() -> None:
    assert (resident_bytes(os.getpid()) or 0) > 1 << 20
    assert resident_bytes(1 << 30) is None
    assert not is_alive(1 << 22)
