"""What the tests of the importers share: a store of ours, and one of Ollama's with everything that one finds in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.weights.store import Store
from other_stores import Ollama, gguf, sha256


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", tmp_path / "no-pilot")


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
