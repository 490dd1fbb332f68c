"""Several files at once: all or none, and whole after a crash."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hearth.errors import WorkspaceError
from hearth.workspace.atomic import KEPT_S, sweep, write_file
from hearth.workspace.encoding import digest_of
from hearth.workspace.files import ANY, ChangedMeanwhileError, FileWrite, Workspace

NAMES = ("a", "sub/b", "c", "new/d")


def fill(root: Path) -> Workspace:
    (root / "sub").mkdir()
    for name in ("a", "sub/b", "c"):
        (root / name).write_text(f"old {name}")
    return Workspace(root)


def tree(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}


def writes() -> list[FileWrite]:
    return [
        FileWrite("a", b"new a", digest_of(b"old a")),
        FileWrite("sub/b", b"new b"),
        FileWrite("new/d", b"new d", None),
        FileWrite("c", None, digest_of(b"old c")),
    ]


class Failing:
    """Renames that go well until the last of so many."""

    def __init__(self, good: int, error: BaseException) -> None:
        self._good = good
        self._error = error

    def __call__(self, *names: Any, **folders: Any) -> None:
        if self._good == 0:
            raise self._error
        self._good -= 1
        rename = os.replace
        rename(*names, **folders)


def test_all_are_written_made_and_removed(tmp_path: Path) -> None:
    fill(tmp_path).write_all(writes())
    assert tree(tmp_path) == {"a": "new a", "sub/b": "new b", "new/d": "new d"}


@pytest.mark.parametrize("good", [0, 1, 2])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_puts_everything_back(tmp_path: Path, good: int, error: BaseException) -> None:
    workspace = fill(tmp_path)
    before, inode = tree(tmp_path), (tmp_path / "a").stat().st_ino
    with pytest.raises((WorkspaceError, KeyboardInterrupt)):
        workspace.write_all(writes(), Failing(good, error))
    assert tree(tmp_path) == before
    assert (tmp_path / "a").stat().st_ino == inode


def test_a_crash_in_the_middle_leaves_whole_files(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    fill(root)
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom hearth.workspace.files import FileWrite, Workspace\n"
        "left = [1]\n"
        "def rename(*names, **folders):\n"
        "    if not left: os._exit(9)\n"
        "    left.pop()\n"
        "    os.replace(*names, **folders)\n"
        "writes = [FileWrite(name, b'new ' * 100_000) for name in ('a', 'sub/b', 'c')]\n"
        "Workspace(Path(sys.argv[1])).write_all(writes, rename)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(root)], check=False).returncode == 9
    left = {name: text for name, text in tree(root).items() if not name.rsplit("/")[-1].startswith(".hearth-")}
    assert left == {"a": "new " * 100_000, "sub/b": "old sub/b", "c": "old c"}


def test_what_is_not_as_expected_stops_all(tmp_path: Path) -> None:
    workspace = fill(tmp_path)
    before = tree(tmp_path)
    for odd in (
        FileWrite("sub/b", b"x", digest_of(b"another")),
        FileWrite("sub/b", b"x", None),
        FileWrite("missing", b"x", digest_of(b"another")),
        FileWrite("sub/b", None, digest_of(b"another")),
    ):
        with pytest.raises(ChangedMeanwhileError, match=f"{odd.path} was changed by somebody else"):
            workspace.write_all([FileWrite("a", b"new"), odd])
    for odd in (FileWrite("missing", None), FileWrite("sub", b"x"), FileWrite("../x", b"x")):
        with pytest.raises(WorkspaceError):
            workspace.write_all([FileWrite("a", b"new"), odd])
    assert tree(tmp_path) == before


def test_modes_are_kept_and_a_moved_file_takes_its_own_along(tmp_path: Path) -> None:
    workspace = fill(tmp_path)
    (tmp_path / "a").chmod(0o750)
    (tmp_path / "c").chmod(0o640)
    moved = FileWrite("moved", b"x", None, like="c")
    workspace.write_all([FileWrite("a", b"x", ANY), moved, FileWrite("c", None)])
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "moved").stat().st_mode) == 0o640
    assert not (tmp_path / "c").exists()


def test_what_a_crash_left_is_swept_away_a_day_later(tmp_path: Path) -> None:
    left, mine = tmp_path / ".hearth-0123456789abcdef.tmp", tmp_path / ".hearth-notes.tmp"
    left.write_text("x")
    mine.write_text("x")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        sweep(folder, time.time())
        assert left.exists()
        sweep(folder, time.time() + KEPT_S + 60)
        assert not left.exists()
    finally:
        os.close(folder)
    assert mine.exists()


def test_a_file_anywhere_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_file(target, b"one", 0o600)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"one", 0o600)
    target.chmod(0o640)
    (tmp_path / "link").symlink_to("a")
    reader = target.open("rb")
    write_file(tmp_path / "link", b"two", 0o600)
    assert (tmp_path / "link").is_symlink()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"two", 0o640)
    # Who reads the old one goes on with the old one.
    assert reader.read() == b"one"
    reader.close()
    (tmp_path / "ahead").symlink_to("made")
    write_file(tmp_path / "ahead", b"three")
    assert (tmp_path / "made").read_bytes() == b"three"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a", "ahead", "link", "made"]


def test_what_cannot_be_written_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "kept").write_bytes(b"old")
    (tmp_path / "kept").chmod(0o444)
    for name in ("folder", "loop", "kept", "kept/a", "no/such", "x" * 300):
        with pytest.raises(OSError, match=r"."):
            write_file(tmp_path / name, b"new")
    assert (tmp_path / "kept").read_bytes() == b"old"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["folder", "kept", "loop"]
    with pytest.raises(OSError, match="No space left"):
        write_file(Path("/dev/full"), b"new")
    write_file(Path("/dev/null"), b"new")
    assert not Path("/dev/null").is_file()
