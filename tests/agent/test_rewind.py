"""Undo and redo of turns: files and words together, whatever happens on the way."""

import asyncio
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hearth.agent.frame import Frame
from hearth.agent.pruning import named_snapshots
from hearth.agent.replay import Intent
from hearth.agent.rewind import (
    CHANGED_MEANWHILE,
    CHANGED_SINCE,
    UNRECORDED,
    KeptTools,
    Rewound,
    TurnSnapshots,
    finish,
    open_snapshots,
    redo,
    tell_finished,
    undo,
)
from hearth.agent.transcript import Transcript, create_transcript, open_transcript, read_records
from hearth.errors import StateError, TranscriptError, UsageError
from hearth.messages import Message, ToolCall
from hearth.paths import resolve_paths
from hearth.settings import UndoSettings
from hearth.tools.tool import ToolResult
from hearth.workspace.snapshots import Snapshots
from recorded_trees import record


class Played:
    """A session in a project, and how both were after each turn."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "project"
        self.root.mkdir()
        (self.root / "kept").write_text("kept")
        self.snapshots = Snapshots(self.root, home / "store")
        frame = Frame("s", str(self.root), "m", "standard", "", (), {}, 64)
        self.transcript = create_transcript(home, frame, datetime.now())
        self.trees = [record(self.root)]
        self.said = [list(self.transcript.messages)]

    def turn(self, do: Callable[[Path], object] | None = None, killed: bool = False) -> None:
        """One turn that does this to the project; a killed one has no end."""
        watch = TurnSnapshots(self.transcript, self.snapshots, pytest.fail)
        self.transcript.begin_turn(f"turn {len(self.trees)}")
        asyncio.run(watch.before_call("bash" if do else "read"))
        if do:
            do(self.root)
        if not killed:
            asyncio.run(watch.end())
            self.transcript.add(Message("assistant", "done"))
            self.transcript.end_turn("completed", "")
        self.trees.append(record(self.root))
        self.said.append(list(self.transcript.messages))

    def is_as_after(self, turn: int) -> bool:
        """Whether files and words are as they were after this turn."""
        assert self.transcript.messages == self.said[turn]
        assert record(self.root) == self.trees[turn]
        return True

    def reopen(self) -> None:
        """As the next process finds it."""
        self.transcript.close()
        self.reopen_closed()

    def reopen_closed(self) -> None:
        """The same after it was closed."""
        self.transcript = open_transcript(self.home, "s")
        self.snapshots = Snapshots(self.root, self.home / "store")


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    made = Played(tmp_path)
    yield made
    made.transcript.close()


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def test_turns_are_undone_and_done_again(played: Played) -> None:
    played.turn(write("a", "1"))
    played.turn()
    played.turn(lambda root: (root / "kept").unlink())
    done = undo(played.transcript, played.snapshots)
    assert (done.prompts, done.done, done.left) == (("turn 3",), ("kept",), {})
    assert played.is_as_after(2)
    played.reopen()
    assert undo(played.transcript, played.snapshots, 2).done == ("a",)
    assert played.is_as_after(0)
    assert redo(played.transcript, played.snapshots).prompts == ("turn 1", "turn 2")
    assert played.is_as_after(2)
    assert redo(played.transcript, played.snapshots).prompts == ("turn 3",)
    assert played.is_as_after(3)
    with pytest.raises(UsageError, match="nothing to redo"):
        redo(played.transcript, played.snapshots)


def test_a_new_turn_goes_on_from_there(played: Played) -> None:
    for number in range(3):
        played.turn(write("a", str(number)))
    undo(played.transcript, played.snapshots, 2)
    played.transcript.begin_turn("another way")
    assert [message.content for message in played.transcript.messages] == ["turn 1", "done", "another way"]
    with pytest.raises(UsageError, match="nothing to redo"):
        redo(played.transcript, played.snapshots)


@pytest.mark.parametrize("turns", [0, -1, 2])
def test_more_turns_than_there_are(played: Played, turns: int) -> None:
    played.turn()
    with pytest.raises(UsageError, match=f"cannot undo {turns} of 1 turn"):
        undo(played.transcript, played.snapshots, turns)


def test_what_a_person_changed_meanwhile_stays(played: Played) -> None:
    played.turn(write("a", "turn"))
    write("mine", "mine")(played.root)
    played.turn(write("b", "turn"))
    write("mine", "mine again")(played.root)
    undo(played.transcript, played.snapshots, 2)
    assert {path.name for path in played.root.iterdir()} == {"kept", "mine"}
    assert (played.root / "mine").read_text() == "mine again"
    write("later", "mine")(played.root)
    redo(played.transcript, played.snapshots)
    assert {path.name for path in played.root.iterdir()} == {"kept", "mine", "later", "a", "b"}


def test_what_a_person_changed_in_the_same_file_is_asked_about(played: Played) -> None:
    played.turn(write("a", "turn"))
    write("a", "mine")(played.root)
    before = record(played.root), played.transcript.path.read_bytes()
    assert undo(played.transcript, played.snapshots).conflicts == ("a",)
    assert (record(played.root), played.transcript.path.read_bytes()) == before
    assert undo(played.transcript, played.snapshots, force=True).done == ("a",)
    assert not (played.root / "a").exists()
    # Redo brings back what was there, not what the turn had made.
    redo(played.transcript, played.snapshots)
    assert (played.root / "a").read_text() == "mine"


def test_between_two_turns(played: Played) -> None:
    played.turn(write("a", "one"))
    write("a", "mine")(played.root)
    played.turn(write("a", "two"))
    assert undo(played.transcript, played.snapshots, 2).conflicts == ("a",)
    assert undo(played.transcript, played.snapshots).conflicts == ()
    assert (played.root / "a").read_text() == "mine"


def test_a_turn_that_was_killed_is_undone_only_with_a_yes(played: Played) -> None:
    played.turn(write("a", "turn"), killed=True)
    write("b", "somebody's")(played.root)
    played.reopen()
    assert undo(played.transcript, played.snapshots).conflicts == ("a", "b")
    undo(played.transcript, played.snapshots, force=True)
    assert played.is_as_after(0)
    redo(played.transcript, played.snapshots)
    assert (played.root / "b").read_text() == "somebody's"


def test_looking_costs_nothing(played: Played) -> None:
    played.turn()
    assert b"snapshot" not in played.transcript.path.read_bytes()
    assert not (played.home / "store").exists()
    undo(played.transcript, None)
    assert played.is_as_after(0)


def test_only_a_look(played: Played) -> None:
    played.turn(write("a", "1"))
    before = played.transcript.path.read_bytes()
    assert undo(played.transcript, played.snapshots, dry=True).done == ("a",)
    assert played.transcript.path.read_bytes() == before
    assert played.is_as_after(1)
    undo(played.transcript, played.snapshots)
    assert redo(played.transcript, played.snapshots, dry=True).done == ("a",)
    assert played.is_as_after(0)


def test_the_words_alone(played: Played) -> None:
    played.turn(write("a", "1"))
    undo(played.transcript, played.snapshots, files=False)
    assert record(played.root) == played.trees[1]
    assert played.transcript.messages == []
    redo(played.transcript, None)
    assert played.is_as_after(1)


def test_without_snapshots_files_cannot_be_undone(played: Played) -> None:
    played.turn(write("a", "1"))
    with pytest.raises(StateError, match="no snapshots are kept"):
        undo(played.transcript, None)
    assert played.is_as_after(1)


def test_a_session_in_use_is_not_touched(played: Played) -> None:
    played.turn(write("a", "1"))
    with pytest.raises(TranscriptError, match="in use"):
        open_transcript(played.home, "s")


def test_a_turn_goes_on_when_no_snapshot_can_be_taken(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    played = Played(tmp_path)
    told: list[str] = []
    watch = TurnSnapshots(played.transcript, played.snapshots, told.append)
    for _ in range(2):
        played.transcript.begin_turn("go")
        asyncio.run(watch.before_call("bash"))
        asyncio.run(watch.before_call("bash"))
        asyncio.run(watch.end())
    assert len(told) == 1
    assert told[0].startswith("what this session changes cannot be undone: snapshots in")
    undo(played.transcript, None)
    played.transcript.close()


def test_our_own_folders_below_the_project_are_not_in_it(tmp_path: Path) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(tmp_path / "home")})
    snapshots = open_snapshots(paths, tmp_path, UndoSettings(leave=("big",)))
    first = snapshots.capture()
    for folder in (paths.models, paths.config, tmp_path / "big"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x").write_text("x")
    # Only the folder around them is seen.
    assert {path for path in snapshots.diff(first, snapshots.capture()) if path} == set()
    assert snapshots.store.parent == paths.data / "snapshots"


class Workshop:
    """Tools whose calls do what they were made for; between them a person works."""

    def __init__(self, played: Played, busy: Callable[[], bool] = bool) -> None:
        self.told: list[str] = []
        self.turns = TurnSnapshots(played.transcript, played.snapshots, self.told.append, busy)
        self.tools = KeptTools(self, self.turns)
        self._played = played
        self._do: Callable[[Path], object] = Path.exists
        self._changed: tuple[str, ...] = ()

    def label(self, call: ToolCall) -> str:
        return f"the {call.name}"

    async def run(self, call: ToolCall) -> ToolResult:
        if call.name == "fail":
            raise StateError("no")
        self._do(self._played.root)
        pause()
        return ToolResult("done", changed=self._changed)

    def call(self, do: Callable[[Path], object], *changed: str, name: str = "bash") -> None:
        """The turn does this."""
        self._do, self._changed = do, changed
        call = ToolCall("c", name, "{}")
        result = asyncio.run(self.tools.run(call))
        self._played.transcript.end_call(call, result, 0.0)
        pause()

    def person(self, do: Callable[[Path], object]) -> None:
        """Somebody else does it."""
        pause()
        do(self._played.root)
        pause()


def pause() -> None:
    """Until the file system's clock has moved on: it may stand still for some milliseconds."""
    time.sleep(0.02)


