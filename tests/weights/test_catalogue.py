"""What is known of models before they are fetched, and what an owner says over it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.errors import SettingsError
from hearth.weights.catalogue import CATALOGUE_FILE, Catalogue, Entry, QuantSource, file_matches, load_catalogue
from hearth.weights.reference import CatalogueRef, parse_reference
from hearth.weights.shape import KvGroup, ModelShape

MUST_HAVE = (
    *("gpt-oss:20b", "gpt-oss:120b", "codellama:7b", "codellama:13b", "codellama:34b", "llama-3.1:8b", "glm-4.7-flash"),
    *("nemotron-3-nano", "mixtral:8x7b", "granite-4.0:h-tiny", "granite-4.1:8b", "deepseek-r1:14b", "qwen3.5:9b"),
    *("qwen3.6:35b-a3b", "qwen3.8:27b", "qwen3-coder:30b", "qwen3-coder-next", "devstral-small-2"),
    *("gemma-4:e4b", "gemma-4:12b", "gemma-4:26b-a4b", "gemma-4:31b"),
)
"""The models that people start from."""

MINE = """
["my-model:7b"]
aliases = ["mine"]
[["my-model:7b".sources]]
quant = "Q5_K_M"
repo = "me/My-Model-GGUF"
pattern = "my-model.Q5_K_M.gguf"
size_bytes = 5_000_000_000
"""


@pytest.fixture(scope="module")
def packaged() -> Catalogue:
    return load_catalogue(None)


def owner(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    return file


def one(catalogue: Catalogue, name: str) -> Entry:
    entry = catalogue.find(name)
    assert entry is not None, name
    return entry


def refusal(tmp_path: Path, text: str) -> str:
    file = owner(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_catalogue(file)
    assert caught.value.fix == f"mend or remove {file}"
    assert str(file) in caught.value.what
    return caught.value.what.replace(str(file), "FILE")


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


def test_an_owner_adds_a_model(tmp_path: Path, packaged: Catalogue) -> None:
    catalogue = load_catalogue(owner(tmp_path, MINE))
    assert [entry.name for entry in catalogue.entries] == [*(entry.name for entry in packaged.entries), "my-model:7b"]
    entry = one(catalogue, "MINE")
    assert (entry.name, entry.profile, entry.total_b, entry.shape) == ("my-model:7b", "standard", None, None)
    assert entry.source() == QuantSource("Q5_K_M", "me/My-Model-GGUF", "my-model.Q5_K_M.gguf", 5_000_000_000)


def test_an_owner_overrides_only_what_is_given(tmp_path: Path, packaged: Catalogue) -> None:
    text = """
    ["GLM-4.7-Flash"]
    sampling = { temperature = 0.2 }
    sources = [{ quant = "q6_k" }, { quant = "Q2_K", repo = "me/GLM", pattern = "glm.Q2_K.gguf" }]
    ["glm-4.7-flash".shape]
    experts_used = 5
    """
    before = one(packaged, "glm-4.7-flash")
    after = one(load_catalogue(owner(tmp_path, text)), "glm-4.7-flash")
    assert after.sampling == {**before.sampling, "temperature": 0.2}
    assert [source.quant for source in after.sources] == ["q6_k", "Q2_K", "UD-Q4_K_XL", "Q4_K_M", "Q8_0", "BF16"]
    first, known = after.source(), before.source("Q6_K")
    assert first is not None
    assert known is not None
    assert (first.repo, first.pattern, first.size_bytes) == (known.repo, known.pattern, known.size_bytes)
    assert before.shape is not None
    assert after.shape is not None
    assert (after.shape.experts_used, after.shape.kv) == (5, before.shape.kv)
    assert (after.aliases, after.licence, after.note) == (before.aliases, before.licence, before.note)


def test_another_file_has_not_the_size_of_the_first(tmp_path: Path) -> None:
    text = '["gpt-oss:20b"]\nsources = [{ quant = "MXFP4", repo = "me/gpt-oss" }]'
    source = one(load_catalogue(owner(tmp_path, text)), "gpt-oss").source()
    assert source == QuantSource("MXFP4", "me/gpt-oss", "gpt-oss-20b-MXFP4.gguf")


def test_a_name_that_the_owner_gives_is_the_owners(tmp_path: Path) -> None:
    catalogue = load_catalogue(owner(tmp_path, '["my-oss"]\naliases = ["gpt-oss"]\n[qwen3]\nnote = "mine"'))
    assert one(catalogue, "gpt-oss").name == "my-oss"
    assert one(catalogue, "qwen3").note == "mine"
    assert "gpt-oss" not in one(catalogue, "gpt-oss:20b").aliases
    assert "qwen3" not in one(catalogue, "qwen3:8b").aliases


def test_a_changed_model_keeps_its_aliases_but_those_that_the_owner_gives_to_another(tmp_path: Path) -> None:
    text = '["gpt-oss:20b"]\nnote = "mine"\n["my-oss"]\naliases = ["GPT-OSS"]'
    catalogue = load_catalogue(owner(tmp_path, text))
    assert one(catalogue, "gpt-oss").name == "my-oss"
    assert one(catalogue, "gpt-oss-20b").note == "mine"


def test_a_model_that_is_written_twice_is_one(tmp_path: Path) -> None:
    text = '[Mine]\nnote = "a"\nlicence = "MIT"\n[mine]\nnote = "b"'
    entry = one(load_catalogue(owner(tmp_path, text)), "mine")
    assert (entry.name, entry.note, entry.licence) == ("Mine", "b", "MIT")
    assert "sources[0]: Object missing required field" in refusal(tmp_path, "[A]\nsources = [{}]\n[a]\nsources = [{}]")


def test_an_owner_writes_a_whole_shape(tmp_path: Path) -> None:
    text = """
    ["my-model"]
    native_context = 4096
    [my-model.shape]
    architecture = "llama"
    layers = 4
    embedding = 64
    vocabulary = 100
    heads = 4
    kv = [{ layers = 4, kv_heads = 2, key_length = 16, value_length = 16 }]
    """
    text = text.replace('["my-model"]', "[my-model]")
    shape = one(load_catalogue(owner(tmp_path, text)), "my-model").shape
    assert shape == ModelShape("llama", 4, 64, 100, 4, 4096, (KvGroup(4, 2, 16, 16),))


def test_no_file_and_an_empty_one_leave_the_package(tmp_path: Path, packaged: Catalogue) -> None:
    assert load_catalogue(tmp_path / "none.toml").entries == packaged.entries
    assert load_catalogue(tmp_path / "none.toml" / "below").entries == packaged.entries
    assert load_catalogue(owner(tmp_path, "\ufeff# nothing yet")).entries == packaged.entries


SHAPE = """shape.architecture = 'x'
shape.layers = 1
shape.embedding = 1
shape.vocabulary = 1
shape.heads = 1
shape.kv = [%s]
shape.recurrent = { %s }"""
GROUP = "{ layers = 1, kv_heads = 1, key_length = 1, value_length = 1 }"
STATE = "layers = 0, conv_elements = 1, state_elements = 1"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("family = 3", "family: Expected `str`, got `int`"),
        ("famly = 'x'", "Object contains unknown field `famly`"),
        ("name = 'x'", "name: the table's own name is the model's"),
        ("total_b = 0", "total_b: Expected `float` > 0.0"),
        ("good_for = ['walks']", "good_for[0]: Invalid enum value 'walks'"),
        ("sampling = { temprature = 1 }", "sampling: Invalid enum value 'temprature'"),
        ("sampling = { top_p = inf }", "sampling.top_p: must be a number"),
        ("aliases = ['a b']", "aliases: 'a b' cannot name a model; like name or name:size, not a quantisation"),
        ("aliases = ['gpt-oss:20b']", "aliases: 'gpt-oss:20b' is another model's"),
        ("note = 'a\\n'", "note: must be plain text on one line"),
        ("sources = 'x'", "sources: must be a list of tables"),
        ("sources = [{ quant = 'Q4' }]", "sources[0]: Object missing required field `repo`"),
        ("sources = [{ quant = 'Q4', repo = 'x', pattern = 'x.gguf' }]", "sources[0]: repo: 'x' is not owner/name"),
        ("sources = [{ quant = 'Q4', repo = 'a/b' }]", "sources[0]: pattern: '*' does not end in .gguf"),
        (
            "sources = [{ quant = 'Q4', repo = 'a/b', pattern = '../x.gguf' }]",
            "sources[0]: pattern: '../x.gguf' is no name of a file",
        ),
        (
            "sources = [{ quant = 'Q4', repo = 'a/b', format = 'hf' }, { quant = 'q4', repo = 'a/b', format = 'hf' }]",
            "sources: q4 is there twice for hf",
        ),
        (
            "sources = [{ quant = 'Q4', repo = 'a/b', format = 'hf', size_bytes = -1 }]",
            "sources[0].size_bytes: Expected `int` >= 1",
        ),
        (
            "sources = [{ quant = 'Q4', repo = 'a/b', sha256 = 'x' }]",
            "sources[0].sha256: Expected `str` matching regex",
        ),
        ("shape = 1", "shape: Expected `object | null`, got `int`"),
        ("shape = { layer = 1 }", "shape.layer: there is no such field, but architecture, layers,"),
        (SHAPE % ("{ lairs = 1 }", STATE), "shape.kv.lairs: there is no such field, but layers,"),
        (SHAPE % ("3", STATE), "shape.kv[0]: Expected `object`, got `int`"),
        (SHAPE % (GROUP, "state = 1"), "shape.recurrent.state: there is no such field"),
        (SHAPE % (GROUP, STATE.replace("conv_elements = 1", "conv_elements = -1")), "shape: conv_elements is below 0"),
        (
            SHAPE % (GROUP.replace("kv_heads = 1", "kv_heads = 0"), STATE),
            "shape: layers, embedding, vocabulary, heads,",
        ),
        (SHAPE % (f"{GROUP}, {GROUP}", STATE), "shape: kv and recurrent have more layers than the model"),
    ],
)
def test_a_wrong_field_is_told_with_its_file_and_model(tmp_path: Path, text: str, what: str) -> None:
    text = text.replace("a\\n", "\\u0007") if "note" in text else text
    line = text.replace("'", '"')
    assert refusal(tmp_path, f'["my-model"]\n{line}\n').startswith(f"FILE, model 'my-model', {what}")


def test_a_wrong_override_of_a_known_model_is_told_too(tmp_path: Path) -> None:
    assert refusal(tmp_path, '["gpt-oss:20b"]\nactive_b = "3"').startswith(
        "FILE, model 'gpt-oss:20b', active_b: Expected"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[x\n", "FILE is not TOML: "),
        ("[a]\n[a]\n", "FILE is not TOML: "),
        ("x = 1", "FILE, model 'x', is not a table; one begins with [\"x\"]"),
        ('["../x"]', "FILE, model '../x', the name: '../x' cannot name a model"),
        ('["x:Q4_K_M"]', "FILE, model 'x:Q4_K_M', the name: 'x:Q4_K_M' cannot name a model"),
        ('[a]\naliases = ["c"]\n[b]\naliases = ["C"]', "FILE, model 'b', aliases: 'c' is another model's"),
    ],
)
def test_what_is_no_table_of_models_is_told(tmp_path: Path, text: str, what: str) -> None:
    assert refusal(tmp_path, text).startswith(what)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.mkdir()
    with pytest.raises(SettingsError, match="cannot read"):
        load_catalogue(file)
    file.rmdir()
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot read"):
        load_catalogue(file)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["quant", "repo", "kv", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(["aliases", "family", "good_for", "sampling", "shape", "sources", "total_b", "tools", "x"])


def toml_of(value: object) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return str(value).lower()
        case float() | int():
            return str(value)
        case str():
            return (
                '"' + "".join(f"\\U{ord(letter):08x}" for letter in value if not 0xD800 <= ord(letter) < 0xE000) + '"'
            )
        case list():
            return "[" + ", ".join(map(toml_of, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {toml_of(inner)}" for key, inner in value.items()) + "}"
    raise AssertionError(value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["gpt-oss:20b", "new"]), st.dictionaries(FIELDS, VALUES, max_size=3))
def test_any_owner_file_is_merged_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, table: dict[str, object]
) -> None:
    text = f'["{name}"]\n' + "".join(f"{field} = {toml_of(value)}\n" for field, value in table.items())
    tomllib.loads(text)
    file = tmp_path_factory.mktemp("owner") / "models.toml"
    file.write_text(text, encoding="utf-8")
    try:
        told = f"{file}, model {name!r}, " if load_catalogue(file).find(name) else ""
    except SettingsError as error:
        told = error.what
    assert told.startswith(f"{file}, model {name!r}, ")
    assert told.isprintable()


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
