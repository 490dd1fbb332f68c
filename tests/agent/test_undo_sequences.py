"""Random turns of edits and commands, then back to each: byte for byte, and the owner's git as it was."""

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from random_turns import change, make_template, run

from hearth.agent.frame import Frame
from hearth.agent.rewind import TurnSnapshots, redo, undo
from hearth.agent.transcript import Transcript, create_transcript
from hearth.messages import Message
from hearth.workspace.snapshots import Snapshots
from recorded_trees import record

SEQUENCES = 500
AT_ONCE = 25
HISTORIES = (".git", "nested/.git")


MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder; in memory where there is room for it: hundreds of projects are forced to the disk again and again."""
    with tempfile.TemporaryDirectory(prefix="hearth-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def template(place: Path) -> Path:
    return make_template(place)


def play(transcript: Transcript, snapshots: Snapshots, root: Path, dice: random.Random, number: int) -> None:
    """One turn, as a session plays it."""

    async def turn() -> None:
        transcript.begin_turn(f"turn {number}")
        await watch.before_call("read")
        if dice.random() < 0.9:
            for _ in range(dice.randrange(1, 7)):
                await watch.before_call("bash")
                change(root, dice)
                watch.after_call("bash")
        await watch.end()
        transcript.add(Message("assistant", "done"))
        transcript.end_turn("completed", "")

    told: list[str] = []
    watch = TurnSnapshots(transcript, snapshots, told.append)
    asyncio.run(turn())
    assert not told


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEQUENCES, AT_ONCE))
def test_back_to_each_turn(place: Path, template: Path, first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        home = place / str(seed)
        home.mkdir()
        check(home, template, random.Random(seed))
        shutil.rmtree(home)


def check(home: Path, template: Path, dice: random.Random) -> None:
    root = home / "project"
    run(f"cp -a {template} {root}", home)
    transcript = create_transcript(home, Frame("s", str(root), "m", "standard", "", (), {}, 64), datetime.now())
    snapshots = Snapshots(root, home / "store")
    trees, said = [record(root)], [list(transcript.messages)]
    turns = dice.randrange(1, 6)
    for number in range(turns):
        play(transcript, snapshots, root, dice, number)
        trees.append(record(root))
        said.append(list(transcript.messages))
    # The commands themselves may have refreshed the index.
    owned = [record(root / name) for name in HISTORIES]
    # One by one, or several at once; what a new process knows is only on the disk.
    snapshots = Snapshots(root, home / "store")
    places = [turns]
    while places[-1]:
        jump = dice.choice([1, 1, places[-1]])
        done = undo(transcript, snapshots, jump)
        places.append(places[-1] - jump)
        assert (done.left, done.conflicts) == ({}, ())
        assert record(root) == trees[places[-1]]
        assert transcript.messages == said[places[-1]]
    assert [record(root / name) for name in HISTORIES] == owned
    for place in reversed(places[:-1] if dice.random() < 0.5 else []):
        done = redo(transcript, snapshots)
        assert (done.left, done.conflicts) == ({}, ())
        assert record(root) == trees[place]
        assert transcript.messages == said[place]
    assert [record(root / name) for name in HISTORIES] == owned
    assert run("git fsck --strict --no-progress; git -C nested fsck --no-progress", root) == ""
    transcript.close()