def worked(played: Played, **options: Any) -> Workshop:
    played.transcript.begin_turn("go")
    return Workshop(played, **options)


def test_what_a_person_changes_while_the_turn_runs_is_left(played: Played) -> None:
    shop = worked(played)
    shop.call(write("a", "turn"))
    shop.person(write("mine", "mine"))
    shop.person(write("kept", "mine too"))
    shop.call(write("b", "turn"))
    asyncio.run(shop.turns.end())
    assert played.transcript.past.turns[-1].others == ("kept", "mine")
    played.reopen()
    for dry in (True, False):
        done = undo(played.transcript, played.snapshots, dry=dry)
        assert (done.done, done.left) == (("a", "b"), dict.fromkeys(("kept", "mine"), CHANGED_MEANWHILE))
    assert {path.name: path.read_text() for path in played.root.iterdir()} == {"kept": "mine too", "mine": "mine"}
    assert redo(played.transcript, played.snapshots).done == ("a", "b")
    assert undo(played.transcript, played.snapshots, force=True).left == {}
    assert {path.name: path.read_text() for path in played.root.iterdir()} == {"kept": "kept"}


def test_a_file_of_both_waits_for_a_yes(played: Played) -> None:
    shop = worked(played)
    shop.call(write("a", "turn"), "a", name="write")
    shop.person(write("a", "mine"))
    asyncio.run(shop.turns.end())
    assert undo(played.transcript, played.snapshots).conflicts == ("a",)
    assert (played.root / "a").read_text() == "mine"
    undo(played.transcript, played.snapshots, force=True)
    assert not (played.root / "a").exists()


