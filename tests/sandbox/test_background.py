"""Commands in the background: read in pieces, ended whole, never more than eight."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hearth.errors import LimitReached
from hearth.sandbox.background import MOST_ENDED, Background, Job
from hearth.sandbox.command import MOST_OUTPUT, Hear, PlainShell, Running


@pytest.fixture
async def background(tmp_path: Path) -> AsyncIterator[Background]:
    made = Background(PlainShell(tmp_path, os.environ))
    yield made
    await made.close()


async def lives(pid: int) -> bool:
    """Whether a process goes on; one that was killed may take a moment, and wait as a zombie for its parent."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
        except FileNotFoundError:
            return False
        await asyncio.sleep(0.01)
    return True


async def read_until(job: Job, end: str) -> str:
    text = ""
    while not text.endswith(end):
        await asyncio.sleep(0.01)
        text += job.take()
    return text


async def pid_in(folder: Path) -> int:
    while not ((folder / "pid").exists() and (folder / "pid").read_text().strip()):
        await asyncio.sleep(0.01)
    return int((folder / "pid").read_text())


async def test_each_look_tells_what_is_new(background: Background, tmp_path: Path) -> None:
    job = await background.start("echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 3")
    assert await read_until(job, "one\n") == "one\n"
    assert job.take() == ""
    assert not job.ended
    (tmp_path / "go").touch()
    await job.wait(60)
    assert (job.ended, job.code, job.take(), job.take()) == (True, 3, "two\n", "")


async def test_waiting_returns_when_its_time_is_over(background: Background) -> None:
    job = await background.start("sleep 600")
    await job.wait(0.05)
    assert not job.ended


async def test_a_character_that_comes_in_two_looks_is_whole(background: Background, tmp_path: Path) -> None:
    command = "printf 'caf\\303'; while [ ! -e go ]; do sleep 0.02; done; printf '\\251'"
    job = await background.start(command)
    assert await read_until(job, "caf") == "caf"
    (tmp_path / "go").touch()
    await job.wait(60)
    assert job.take() == "é"


async def test_what_nobody_reads_is_bounded(background: Background) -> None:
    job = await background.start(f"echo first; head -c {2 * MOST_OUTPUT} /dev/zero | tr '\\0' x; echo; echo last")
    await job.wait(60)
    text = job.take()
    assert text.startswith("first\n")
    assert text.endswith("\nlast\n")
    assert len(text) < MOST_OUTPUT + 100


async def test_ending_ends_the_whole_group(background: Background, tmp_path: Path) -> None:
    job = await background.start("sleep 600 & echo $! > pid; wait")
    pid = await pid_in(tmp_path)
    await job.end()
    assert job.ended
    assert job.code == -15
    assert not await lives(pid)
    await job.end()


async def test_what_a_command_leaves_behind_ends_with_it(background: Background, tmp_path: Path) -> None:
    job = await background.start("sleep 600 & echo $! > pid; exit 0")
    await job.wait(60)
    assert (job.ended, job.code) == (True, 0)
    assert not await lives(await pid_in(tmp_path))


async def test_closing_ends_all_also_what_was_just_started(tmp_path: Path) -> None:
    background = Background(PlainShell(tmp_path, os.environ))
    await background.start("trap '' TERM; echo $$ > pid; exec 2> /dev/null; sleep 600")
    pid = await pid_in(tmp_path)
    late = await background.start("sleep 600")
    await background.close()
    assert not await lives(pid)
    assert late.ended
    assert background.jobs == ()


async def test_at_most_eight_run_at_once(background: Background) -> None:
    jobs = [await background.start("sleep 600") for _ in range(8)]
    assert [job.id for job in jobs] == [f"b{number}" for number in range(1, 9)]
    with pytest.raises(LimitReached, match="8 commands run in the background: b1, b2"):
        await background.start("sleep 600")
    await jobs[0].end()
    assert (await background.start("sleep 600")).id == "b9"


async def test_those_that_ended_are_forgotten_one_day(background: Background) -> None:
    for _ in range(MOST_ENDED + 3):
        job = await background.start("true")
        await job.end()
    assert len(background.jobs) <= MOST_ENDED + 1
    assert background.find("b1") is None
    assert background.find(job.id) is job


async def test_one_that_cannot_start_is_not_known(tmp_path: Path) -> None:
    background = Background(PlainShell(tmp_path / "gone", os.environ))
    with pytest.raises(FileNotFoundError):
        await background.start("true")
    assert background.jobs == ()


class Slow:
    """A shell that takes its time to start."""

    def __init__(self, shell: PlainShell) -> None:
        self._shell = shell
        self.go = asyncio.Event()

    async def start(self, command: str, hear: Hear) -> Running:
        """Start it when it may."""
        await self.go.wait()
        return await self._shell.start(command, hear)


async def test_closing_ends_what_is_being_started(tmp_path: Path) -> None:
    slow = Slow(PlainShell(tmp_path, os.environ))
    background = Background(slow)
    starting = asyncio.create_task(background.start("echo $$ > pid; exec sleep 600"))
    await asyncio.sleep(0)
    await background.close()
    slow.go.set()
    job = await starting
    assert job.ended
    assert not (tmp_path / "pid").exists() or not await lives(int((tmp_path / "pid").read_text() or "0"))


async def test_a_command_that_left_something_says_so(background: Background) -> None:
    leaving, clean = await background.start("sleep 600 & echo on"), await background.start("sleep 0 & wait; echo 'a&b'")
    await leaving.wait(60)
    await clean.wait(60)
    assert (leaving.left, clean.left) == (True, False)
