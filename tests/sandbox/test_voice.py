"""A running command told to a person: soon, in few pieces, never more than can be read."""

import asyncio
import os
from pathlib import Path

from hearth.sandbox.command import CommandResult, PlainShell
from hearth.sandbox.voice import LATEST, LONGEST_PIECE, MUCH, Outlet, Voice


async def test_the_first_piece_is_told_at_once_and_the_rest_together() -> None:
    told: list[str] = []
    voice = Voice(told.append)
    voice.add(b"one\n")
    assert told == ["one\n"]
    voice.add(b"two\n")
    voice.add(b"three\n")
    assert told == ["one\n"]
    voice.close()
    assert told == ["one\n", "two\nthree\n"]


async def test_what_waits_is_told_without_more_output() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    voice = Voice(told.put_nowait)
    voice.add(b"one\n")
    voice.add(b"two\n")
    assert [await told.get(), await told.get()] == ["one\n", "two\n"]
    voice.close()
    assert told.empty()


async def test_of_much_output_the_last_lines_are_told() -> None:
    told: list[str] = []
    voice = Voice(told.append)
    voice.add(b"".join(b"line %d\n" % number for number in range(100_000)))
    voice.close()
    (piece,) = told
    assert piece.startswith("[…]\nline ")
    assert piece.endswith("line 99999\n")
    assert len(piece) <= LONGEST_PIECE + 10


async def test_of_very_much_output_only_the_latest_is_told() -> None:
    told: list[str] = []
    voice = Voice(told.append)
    voice._told = MUCH
    voice.add(b"x" * 100_000 + b"\nlast")
    voice.close()
    assert told == ["[…]\nlast"]
    assert len(told[0]) <= LATEST + 10


async def test_a_running_command_is_heard(tmp_path: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    shell = PlainShell(tmp_path, os.environ, told.put_nowait)
    running = asyncio.create_task(shell.run("echo begun; while [ ! -e go ]; do sleep 0.05; done; echo over", 60))
    assert await told.get() == "begun\n"
    (tmp_path / "go").touch()
    assert await running == CommandResult("begun\nover\n", 0)
    assert await told.get() == "over\n"


async def test_between_turns_nobody_listens() -> None:
    told: list[str] = []
    outlet = Outlet()
    outlet("lost")
    outlet.listener = told.append
    outlet("heard")
    assert told == ["heard"]