def test_what_a_command_in_the_background_changes_is_the_turns(played: Played) -> None:
    shop = worked(played, busy=lambda: True)
    shop.call(write("a", "turn"))
    shop.person(write("built", "by a command"))
    asyncio.run(shop.turns.end())
    assert undo(played.transcript, played.snapshots).done == ("a", "built")


def test_a_folder_that_the_turn_moved_is_its_own(played: Played) -> None:
    (played.root / "folder").mkdir()
    write("folder/old", "older than the turn")(played.root)
    pause()
    shop = worked(played)
    shop.call(lambda root: (root / "folder").rename(root / "moved"))
    shop.person(write("mine", "mine"))
    asyncio.run(shop.turns.end())
    assert played.transcript.past.turns[-1].others == ("mine",)
    assert undo(played.transcript, played.snapshots).done == ("folder", "folder/old", "moved", "moved/old")


def test_an_undo_that_was_cut_off_leaves_what_is_somebody_elses(played: Played) -> None:
    shop = worked(played)
    shop.call(write("a", "turn"))
    shop.person(write("mine", "mine"))
    asyncio.run(shop.turns.end())
    cut_off(played)
    done = finish(played.transcript, played.snapshots)
    assert done is not None
    assert (done.done, done.left) == (("a",), {"mine": CHANGED_MEANWHILE})
    assert tell_finished(done) == [
        "the undo that was cut off is done now",
        f"mine is left as it is: {CHANGED_MEANWHILE}",
    ]


