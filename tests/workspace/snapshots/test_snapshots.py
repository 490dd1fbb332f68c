"""Snapshots of real folders: exact, harmless to what is the owner's, and honest about what they cannot do."""

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.errors import StateError
from hearth.workspace.snapshots import Bounds, Prepared, Restored, Snapshots, store_for
from hearth.workspace.snapshots.git import last_line, unusable
from recorded_trees import record

ODD = os.fsdecode(b"caf\xe9\n\xff")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def snapshots(root: Path, tmp_path: Path) -> Snapshots:
    return Snapshots(root, tmp_path / "store")


def fill(root: Path) -> None:
    (root / "src/deep/er").mkdir(parents=True)
    (root / "src/a.py").write_bytes(b"x = 1\r\n")
    (root / "src/deep/bytes").write_bytes(bytes(range(256)) * 8)
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o4751)
    (root / "empty").touch(0o600)
    (root / ODD).write_text("odd")
    (root / "hollow").mkdir(0o1777)
    (root / ".gitignore").write_text("*.log\nnode_modules\n")
    (root / ".gitattributes").write_text("* text=auto eol=crlf filter=nothing\n")
    (root / "node_modules/m").mkdir(parents=True)
    (root / "node_modules/m/i.js").write_text("1")
    (root / "a.log").write_text("ignored\n")
    (root / "link").symlink_to("src/a.py")
    (root / "dangling").symlink_to(ODD)
    (root / "to-folder").symlink_to("src")


def undone(found: Restored | Prepared) -> Restored:
    assert isinstance(found, Restored), found.conflicts
    return found


def back(snapshots: Snapshots, start: str, target: str) -> Restored:
    done = undone(snapshots.restore(start, target))
    assert not done.left
    assert done.after == target
    return done


