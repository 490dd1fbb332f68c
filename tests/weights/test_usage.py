"""When a model was last used, and how fast it was."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hearth.errors import ModelUnavailable
from hearth.weights.store import Store
from hearth.weights.usage import MOST_SPEEDS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for name in ("one", "other"):
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF")
    return Store(tmp_path, tmp_path / "no-pilot")


def test_a_model_that_was_never_used_says_so(store: Store) -> None:
    usage = store.usage(store.resolve("one"))
    assert (usage.last_used, usage.prefill_per_s, usage.decode_per_s) == (0.0, None, None)


def test_it_is_kept_for_each_model(store: Store) -> None:
    before = time.time()
    store.touch("one")
    store.note_speed("one", 900.0, 30.0)
    store.note_speed("one", 1000.0, 35.0)
    store.note_speed("one", 20.0, 1.0)
    usage = store.usage(store.resolve("one"))
    assert before <= usage.last_used <= time.time()
    assert (usage.prefill_per_s, usage.decode_per_s) == (900.0, 30.0)
    assert store.usage(store.resolve("other")).last_used == 0.0


def test_the_latest_measurements_are_kept(store: Store) -> None:
    for number in range(MOST_SPEEDS + 5):
        store.note_speed("one", float(number), 1.0)
    assert [speed.prefill_per_s for speed in store.usage(store.resolve("one")).speeds] == [
        float(number) for number in range(5, MOST_SPEEDS + 5)
    ]


def test_the_speed_of_other_files_is_not_shown(tmp_path: Path, store: Store) -> None:
    store.touch("one")
    store.note_speed("one", 900.0, 30.0)
    (tmp_path / "one.gguf").unlink()
    (tmp_path / "one.gguf").write_bytes(b"GGUF, replaced")
    usage = store.usage(store.resolve("one"))
    assert usage.speeds == ()
    assert usage.last_used > 0
    store.note_speed("one", 500.0, 20.0)
    assert store.usage(store.resolve("one")).prefill_per_s == 500.0


def test_a_removed_model_is_forgotten(tmp_path: Path, store: Store) -> None:
    store.note_speed("one", 900.0, 30.0)
    store.touch("one")
    store.remove("one")
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    assert store.usage(store.resolve("one")).last_used == 0.0
    with pytest.raises(ModelUnavailable):
        store.note_speed("none", 1.0, 1.0)


NEVER = b'{"version": 1, "models": {"one": {"last_used": 1e20}}}'


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b'{"version": 1, "models": {"one": 3}}', b'{"version": 2}', NEVER]
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, store: Store, data: bytes) -> None:
    (tmp_path / "usage.json").write_bytes(data)
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"what a crash left")
    assert store.usage(store.resolve("one")).last_used == 0.0
    store.touch("one")
    assert store.usage(store.resolve("one")).last_used > 0
    assert not (tmp_path / ".0123456789abcdef.tmp").exists()


def test_those_who_write_at_once_lose_nothing(tmp_path: Path, store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            name = ("one", "other")[number % 2]
            # Each with a store of its own, as processes have.
            pool.submit(Store(tmp_path, tmp_path / "no-pilot").note_speed, name, float(number), 1.0)
    for name, expected in (("one", [0.0, 2.0, 4.0, 6.0]), ("other", [1.0, 3.0, 5.0, 7.0])):
        speeds = store.usage(store.resolve(name)).speeds
        assert sorted(speed.prefill_per_s for speed in speeds) == expected