def test_rolling_back_takes_what_the_turn_changed_and_nothing_else(played: Played) -> None:
    shop = worked(played)
    assert not asyncio.run(shop.turns.roll_back())
    shop.call(lambda root: [write("a", "turn")(root), (root / "kept").unlink()])
    shop.person(write("mine", "mine"))
    assert asyncio.run(shop.turns.roll_back())
    assert shop.told == [f"mine was not put back: {CHANGED_MEANWHILE}"]
    assert {path.name for path in played.root.iterdir()} == {"kept", "mine"}
    # What was there is named, so that nothing drops it.
    names = named_snapshots(read_records(played.transcript.path.read_bytes(), played.transcript.path)[0])
    assert len(names) == 2
    assert set(played.snapshots.diff(names[1], names[0])) == {"a", "mine", "kept"}
    # The turn goes on, and is undone as a whole.
    shop.call(write("b", "turn"))
    asyncio.run(shop.turns.end())
    played.reopen()
    assert undo(played.transcript, played.snapshots).done == ("b",)
    assert {path.name for path in played.root.iterdir()} == {"kept", "mine"}
    redo(played.transcript, played.snapshots)
    assert {path.name for path in played.root.iterdir()} == {"kept", "mine", "b"}


def test_a_turn_that_was_rolled_back_and_killed(played: Played) -> None:
    shop = worked(played)
    shop.call(write("a", "turn"))
    assert asyncio.run(shop.turns.roll_back())
    played.reopen()
    assert undo(played.transcript, played.snapshots).done == ()
    assert played.is_as_after(0)


@pytest.mark.parametrize("others", [False, True], ids=["alone", "after a turn with snapshots"])
def test_what_no_snapshot_was_taken_of_is_left_and_named(played: Played, others: bool) -> None:
    if others:
        played.turn(lambda root: (root / "kept").write_text("new"))
    transcript = played.transcript
    transcript.begin_turn("with a full disk")
    for tool, changed, said in (
        ("read", (), "text"),
        ("write", ("one.py",), "wrote one.py"),
        ("edit", (), "not edited: there is no such text"),
        ("bash", (), "denied: bash is not allowed in plan mode, which only looks"),
    ):
        call = ToolCall(f"c-{tool}", tool, "{}")
        transcript.add(Message("assistant", "", (call,)))
        transcript.begin_call(call)
        transcript.end_call(call, ToolResult(said, changed=changed), 0.0)
    transcript.end_turn("completed", "")
    assert undo(transcript, played.snapshots, 1 + others, dry=True).left == {"one.py": UNRECORDED}
    assert undo(transcript, played.snapshots, 1 + others).left == {"one.py": UNRECORDED}
    transcript.begin_turn("and a command")
    call = ToolCall("c-bash", "bash", "{}")
    transcript.add(Message("assistant", "", (call,)))
    transcript.begin_call(call)
    transcript.end_call(call, ToolResult("[exit 1]", failed=True), 0.0)
    transcript.end_turn("completed", "")
    assert undo(transcript, played.snapshots, files=False, dry=True).left == {}
    assert undo(transcript, played.snapshots).left == {"": f"a command ran, and {UNRECORDED}"}
    assert (played.root / "kept").read_text() == "kept"


