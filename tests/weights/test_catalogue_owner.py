"""What an owner writes over the catalogue: models added, fields changed, mistakes told with their file and model."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue_entries import one
from hearth.errors import SettingsError
from hearth.weights.catalogue import Catalogue, QuantSource, load_catalogue
from hearth.weights.shape import KvGroup, ModelShape

MINE = """
["my-model:7b"]
aliases = ["mine"]
[["my-model:7b".sources]]
quant = "Q5_K_M"
repo = "me/My-Model-GGUF"
pattern = "my-model.Q5_K_M.gguf"
size_bytes = 5_000_000_000
"""


def owner(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(tmp_path: Path, text: str) -> str:
    file = owner(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_catalogue(file)
    assert caught.value.fix == f"mend or remove {file}"
    assert str(file) in caught.value.what
    return caught.value.what.replace(str(file), "FILE")


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
        (
            SHAPE % (GROUP, STATE) + "\nshape.experts = 4\nshape.experts_used = 5",
            "shape: experts_used is above experts",
        ),
        (SHAPE.replace("shape.layers = 1", "shape.layers = 5000") % (GROUP, STATE), "shape: layers is above 4,096"),
        ("total_b = inf", "total_b: Expected `float` <= 1000000"),
        ("total_b = 1e308\nexpert_b = 1e308", "total_b: Expected `float` <= 1000000"),
        ("total_b = 7\nexpert_b = 8", "expert_b: is above total_b"),
        ("total_b = 7\nactive_b = 7.5", "active_b: is above total_b"),
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
        (f"a = {'[' * 5000}", "FILE is not TOML: "),
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
