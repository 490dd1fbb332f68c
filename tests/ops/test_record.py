"""One daemon on one home, and what a dead one leaves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from hearth import __version__
from hearth.errors import StateError
from hearth.ops.record import DaemonRecord, claim_home, home_is_taken, read_record, version_note
from hearth.paths import Paths, resolve_paths

RECORD = DaemonRecord(pid=42, started=1_700_000_000.0, version="0", background=True, address="http://127.0.0.1:8888")


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


def test_nobody_is_there(paths: Paths) -> None:
    assert not home_is_taken(paths)
    assert read_record(paths) is None


def test_the_second_is_told_who_runs(paths: Paths) -> None:
    claim = claim_home(paths)
    claim.write(RECORD)
    assert read_record(paths) == RECORD
    with pytest.raises(StateError) as caught:
        claim_home(paths)
    assert caught.value.exit_code == 1
    line = str(caught.value)
    assert "pid 42" in line
    assert "since 2023-11-1" in line
    assert "http://127.0.0.1:8888" in line
    assert "hearth stop" in line


def test_one_that_is_just_starting_has_no_record_yet(paths: Paths) -> None:
    claim = claim_home(paths)
    assert home_is_taken(paths)
    assert read_record(paths) is None
    with pytest.raises(StateError, match="just starting"):
        claim_home(paths)
    claim.release()


def test_a_shorter_record_replaces_a_longer_one(paths: Paths) -> None:
    claim = claim_home(paths)
    claim.write(DaemonRecord(1, 0.0, "0", False, no_address_because="x" * 500))
    claim.write(RECORD)
    assert json.loads(paths.daemon_file.read_bytes())["pid"] == 42
    claim.release()


def test_after_release_nothing_is_left_and_the_next_may_come(paths: Paths) -> None:
    claim_home(paths).release()
    assert not paths.daemon_file.exists()
    claim_home(paths).release()


def test_the_file_of_a_dead_daemon_does_not_count(paths: Paths) -> None:
    paths.daemon_file.write_text(json.dumps({"pid": os.getpid(), "started": 0, "version": "0", "background": False}))
    assert read_record(paths) is None
    claim = claim_home(paths)
    claim.write(RECORD)
    assert read_record(paths) == RECORD
    claim.release()


def test_a_file_that_cannot_be_used_is_a_state_error(paths: Paths) -> None:
    paths.daemon_file.mkdir()
    with pytest.raises(StateError, match="cannot open"):
        claim_home(paths)


def test_a_record_without_an_address_says_so() -> None:
    assert "the unix socket alone" in str(DaemonRecord(1, 0.0, "0", True))


def test_a_starting_daemon_does_not_speak_with_a_dead_ones_words(paths: Paths) -> None:
    paths.daemon_file.write_bytes(msgspec.json.encode(RECORD))
    claim = claim_home(paths)
    assert home_is_taken(paths)
    assert read_record(paths) is None
    claim.release()


def test_a_daemon_whose_home_was_cleared_away_leaves_the_next_one_alone(paths: Paths) -> None:
    old = claim_home(paths)
    assert old.holds
    shutil.rmtree(paths.runtime)
    paths.ensure()
    assert not old.holds
    new = claim_home(paths)
    new.write(RECORD)
    old.release()
    assert read_record(paths) == RECORD
    new.release()
    assert not paths.daemon_file.exists()


def test_another_version_is_said() -> None:
    assert version_note(__version__) == ""
    assert version_note("0.0.1") == f"the daemon is hearth 0.0.1, this command {__version__}"