def test_rolling_back_without_a_store_says_so(played: Played) -> None:
    shop = worked(played)
    shop.call(write("a", "turn"))
    shutil.rmtree(played.home / "store" / "objects")
    assert not asyncio.run(shop.turns.roll_back())
    assert shop.told[0].startswith("the files could not be put back: ")
    assert (played.root / "a").read_text() == "turn"


def test_kept_tools_are_the_tools(played: Played) -> None:
    shop = worked(played)
    assert shop.tools.label(ToolCall("c", "bash", "{}")) == "the bash"
    with pytest.raises(StateError):
        asyncio.run(shop.tools.run(ToolCall("c", "fail", "{}")))
    shop.person(write("mine", "mine"))
    asyncio.run(shop.turns.end())
    assert played.transcript.past.turns[-1].others == ("mine",)


MAKING = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.symlink", "os.truncate"}


def dies_at(number: int, do: Callable[[], object]) -> bool:
    """Whether a child that does this is killed just before its ``number``-th change of any file or process."""
    child = os.fork()
    if child == 0:
        left = number

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            changes = event in MAKING and not (event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if changes or event == "subprocess.Popen":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            do()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


def mess(root: Path) -> None:
    (root / "kept").write_text("changed")
    (root / "folder/inner").mkdir(parents=True)
    (root / "folder/inner/file").write_text("x")
    (root / "folder").chmod(0o555)
    (root / "link").symlink_to("kept")
    (root / "gone").rename(root / "moved")
    (root / "tree/leaf").unlink()
    (root / "tree").rmdir()
    (root / "tree").write_text("a file now")
    (root / "mode").chmod(0o750)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["undo", "redo"])
def test_a_crash_at_any_point_is_gone_on_with(tmp_path: Path, kind: str) -> None:
    played = Played(tmp_path)
    (played.root / "tree").mkdir()
    for name in ("tree/leaf", "gone", "mode"):
        (played.root / name).write_text(name)
    played.trees[0] = record(played.root)
    played.turn(mess)
    there, back = (1, 0) if kind == "undo" else (0, 1)
    ways: dict[str, Callable[[Transcript, Snapshots | None], Rewound]] = {"undo": undo, "redo": redo}
    if kind == "redo":
        undo(played.transcript, played.snapshots)

    def go() -> None:
        ways[kind](open_transcript(played.home, "s"), Snapshots(played.root, played.home / "store"))

    outcomes = set()
    for number in range(1, 1000):
        played.transcript.close()
        died = dies_at(number, go)
        played.transcript = open_transcript(played.home, "s")
        played.snapshots = Snapshots(played.root, played.home / "store")
        begun = played.transcript.past.intent is not None
        outcomes.add(begun)
        finished = finish(played.transcript, played.snapshots)
        assert (finished is not None) == begun
        assert finished is None or (finished.left, finished.conflicts) == ({}, ())
        now = there if played.transcript.messages == played.said[there] else back
        assert played.is_as_after(now), number
        assert not begun or now == back
        if not died:
            break
        # And the way back, for the next one.
        if now == back:
            ways["redo" if kind == "undo" else "undo"](played.transcript, played.snapshots)
        assert played.is_as_after(there)
    assert not died
    assert number > 20
    assert outcomes == {True, False}
    played.transcript.close()