def shell(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


GIT = "git -c user.name=n -c user.email=e@x -c init.defaultBranch=main -c protocol.file.allow=always"


def test_everything_comes_back_as_it_was(root: Path, snapshots: Snapshots) -> None:
    fill(root)
    first, whole = snapshots.capture(), record(root)
    shell(
        """
        rm -r src/deep hollow 'link'; chmod 644 run; chmod 700 node_modules; rm node_modules/m/i.js a.log
        mkdir -p link/inside new/empty; echo more >> src/a.py; printf 'b\\0' > empty; mv src renamed
        rm to-folder; echo now a file > to-folder; ln -s nowhere new/link; chmod 2750 .
        """,
        root,
    )
    (root / ODD).unlink()
    second, changed = snapshots.capture(), record(root)
    back(snapshots, second, first)
    assert record(root) == whole
    back(snapshots, first, second)
    assert record(root) == changed


def test_the_same_content_has_the_same_name_and_costs_nothing(root: Path, snapshots: Snapshots) -> None:
    fill(root)
    first = snapshots.capture()
    before = snapshots.size()
    assert snapshots.capture() == first
    (root / "x").write_text("x")
    assert snapshots.capture() != first
    (root / "x").unlink()
    assert Snapshots(root, snapshots.store).capture() == first
    assert snapshots.size() < before + 10_000


def test_a_project_without_anything(root: Path, snapshots: Snapshots) -> None:
    empty = snapshots.capture()
    fill(root)
    back(snapshots, snapshots.capture(), empty)
    assert list(root.iterdir()) == []


def test_the_owners_git_is_not_touched(root: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    fill(root)
    other = tmp_path / "other"
    other.mkdir()
    shell(f"{GIT} init -q && echo s > s && {GIT} add . && {GIT} commit -qm s", other)
    shell(
        f"{GIT} init -q; {GIT} submodule --quiet add {other} sub; {GIT} add -f .; {GIT} commit -qm one; "
        f"mkdir nested; cd nested; {GIT} init -q; echo n > n; {GIT} add n",
        root,
    )
    histories = [root / ".git", root / "nested/.git"]
    first, whole, owned = snapshots.capture(), record(root), [record(folder) for folder in histories]
    sub = (root / "sub/.git").read_bytes()
    shell("echo 2 >> sub/s; rm nested/n; echo 3 > nested/new; rm -r src; echo 4 >> run", root)
    second = snapshots.capture()
    back(snapshots, second, first)
    assert record(root) == whole
    assert [record(folder) for folder in histories] == owned
    assert (root / "sub/.git").read_bytes() == sub
    assert shell(f"{GIT} fsck --strict 2>&1", root).replace("notice", "") == ""
    assert shell(f"{GIT} status --porcelain=v1 --ignore-submodules=none", root) == "?? nested/\n"
    assert shell("git status --porcelain", root / "nested") == "A  n\n"


def test_a_repository_that_was_made_since_keeps_its_history(root: Path, snapshots: Snapshots) -> None:
    first = snapshots.capture()
    shell(f"mkdir n; cd n; {GIT} init -q; echo a > a; {GIT} add a; {GIT} commit -qm a", root)
    done = undone(snapshots.restore(snapshots.capture(), first))
    assert done.left == {"n": "directory not empty"}
    assert shell("git log --format=%s; ls", root / "n") == "a\n"


def test_settings_of_git_change_nothing(
    root: Path, snapshots: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root)
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "hook").write_text(f"#!/bin/sh\ntouch {trap}/ran\n")
    (trap / "hook").chmod(0o755)
    (trap / ".gitconfig").write_text(
        f'[core]\nautocrlf=true\nfsmonitor={trap}/hook\nhooksPath={trap}\n[filter "nothing"]\nclean={trap}/hook\n'
    )
    elsewhere = tmp_path / "elsewhere"
    for name, value in {
        "HOME": trap,
        "GIT_DIR": elsewhere,
        "GIT_WORK_TREE": elsewhere,
        "GIT_INDEX_FILE": elsewhere / "index",
        "GIT_OBJECT_DIRECTORY": elsewhere,
        "GIT_CONFIG_COUNT": "nonsense",
        "GIT_DEFAULT_HASH": "sha256",
    }.items():
        monkeypatch.setenv(name, str(value))
    first, whole = snapshots.capture(), record(root)
    (root / "src/a.py").write_bytes(b"y\n")
    back(snapshots, snapshots.capture(), first)
    assert record(root) == whole
    assert not elsewhere.exists()
    assert not (trap / "ran").exists()


def test_what_somebody_else_changed_is_asked_about(root: Path, snapshots: Snapshots) -> None:
    fill(root)
    first = snapshots.capture()
    (root / "src/a.py").write_text("turn")
    (root / "run").unlink()
    (root / "added").write_text("turn")
    second = snapshots.capture()
    (root / "src/a.py").write_text("mine")
    (root / "other").write_text("mine too")
    before = record(root)
    asked = snapshots.restore(second, first)
    assert isinstance(asked, Prepared)
    assert asked.conflicts == ("src/a.py",)
    assert record(root) == before
    undone(snapshots.restore(second, first, force=True))
    assert (root / "src/a.py").read_bytes() == b"x = 1\r\n"
    assert (root / "other").read_text() == "mine too"
    assert (root / "run").exists()
    assert not (root / "added").exists()
    # What was overwritten is not lost.
    back(snapshots, snapshots.capture(), asked.before)
    assert record(root) == before


def test_only_what_changed_between_the_snapshots_is_touched(root: Path, snapshots: Snapshots) -> None:
    first = snapshots.capture()
    (root / "made").mkdir()
    (root / "made/by-turn").touch()
    second = snapshots.capture()
    (root / "made/by-me").touch()
    done = undone(snapshots.restore(second, first))
    assert done.left == {"made": "directory not empty"}
    assert [path.name for path in (root / "made").iterdir()] == ["by-me"]


def test_a_file_that_changes_while_it_is_restored_is_left(root: Path, snapshots: Snapshots) -> None:
    first = snapshots.capture()
    (root / "a").write_text("turn")
    (root / "b").write_text("turn")
    prepared = snapshots.prepare([(snapshots.capture(), first)])
    (root / "a").write_text("mine")
    done = snapshots.carry_out(prepared)
    assert done.left == {"a": "something else is there now"}
    assert done.done == ("b",)
    assert (root / "a").read_text() == "mine"


@pytest.mark.parametrize("where", ["folder", "leaf", "middle"])
def test_nothing_is_written_through_a_symlink(root: Path, snapshots: Snapshots, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    (outside / "d/f").write_text("precious")
    (root / "d/d").mkdir(parents=True)
    (root / "d/d/f").write_text("old")
    first = snapshots.capture()
    (root / "d/d/f").write_text("new")
    (root / "d/d/g").write_text("new")
    second = snapshots.capture()
    match where:
        case "leaf":
            (root / "d/d/f").unlink()
            (root / "d/d/f").symlink_to(outside / "d/f")
        case "folder":
            shell(f"rm -r d/d; ln -s {outside}/d d/d", root)
        case "middle":
            shell(f"rm -r d; ln -s {outside} d", root)
    for force in (False, True):
        snapshots.restore(second, first, force=force)
        assert record(outside) == {
            b"": ("folder", 0o755),
            b"d": ("folder", 0o755),
            b"d/f": ("file", 0o644, b"precious"),
        }


def test_a_symlink_put_in_the_way_while_restoring_leads_nowhere(
    root: Path, snapshots: Snapshots, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "d").mkdir()
    (root / "d/f").write_text("old")
    first = snapshots.capture()
    (root / "d/f").write_text("new")
    prepared = snapshots.prepare([(snapshots.capture(), first)])
    shell(f"mv d away; ln -s {outside} d", root)
    assert set(snapshots.carry_out(prepared).left) == {"d/f"}
    assert list(outside.iterdir()) == []


def test_what_is_no_file_is_left_alone(root: Path, snapshots: Snapshots) -> None:
    (root / "a").write_text("a")
    first = snapshots.capture()
    (root / "a").unlink()
    os.mkfifo(root / "a")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(root, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket" if sys.platform == "linux" else str(root / "socket"))
        os.close(here)
        (root / "b").write_text("b")
        done = undone(snapshots.restore(snapshots.capture(), first))
    assert done.left == {"a": "something else is there now"}
    assert sorted(path.name for path in root.iterdir()) == ["a", "fifo", "socket"]


def test_a_change_that_hides_its_time_is_seen(root: Path, snapshots: Snapshots) -> None:
    file = root / "a"
    file.write_text("one")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    first = snapshots.capture()
    for text in ("two", "six"):
        # Within one tick of the clock, of the same size, and the time set back.
        file.write_text(text)
        os.utime(file, (1_000_000_000, 1_000_000_000))
        second = snapshots.capture()
        assert second != first
        first = second


def test_our_own_folders_are_left_out(root: Path) -> None:
    store = root / "data/snapshots/p"
    snapshots = Snapshots(root, store, [root / "data/models", "left", "by/path"])
    for name in ("data/models/m", "left/x", "deep/left/x", "by/path/x", "path/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1")
    first = snapshots.capture()
    for name in ("data/models/m", "left/x", "deep/left/x", "by/path/x"):
        (root / name).write_text("2")
    assert snapshots.capture() == first
    (root / "path/x").write_text("2")
    assert snapshots.capture() != first


def test_a_large_file_is_noticed_and_not_kept(root: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(root, tmp_path / "store", bounds=Bounds(largest=2 << 20))
    (root / "large").write_bytes(os.urandom(4 << 20))
    (root / "fits").write_bytes(os.urandom(2 << 20))
    first, whole = snapshots.capture(), record(root)
    assert snapshots.size() < 3 << 20
    (root / "fits").write_bytes(b"x" * (1 << 20))
    second = snapshots.capture()
    back(snapshots, second, first)
    assert record(root) == whole
    (root / "large").unlink()
    prepared = snapshots.prepare([(snapshots.capture(), first)])
    assert prepared.plan.kept == ("large",)


@pytest.mark.parametrize(("bounds", "what"), [(Bounds(entries=3), "3 files"), (Bounds(new=2 << 20), "2 MiB")])
def test_a_project_beyond_the_bounds_has_no_snapshot(root: Path, tmp_path: Path, bounds: Bounds, what: str) -> None:
    for number in range(4):
        (root / str(number)).write_bytes(os.urandom(1 << 20))
    with pytest.raises(StateError, match=f"more than {what}"):
        Snapshots(root, tmp_path / "store", bounds=bounds).capture()


def test_when_it_is_too_much_what_tools_made_is_left_out_and_said_so(root: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(root, tmp_path / "store", bounds=Bounds(new=2 << 20))
    (root / "a").write_text("1")
    (root / "node_modules").mkdir()
    (root / "node_modules/small").write_text("1")
    first = snapshots.capture()
    (root / "a").write_text("2")
    (root / "node_modules/large").write_bytes(os.urandom(3 << 20))
    second = snapshots.capture()
    assert snapshots.capture() == second
    done = undone(snapshots.restore(second, first))
    assert (done.done, done.left) == (("a",), {"node_modules": "it is not kept in snapshots"})
    assert (root / "node_modules/large").exists()
    # Left out at both ends it is no change.
    (root / "a").write_text("3")
    back(snapshots, snapshots.capture(), done.after)


def test_without_git_there_is_no_snapshot(
    root: Path, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (root / "a").write_text("a")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StateError, match="git is not installed"):
        snapshots.capture()


def test_a_full_disk_is_not_told_as_a_damaged_one(tmp_path: Path) -> None:
    """What git 2.39 says when the last of a pack does not fit."""
    said = (
        b"fatal: sha1 file '/s/objects/pack/tmp_pack_a' write error. Out of diskspace\n"
        b"fast-import: dumping crash report to /s/fast_import_crash_1\n"
        b"fatal: Unexpected checksum for /s/objects/pack/tmp_pack_a (disk corruption?)\n"
    )
    told = unusable(tmp_path, last_line(said))
    assert "Out of diskspace" in told.what
    assert told.fix == "make room on the disk"
    assert last_line(b"warning: x\nfatal: not a repository\n") == "not a repository"
    assert last_line(b"\n") == ""


@pytest.fixture
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_no_false_memory(root: Path, snapshots: Snapshots, full_disk: None) -> None:
    (root / "a").write_text("a")
    first = snapshots.capture()
    for number in range(200):
        (root / f"b{number}").write_bytes(os.urandom(40_000))
    with pytest.raises(StateError, match="snapshots in"):
        snapshots.capture()
    for number in range(1, 200):
        (root / f"b{number}").unlink()
    # What did not fit was not noted as kept.
    second, whole = snapshots.capture(), record(root)
    back(snapshots, second, first)
    back(snapshots, first, second)
    assert record(root) == whole
    assert not list((snapshots.store / "objects/pack").glob("tmp*"))


def test_a_damaged_store_is_told_before_anything_is_changed(root: Path, snapshots: Snapshots) -> None:
    fill(root)
    first = snapshots.capture()
    for name in ("src/a.py", "run"):
        (root / name).write_text("changed")
    second, changed = snapshots.capture(), record(root)
    for lost in (snapshots.store / "objects").glob("??/*"):
        if lost.stat().st_size < 40:
            lost.unlink()
    with pytest.raises(StateError, match=r"damaged|not there"):
        snapshots.restore(second, first)
    assert record(root) == changed


def test_bytes_that_rotted_in_the_store_are_not_written(root: Path, snapshots: Snapshots) -> None:
    (root / "a").write_bytes(os.urandom(2000))
    first = snapshots.capture()
    (root / "a").write_text("b")
    second = snapshots.capture()
    blob = max((snapshots.store / "objects").glob("??/*"), key=lambda path: path.stat().st_size)
    blob.chmod(0o600)
    data = blob.read_bytes()
    blob.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    with pytest.raises(StateError, match="damaged"):
        snapshots.restore(second, first)
    assert [path.name for path in root.iterdir()] == ["a"]
    assert (root / "a").read_text() == "b"


def test_a_lost_memory_only_costs_time(root: Path, snapshots: Snapshots) -> None:
    fill(root)
    first = snapshots.capture()
    for content in (b"", b"\xc1", b"\x93\x09\xa0\x90"):
        (snapshots.store / "state").write_bytes(content)
        assert Snapshots(root, snapshots.store).capture() == first


def test_several_at_once(root: Path, tmp_path: Path) -> None:
    fill(root)
    names: list[str] = []
    workers = [
        threading.Thread(target=lambda: names.append(Snapshots(root, tmp_path / "store").capture())) for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(names)) == 1
    assert len(names) == 6


@pytest.mark.slow
def test_a_process_that_is_killed_holds_nothing_up(root: Path, snapshots: Snapshots) -> None:
    fill(root)
    (root / "much").write_bytes(os.urandom(16 << 20))
    code = (
        "import sys; from pathlib import Path; from hearth.workspace.snapshots import Snapshots;"
        "print('go', flush=True); Snapshots(Path(sys.argv[1]), Path(sys.argv[2])).capture()"
    )
    with subprocess.Popen([sys.executable, "-c", code, root, snapshots.store], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1)
        child.kill()
    first, whole = snapshots.capture(), record(root)
    (root / "much").unlink()
    back(snapshots, snapshots.capture(), first)
    assert record(root) == whole


def test_pruning_drops_what_nobody_names(root: Path, snapshots: Snapshots) -> None:
    names, trees = [], []
    for number in range(5):
        (root / "file").write_bytes(os.urandom(200_000))
        (root / f"folder{number}").mkdir()
        names.append(snapshots.capture())
        trees.append(record(root))
    recent = snapshots.store / "recent"
    assert snapshots.prune(names[:1], 1 << 30) > 1_000_000, "those of the last hour stay"
    recent.write_text("".join(f"1000 {name}\n" for name in names) + "torn 12")
    assert 600_000 < snapshots.prune(names[:1:-1], 1 << 30) < 700_000
    back(snapshots, names[4], names[2])
    assert record(root) == trees[2]
    with pytest.raises(StateError, match="not there"):
        snapshots.restore(names[2], names[0])
    # Named newest first: the oldest goes when there is too little room.
    recent.write_text("")
    assert 400_000 < snapshots.prune([names[4], names[3], names[2]], 450_000) < 450_000
    assert snapshots.capture() == names[2]
    recent.write_text("")
    assert snapshots.prune([], 0) < 10_000
    assert snapshots.capture() == names[2]
    (root / "file").unlink()
    back(snapshots, snapshots.capture(), names[2])
    assert record(root) == trees[2]


ORDINARY = """
import encodings.ascii, os, sys, time, traceback, linecache
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from hearth.workspace.snapshots import Snapshots
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
root = Path(sys.argv[1])
os.umask(0o022)
(root / "shut").mkdir(); (root / "shut/in").write_text("1"); (root / "shut/gone").write_text("1")
(root / "file").write_text("2"); (root / "secret").mkdir(); (root / "secret/s").write_text("3")
(root / "shut").chmod(0o555); (root / "secret").chmod(0)
snapshots = Snapshots(root, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_an_ordinary_user_with_folders_that_are_shut(home: Path) -> None:
    root, store = home / "p", home / "s"
    home.chmod(0o711)
    for folder in (root, store):
        folder.mkdir()
        folder.chmod(0o777)
    code = (
        ORDINARY
        + """
time.sleep(2.1)  # what changed a moment ago may change again unseen: of such a file nothing is taken on trust
first = snapshots.capture()
(root / "shut").chmod(0o755); (root / "shut/in").write_text("changed"); (root / "shut/gone").unlink()
(root / "shut/new").write_text("n"); (root / "shut").chmod(0o555)
(root / "file").chmod(0)
(root / "secret").chmod(0o755)
second = snapshots.capture()
done = snapshots.restore(second, first)
print(sorted(done.left), (root / "shut/in").read_text(), (root / "shut/gone").read_text())
print(sorted(path.name for path in (root / "shut").iterdir()), oct((root / "shut").stat().st_mode))
print(oct((root / "file").stat().st_mode), (root / "file").read_text(), (root / "secret/s").read_text())
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code, root, store, *sys.path],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.stdout.splitlines() == [
        "['secret'] 1 1",
        "['gone', 'in'] 0o40555",
        "0o100644 2 3",
    ], done.stderr
    for folder in (root / "shut", root / "secret"):
        folder.chmod(0o755)


def test_each_project_has_a_store_of_its_own(tmp_path: Path) -> None:
    one, other = store_for(tmp_path, Path("/a/pröject x")), store_for(tmp_path, Path("/b/pröject x"))
    assert one != other
    assert one.name.startswith("pr_ject_x-")
