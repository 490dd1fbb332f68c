"""A model that was found is taken over: in place, verified, once; or refused, with nothing left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import CorruptModel, ModelUnavailable, StateError, UsageError
from hearth.weights.fetch.progress import Progress
from hearth.weights.importers import Place, consequence, import_model, imported_as
from hearth.weights.importers.found import Found, FoundFile
from hearth.weights.importers.taking import Reading, Way, take
from hearth.weights.manifest import Manifest, Origin, StoredFile
from hearth.weights.store import Store
from other_stores import Ollama, disk_bytes, gguf, named


def test_an_import_takes_no_more_disk_and_is_verified(tmp_path: Path, ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["somebody/sees:7b"]
    assert imported_as(found, store) == ""
    before = disk_bytes(tmp_path)
    told: list[object] = []
    manifest = import_model(found, store, report=told.append)
    assert disk_bytes(tmp_path) - before <= 3 * 4096
    assert (manifest.name, manifest.origin) == (
        "somebody/sees:7b",
        Origin("import", str(found.files[0].path), "ollama"),
    )
    for file, original in zip(manifest.files, found.files, strict=True):
        ours, theirs = (store.folder_of(manifest) / file.name).stat(), original.path.stat()
        assert (ours.st_dev, ours.st_ino, ours.st_nlink) == (theirs.st_dev, theirs.st_ino, 2)
        assert (file.how, file.sha256, file.path) == ("link", original.sha256, "")
    last = told[-1]
    assert isinstance(last, Progress)
    assert (last.done_bytes, last.size_bytes, last.number, last.count) == (found.size_bytes, found.size_bytes, 2, 2)
    assert "stays when ollama deletes its own" in consequence(manifest)
    assert imported_as(found, store) == "somebody/sees:7b"
    # A link outlives what happens over there, and its removal leaves the other alone.
    data = found.files[0].path.read_bytes()
    found.files[0].path.unlink()
    assert store.resolve("somebody/sees:7b").path.read_bytes() == data
    assert store.remove("somebody/sees:7b").freed_bytes == len(data)
    assert found.files[1].path.exists()


def loose(folder: Path, name: str, *seeds: int) -> Found:
    """A model of one file, or of the parts that these seeds make."""
    folder.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds, 1):
        part = f"-{number:05}-of-{len(seeds):05}" if len(seeds) > 1 else ""
        (folder / f"{name}{part}.gguf").write_bytes(gguf(folder, seed))
    return named([Place("folder", folder)])[name]


def test_an_import_does_not_replace_another_model_of_the_name(tmp_path: Path, ollama: Ollama, store: Store) -> None:
    one, other = loose(tmp_path / "one", "m", 1), loose(tmp_path / "other", "m", 2)
    import_model(one, store)
    assert import_model(one, store).name == "m"
    one.files[0].path.unlink()
    kept = store.resolve("m").path.read_bytes()
    for found in (other, named([Place("ollama", ollama.root)])["tiny:1b"]):
        with pytest.raises(UsageError, match=r"there is a model m already, imported from .*/one/m\.gguf · .*--as NAME"):
            import_model(found, store, name="m")
    assert store.resolve("m").path.read_bytes() == kept
    # What is lost already stands in nobody's way.
    store.resolve("m").path.unlink()
    assert import_model(other, store).origin.where == str(other.files[0].path)


def test_a_file_whose_name_is_too_long_for_us_is_refused_in_words(tmp_path: Path, store: Store) -> None:
    found = loose(tmp_path / "one", "n" * 186, 1, 2)
    with pytest.raises(UsageError, match="is too long · rename the file"):
        import_model(found, store)
    assert store.manifests() == []


def test_a_blob_that_is_damaged_is_not_imported(ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["tiny:1b"]
    blob = found.files[0].path
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(CorruptModel, match="its sha256 is"):
        import_model(found, store)
    assert store.cards() == []
    assert blob.stat().st_nlink == 1
    blob.unlink()
    with pytest.raises(ModelUnavailable):
        import_model(found, store)


def test_a_reference_says_when_its_blob_vanished_and_a_second_import_mends_it(ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["tiny:1b"]
    manifest = import_model(found, store, how="reference")
    assert store.resolve("tiny:1b").path == found.files[0].path
    assert found.files[0].path.stat().st_nlink == 1
    assert "is gone when it is deleted there" in consequence(manifest)
    assert imported_as(found, store) == "tiny:1b"
    data = found.files[0].path.read_bytes()
    found.files[0].path.unlink()
    with pytest.raises(ModelUnavailable, match=r"sha256-\w+ is gone; it lay in the store of ollama"):
        store.resolve("tiny:1b")
    ollama.blob(data)
    os.utime(found.files[0].path, ns=(1, 1))
    with pytest.raises(ModelUnavailable, match="was changed since it was imported"):
        store.resolve("tiny:1b")
    import_model(found, store, how="reference")
    assert store.resolve("tiny:1b").path.read_bytes() == data
    assert store.remove("tiny:1b").freed_bytes == 0
    assert found.files[0].path.exists()


def test_a_copy_is_made_when_it_is_asked_for_and_never_else(ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["tiny:1b"]
    manifest = import_model(found, store, how="copy", name="mine")
    ours = store.resolve("mine").path
    assert ours.read_bytes() == found.files[0].path.read_bytes()
    assert ours.stat().st_ino != found.files[0].path.stat().st_ino
    assert (manifest.files[0].how, consequence(manifest)) == ("own", "a copy of our own")
    # The same model twice: the second name is a link again.
    assert import_model(found, store).files[0].how == "link"


def test_shared_blocks_where_the_file_system_has_them(ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["tiny:1b"]
    try:
        manifest = import_model(found, store, how="reflink")
    except StateError as error:
        assert "by shared blocks: " in error.what  # noqa: PT017  # which of the two is the file system's choice
        assert store.cards() == []
    else:
        ours = store.resolve(manifest.name).path
        assert ours.read_bytes() == found.files[0].path.read_bytes()
        assert ours.stat().st_ino != found.files[0].path.stat().st_ino


def test_a_file_that_can_be_neither_linked_nor_shared_is_taken_by_reference(tmp_path: Path) -> None:
    # Devices lie in a file system of their own everywhere.
    file = FoundFile(Path("/dev/null"), "null.gguf", 0)
    found = Found("null", "folder", "/dev", (file,))
    ways: tuple[Way, ...] = ("link", "reflink", "reference")
    taken = take(found, tmp_path, ways, Reading((), lambda progress: None))
    assert taken == [(file, Path("/dev/null"), "reference")]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StateError, match=r"by hard links: .*; shared blocks: .* import it in another way"):
        take(found, tmp_path, ways[:2], Reading((), lambda progress: None))


def test_what_was_made_for_ollama_alone_is_refused(tmp_path: Path, ollama: Ollama, store: Store) -> None:
    data = gguf_models.write_llama(tmp_path / "x.gguf", architecture="gptoss").read_bytes()
    ollama.model("registry.ollama.ai/library/gpt-oss/20b", ("model", data))
    found = named([Place("ollama", ollama.root)])["gpt-oss:20b"]
    with pytest.raises(CorruptModel, match="made for Ollama's own engine") as caught:
        import_model(found, store)
    assert "hearth models pull gpt-oss:20b" in caught.value.fix


def test_a_fetched_model_is_not_replaced_by_an_import(ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["tiny:1b"]
    incoming = store.incoming / "fetched"
    incoming.mkdir(parents=True)
    (incoming / "tiny.gguf").write_bytes(b"GGUF")
    store.publish("tiny:1b", Origin("hub", "owner/tiny"), incoming, [StoredFile("tiny.gguf", 4)])
    with pytest.raises(UsageError, match="already, fetched from owner/tiny"):
        import_model(found, store)
    with pytest.raises(UsageError, match="is the packaged model's"):
        import_model(found, store, name="pilot")
    assert store.resolve("tiny:1b").size_bytes == 4


def test_an_import_that_is_killed_leaves_nothing_behind(tmp_path: Path, ollama: Ollama, store: Store) -> None:
    found = named([Place("ollama", ollama.root)])["tiny:1b"]

    def end(progress: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            import_model(found, store, report=end)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert store.cards() == []
    assert found.files[0].path.stat().st_nlink == 2
    # The next one clears up behind it.
    assert isinstance(import_model(found, store), Manifest)
    assert found.files[0].path.stat().st_nlink == 2
    store.remove("tiny:1b")
    assert found.files[0].path.stat().st_nlink == 1