def cut_off(played: Played) -> None:
    """As a crash leaves it before the first file was touched."""
    turn = played.transcript.past.turns[-1]
    steps = ((turn.end, turn.begin),)
    played.transcript.begin_restore(Intent("undo", 1, steps, played.snapshots.capture()))
    played.reopen()


def test_what_changed_after_the_crash_is_left_and_named(played: Played) -> None:
    played.turn(lambda root: [write(name, "turn")(root) for name in "ab"])
    cut_off(played)
    write("a", "mine")(played.root)
    done = finish(played.transcript, played.snapshots)
    assert done is not None
    assert (done.done, done.left) == (("b",), {"a": CHANGED_SINCE})
    assert (played.root / "a").read_text() == "mine"
    assert played.transcript.messages == []
    assert finish(played.transcript, played.snapshots) is None


def test_an_undo_that_cannot_be_gone_on_with_is_given_up(played: Played) -> None:
    played.turn(write("a", "turn"))
    cut_off(played)
    moved = played.root.rename(played.home / "moved")
    with pytest.raises(StateError, match="cannot look at"):
        finish(played.transcript, played.snapshots)
    moved.rename(played.root)
    assert played.transcript.past.intent is not None
    shutil.rmtree(played.home / "store")
    done = finish(played.transcript, played.snapshots)
    assert done is not None
    assert tell_finished(done)[0].startswith("the undo was cut off and is given up: ")
    assert played.is_as_after(1)
    played.reopen()
    assert played.transcript.past.intent is None
    undo(played.transcript, played.snapshots, files=False)
    assert played.transcript.messages == []


@pytest.mark.parametrize("way", [undo, redo])
def test_what_was_cut_off_is_gone_on_with_and_nothing_else_is_done(played: Played, way: Callable[..., Rewound]) -> None:
    played.turn(write("a", "1"))
    played.turn(write("b", "2"))
    cut_off(played)
    looked = way(played.transcript, played.snapshots, dry=True)
    assert played.is_as_after(2)
    done = way(played.transcript, played.snapshots)
    assert (done.kind, done.done, done.resumed) == (looked.kind, looked.done, looked.resumed) == ("undo", ("b",), True)
    assert played.is_as_after(1)


def test_the_words_alone_need_not_wait_for_what_was_cut_off(played: Played) -> None:
    played.turn(write("a", "1"))
    cut_off(played)
    undo(played.transcript, None, files=False)
    assert (played.transcript.messages, played.transcript.past.intent) == ([], None)
    assert record(played.root) == played.trees[1]


def within_file_size(limit: int, do: Callable[[], object]) -> int:
    """Do it in a child that can write no larger file, as on a disk that is full; 1 for a StateError."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            do()
        except StateError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("limit", [0, 1_000, 5_000, 50_000, 150_000])
def test_an_undo_on_a_full_disk_is_gone_on_with(tmp_path: Path, limit: int) -> None:
    played = Played(tmp_path)
    (played.root / "large").write_bytes(os.urandom(200_000))
    (played.root / "gone").write_bytes(os.urandom(20_000))
    (played.root / "shut").mkdir()
    (played.root / "shut/in").write_bytes(os.urandom(300_000))
    (played.root / "shut").chmod(0o555)
    played.trees[0] = record(played.root)

    def change(root: Path) -> None:
        (root / "large").write_text("small")
        (root / "gone").unlink()
        (root / "shut").chmod(0o755)
        (root / "shut/in").write_text("small")
        (root / "shut").chmod(0o555)

    played.turn(change)
    played.transcript.close()

    def go() -> None:
        undo(open_transcript(played.home, "s"), Snapshots(played.root, played.home / "store"))

    assert within_file_size(limit, go) == 1
    assert (played.root / "shut").stat().st_mode & 0o777 == 0o555
    played.reopen_closed()
    done = undo(played.transcript, played.snapshots)
    assert (done.left, done.conflicts) == ({}, ())
    assert played.is_as_after(0)
    played.transcript.close()
