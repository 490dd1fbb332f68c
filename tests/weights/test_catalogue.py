"""What is known of models before they are fetched: the catalogue that ships with the package."""

from __future__ import annotations

import pytest

from catalogue_entries import one
from hearth.weights.catalogue import CATALOGUE_FILE, Catalogue, QuantSource, file_matches
from hearth.weights.reference import CatalogueRef, parse_reference

MUST_HAVE = (
    *("gpt-oss:20b", "gpt-oss:120b", "codellama:7b", "codellama:13b", "codellama:34b", "llama-3.1:8b", "glm-4.7-flash"),
    *("nemotron-3-nano", "mixtral:8x7b", "granite-4.0:h-tiny", "granite-4.1:8b", "deepseek-r1:14b", "qwen3.5:9b"),
    *("qwen3.6:35b-a3b", "qwen3.8:27b", "qwen3-coder:30b", "qwen3-coder-next", "devstral-small-2"),
    *("gemma-4:e4b", "gemma-4:12b", "gemma-4:26b-a4b", "gemma-4:31b"),
)
"""The models that people start from."""


def test_every_model_that_people_start_from_is_there(packaged: Catalogue) -> None:
    assert len(packaged.entries) >= 30
    assert [name for name in MUST_HAVE if one(packaged, name).name != name] == []
    assert {source.quant for source in one(packaged, "glm-4.7-flash").sources} >= {
        "UD-Q4_K_XL",
        "Q4_K_M",
        "Q6_K",
        "Q8_0",
    }


def test_names_and_aliases_name_one_model_each_and_are_references(packaged: Catalogue) -> None:
    names = [name for entry in packaged.entries for name in (entry.name, *entry.aliases)]
    assert sorted(map(str.casefold, names)) == sorted({name.casefold() for name in names})
    for name in names:
        assert parse_reference(name) == CatalogueRef(name)
        assert parse_reference(f"{name}:UD-Q4_K_XL") == CatalogueRef(name, "UD-Q4_K_XL")


def test_each_model_says_enough_to_choose_by(packaged: Catalogue) -> None:
    for entry in packaged.entries:
        assert entry.good_for, entry.name
        assert entry.standing, entry.name
        assert entry.family, entry.name
        assert entry.tools, entry.name
        assert entry.reasoning, entry.name
        assert entry.native_context, entry.name
        assert entry.source() is not None, entry.name
        if entry.total_b is not None and entry.active_b is not None:
            assert (entry.expert_b or 0) < entry.total_b >= entry.active_b, entry.name
        if entry.shape is not None:
            assert entry.shape.native_context == entry.native_context, entry.name
            assert bool(entry.shape.experts) == bool(entry.shape.experts_used) == (entry.expert_b is not None), (
                entry.name
            )


def test_a_size_is_what_so_many_parameters_take(packaged: Catalogue) -> None:
    # From 2 bits to those of Q8_0 with the embedding twice: a digit too many or too few shows.
    for entry in packaged.entries:
        for source in entry.sources:
            if source.size_bytes is not None and entry.total_b is not None:
                bits = source.size_bytes * 8 / (entry.total_b * 1e9)
                assert 2 < bits < 10.5, (entry.name, source.quant, bits)


def test_no_purpose_and_no_memory_is_without_a_model(packaged: Catalogue) -> None:
    for purpose in ("agent", "quick", "fim", "plan", "prose"):
        assert sum(purpose in entry.good_for for entry in packaged.entries) >= 5, purpose
    sizes = [source.size_bytes for entry in packaged.entries for source in entry.sources if "agent" in entry.good_for]
    for low, high in ((2, 5), (5, 8), (8, 12), (12, 16), (16, 24), (24, 32), (32, 48), (48, 64), (64, 80)):
        assert any(low <= size / 2**30 <= high for size in sizes if size), (low, high)


def test_what_has_no_tool_template_is_no_agent(packaged: Catalogue) -> None:
    assert [entry.name for entry in packaged.entries if entry.tools == "none" and "agent" in entry.good_for] == []
    for size in ("7b", "13b", "34b"):
        entry = one(packaged, f"codellama:{size}")
        assert (entry.good_for, entry.tools) == (("fim",), "none")


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        ("nemotron-3-nano", 6),
        ("qwen3.6:35b-a3b", 20),
        ("gpt-oss:20b", 24),
        ("qwen3-coder-next", 24),
        ("qwen3.5:9b", 32),
        ("gpt-oss:120b", 36),
        ("glm-4.7-flash", 53),
        ("qwen3.6:27b", 64),
        ("qwen3.8:27b", 64),
        ("qwen3-coder:30b", 96),
        ("llama-3.1:8b", 128),
        ("devstral-small-2", 160),
        ("codellama:13b", 800),
    ],
)
def test_the_cache_of_a_token_follows_from_the_shape(packaged: Catalogue, name: str, kib: int) -> None:
    """KiB a token at f16, layers with a window left out: what public configurations and reports agree on."""
    shape = one(packaged, name).shape
    assert shape is not None
    groups = [group for group in shape.kv if not group.window]
    elements = sum(group.layers * group.kv_heads * (group.key_length + group.value_length) for group in groups)
    assert round(elements * 2 / 1024) == kib


def test_models_are_found_whatever_the_case_and_sources_by_quantisation(packaged: Catalogue) -> None:
    entry = one(packaged, "GPT-OSS")
    assert entry.name == "gpt-oss:20b"
    first = entry.source()
    assert first is not None
    assert first.quant == "MXFP4"
    assert entry.source("mxfp4", "hf") == QuantSource("MXFP4", "openai/gpt-oss-20b", format="hf")
    assert entry.source("Q2_K") is None
    assert packaged.find("no-such-model") is None


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("model-Q4_K_M.gguf", "model-Q4_K_M.gguf", True),
        ("model-Q4_K_M.gguf", "MODEL-q4_k_m.GGUF", True),
        ("model-Q4_K_M.gguf", "Q4_K_M/model-Q4_K_M-00002-of-00003.gguf", True),
        ("model-Q4_K_M.gguf", "model-UD-Q4_K_M.gguf", False),
        ("model-Q4_K_M.gguf", "model-Q4_K_M-imat.gguf", False),
        ("model-Q4_K_M.gguf", "model-Q4_K_M.gguf.part", False),
        ("model-Q4_K_M.gguf", "mmproj-model-Q4_K_M.gguf", False),
        ("*-Q4_K_[SM].gguf", "model-Q4_K_S.gguf", True),
        ("*", "config.json", True),
    ],
)
def test_the_files_of_a_source(pattern: str, path: str, expected: bool) -> None:
    assert file_matches(pattern, path) is expected


def test_the_catalogue_ships_with_the_package() -> None:
    assert CATALOGUE_FILE.is_file()
    assert all(len(line) <= 200 for line in CATALOGUE_FILE.read_text(encoding="utf-8").splitlines())
