"""Entries on disk: found, superseded, kept within the quota, whole after a crash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.runtime.kv.chain import Chain
from hearth.runtime.kv.entry import DamagedEntry, read_record
from hearth.runtime.kv.store import KvStore


@pytest.fixture
def store(tmp_path: Path) -> KvStore:
    made = KvStore(tmp_path / "kv", quota_bytes=1 << 20)
    made.open()
    return made


def talk(*keys: str) -> Chain:
    return Chain(keys, tuple(range(1, len(keys) + 1)), 0)


def add(store: KvStore, *keys: str, size: int = 1000, model: str = "m", base: bool = False) -> str:
    part = store.new_part()
    part.write_bytes(os.urandom(size))
    links = {key: 10 * count for count, key in enumerate(keys, 1)}
    return store.add(part, size, model, links, 10 * len(keys) + 5, base=base)


def test_the_longest_beginning_is_found(store: KvStore) -> None:
    add(store, "s", "x")
    name = add(store, "s", "a", "b")
    match = store.find(talk("s", "a", "b", "c", "d"))
    assert match is not None
    assert (match.name, match.messages, match.tokens, match.whole) == (name, 3, 30, True)
    fork = store.find(talk("s", "a", "z"))
    assert fork is not None
    assert (fork.name, fork.messages, fork.tokens, fork.whole) == (name, 2, 20, False)
    assert store.find(talk("t", "u")) is None


def test_a_continuation_takes_the_place_of_what_it_continues(store: KvStore) -> None:
    base = add(store, "s", base=True)
    other = add(store, "s", "x")
    add(store, "s", "a")
    name = add(store, "s", "a", "b")
    assert {entry.record.name for entry in store.entries()} == {base, other, name}
    assert {path.stem for path in store.folder.glob("*")} == {base, other, name}
    assert store.has_base("s")
    assert not store.has_base("a")
    found = store.find(talk("s", "new"))
    assert found is not None
    assert (found.name, found.whole) == (base, True)


def test_what_the_engine_has_no_room_for_is_not_found(store: KvStore) -> None:
    short = add(store, "s", base=True)
    add(store, "s", "a", "b")
    found = store.find(talk("s", "a", "b"), most_tokens=20)
    assert found is not None
    assert found.name == short


def test_of_one_system_text_one_base_stays(store: KvStore) -> None:
    add(store, "s", base=True)
    later = add(store, "s", base=True)
    assert [entry.record.name for entry in store.entries()] == [later]


def test_another_process_finds_the_same(store: KvStore) -> None:
    name = add(store, "s", "a")
    again = KvStore(store.folder)
    again.open()
    assert again.find(talk("s", "a")) == store.find(talk("s", "a"))
    checked = again.check(name)
    assert checked is not None
    assert checked.last_key == "a"
    assert again.path_of(name).is_file()
    assert [entry.bytes for entry in again.entries()] == [entry.bytes for entry in store.entries()]


def test_files_are_private(store: KvStore) -> None:
    add(store, "a")
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.folder.iterdir()} == {0o600}


def test_the_least_used_go_first_and_base_entries_last(tmp_path: Path) -> None:
    store = KvStore(tmp_path / "kv", quota_bytes=5000)
    store.open()
    base = add(store, "s", base=True)
    first, second = add(store, "s", "a"), add(store, "s", "b")
    os.utime(store.folder / f"{first}.kv", (1, 1))
    store = KvStore(tmp_path / "kv", quota_bytes=5000)
    store.open()
    third = add(store, "s", "c", size=1500)
    assert {entry.record.name for entry in store.entries()} == {base, second, third}
    with pytest.raises(OSError, match="more than the quota"):
        add(store, "s", "d", size=20_000)
    assert {entry.record.name for entry in store.entries()} == {base, second, third}
    assert len(list(store.folder.iterdir())) == 3
    assert store.room() <= 5000


def test_what_a_crash_left_is_cleared(store: KvStore) -> None:
    name = add(store, "a")
    store.new_part().write_bytes(b"half")
    (store.folder / "junk.kv").write_bytes(b"junk" * 100)
    (store.folder / f"{name}.kv").rename(store.folder / "renamed.kv")
    again = KvStore(store.folder)
    again.open()
    assert (again.entries(), again.damaged) == ([], 2)
    assert list(store.folder.iterdir()) == []


def test_a_store_that_is_open_leaves_alone_what_is_being_written(store: KvStore) -> None:
    part = store.new_part()
    part.write_bytes(b"half")
    store.open()
    assert part.exists()


def test_an_engine_that_wrote_less_than_it_says_is_not_believed(store: KvStore) -> None:
    part = store.new_part()
    part.write_bytes(b"x" * 10)
    with pytest.raises(OSError, match="wrote 11 bytes"):
        store.add(part, 11, "m", {"a": 1}, 1)
    assert list(store.folder.iterdir()) == []


def test_an_entry_that_another_process_removed_is_forgotten(store: KvStore) -> None:
    name = add(store, "a")
    (store.folder / f"{name}.kv").unlink()
    assert store.check(name) is None
    assert store.find(talk("a")) is None
    assert store.damaged == 0


def test_clear_takes_one_model_or_all(store: KvStore) -> None:
    add(store, "a", model="one")
    add(store, "b", model="two")
    assert [entry.record.model for entry in store.clear("one")] == ["one"]
    assert [entry.record.model for entry in store.clear()] == ["two"]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_goes_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("kv")
    store = KvStore(folder)
    store.open()
    name = add(store, "a", "b", size=300)
    path = folder / f"{name}.kv"
    whole = path.read_bytes()
    place = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(whole))
    flip = data.draw(st.integers(0, 255))
    changed = bytes([whole[place] ^ flip]) + whole[place + 1 :]
    damaged = whole[:place] + (changed if flip else b"")
    path.write_bytes(damaged)
    again = KvStore(folder)
    again.open()
    if again.find(talk("a", "b")) is None:
        return
    kept = again.check(name)
    # What is not the state may change unseen as long as it reads as a record; the state may not.
    assert kept is None or damaged[:300] == whole[:300]


def test_a_record_that_is_no_record_is_refused(tmp_path: Path) -> None:
    for text in (b"", b"HEARTHKV", b"\xff" * 8 + b"HEARTHKV", b"{}" + (2).to_bytes(8, "little") + b"HEARTHKV"):
        (tmp_path / "x").write_bytes(text)
        with pytest.raises(DamagedEntry):
            read_record(tmp_path / "x")
