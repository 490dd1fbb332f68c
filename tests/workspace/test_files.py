"""The path guard and the atomic write."""

import inspect
import os
import shutil
import socket
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import WorkspaceError
from hearth.workspace.files import LARGEST_TEXT, Workspace

SECRET = "not for the model"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text(SECRET)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Workspace:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("one\n")
    return Workspace(root)


def refusal(workspace: Workspace, path: str) -> str:
    """What reading says, after checking that writing and status are refused too."""
    with pytest.raises(WorkspaceError):
        workspace.write_text(path, "x")
    with pytest.raises(WorkspaceError) as caught:
        workspace.read_text(path)
    return str(caught.value)


def test_reads_relative_and_absolute_paths_inside(workspace: Workspace) -> None:
    assert workspace.read_text("src/a.py") == "one\n"
    assert workspace.read_text("./src//a.py") == "one\n"
    assert workspace.read_text(str(workspace.root / "src" / "a.py")) == "one\n"
    assert workspace.relative("") == "."


def test_a_root_that_is_a_symlink_takes_absolute_paths_of_both_names(workspace: Workspace, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(workspace.root)
    through = Workspace(link)
    assert through.relative(str(link / "src/a.py")) == "src/a.py"
    assert through.relative(str(workspace.root / "src/a.py")) == "src/a.py"


@pytest.mark.parametrize("path", ["../outside/secret.txt", "src/../../outside/secret.txt", "src/..", ".."])
def test_dots_are_refused(workspace: Workspace, path: str) -> None:
    assert "'..' is not allowed" in refusal(workspace, path)


def test_absolute_paths_outside_are_refused(workspace: Workspace, outside: Path) -> None:
    assert "outside the project" in refusal(workspace, str(outside / "secret.txt"))
    assert "outside the project" in refusal(workspace, "/etc/passwd")
    assert "outside the project" in refusal(workspace, f"{workspace.root}-other/file")


def test_a_nul_byte_is_refused(workspace: Workspace) -> None:
    assert "NUL" in refusal(workspace, "src/a.py\0.txt")


def test_half_a_surrogate_pair_is_refused_and_never_raises_something_else(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError):
        workspace.read_text("src/\ud800.py")
    with pytest.raises(WorkspaceError, match="half a surrogate pair"):
        workspace.write_text("src/a.py", "x\ud800")
    assert workspace.read_text("src/a.py") == "one\n"


def test_symlinked_files_are_refused_wherever_they_point(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "out").symlink_to(outside / "secret.txt")
    (workspace.root / "in").symlink_to("src/a.py")
    (workspace.root / "nowhere").symlink_to("missing")
    for name in ("out", "in", "nowhere"):
        assert "symlink" in refusal(workspace, name)
        assert not workspace.exists(name)
        assert (workspace.root / name).is_symlink()
    assert (outside / "secret.txt").read_text() == SECRET


def test_symlinked_folders_in_the_middle_are_refused(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "src" / "linked").symlink_to(outside)
    assert "symlink" in refusal(workspace, "src/linked/secret.txt")
    with pytest.raises(WorkspaceError):
        workspace.write_text("src/linked/deep/new.txt", "x")
    assert sorted(entry.name for entry in outside.iterdir()) == ["secret.txt"]


def test_what_is_no_regular_file_is_refused_without_waiting(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(workspace.root)  # a socket's name is bounded, a temporary folder's is not
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
        for name in ("fifo", "sock"):
            assert refusal(workspace, name).startswith(f"{name} is not a regular file")
    assert "src is a folder" in refusal(workspace, "src")
    refusal(workspace, ".")


def test_a_device_is_refused() -> None:
    with pytest.raises(WorkspaceError, match="not a regular file"):
        Workspace(Path("/dev")).open("null")


def test_missing_and_odd_names_are_explained(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match=r"src/b\.py does not exist"):
        workspace.read_text("src/b.py")
    with pytest.raises(WorkspaceError, match="part of the path is a file"):
        workspace.read_text("src/a.py/b")
    with pytest.raises(WorkspaceError, match="too long"):
        workspace.read_text("x" * 300)


@given(st.text(max_size=40))
def test_no_path_reads_the_secret_or_raises_something_else(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    root = tmp_path_factory.getbasetemp() / "guarded" / "project"
    root.mkdir(parents=True, exist_ok=True)
    (root.parent / "secret.txt").write_text(SECRET)
    for tried in (path, f"../{path}", f"{path}/../secret.txt", f"{root.parent}/{path}", "../secret.txt"):
        try:
            text = Workspace(root).read_text(tried)
        except WorkspaceError:
            continue
        assert text != SECRET


def test_binary_large_and_other_encodings_are_told_apart(workspace: Workspace) -> None:
    (workspace.root / "bin").write_bytes(b"\x7fELF\0\0")
    (workspace.root / "latin").write_bytes("café".encode("latin-1"))
    with (workspace.root / "huge").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    (workspace.root / "empty").touch()
    with pytest.raises(WorkspaceError, match=r"bin is binary \(6 bytes\)"):
        workspace.read_text("bin")
    with pytest.raises(WorkspaceError, match=r"latin is not UTF-8 \(byte 3\)"):
        workspace.read_text("latin")
    with pytest.raises(WorkspaceError, match="huge is too large"):
        workspace.read_text("huge")
    assert workspace.read_text("empty") == ""


def test_a_file_whose_size_lies_is_bounded_all_the_same() -> None:
    # Files of /proc say that they have 0 bytes.
    with pytest.raises(WorkspaceError, match="too large"):
        Workspace(Path("/proc/self")).read_bytes("status", limit=10)


def test_writing_creates_folders_and_follows_the_umask(workspace: Workspace) -> None:
    before = os.umask(0o027)
    try:
        workspace.write_text("new/deep/file.txt", "text é\n")
    finally:
        os.umask(before)
    written = workspace.root / "new/deep/file.txt"
    assert written.read_bytes() == "text é\n".encode()
    assert stat.S_IMODE(written.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_writing_keeps_mode_and_owner(workspace: Workspace, mode: int) -> None:
    file = workspace.root / "src" / "a.py"
    file.chmod(mode)
    if os.getuid() == 0:
        os.chown(file, 4321, 4321)
    owner = file.stat().st_uid
    workspace.write_text("src/a.py", "two\n")
    assert file.read_text() == "two\n"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.stat().st_uid == owner


def test_a_read_only_file_is_not_replaced(workspace: Workspace) -> None:
    file = workspace.root / "src" / "a.py"
    file.chmod(0o444)
    with pytest.raises(WorkspaceError, match="read-only"):
        workspace.write_text("src/a.py", "two\n")
    assert file.read_text() == "one\n"


def test_the_longest_name_can_be_written(workspace: Workspace) -> None:
    name = "é" * 127
    workspace.write_text(name, "x")
    workspace.write_text(name, "y")
    assert workspace.read_text(name) == "y"


def test_a_failed_write_leaves_nothing_behind(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(WorkspaceError, match="No space left"):
        workspace.write_text("src/a.py", "two\n")
    assert [entry.name for entry in (workspace.root / "src").iterdir()] == ["a.py"]
    assert workspace.read_text("src/a.py") == "one\n"


def test_a_folder_swapped_for_a_symlink_never_leads_outside(workspace: Workspace, outside: Path) -> None:
    root, stop = workspace.root, threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "src").rename(root / "away")
            with suppress(FileExistsError):  # a write may have been quicker
                (root / "src").symlink_to(outside)
                (root / "src").unlink()
            while (root / "away").exists():
                shutil.rmtree(root / "src", ignore_errors=True)  # a write may have made the folder that it missed
                with suppress(OSError):
                    (root / "away").rename(root / "src")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for number in range(300):
            try:
                assert workspace.read_text("src/a.py") != SECRET
                workspace.write_text("src/a.py", f"{number}\n")
                assert all("secret" not in name for name in workspace.walk())
            except WorkspaceError:
                continue
    finally:
        stop.set()
        swapping.join()
    assert sorted(entry.name for entry in outside.iterdir()) == ["secret.txt"]
    assert (outside / "secret.txt").read_text() == SECRET


def test_a_walk_is_sorted_and_leaves_out_symlinks_and_tool_folders(workspace: Workspace, outside: Path) -> None:
    root = workspace.root
    for name in ("b/z.py", "b/a.py", "a.txt", ".git/config", "node_modules/x.js", ".github/ci.yml", "c/.venv/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "link").symlink_to(outside)
    (root / "b" / "link.py").symlink_to(root / "a.txt")
    os.mkfifo(root / "fifo")
    assert list(workspace.walk()) == [".github/ci.yml", "a.txt", "b/a.py", "b/z.py", "src/a.py"]
    assert list(workspace.walk("b")) == ["b/a.py", "b/z.py"]
    assert list(workspace.walk("a.txt")) == ["a.txt"]
    with pytest.raises(WorkspaceError):
        list(workspace.walk("missing"))
    with pytest.raises(WorkspaceError):
        list(workspace.walk("link"))


def test_a_walk_goes_deeper_than_the_stack(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d"] * 400)
    folder.mkdir(parents=True)
    (folder / "file").touch()
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        names = list(Workspace(tmp_path).walk())
    finally:
        sys.setrecursionlimit(before)
    assert [name.count("/") for name in names] == [400]


def test_the_largest_text_can_be_read(workspace: Workspace) -> None:
    (workspace.root / "large").write_bytes(b"x" * LARGEST_TEXT)
    assert len(workspace.read_text("large")) == LARGEST_TEXT


def test_a_symlink_is_told_with_what_to_name_instead(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "real.md").write_text("x")
    (tmp_path / "link.md").symlink_to("sub/real.md")
    (tmp_path / "way").symlink_to("sub")
    (tmp_path / "out").symlink_to("/etc/hosts")
    (tmp_path / "round").symlink_to("round")
    workspace = Workspace(tmp_path)
    for name in ("link.md", "way/real.md"):
        with pytest.raises(WorkspaceError, match=r"symlink · name sub/real\.md"):
            workspace.read_bytes(name)
        with pytest.raises(WorkspaceError, match=r"symlink · name sub/real\.md"):
            workspace.write_text(name, "y")
    with pytest.raises(WorkspaceError, match="leads outside the project"):
        workspace.read_bytes("out")
    with pytest.raises(WorkspaceError, match="symlink"):
        workspace.read_bytes("round")


def test_what_a_crash_left_is_no_file_of_the_project(tmp_path: Path) -> None:
    (tmp_path / ".hearth-0123456789abcdef.tmp").write_text("x")
    (tmp_path / ".hearth-notes.tmp").write_text("x")
    assert list(Workspace(tmp_path).walk()) == [".hearth-notes.tmp"]
