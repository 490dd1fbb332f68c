"""Ollama's store: which models are found in it, under which names, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.weights.importers import Place, scan
from other_stores import Ollama, named


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
