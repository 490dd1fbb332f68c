"""Pulls at once of the same files: one fetches, the others wait and take what it brought."""

import os
import threading
from pathlib import Path

import pytest
from pulled_models import QUICK, REPO, Shelf, noise, plan_of, puller

from hearth.errors import StateError
from hearth.weights.fetch.claim import claimed
from hearth.weights.fetch.progress import Notice
from hearth.weights.fetch.pull import Puller, incoming_folder, lock_of
from hearth.weights.fetch.wire import Access
from hearth.weights.manifest import Origin, StoredFile
from hub_server import HubServer


def test_two_pulls_of_the_same_files_take_turns(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(300_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    access = Access(server.endpoint)
    waiting, blocked = threading.Event(), threading.Event()
    first: list[object] = []

    def hold(name: str, origin: Origin, incoming: Path, files: tuple[StoredFile, ...]) -> str:
        blocked.set()
        assert waiting.wait(20)
        return shelf.publish(name, origin, incoming, files)

    thread = threading.Thread(target=lambda: first.append(Puller(
        tmp_path / "models", hold, access, lambda _: None, tuning=QUICK).pull(plan)))  # fmt: skip
    thread.start()
    assert blocked.wait(20)
    with pytest.raises(StateError, match=rf"already \(process {os.getpid()}\)"):
        puller(tmp_path, shelf, access).pull(plan, wait=False)
    told: list[object] = []

    def tell(event: object) -> None:
        told.append(event)
        waiting.set()

    second = Puller(tmp_path / "models", shelf.publish, access, tell, tuning=QUICK)
    assert second.pull(plan, have=lambda: first[0] if shelf.models else None) == "m"
    thread.join(20)
    assert told == [Notice(f"waiting: another process fetches it already (process {os.getpid()})")]
    assert sum(seen.sent for seen in server.of("storage")) == len(data)
    assert not lock_of(incoming_folder(tmp_path / "models", plan)).exists()


def test_a_lock_that_is_taken_away_meanwhile_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, told, opened = tmp_path / "a.lock", list[str](), list[int]()

    def open_late(path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        opened.append(descriptor)
        if len(opened) == 1:
            # Whoever had it is done just now.
            path.unlink()
        return descriptor

    monkeypatch.setattr("hearth.weights.fetch.claim._open", open_late)
    with claimed(lock, wait=False, tell=told.append):
        assert (len(opened), told) == (2, [])
        # It is held by this file: the next one to come is refused.
        second = claimed(lock, wait=False, tell=told.append)
        with pytest.raises(StateError, match="already"):
            second.__enter__()
    assert not lock.exists()


def test_what_another_published_just_before_is_not_fetched_again(
    tmp_path: Path, server: HubServer, shelf: Shelf
) -> None:
    server.add(REPO, {"a.gguf": noise(1000)})
    assert puller(tmp_path, shelf, Access(server.endpoint)).pull(plan_of(server), have=lambda: "theirs") == "theirs"
    assert not server.of("storage")
    assert list((tmp_path / "models" / ".incoming").iterdir()) == []
