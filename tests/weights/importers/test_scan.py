"""Where the stores of other programs are looked for, and what a scan makes of several of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hearth.errors import ModelUnavailable
from hearth.weights.importers import Place, import_model, place_of, scan, usual_places
from hearth.weights.store import Store
from other_stores import HubCache, Ollama, gguf, named


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


def test_a_reference_that_may_not_be_read_is_not_called_gone(tmp_path: Path, home: Path) -> None:
    folder, store = home / "theirs", Store(home / "models", home / "no-pilot")
    folder.mkdir()
    (folder / "m.gguf").write_bytes(gguf(tmp_path))
    import_model(named([Place("folder", folder)])["m"], store, "reference")

    def look() -> None:
        with pytest.raises(ModelUnavailable, match=r"m\.gguf cannot be read: Permission denied") as caught:
            store.resolve("m")
        assert "import" not in caught.value.fix

    for path in (home, *home.rglob("*")):
        path.chmod(0o755)
    folder.chmod(0)
    as_ordinary_user(look)
    folder.chmod(0o700)


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
