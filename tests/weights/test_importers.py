"""Models in the stores of other programs: found, taken over in place, verified."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gguf_models
from hearth.errors import CorruptModel, ModelUnavailable, StateError, UsageError
from hearth.weights.fetch.progress import Progress
from hearth.weights.importers import Place, consequence, import_model, imported_as, place_of, scan, usual_places
from hearth.weights.importers.found import Found, FoundFile
from hearth.weights.importers.taking import Reading, Way, take
from hearth.weights.manifest import Manifest, Origin, StoredFile
from hearth.weights.store import Store
from other_stores import HubCache, Ollama, gguf, sha256, split


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", tmp_path / "no-pilot")


def named(places: list[Place], lines: list[str] | None = None) -> dict[str, Found]:
    return {found.name: found for found in scan(places, (lines if lines is not None else []).append)}


def disk_bytes(root: Path) -> int:
    """What the files below take on the disk, each once however many names it has."""
    statuses = {(status.st_dev, status.st_ino): status for path in root.rglob("*") if (status := path.lstat())}
    return sum(status.st_blocks * 512 for status in statuses.values() if status.st_mode & 0o100000)


@pytest.fixture
def ollama(tmp_path: Path) -> Ollama:
    """A store with what one finds in one: models with tags, a projector, what is broken or not for us."""
    made = Ollama(tmp_path / "ollama")
    library = "registry.ollama.ai/library"
    made.model(f"{library}/tiny/latest", ("model", gguf(tmp_path)))
    made.model(f"{library}/tiny/1b", ("model", gguf(tmp_path)))
    made.model("registry.ollama.ai/somebody/sees/7b", ("model", gguf(tmp_path, 1)), ("projector", gguf(tmp_path, 2)))
    made.model("hf.co/unsloth/GLM-4.7-Flash-GGUF/Q4_K_M", ("model", gguf(tmp_path, 3)), ("adapter", b"GGUF"))
    made.model(f"{library}/clouds/cloud")
    made.model(f"{library}/mlx/latest", ("tensor; name=x; dtype=bf16; shape=1", b"1"), ("tensor; name=y", b"2"))
    lost, cut = gguf(tmp_path, 4), gguf(tmp_path, 5)
    made.model(f"{library}/lost/latest", ("model", lost))
    made.blob(lost).rename(made.root / "blobs" / f"sha256-{sha256(lost)}-partial")
    made.model(f"{library}/cut/latest", ("model", cut))
    made.blob(cut).write_bytes(cut[:-100])
    (made.root / "manifests" / library / "odd").mkdir()
    (made.root / "manifests" / library / "odd" / "latest").write_bytes(b"\xff no JSON")
    (made.root / "manifests" / ".DS_Store").write_bytes(b"")
    return made


def test_ollamas_models_are_found_by_their_names(ollama: Ollama) -> None:
    lines: list[str] = []
    models = named([Place("ollama", ollama.root)], lines)
    assert set(models) == {"tiny:1b", "somebody/sees:7b", "hf.co/unsloth/GLM-4.7-Flash-GGUF:Q4_K_M"}
    tiny = models["tiny:1b"]
    assert tiny.aliases == ("tiny:latest",)
    assert tiny.files[0].path == ollama.root / "blobs" / f"sha256-{tiny.files[0].sha256}"
    assert tiny.files[0].name == "tiny-1b.gguf"
    assert tiny.size_bytes == tiny.files[0].path.stat().st_size
    assert [(file.role, file.name) for file in models["somebody/sees:7b"].files] == [
        ("model", "somebody-sees-7b.gguf"),
        ("mmproj", "mmproj-somebody-sees-7b.gguf"),
    ]
    assert "adapter" in models["hf.co/unsloth/GLM-4.7-Flash-GGUF:Q4_K_M"].note
    for word in (
        "clouds:cloud has 0",
        "mlx:latest is not made of GGUFs",
        "lost:latest lacks",
        "cut:latest",
        "odd/latest",
    ):
        assert [line for line in lines if word in line], word


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["layers", "digest", "size"]), inner),
)
LAYER = st.fixed_dictionaries(
    {
        "mediaType": st.sampled_from(["model", "projector", "tensor", ""]).map("application/vnd.ollama.image.".__add__),
        "digest": st.text(max_size=9) | st.just("sha256:" + "a" * 64) | st.just("sha256-../" + "a" * 61),
        "size": st.integers(),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING | st.fixed_dictionaries({"layers": st.lists(LAYER | ANYTHING, max_size=3)}))
def test_no_manifest_of_ollamas_upsets_a_scan(tmp_path: Path, manifest: object) -> None:
    path = tmp_path / "manifests/registry.ollama.ai/library/odd/latest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))
    (tmp_path / "blobs").mkdir(exist_ok=True)
    lines: list[str] = []
    assert scan([Place("ollama", tmp_path)], lines.append) == []
    assert len(lines) == 1


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


def test_lm_studios_models_with_parts_and_projector(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "lmstudio"
    repository = root / "publisher" / "Sees-GGUF"
    parts = split(repository, "sees-Q8_0")
    for name, seed in (("mmproj-sees-F32", 1), ("mmproj-sees-F16", 2)):
        (repository / f"{name}.gguf").write_bytes(gguf(tmp_path, seed))
    (repository / "whole.gguf").write_bytes(gguf(tmp_path, 3))
    (repository / "coming.gguf").write_bytes(gguf(tmp_path, 4))
    (repository / "coming.gguf.part").write_bytes(b"")
    (repository / "text.gguf").write_bytes(b"a page that says: not found")
    split(root / "publisher" / "lacks", "lacks")[1].unlink()
    (root / "publisher" / "again").symlink_to(root)
    (root / "publisher" / "loop").symlink_to(root / "publisher" / "loop")
    lines: list[str] = []
    models = named([Place("lm-studio", root)], lines)
    assert set(models) == {"sees-Q8_0", "whole"}
    sees = models["sees-Q8_0"]
    assert sees.where == "publisher/Sees-GGUF"
    assert [file.path for file in sees.files] == [*parts, repository / "mmproj-sees-F16.gguf"]
    assert [file.role for file in sees.files] == ["model", *["part"] * (len(parts) - 1), "mmproj"]
    for word in ("coming.gguf is not whole yet", "text.gguf is not a GGUF", "lacks 1 of its"):
        assert [line for line in lines if word in line], word
    before = disk_bytes(tmp_path)
    manifest = import_model(sees, store)
    assert disk_bytes(tmp_path) - before <= 3 * 4096
    card = store.resolve("sees-Q8_0")
    assert [card.path.name, *(path.name for path in card.more_parts)] == [part.name for part in parts]
    assert {file.how for file in manifest.files} == {"link"}


def test_llama_cpps_cache(tmp_path: Path) -> None:
    root = tmp_path / "llama.cpp"
    root.mkdir()
    data, eyes = gguf(tmp_path), gguf(tmp_path, 1)
    prefix = "some_owner_gemma-3-4b-it-GGUF_"
    (root / f"{prefix}gemma-3-4b-it-Q4_K_M.gguf").write_bytes(data)
    (root / f"{prefix}gemma-3-4b-it-Q4_K_M.gguf.etag").write_text('"abc"')
    (root / f"{prefix}mmproj-F16.gguf").write_bytes(eyes)
    note = {
        "ggufFile": {"rfilename": "gemma-3-4b-it-Q4_K_M.gguf", "size": 1, "lfs": {"sha256": sha256(data), "size": 1}},
        "mmprojFile": {"rfilename": "mmproj-F16.gguf", "blobId": "1", "lfs": {"sha256": sha256(eyes)}},
        "sha": "a" * 40,
    }
    (root / "manifest=some_owner=gemma-3-4b-it-GGUF=Q4_K_M.json").write_text(json.dumps(note))
    (root / "manifest=broken=note=latest.json").write_text("{")
    (root / "unsloth_gpt-oss-20b-GGUF_gpt-oss-20b-F16.gguf").write_bytes(gguf(tmp_path, 2))
    (root / "downloaded.gguf").write_bytes(gguf(tmp_path, 3))
    (root / "x_y-GGUF_y.gguf.downloadInProgress").write_bytes(gguf(tmp_path, 4))
    models = named([Place("llama.cpp", root)])
    assert {name: found.where for name, found in models.items()} == {
        "gemma-3-4b-it-Q4_K_M": "some_owner/gemma-3-4b-it-GGUF",
        "gpt-oss-20b-F16": "unsloth/gpt-oss-20b-GGUF",
        "downloaded": str(root),
    }
    assert [file.sha256 for file in models["gemma-3-4b-it-Q4_K_M"].files] == [sha256(data), sha256(eyes)]
    assert [file.role for file in models["gemma-3-4b-it-Q4_K_M"].files] == ["model", "mmproj"]


def test_the_hubs_cache(tmp_path: Path, store: Store) -> None:
    cache = HubCache(tmp_path / "hub")
    data, eyes = gguf(tmp_path), gguf(tmp_path, 1)
    for revision in ("a" * 40, "b" * 40):
        path = cache.file("owner/Sees-GGUF", revision, "Q4/sees-Q4.gguf", data)
        cache.file("owner/Sees-GGUF", revision, "mmproj-F16.gguf", eyes)
    cache.file("owner/Sees-GGUF", "b" * 40, "README.md", b"text")
    (path.parent / "gone.gguf").symlink_to("../../../blobs/gone")
    (cache.root / "models--owner--Sees-GGUF" / "blobs" / "1.incomplete").write_bytes(data)
    (cache.root / "models--owner--empty").mkdir()
    models = named([Place("hugging-face", cache.root)])
    assert set(models) == {"sees-Q4"}
    found = models["sees-Q4"]
    assert found.where == f"owner/Sees-GGUF@{'b' * 40}"
    assert [(file.path.name, file.sha256) for file in found.files] == [
        ("sees-Q4.gguf", sha256(data)),
        ("mmproj-F16.gguf", sha256(eyes)),
    ]
    manifest = import_model(found, store)
    ours = store.folder_of(manifest) / "sees-Q4.gguf"
    assert not ours.is_symlink()
    assert ours.samefile(path)
    assert import_model(found, store, how="reference").files[0].path == str(path)
    assert store.resolve("sees-Q4").path == path


def test_a_given_folder(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for name, seed in (
        ("one/alone.gguf", 0),
        ("one/mmproj-model-f16.gguf", 1),
        ("two/gemma-3.1-4b-it-Q4_0.gguf", 2),
        ("two/other.gguf", 3),
        ("two/mmproj-gemma-3.1-4b-it-f16.gguf", 4),
        ("two/mmproj.gguf", 5),
        ("a/b/c/d/deep.gguf", 6),
        ("UPPER.GGUF", 7),
        (".hidden.gguf", 8),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(gguf(tmp_path, seed))
    (root / "pipe.gguf").mkdir()
    os.mkfifo(root / "fifo.gguf")
    assert place_of(root) == Place("folder", root)
    models = named([place_of(root)])
    assert {name: [file.path.name for file in found.files[1:]] for name, found in models.items()} == {
        "alone": ["mmproj-model-f16.gguf"],
        "gemma-3.1-4b-it-Q4_0": ["mmproj-gemma-3.1-4b-it-f16.gguf"],
        "other": [],
        "deep": [],
        "UPPER": [],
    }


def test_every_file_once_under_a_name_of_its_own(tmp_path: Path, ollama: Ollama) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "linked.gguf").hardlink_to(ollama.blob(gguf(tmp_path)))
    (folder / "pilot.gguf").write_bytes(gguf(tmp_path, 6))
    for number in (7, 8, 9):
        (folder / str(number)).mkdir()
        (folder / str(number) / "same.gguf").write_bytes(gguf(tmp_path, number))
    (folder / "-odd.gguf").write_bytes(gguf(tmp_path, 10))
    (folder / "two\nlines.gguf").write_bytes(gguf(tmp_path, 11))
    (folder / os.fsdecode(b"bad\xff.gguf")).write_bytes(gguf(tmp_path, 12))
    lines: list[str] = []
    models = named([Place("ollama", ollama.root), Place("folder", folder)], lines)
    assert models["tiny:1b"].aliases == ("tiny:latest", "linked")
    ours = [name for name, found in models.items() if found.program == "folder"]
    assert ours == ["pilot@folder", "same", "same@folder", "same@2"]
    assert len([line for line in lines if "rename" in line]) == 3
    assert all(line.isprintable() for line in lines)


def test_what_is_no_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    places = [Place("ollama", tmp_path / "file"), Place("lm-studio", tmp_path / "file")]
    places += [Place("llama.cpp", tmp_path / "file"), Place("folder", tmp_path / "file")]
    for place in places:
        lines: list[str] = []
        assert scan([place], lines.append) == []
        assert ["Not a directory" in line for line in lines] == [True]


def test_a_folder_that_may_not_be_read_is_told_and_the_others_are_scanned(tmp_path: Path, home: Path) -> None:
    folder = home / "mine"
    for name in ("closed", "open"):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.gguf").write_bytes(gguf(tmp_path))
    made = Ollama(home / "ollama")
    made.model("registry.ollama.ai/library/tiny/latest", ("model", gguf(tmp_path)))
    shut = (folder / "closed", made.root / "blobs")
    for path in shut:
        path.chmod(0)

    def look() -> None:
        lines: list[str] = []
        models = named([Place("ollama", made.root), Place("folder", folder)], lines)
        assert set(models) == {"open"}
        for path in shut:
            assert [line for line in lines if str(path) in line and "Permission denied" in line]
        places = usual_places({"OLLAMA_MODELS": str(folder / "closed")}, home, home)
        assert places == [Place("ollama", folder / "closed")]

    home.chmod(0o755)
    as_ordinary_user(look)
    for path in shut:
        path.chmod(0o700)


def as_ordinary_user(look: Callable[[], None]) -> None:
    """Run it where permissions count: root may read everything, so a child gives that up."""
    if os.getuid() != 0:
        look()
        return
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            look()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.__stderr__, flush=True)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_usual_places(tmp_path: Path) -> None:
    home, system = tmp_path / "home", tmp_path / "system"
    assert usual_places({}, home, system) == []
    for folder in (
        home / ".ollama/models/manifests",
        system / "usr/share/ollama/.ollama/models/manifests",
        system / "var/lib/ollama",
        home / ".lmstudio/models",
        tmp_path / "studio/elsewhere",
        home / ".cache/llama.cpp",
        home / ".cache/huggingface/hub",
        tmp_path / "hf/hub",
        home / "Library/Caches/llama.cpp",
        home / "blobs/manifests",
    ):
        folder.mkdir(parents=True)
    (home / ".lmstudio/settings.json").write_text(json.dumps({"downloadsFolder": str(tmp_path / "studio/elsewhere")}))
    assert usual_places({}, home, system) == [
        Place("ollama", home / ".ollama/models"),
        Place("ollama", system / "usr/share/ollama/.ollama/models"),
        Place("lm-studio", tmp_path / "studio/elsewhere"),
        Place("lm-studio", home / ".lmstudio/models"),
        Place("llama.cpp", home / ".cache/llama.cpp"),
        Place("llama.cpp", home / "Library/Caches/llama.cpp"),
        Place("hugging-face", home / ".cache/huggingface/hub"),
    ]
    environment = {"OLLAMA_MODELS": "~/blobs", "HF_HOME": str(tmp_path / "hf"), "LLAMA_CACHE": str(home / ".cache")}
    places = usual_places(environment, home, system)
    assert places[0] == Place("ollama", home / "blobs")
    assert Place("llama.cpp", home / ".cache") in places
    assert places[-1] == Place("hugging-face", tmp_path / "hf/hub")
    (home / ".lmstudio-home-pointer").write_text(str(tmp_path / "studio"))
    (tmp_path / "studio/models").mkdir()
    assert Place("lm-studio", tmp_path / "studio/models") in usual_places({}, home, system)


def test_given_folders_are_known_by_what_lies_in_them(tmp_path: Path, ollama: Ollama) -> None:
    HubCache(tmp_path / "hub").file("owner/name", "a" * 40, "x.gguf", gguf(tmp_path))
    assert place_of(ollama.root).program == "ollama"
    assert place_of(tmp_path / "hub").program == "hugging-face"
    assert place_of(tmp_path / "nowhere").program == "folder"


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
