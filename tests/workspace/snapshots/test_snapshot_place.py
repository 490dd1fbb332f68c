"""Folders that are made apart from what was removed, and objects that are asked for ahead."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hearth.errors import StateError
from hearth.workspace.snapshots import Restored, Snapshots
from hearth.workspace.snapshots.git import MOST_ASKED, ObjectStore
from hearth.workspace.snapshots.place import make_apart
from hearth.workspace.snapshots.restore import MANY
from recorded_trees import record


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def flags(folder: int) -> int | None:
    with suppress(OSError):
        found: int = struct.unpack("l", fcntl.ioctl(folder, 0x80086601, bytes(struct.calcsize("l"))))[0]
        return found
    return None


def test_a_folder_made_apart_is_a_folder_like_others(folder: int, tmp_path: Path) -> None:
    before = flags(folder)
    make_apart(folder, "made")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == ["made"]
    assert flags(folder) == before


def test_what_a_crash_left_of_it_goes_with_the_next(folder: int, tmp_path: Path) -> None:
    (tmp_path / ".hearth-0123456789abcdef.undo.tmp").mkdir()
    kept = tmp_path / ".hearth-fedcba9876543210.undo.tmp"
    kept.mkdir()
    (kept / "somebody's").touch()
    make_apart(folder, "made")
    assert names(tmp_path) == [kept.name, "made"]


def test_a_place_that_is_taken_stays_as_it_is(folder: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full/inner").mkdir(parents=True)
    before = flags(folder)
    for name in ("file", "full"):
        with pytest.raises(OSError, match=r"[Dd]irectory"):
            make_apart(folder, name)
    assert names(tmp_path) == ["file", "full"]
    assert (tmp_path / "file").read_text() == "mine"
    assert flags(folder) == before


def test_many_files_in_a_folder_that_was_removed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    modules = root / "outer/node_modules"
    for number in range(MANY):
        place = modules / f"part{number % 7}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}").write_bytes(b"%d" % (number // 2))
        (place / f"{number}").chmod(0o755 if number % 5 else 0o600)
    (modules / "link").symlink_to("part1/1")
    modules.chmod(0o750)
    snapshots = Snapshots(root, tmp_path / "store")
    first, whole = snapshots.capture(), record(root)
    modules.rename(tmp_path / "away")
    gone = snapshots.capture()
    # A crash left it, before the folder had its name.
    (root / "outer/.hearth-0123456789abcdef.undo.tmp").mkdir()
    done = snapshots.restore(gone, first)
    assert isinstance(done, Restored)
    assert not done.left
    assert record(root) == whole


def test_among_many_the_files_of_others_are_left(tmp_path: Path) -> None:
    """What was asked for ahead and is not needed must not come to another file."""
    root = tmp_path / "project"
    root.mkdir()
    count = 2 * MOST_ASKED + 10
    for number in range(count):
        (root / f"{number:03}").write_text(f"old {number}")
    snapshots = Snapshots(root, tmp_path / "store")
    first = snapshots.capture()
    for number in range(count):
        if number % 3:
            (root / f"{number:03}").write_text(f"new {number}")
        else:
            (root / f"{number:03}").chmod(0o600)
    then = snapshots.capture()
    prepared = snapshots.prepare([(then, first)])
    mine = {number for number in range(count) if number % 7 == 0}
    for number in mine:
        (root / f"{number:03}").write_text("mine, and longer")
    done = snapshots.carry_out(prepared)
    assert set(done.left) == {f"{number:03}" for number in mine}
    for number in range(count):
        expected = "mine, and longer" if number in mine else f"old {number}"
        assert (root / f"{number:03}").read_text() == expected


def test_a_second_restoration_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "many").mkdir(parents=True)
    for number in range(MANY + 1):
        (root / "many" / f"{number}").write_text(f"{number}")
    snapshots = Snapshots(root, tmp_path / "store")
    first, whole = snapshots.capture(), record(root)
    (root / "many").rename(tmp_path / "away")
    gone = snapshots.capture()
    # Half of it is done, as a crash leaves it: the folder has the mode that it is made with.
    (root / "many").mkdir(0o700)
    for number in range(0, MANY, 2):
        (tmp_path / "away" / f"{number}").rename(root / "many" / f"{number}")
    prepared = snapshots.prepare([(gone, first)], again=True)
    assert not prepared.conflicts
    snapshots.carry_out(prepared)
    assert record(root) == whole


def test_objects_asked_for_ahead(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    store.folder.mkdir()
    store.ensure()
    with store.writing() as writer:
        ids = [writer.write(b"%d" % number * 5000) for number in range(MOST_ASKED)]
    with store.reading() as reader:
        reader.ask(["no name", *ids])
        assert reader.blob(ids[0]) == b"0" * 5000
        assert reader.blob(ids[50]) == b"50" * 5000
        # None that was asked for: those are passed over.
        assert reader.blob(ids[3]) == b"3" * 5000
        assert reader.blob(ids[60]) == b"60" * 5000
        reader.ask(ids[::-1])
        reader.ask(["0" * 40, *ids[:2]])
        assert reader.blob(ids[1]) == b"1" * 5000
        reader.ask(["0" * 40, ids[0]])
        with pytest.raises(StateError, match="is not there"):
            reader.blob("0" * 40)
        assert reader.blob(ids[0]) == b"0" * 5000
