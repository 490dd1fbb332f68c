"""The settings tree and where each value came from."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import SettingsError
from hearth.settings import ENVIRONMENT, ForeignSettings, ProfileSettings, Settings, known_names, load_settings

NONE = Path("/nonexistent/config.toml")


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_defaults_need_no_file() -> None:
    settings = load_settings(NONE, {})
    assert settings == Settings()
    assert settings.origin == {}
    assert (settings.model, settings.gateway.port, settings.agent.max_steps) == ("pilot", 8888, 50)


def test_later_layers_win_and_say_so(tmp_path: Path) -> None:
    file = write(tmp_path, 'model = "a"\n[gateway]\nport = 1\nhost = "::1"\n[engine]\nslots = 3\n')
    settings = load_settings(file, {"HEARTH_MODEL": "b", "HEARTH_PORT": "2", "HEARTH_SLOTS": ""}, {"model": "c"})
    assert (settings.model, settings.gateway.port, settings.gateway.host, settings.engine.slots) == ("c", 2, "::1", 3)
    assert settings.origin == {
        "model": "command line",
        "gateway.port": "HEARTH_PORT",
        "gateway.host": str(file),
        "engine.slots": str(file),
    }


def test_every_variable_sets_what_it_names() -> None:
    for variable, name in ENVIRONMENT.items():
        assert name in known_names()
        text = "0" if name == "kv.enabled" else "7"
        assert load_settings(NONE, {variable: text}).origin == {name: variable}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[gateway]\nprot = 1\n", "unknown setting 'gateway.prot'"),
        ("modle = 'x'\n", "unknown setting 'modle'"),
        ("[gatewy]\nport = 1\n", "unknown setting 'gatewy.port'"),
        ("[model]\nname = 'x'\n", "unknown setting 'model.name'"),
        ("[origin]\nmodel = 'x'\n", "unknown setting 'origin.model'"),
        ("origin = 'x'\n", "unknown setting 'origin'"),
        ("[gateway.port]\nx = 1\n", "setting gateway.port = {'x': 1}"),
        ("[gateway]\nport = 'many'\n", "setting gateway.port = 'many' from"),
        ("[engine]\nslots = 'two'\n", "must be a whole number"),
        ("[gateway]\nport = 65536\n", "must be from 0 to 65535"),
        ("[gateway]\nidle_exit_s = nan\n", "must be 0 or more"),
        ("[engine]\nslots = 0\n", "must be from 1 to 64"),
        ("[engine]\nslots = []\n", "setting engine.slots = []"),
        ("gateway = 3\n", "setting gateway = 3"),
        ("engines = 3\n", "setting engines = 3"),
        ("[engines]\nshop = 3\n", "unknown setting 'engines.shop'"),
        ("[engines.shop]\n", "setting engines.shop from"),
        ("[engines.shop]\nkind = 'vlm'\n", "must be one of ollama, vllm, openai"),
        ("[engines.shop]\nkind = 'vllm'\nmodels = 'a'\n", "must be a list of texts"),
        ("[kv]\nenabled = 'maybe'\n", "must be true or false"),
        ("[kv]\nquota_gib = -1\n", "must be from 0 to 1048576"),
        ("[undo]\nleave = 'data'\n", "must be a list of texts"),
        ("[undo]\nlargest_mib = 2000\n", "must be from 0 to 1024"),
        ("[engines.shop]\nkind = 'vllm'\n", "setting engines.shop from"),
        ("[engines.shop]\nurl = 'http://x'\n", "lacks its kind"),
        ("[engines.shop]\nkind = 'vllm'\nurl = 'x:8000'\n", "setting engines.shop.url = 'x:8000'"),
        ("[engines.shop]\nkind = 'vllm'\nurl = 'http://me:key@x'\n", "setting engines.shop.url = 'http://me:key@x'"),
        ("[engines.shop]\nkind = 'ollama'\nslots = -1\n", "setting engines.shop.slots = -1"),
        ('[engines.shop]\nkind = "ollama"\nmodels = ["a\\u0000"]\n', "plain text on one line"),
        ("[engines.shop]\nkind = 'ollama'\nmodells = []\n", "unknown setting 'engines.shop.modells'"),
        ("[engines.Shop]\nkind = 'ollama'\n", "setting engines.Shop from"),
        ("[profiles.qwen]\ntier = 'big'\n", "setting profiles.qwen.tier = 'big' from"),
        ("[profiles.qwen]\ntier = 'big'\n", "must be one of minimal, standard, full"),
        ("[profiles.'a.b']\nwork = 2\n", "setting profiles.a.b.work = 2 from"),
        ("[profiles.qwen]\nthinking = 'much'\n", "must be a whole number"),
        ("[profiles.qwen]\ncolour = 1\n", "unknown setting 'profiles.qwen.colour'"),
        ("[profiles]\nqwen = 3\n", "unknown setting 'profiles.qwen'"),
        ("[profiles.qwen.sampling]\ntop_p = 1\n", "unknown setting 'profiles.qwen.sampling'"),
        ('[engines."a.b"]\nkind = "ollama"\n', "unknown setting 'engines.a.b'"),
        ("model = \n", "is not TOML"),
        ("[gateway\n", "is not TOML"),
    ],
)
def test_wrong_values_name_their_origin(tmp_path: Path, text: str, what: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsError, match=re.escape(what)) as caught:
        load_settings(file, {})
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    assert caught.value.exit_code == 2


def test_engines_of_others_have_names_that_the_owner_chooses(tmp_path: Path) -> None:
    text = (
        '[engines.shop]\nkind = "vllm"\nurl = "http://shop:8000/v1"\nmodels = ["a"]\n[engines.own]\nkind = "ollama"\n'
    )
    file = write(tmp_path, text)
    settings = load_settings(file, {}, {"engines.own.context": 4096})
    assert settings.engines == {
        "shop": ForeignSettings(kind="vllm", url="http://shop:8000/v1", models=("a",)),
        "own": ForeignSettings(kind="ollama", context=4096),
    }
    assert settings.origin["engines.shop.url"] == str(file)
    assert settings.origin["engines.own.context"] == "command line"


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, "x = 1"), {})
    assert "model, gateway.host, gateway.port" in caught.value.fix


def test_wrong_variables_and_flags_name_themselves() -> None:
    with pytest.raises(SettingsError, match="HEARTH_PORT"):
        load_settings(NONE, {"HEARTH_PORT": "x"})
    with pytest.raises(SettingsError, match="command line"):
        load_settings(NONE, {}, {"agent.max_steps": 0})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(tmp_path, {})
    (tmp_path / "config.toml").write_bytes(b"model = '\xff'")
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(tmp_path / "config.toml", {})


def test_profiles_are_named_as_models_are(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[profiles.qwen]\ntier = "full"\n[profiles."qwen3.6:27b"]\nwork = 0.5\nfamily = "glm"\n[profiles.x]\n'
    )
    settings = load_settings(file, {})
    assert settings.profiles == {
        "qwen": ProfileSettings(tier="full"),
        "qwen3.6:27b": ProfileSettings(work=0.5, family="glm"),
    }
    assert settings.origin["profiles.qwen3.6:27b.work"] == str(file)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbfmodel = 'x'\n")
    assert load_settings(file, {}).model == "x"


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(st.sampled_from(known_names()), values))
def test_flags_give_a_valid_tree_or_one_line(flags: dict[str, object]) -> None:
    said, origin = "", {}
    try:
        origin = load_settings(NONE, {}, flags).origin
    except SettingsError as error:
        said = str(error)
    assert said or set(origin) == set(flags)
    assert "\n" not in said


def test_the_page_on_settings_names_each_with_its_default_and_variable() -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    cells = [[cell.strip(" `") for cell in line.split("|")] for line in page.splitlines() if line.startswith("| `")]
    rows = {row[1]: row[2:4] for row in cells if row[1] in known_names()}
    assert list(rows) == known_names()
    assert {row[1]: name for name, row in rows.items() if row[1]} == ENVIRONMENT
    for name, (default, _) in rows.items():
        value: object = Settings(engines={"NAME": ForeignSettings()}, profiles={"NAME": ProfileSettings()})
        for part in name.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        shown = f"{value:g}" if isinstance(value, float) else "" if value in ((), None) else str(value)
        assert default == (shown.lower() if isinstance(value, bool) else shown)


@pytest.mark.parametrize("text", ["two\nlines", "a\x00b", "\udcff", "\x1b[31m"])
def test_a_text_that_cannot_be_shown_is_no_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="plain text on one line"):
        load_settings(tmp_path / "config.toml", {"HEARTH_MODEL": text})
