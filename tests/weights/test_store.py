"""Which models there are."""

import os
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import ModelUnavailable
from hearth.weights.store import ModelCard, Store


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "models").mkdir()
    return gguf_models.write_lfm2(tmp_path / "package" / "pilot.gguf")


def card_of(path: Path, name: str) -> ModelCard:
    status = path.stat()
    return ModelCard(name, path, status.st_size, path.name, changed_ns=status.st_mtime_ns)


def test_the_pilot_comes_first_then_the_folder_by_name(tmp_path: Path, pilot: Path) -> None:
    models = tmp_path / "models"
    for name in ("zeta.gguf", "alpha.gguf", "notes.txt", "pilot.gguf"):
        (models / name).write_bytes(b"GGUF")
    (models / "folder.gguf").mkdir()
    (models / "broken.gguf").symlink_to(models / "gone")
    cards = Store(models, pilot).cards()
    assert [card.name for card in cards] == ["pilot", "alpha", "zeta"]
    assert cards[0].path == pilot
    assert cards[0].size_bytes == pilot.stat().st_size
    assert cards[1] == card_of(models / "alpha.gguf", "alpha")


def test_a_name_a_path_and_a_file_that_arrives_later(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    assert store.resolve("pilot").path == pilot
    assert store.resolve(str(pilot)) == card_of(pilot, str(pilot))
    with pytest.raises(ModelUnavailable):
        store.resolve("late")
    (tmp_path / "models" / "late.gguf").write_bytes(b"GGUF")
    assert store.resolve("late").size_bytes == 4


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, pilot: Path) -> None:
    (tmp_path / "models" / "other.gguf").write_bytes(b"")
    with pytest.raises(ModelUnavailable) as caught:
        Store(tmp_path / "models", pilot).resolve("nothing/like-it")
    assert str(caught.value) == "there is no model 'nothing/like-it' · there are: pilot, other"


def test_a_home_without_any_model_says_where_to_put_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "none", tmp_path / "pilot.gguf")
    assert store.cards() == []
    with pytest.raises(ModelUnavailable, match=r"put a \.gguf file into"):
        store.resolve("other")


def test_a_missing_pilot_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="the pilot is missing from this installation"):
        Store(tmp_path, tmp_path / "pilot.gguf").resolve("pilot")


@pytest.mark.parametrize("name", ["../secret.gguf", "", "models/x.gguf", "pilot.gguf"])
def test_a_relative_path_is_no_name(tmp_path: Path, pilot: Path, name: str) -> None:
    with pytest.raises(ModelUnavailable):
        Store(tmp_path / "models", pilot).resolve(name)


def test_the_parts_of_a_split_model_are_one_model(tmp_path: Path, pilot: Path) -> None:
    models = tmp_path / "models"
    for number, size in ((1, 10), (2, 20), (3, 30)):
        (models / f"big-{number:05}-of-00003.gguf").write_bytes(b"x" * size)
    (models / "late-00002-of-00002.gguf").write_bytes(b"the first part is not here yet")
    (models / "half-00001-of-00002.gguf").write_bytes(b"x")
    cards = {card.name: card for card in Store(models, pilot).cards()}
    assert list(cards) == ["pilot", "big", "half"]
    assert cards["big"].path == models / "big-00001-of-00003.gguf"
    assert (cards["big"].size_bytes, cards["big"].description) == (60, "3 parts")
    assert [part.name for part in cards["big"].more_parts] == ["big-00002-of-00003.gguf", "big-00003-of-00003.gguf"]
    assert cards["half"].description == "2 parts, 1 missing"


def test_a_whole_file_keeps_its_name_beside_parts_of_it(tmp_path: Path, pilot: Path) -> None:
    models = tmp_path / "models"
    for name in ("big.gguf", "big-00001-of-00002.gguf"):
        (models / name).write_bytes(b"x")
    assert [card.name for card in Store(models, pilot).cards()] == ["pilot", "big-00001-of-00002", "big"]


@pytest.mark.parametrize("name", [b"two\nlines", b"\x1b[31mred", b"no text \xff"])
def test_a_file_whose_name_cannot_be_said_is_left_out_and_told(tmp_path: Path, pilot: Path, name: bytes) -> None:
    path = tmp_path / "models" / os.fsdecode(name + b".gguf")
    path.write_bytes(b"GGUF")
    store = Store(tmp_path / "models", pilot)
    assert [card.name for card in store.cards()] == ["pilot"]
    assert store.unnameable() == [path]


@pytest.mark.parametrize("name", ["a b", "it's", 'q"uote', "..", "%2e%2e", "x" * 240, "ünï", "-n"])
def test_odd_names_are_names(tmp_path: Path, pilot: Path, name: str) -> None:
    path = tmp_path / "models" / f"{name}.gguf"
    path.write_bytes(b"GGUF")
    assert Store(tmp_path / "models", pilot).resolve(name).path == path


def test_the_chosen_model_is_listed_by_its_path(tmp_path: Path, pilot: Path) -> None:
    elsewhere = tmp_path / "elsewhere.gguf"
    store = Store(tmp_path / "models", pilot)
    assert [card.name for card in store.cards(str(elsewhere))] == ["pilot"]
    elsewhere.write_bytes(b"GGUF")
    assert [card.name for card in store.cards(str(elsewhere))] == ["pilot", str(elsewhere)]


def test_a_path_that_cannot_be_is_a_card_without_a_file(tmp_path: Path, pilot: Path) -> None:
    assert Store(tmp_path / "models", pilot).resolve("/a\0b.gguf").size_bytes == 0
