"""Which models there are."""

import os
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import ModelUnavailable, StateError, UsageError
from hearth.weights.manifest import Origin, StoredFile
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


def publish(store: Store, name: str, *files: str, content: bytes = b"GGUF") -> Path:
    """A fetched model of these files; returns the folder where they lie now."""
    incoming = store.incoming / f"of-{len(list(store.manifests()))}"
    incoming.mkdir(parents=True)
    for file in files:
        (incoming / file).write_bytes(content)
    roles = ["mmproj" if file.startswith("mmproj") else "model" for file in files]
    stored = [StoredFile(file, len(content), role=role) for file, role in zip(files, roles, strict=True)]  # type: ignore[arg-type]  # a Literal
    return store.folder_of(store.publish(name, Origin("hub", "owner/name"), incoming, stored))


def test_fetched_models_are_listed_by_their_names(tmp_path: Path, pilot: Path) -> None:
    models = tmp_path / "models"
    (models / "loose.gguf").write_bytes(b"GGUF")
    (models / "zeta:1.gguf").write_bytes(b"the loose file of a name that a fetched model has")
    store = Store(models, pilot)
    folder = publish(store, "gpt-oss:20b", "gpt-oss-20b-F16.gguf", "mmproj-F16.gguf")
    publish(store, "zeta:1", "zeta.gguf")
    assert [card.name for card in store.cards()] == ["pilot", "gpt-oss:20b", "loose", "zeta:1"]
    card = store.resolve("gpt-oss:20b")
    assert card.path == folder / "gpt-oss-20b-F16.gguf"
    assert (card.size_bytes, card.description, card.more_parts) == (4, "from owner/name", ())
    assert card.changed_ns == card.path.stat().st_mtime_ns
    assert store.resolve("zeta:1").path.name == "zeta.gguf"
    assert store.cards()[1] == card


def test_a_fetched_model_in_parts(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    names = [f"big-{number:05}-of-00003.gguf" for number in (3, 1, 2)]
    folder = publish(store, "big", *names)
    card = store.resolve("big")
    assert card.path == folder / names[1]
    assert card.more_parts == (folder / names[0], folder / names[2])
    assert (card.size_bytes, card.description) == (12, "from owner/name, 3 parts")


def test_a_file_that_is_gone_or_cut_is_an_error_with_what_mends_it(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    path = publish(store, "m", "m.gguf", "mmproj-F16.gguf") / "mmproj-F16.gguf"
    path.write_bytes(b"GG")
    with pytest.raises(ModelUnavailable, match="has 2 bytes instead of 4 · run: hearth models pull m"):
        store.resolve("m")
    path.unlink()
    with pytest.raises(ModelUnavailable, match="is gone"):
        store.resolve("m")
    assert "is gone" in store.cards()[1].description


def test_a_file_taken_in_place_that_vanished_or_changed(tmp_path: Path, pilot: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"GGUF")
    store = Store(tmp_path / "models", pilot)
    kept = StoredFile("m.gguf", 4, path=str(blob), how="reference", changed_ns=blob.stat().st_mtime_ns)
    store.publish("m", Origin("import", str(tmp_path), "ollama"), None, [kept])
    assert store.resolve("m").path == blob
    os.utime(blob, ns=(1, 1))
    with pytest.raises(ModelUnavailable, match="was changed since it was imported") as caught:
        store.resolve("m")
    assert "ollama" in caught.value.what
    blob.unlink()
    with pytest.raises(ModelUnavailable, match="is gone") as caught:
        store.resolve("m")
    assert "hearth models import m, or: hearth models remove m" in caught.value.fix


def test_a_damaged_manifest_is_told_and_the_other_models_work(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    for name in ("bad", "good"):
        publish(store, name, f"{name}.gguf")
    manifest = tmp_path / "models" / "manifests" / "bad.json"
    manifest.write_bytes(b'{"version": 1')
    assert [card.name for card in store.cards()] == ["pilot", "good"]
    assert [str(manifest) in error.what for error in store.damaged()] == [True]
    with pytest.raises(StateError, match=r"bad\.json is damaged"):
        store.resolve("bad")
    assert store.resolve("good").size_bytes == 4
    assert store.resolve("pilot").path == pilot


def test_a_models_folder_full_of_nonsense_leaves_the_pilot(tmp_path: Path, pilot: Path) -> None:
    (tmp_path / "models" / "manifests").write_bytes(b"no folder")
    store = Store(tmp_path / "models", pilot)
    assert [card.name for card in store.cards()] == ["pilot"]
    assert store.damaged()
    assert store.resolve("pilot").path == pilot


@pytest.mark.parametrize("name", ["\udcff", "x" * 1000, "\0", "."])
def test_a_text_that_cannot_be_a_name_is_no_model(tmp_path: Path, pilot: Path, name: str) -> None:
    with pytest.raises(ModelUnavailable, match="there is no model"):
        Store(tmp_path / "models", pilot).resolve(name)


def test_a_loaded_model_is_not_removed(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    path = publish(store, "m", "m.gguf") / "m.gguf"
    for in_use in ("m", str(path)):
        with pytest.raises(StateError, match="model m is loaded · run: hearth models unload m"):
            store.remove("m", {in_use})
    assert store.remove("m", {"another"}).freed_bytes == 4
    assert [card.name for card in store.cards()] == ["pilot"]
    with pytest.raises(ModelUnavailable, match="there is no model 'm'"):
        store.remove("m")


def test_what_cannot_be_removed(tmp_path: Path, pilot: Path) -> None:
    store = Store(tmp_path / "models", pilot)
    for name in ("pilot", str(pilot)):
        with pytest.raises(UsageError):
            store.remove(name)
    assert pilot.exists()


def test_a_loose_model_is_removed_with_its_parts_and_a_link_without_its_file(tmp_path: Path, pilot: Path) -> None:
    models = tmp_path / "models"
    for number in (1, 2):
        (models / f"big-{number:05}-of-00003.gguf").write_bytes(b"x" * 10)
    (tmp_path / "elsewhere.gguf").write_bytes(b"x" * 7)
    (models / "linked.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    store = Store(models, pilot)
    with pytest.raises(StateError, match="is loaded"):
        store.remove("big", ["big"])
    assert store.remove("big").freed_bytes == 20
    removed = store.remove("linked")
    assert (removed.freed_bytes, removed.kept_bytes) == (0, 7)
    assert (tmp_path / "elsewhere.gguf").exists()
    assert [card.name for card in store.cards()] == ["pilot"]


def test_an_error_names_no_more_models_than_can_be_read(tmp_path: Path, pilot: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    for number in range(40):
        (folder / f"m{number:02}.gguf").write_bytes(b"x")
    with pytest.raises(ModelUnavailable) as caught:
        Store(folder, pilot).resolve("nothing")
    assert caught.value.fix.startswith("there are 41: pilot, m00, ")
    assert caught.value.fix.endswith("m10 and others: hearth models list")
