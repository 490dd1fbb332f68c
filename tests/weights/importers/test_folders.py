"""Stores that are folders of GGUFs: LM Studio's, llama.cpp's cache, the hub's cache, and any folder that is given."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hearth.weights.importers import Place, import_model, place_of
from hearth.weights.store import Store
from other_stores import HubCache, disk_bytes, gguf, named, sha256, split


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
