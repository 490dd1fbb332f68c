"""Snapshots that nobody needs are dropped, the others stay."""

import json
import os
from datetime import datetime
from pathlib import Path

from hearth.agent.frame import Frame
from hearth.agent.pruning import is_pruning_due, named_snapshots, prune_snapshots
from hearth.agent.sessions import delete_session
from hearth.agent.transcript import Transcript, create_transcript
from hearth.workspace.snapshots import Snapshots, store_for


def create(folder: Path, session: str, directory: str = "/p") -> Transcript:
    return create_transcript(folder, Frame(session, directory, "m", "x", "", (), {}, 64), datetime(2026, 11, 23))


def test_snapshots_of_sessions_that_are_gone_are_dropped(tmp_path: Path) -> None:
    sessions, stores = tmp_path / "sessions", tmp_path / "stores"
    sessions.mkdir()
    kept: dict[str, str] = {}
    for name in ("here", "gone"):
        root = tmp_path / name
        root.mkdir()
        snapshots = Snapshots(root, store_for(stores, root))
        for number in range(2):
            (root / "file").write_bytes(os.urandom(50_000))
            transcript = create(sessions, f"{name}{number}", str(root))
            transcript.begin_turn("go")
            kept[f"{name}{number}"] = snapshots.capture()
            transcript.add_snapshot("begin", kept[f"{name}{number}"])
            transcript.close()
        (snapshots.store / "recent").write_text("")
    for session in ("here0", "gone0", "gone1"):
        delete_session(sessions, session)
    before, after = prune_snapshots(sessions, stores, 1 << 30)
    assert before > 200_000
    assert 50_000 < after < 60_000
    assert [store.name.split("-")[0] for store in stores.iterdir()] == ["here"]
    root = tmp_path / "here"
    snapshots = Snapshots(root, store_for(stores, root))
    (root / "file").unlink()
    snapshots.restore(snapshots.capture(), kept["here1"])
    assert (root / "file").stat().st_size == 50_000
    assert prune_snapshots(sessions, tmp_path / "nowhere", 0) == (0, 0)


def test_pruning_is_due_once_a_day(tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    assert not is_pruning_due(stores, 1e9)
    stores.mkdir()
    # Nothing on the first day; a clock that was set back does not put it off for long.
    due = [is_pruning_due(stores, now) for now in (1e9, 1e9 + 86_000, 1e9 + 87_000, 1e9 + 87_001, 5e8, 5e8 + 1)]
    assert due == [False, False, True, False, True, False]


def test_what_a_damaged_session_may_need_is_kept(tmp_path: Path) -> None:
    sessions, stores, root = tmp_path / "sessions", tmp_path / "stores", tmp_path / "project"
    sessions.mkdir()
    root.mkdir()
    snapshots = Snapshots(root, store_for(stores, root))
    (root / "a").write_text("a")
    name = snapshots.capture()
    (snapshots.store / "recent").unlink()
    for text in (
        f'{{"type":"session","directory":"{root}"}}\n{{"type":"snapshot","id":"{name}\n{{"type":"call"}}\n',
        f'{{"typ\n"{name}"',
        f'{{"type":"session","directory":"{root}"}}\n{{"type":"snapshot"}}\n{{"type":"snapshot","id":"{name}"}}\n',
    ):
        (sessions / "s.jsonl").write_text(text)
        prune_snapshots(sessions, stores, 1 << 30)
        assert snapshots.diff(name, name) == {}


def test_every_snapshot_that_a_session_names_is_kept(tmp_path: Path) -> None:
    transcript = create(tmp_path, "a")
    transcript.begin_turn("go")
    transcript.add_snapshot("begin", "s1")
    transcript.add_snapshot("end", "s2")
    transcript.end_turn("completed", "")
    transcript.undo(1, (("s2", "s1"),), "s3", "s4")
    transcript.close()
    records = [json.loads(line) for line in transcript.path.read_bytes().splitlines()]
    assert set(named_snapshots(records)) == {"s1", "s2", "s3", "s4"}
