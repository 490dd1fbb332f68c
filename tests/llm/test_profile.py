"""Which model gets which profile, and who may say otherwise."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hearth
from hearth.errors import SettingsError
from hearth.llm.families import fits, parse_families, plain_name
from hearth.llm.profile import PILOT, Profile, limits, profile_for, worded
from hearth.messages import ToolSpec
from hearth.settings import ProfileSettings

SOURCE = Path(hearth.__file__).parent
FILE = (SOURCE / "llm" / "profiles.toml").read_text(encoding="utf-8")
CATALOGUE = tomllib.loads((SOURCE / "weights" / "catalogue.toml").read_text(encoding="utf-8"))

HERMES = "{%- if tools %}<|im_start|>system <tool_call>"


@pytest.mark.parametrize(
    ("model", "family", "dialect", "edit"),
    [
        ("gpt-oss:20b", "gpt-oss", "harmony", "apply_patch"),
        ("ggml-org/gpt-oss-20b-GGUF", "gpt-oss", "harmony", "apply_patch"),
        ("openai-gpt-oss-120b", "gpt-oss", "harmony", "apply_patch"),
        ("Qwen3-8B-Q4_K_M.gguf", "qwen", "chat", "replace"),
        ("/models/Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", "qwen", "chat", "replace"),
        ("qwen3.8:27b@shop", "qwen", "chat", "replace"),
        ("qwen3-coder:30b", "qwen3-coder", "chat", "replace"),
        ("Qwen3-Coder-Next-UD-Q4_K_XL", "qwen3-coder", "chat", "replace"),
        ("qwen2.5-coder:7b", "qwen2.5-coder", "chat", "whole"),
        ("glm-4.7-flash", "glm", "chat", "replace"),
        ("zai-org/GLM-4.5-Air", "glm", "chat", "replace"),
        ("devstral-small-2", "mistral", "chat", "replace"),
        ("mixtral:8x7b", "mistral", "text", "search_replace"),
        ("gemma-4:26b-a4b", "gemma", "chat", "replace"),
        ("gemma-3-27b-it", "gemma", "text", "search_replace"),
        ("bartowski/nvidia_Nemotron-3-Nano-30B-A3B-GGUF", "nemotron", "chat", "replace"),
        ("granite-4.0:h-tiny", "granite", "chat", "replace"),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "llama", "text", "search_replace"),
        ("llama-3.3:70b", "llama", "chat", "replace"),
        ("deepseek-r1:14b", "deepseek-r1", "text", "search_replace"),
        ("DeepSeek-R1-Distill-Qwen-14B", "deepseek-r1", "text", "search_replace"),
        ("deepseek-v3.2", "deepseek", "chat", "replace"),
        ("codellama:34b", "fim", "text", "search_replace"),
        ("my-own-model", "standard", "chat", "replace"),
    ],
)
def test_a_name_tells_the_family(model: str, family: str, dialect: str, edit: str) -> None:
    profile = profile_for(model)
    assert (profile.name, profile.dialect, profile.edit) == (family, dialect, edit)


@pytest.mark.parametrize(
    ("model", "family", "tier", "dialect", "thinks"),
    [
        ("gptoss-20b", "gpt-oss", "standard", "harmony", False),
        ("qwen3coder-30b", "qwen3-coder", "standard", "chat", False),
        ("Qwen3-Coder-480B-A35B-Instruct", "qwen3-coder", "full", "chat", False),
        ("Qwen3-Next-80B-A3B-Instruct", "qwen", "standard", "chat", False),
        ("Qwen3-Next-80B-A3B-Thinking", "qwen", "standard", "chat", True),
        ("Qwen3-VL-8B-Instruct", "qwen", "standard", "chat", False),
        ("qwen3:4b-instruct", "qwen", "minimal", "chat", False),
        ("Qwen_Qwen3-4B-Q4_K_M", "qwen", "minimal", "chat", True),
        ("Qwen3.5-0.8B", "qwen", "minimal", "chat", True),
        ("Qwen2-7B-Instruct", "qwen2.5-coder", "minimal", "chat", False),
        ("CodeQwen1.5-7B-Chat", "qwen2.5-coder", "minimal", "chat", False),
        ("Qwen2.5-Coder-7B-Instruct-abliterated", "qwen2.5-coder", "minimal", "chat", False),
        ("DeepSeek-R1-Distill-Llama-8B", "deepseek-r1", "standard", "text", True),
        ("DeepSeek-R1-0528-Qwen3-8B", "deepseek-r1", "standard", "text", True),
        ("DeepSeek-V3.1-Terminus", "deepseek", "full", "chat", True),
        ("GLM-4.7", "glm", "full", "chat", True),
        ("zai-org_GLM-4.7-Q4_K_M", "glm", "full", "chat", True),
        ("GLM-4.7-Flash-Q4_K_M", "glm", "standard", "chat", True),
        ("GLM-4.6V-Flash", "glm", "standard", "chat", True),
        ("glm-5.3-flash", "glm", "standard", "chat", True),
        ("THUDM_GLM-Z1-9B-0414", "glm", "standard", "chat", True),
        ("Ministral-3-14B-Reasoning-2512", "mistral", "standard", "chat", True),
        ("Ministral-3-14B-Instruct-2512", "mistral", "standard", "chat", False),
        ("Devstral-2-123B-Instruct-2512", "mistral", "full", "chat", False),
        ("medgemma-27b-it", "gemma", "standard", "text", False),
        ("gemma-3-27b-it-qat", "gemma", "standard", "text", False),
        ("Llama-3.1-70B-Instruct", "llama", "standard", "text", False),
        ("llama2:7b", "fim", "minimal", "text", False),
        ("microsoft_phi-4-Q4_K_M", "standard", "standard", "text", False),
        ("Phi-4-mini-instruct", "standard", "standard", "chat", False),
        ("HuggingFaceTB_SmolLM3-3B-Q8_0", "standard", "minimal", "chat", False),
    ],
)
def test_names_as_files_and_servers_have_them(model: str, family: str, tier: str, dialect: str, thinks: bool) -> None:
    profile = profile_for(model)
    assert (profile.name, profile.tier, profile.dialect, profile.thinking > 0) == (family, tier, dialect, thinks)


@pytest.mark.parametrize(
    ("model", "temperature", "top_p"),
    [
        ("DeepSeek-V3-0324", 0.3, 0.95),
        ("DeepSeek-V3.1", 0.6, 0.95),
        ("Qwen3-Next-80B-A3B-Instruct", 0.7, 0.8),
        ("Mistral-Nemo-Instruct-2407", 0.3, 1.0),
        ("Ministral-3-8B-Reasoning-2512", 0.7, 0.95),
        ("SmolLM3-3B", 0.6, 0.95),
    ],
)
def test_tokens_are_drawn_as_the_vendor_says(model: str, temperature: float, top_p: float) -> None:
    sampling = profile_for(model).sampling
    assert (sampling["temperature"], sampling["top_p"]) == (temperature, top_p)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_and_the_profiles_agree(name: str) -> None:
    entry = CATALOGUE[name]
    for each in (name, *entry.get("aliases", ())):
        profile = profile_for(each)
        assert profile.name == entry["profile"], each
        assert profile.sampling.items() >= entry.get("sampling", {}).items(), each
        assert (profile.dialect == "text") >= (entry["tools"] == "none"), each
        assert (profile.dialect == "harmony") == (entry["tools"] == "harmony"), each
        assert profile.thinking == 0 or entry["reasoning"] != "none", each


@pytest.mark.parametrize("model", ["pilot", "pilot.gguf", "/some/where/Pilot.gguf"])
def test_the_pilot_is_as_it_was_trained(model: str) -> None:
    profile = profile_for(model, HERMES, 2048, {"pilot": ProfileSettings(tier="full")}, {"edit": "lines"})
    assert profile is PILOT
    assert profile.system == "You are the pilot, a tiny coding agent. You answer with one tool call at a time."
    assert profile.tools == ("bash", "edit", "grep", "read")
    assert (profile.sampling, profile.max_tokens, profile.facts) == ({"temperature": 0.0}, 512, False)


@pytest.mark.parametrize(
    ("template", "family", "dialect"),
    [
        ("<|start|>system<|channel|>analysis tools", "gpt-oss", "harmony"),
        ("{% for tool in tools %}<arg_key>", "glm", "chat"),
        (HERMES, "qwen2.5-coder", "chat"),
        (HERMES + "<think>", "qwen", "chat"),
        ("tools <|im_start|><tool_call><function=", "qwen3-coder", "chat"),
        ("tools <|im_start|><tool_call><function=<think>", "qwen", "chat"),
        ("tools <|im_start|><tool_call><function=<think> truncate_history_thinking", "nemotron", "chat"),
        ("[AVAILABLE_TOOLS] tools [TOOL_CALLS]", "mistral", "chat"),
        ("tools <|start_header_id|><|python_tag|>", "llama", "chat"),
        ("tools <|turn>", "gemma", "chat"),
        ("tools <|start_of_role|>", "granite", "chat"),
        ("tools <｜tool▁calls▁begin｜>", "deepseek", "chat"),
        ("[INST] <<SYS>>", "fim", "text"),
        ("{{ messages }}", "standard", "text"),
        ("{{ messages }} {% if tools %}", "standard", "chat"),
        ("", "standard", "chat"),
    ],
)
def test_an_unknown_name_is_known_by_its_template(template: str, family: str, dialect: str) -> None:
    profile = profile_for("my-own-model", template)
    assert (profile.name, profile.dialect) == (family, dialect)


def test_a_template_without_tools_makes_a_known_family_speak_text() -> None:
    profile = profile_for("qwen3:8b", "<|im_start|>{{ message }}")
    assert (profile.name, profile.dialect, profile.tools_in, profile.edit) == (
        "qwen",
        "text",
        "system",
        "search_replace",
    )
    # Our own renderer asks nothing of the template.
    assert profile_for("gpt-oss:20b", "<|im_start|>{{ message }}").dialect == "harmony"


@pytest.mark.parametrize(
    ("model", "context", "tier", "max_tokens"),
    [
        ("qwen3.6:27b", 0, "standard", 12_288),
        ("qwen3.6:27b", 4096, "minimal", 1024),
        ("qwen3.6:27b", 8192, "minimal", 2048),
        ("qwen3.6:27b", 16_384, "standard", 4096),
        ("gpt-oss:120b", 16_384, "standard", 4096),
        ("gpt-oss:120b", 131_072, "full", 16_384),
        ("codellama:7b", 131_072, "minimal", 4096),
        ("qwen3.6:27b", 512, "minimal", 256),
    ],
)
def test_a_small_window_has_a_small_prompt_and_small_answers(
    model: str, context: int, tier: str, max_tokens: int
) -> None:
    profile = profile_for(model, context=context, own={model: ProfileSettings(max_tokens=max_tokens)})
    assert (profile.tier, profile.max_tokens) == (tier, max_tokens)
    assert profile.thinking <= max_tokens // 2
    assert profile_for(model, context=context).max_tokens == max_tokens


def test_the_owner_and_a_calibration_have_their_say() -> None:
    found = {"edit": "lines", "parallel": False}
    measured = profile_for("qwen3.6:27b", measured=found)
    assert (measured.edit, measured.parallel, measured.calibrated) == ("lines", False, True)
    assert "replace_lines" in measured.tools
    assert "edit" not in measured.tools
    own = {
        "qwen": ProfileSettings(edit="multi", temperature=0.1),
        "qwen3.6:27b": ProfileSettings(temperature=0.2, tier="full"),
    }
    profile = profile_for("qwen3.6:27b", own=own, measured=found)
    assert (profile.edit, profile.parallel, profile.tier) == ("multi", False, "full")
    assert profile.sampling["temperature"] == 0.2
    assert profile.sampling["top_k"] == 20
    assert profile_for("qwen3:8b", own=own).sampling["temperature"] == 0.1
    assert profile_for("mine", own={"mine": ProfileSettings(family="glm")}).name == "glm"
    with pytest.raises(SettingsError, match=r"profiles\.mine\.family = 'gml'"):
        profile_for("mine", own={"mine": ProfileSettings(family="gml")})


def test_harmony_needs_raw_prompts_and_has_its_own_names() -> None:
    for profile in (
        profile_for("gpt-oss:20b", raw=False),
        profile_for("gpt-oss:20b", own={"gpt-oss": ProfileSettings(dialect="chat")}),
    ):
        assert (profile.dialect, profile.tools_in, profile.names) == ("chat", "template", {})
        assert profile.edit == "apply_patch"
        assert "container" not in profile.system


def test_a_form_that_weighs_too_much_has_another_in_its_place() -> None:
    own = {"qwen": ProfileSettings(edit="hashline")}
    assert profile_for("qwen3:8b", context=8192, own=own).edit == "lines"
    large = profile_for("qwen3:8b", context=32_768, own=own)
    assert (large.edit, large.tools[2]) == ("hashline", "hashline")


def test_the_system_text_names_the_tools_as_the_model_knows_them() -> None:
    for model in ("gpt-oss:20b", "gpt-oss:120b", "qwen3.6:27b", "codellama:7b"):
        profile = profile_for(model)
        assert "{" not in profile.system
        assert set(profile.names) <= set(profile.tools)
    assert "container.exec" in profile_for("gpt-oss:20b").system
    assert " with bash" in profile_for("qwen3.6:27b").system


@given(st.integers(0, 1 << 20), st.sampled_from(list(CATALOGUE)))
def test_limits_are_in_order_and_leave_room_for_an_answer(context: int, model: str) -> None:
    profile = profile_for(model, context=context)
    found = limits(profile, context)
    assert 0 <= found.work <= found.mask <= found.compact <= 64_000
    if context >= 2048:
        assert found.compact + profile.max_tokens <= context


@pytest.mark.parametrize(
    ("context", "work", "compact"), [(8192, 2867, 6144), (65_536, 22_937, 40_000), (262_144, 24_000, 40_000)]
)
def test_limits_are_shares_of_the_window_and_bounded(context: int, work: int, compact: int) -> None:
    found = limits(profile_for("qwen3.6:27b", context=context), context)
    assert (found.work, found.compact) == (work, compact)
    free = Profile("free", "", (), work_most=0, compact_most=0)
    assert limits(free, 100_000).compact == 75_000


def test_a_minimal_prompt_tells_of_a_tool_in_one_sentence() -> None:
    fields = {"properties": {"path": {}, "offset": {}, "shape": {}}, "required": ["path"]}
    spec = ToolSpec("read", "Read a file, whole or by lines. And more.", fields)
    short = worded(spec, profile_for("codellama:7b"))
    assert short.description == "Read a file."
    assert short.parameters == {"properties": {"path": {}, "offset": {}}, "required": ["path"]}
    assert worded(spec, profile_for("qwen3:8b")) == worded(spec, PILOT) == spec
    other = worded(ToolSpec("other", "Replace old by new; exact.\nMore.", {}), profile_for("codellama:7b"))
    assert other.description == "Replace old by new."


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('tier = "standard"\nedit', 'tier = "big"\nedit', "[defaults]: Invalid enum value 'big' - at `tier`"),
        ('edit = "whole"', 'edit = "hole"', "[qwen2.5-coder]: Invalid enum value 'hole' - at `edit`"),
        ("[gpt-oss]\n", "[gpt-oss]\ncolour = 1\n", "[gpt-oss]: Object contains unknown field `colour`"),
        ("temperature = 0.15", "temperature = 15", "[mistral]: Expected `float` <= 2.0 - at `sampling.temperature`"),
        ("compact_most = 40_000\n", "", "[defaults] lacks compact_most"),
        ("\n[standard]\nmodels", "\n[normal]\nmodels", "[standard]: Object missing required field `models`"),
        ("[edits.lines]", "[edits.line]", "[edits] knows no line"),
        ("[defaults]\ndialect", "[defaults\ndialect", "is not TOML"),
        ('full = ["read"', 'huge = ["read"', "[tools] lacks full"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(old: str, new: str, what: str) -> None:
    assert old in FILE
    with pytest.raises(SettingsError) as caught:
        parse_families(FILE.replace(old, new, 1), "profiles.toml")
    assert str(caught.value).startswith("profiles.toml")
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(), st.text(), st.integers(0, 1 << 22))
def test_any_name_and_any_template_have_a_profile(model: str, template: str, context: int) -> None:
    assert profile_for(model, template, context).tools
    assert plain_name(model) == plain_name(model).lower()


@settings(max_examples=300)
@given(st.text("ab-5.[]!*?", max_size=8), st.text("ab-5.[]!*?", max_size=8))
def test_a_pattern_fits_as_patterns_of_file_names_do(name: str, pattern: str) -> None:
    assert fits(name, pattern) == fnmatchcase(name, pattern)
