"""Which models there are."""

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
    assert cards[1] == ModelCard("alpha", models / "alpha.gguf", 4, "alpha.gguf")


def test_a_name_a_path_and_a_file_that_arrives_later(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    assert store.resolve("pilot").path == pilot
    assert store.resolve(str(pilot)) == ModelCard(str(pilot), pilot, pilot.stat().st_size, "pilot.gguf")
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
