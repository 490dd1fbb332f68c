"""Commands in a process group of their own. What is asserted is who still lives, never how long it took."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.sandbox import command
from hearth.sandbox.command import MOST_OUTPUT, QUIET, CommandResult, Ends, PlainShell


@pytest.fixture
def shell(tmp_path: Path) -> PlainShell:
    return PlainShell(tmp_path, os.environ)


def gone(pid: int) -> bool:
    """Whether a process ends (or is a zombie that waits for its parent) within some seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


async def test_output_of_both_streams_and_status(shell: PlainShell) -> None:
    assert await shell.run("echo out; echo err >&2; exit 3", 20) == CommandResult("out\nerr\n", 3)
    assert await shell.run("kill -9 $$", 20) == CommandResult("", -9)


async def test_the_environment_is_quiet(tmp_path: Path) -> None:
    result = await PlainShell(tmp_path, {"PATH": os.environ["PATH"], "TERM": "xterm", "MINE": "1"}).run("env", 20)
    seen = dict(line.split("=", 1) for line in result.output.splitlines())
    assert seen["MINE"] == "1"
    assert {name: seen[name] for name in QUIET} == QUIET


async def test_stdin_is_empty(shell: PlainShell) -> None:
    assert await shell.run("cat; echo after", 20) == CommandResult("after\n", 0)


async def test_a_time_out_ends_grandchildren_that_ignore_sigterm(
    shell: PlainShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE_S", 0.2)
    stubborn = "trap '' TERM; echo $$ > {}; {}while :; do sleep 1; done"
    (tmp_path / "grandchild.sh").write_text(stubborn.format("grandchild", ""))
    result = await shell.run(stubborn.format("child", "bash grandchild.sh & "), 3)
    assert result.timed_out
    for name in ("child", "grandchild"):
        assert gone(int((tmp_path / name).read_text()))


async def test_a_child_in_the_background_neither_delays_nor_outlives_the_command(
    shell: PlainShell, tmp_path: Path
) -> None:
    result = await shell.run("sleep 600 & echo $! > pid; echo done", 300)
    assert result == CommandResult("done\n", 0, left=True)
    assert gone(int((tmp_path / "pid").read_text()))


async def test_a_child_that_never_stops_talking_does_not_delay_the_command(shell: PlainShell, tmp_path: Path) -> None:
    result = await shell.run("(while :; do echo talk; sleep 0.02; done) & echo $! > pid; echo done", 300)
    assert result.code == 0
    assert not result.timed_out
    assert "done\n" in result.output
    assert gone(int((tmp_path / "pid").read_text()))


async def test_what_a_filter_still_writes_counts(shell: PlainShell) -> None:
    result = await shell.run("exec > >(sleep 0.1; cat); echo through the filter", 20)
    assert result == CommandResult("through the filter\n", 0)


async def test_cancelling_ends_the_whole_group(shell: PlainShell, tmp_path: Path) -> None:
    running = asyncio.create_task(shell.run("sleep 600 & echo $! > child; echo $$ > leader; wait", 300))
    while not ((tmp_path / "leader").exists() and (tmp_path / "leader").read_text().strip()):
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for name in ("leader", "child"):
        assert gone(int((tmp_path / name).read_text()))


async def test_cancelling_twice_ends_it_at_once(
    shell: PlainShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE_S", 600.0)
    running = asyncio.create_task(shell.run("trap '' TERM; echo $$ > leader; while :; do sleep 1; done", 300))
    while not ((tmp_path / "leader").exists() and (tmp_path / "leader").read_text().strip()):
        await asyncio.sleep(0.01)
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(int((tmp_path / "leader").read_text()))


async def test_a_command_may_clean_up_when_its_time_is_over(shell: PlainShell, tmp_path: Path) -> None:
    result = await shell.run("trap 'echo bye; touch cleaned; exit 0' TERM; while :; do sleep 0.05; done", 1)
    assert result.timed_out
    assert result.output.endswith("bye\n")
    assert (tmp_path / "cleaned").exists()


async def test_output_is_bounded(shell: PlainShell) -> None:
    result = await shell.run(f"echo first; head -c {4 * MOST_OUTPUT} /dev/zero | tr '\\0' x; echo; echo last", 60)
    assert result.output.startswith("first\n")
    assert result.output.endswith("\nlast\n")
    assert "bytes cut here]" in result.output
    assert len(result.output) <= MOST_OUTPUT + 100


async def test_no_descriptor_is_left_open(shell: PlainShell, tmp_path: Path) -> None:
    await shell.run("true", 20)  # what asyncio opens once
    before = len(list(Path("/proc/self/fd").iterdir()))
    for script in ("echo x", "exit 1", "sleep 600 &"):
        await shell.run(script, 20)
    with pytest.raises(FileNotFoundError):
        await PlainShell(tmp_path / "missing", {}).run("true", 20)
    await asyncio.sleep(0.1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(st.lists(st.binary(max_size=30)), st.integers(2, 40))
def test_both_ends_of_the_output_are_kept(pieces: list[bytes], limit: int) -> None:
    kept = Ends(limit)
    data = b"".join(piece.replace(b"[", b"(") for piece in pieces)
    for piece in pieces:
        kept.add(piece.replace(b"[", b"("))
    text, half = kept.text(), limit // 2
    if len(data) <= 2 * half:
        assert text == data.decode("utf-8", errors="replace")
    else:
        dropped = len(data) - 2 * half
        expected = data[:half] + f"\n[{dropped:,} bytes cut here]\n".encode() + data[-half:]
        assert text == expected.decode("utf-8", errors="replace")
