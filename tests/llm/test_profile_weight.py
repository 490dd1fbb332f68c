"""What the prompt of each tier weighs, tools included, counted with a real tokenizer.

The vocabulary is learned here from the standard library: 16,384 tokens where the models have 130,000 to 260,000, so it
counts more than any of them would. Beside it a token counts for 3.5 characters: the larger figure must fit.
"""

from __future__ import annotations

import asyncio
import json
import re
import sysconfig
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from hearth.agent.equipment import make_toolbox
from hearth.llm.dialects.text.render import describe_tools
from hearth.llm.families import knowledge
from hearth.llm.profile import Profile, profile_for, worded
from hearth.messages import ToolCall
from hearth.settings import ProfileSettings

MOST = {"minimal": 350, "standard": 1200, "full": 2500}
CHARACTERS_A_TOKEN = 3.5


@cache
def tokenizer() -> Tokenizer:
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob("*.py"))]
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=16_384, show_progress=False, initial_alphabet=alphabet)
    learned.train_from_iterator(texts, trainer)
    return learned


def weigh(text: str) -> int:
    return max(len(tokenizer().encode(text).ids), round(len(text) / CHARACTERS_A_TOKEN))


def prompt(profile: Profile, folder: Path) -> str:
    """System text and tools as Qwen's template writes them, the longest form in use; as text in our own."""
    specs = make_toolbox(profile.tools, folder).specs
    if profile.dialect == "text":
        return "\n".join([profile.system, describe_tools([worded(spec, profile) for spec in specs], "edit")])
    return "\n".join([profile.system, *(json.dumps(worded(spec, profile).to_wire()) for spec in specs)])


@pytest.mark.parametrize("edit", knowledge().edits)
@pytest.mark.parametrize("tier", MOST)
def test_a_tier_weighs_what_it_may(tier: str, edit: str, tmp_path: Path) -> None:
    own = {"standard": ProfileSettings(tier=tier, edit=edit)}  # type: ignore[arg-type]  # both from the file itself
    profile = profile_for("standard", own=own)
    assert weigh(prompt(profile, tmp_path)) <= MOST[tier]


@pytest.mark.parametrize(
    "model", ["gpt-oss:20b", "gpt-oss:120b", "qwen3.6:27b", "qwen2.5-coder:7b", "codellama:7b", "mixtral"]
)
def test_the_models_own_names_weigh_no_more(model: str, tmp_path: Path) -> None:
    profile = profile_for(model)
    assert weigh(prompt(profile, tmp_path)) <= MOST[profile.tier]


@pytest.mark.parametrize("edit", knowledge().edits)
@pytest.mark.parametrize("tier", MOST)
def test_no_tool_is_named_that_the_session_lacks(tier: str, edit: str, tmp_path: Path) -> None:
    own = {"standard": ProfileSettings(tier=tier, edit=edit)}  # type: ignore[arg-type]  # both from the file itself
    profile = profile_for("standard", own=own)
    every = {tool for form in knowledge().edits.values() for tool in (*form.tools, *form.as_text)}
    texts = [
        profile.system,
        *(worded(spec, profile).description for spec in make_toolbox(profile.tools, tmp_path).specs),
    ]
    said = {word for text in texts for word in re.findall(r"\w+", text)}
    # Output and task are also words.
    assert not said & (every | {"kill", "todo"}) - set(profile.tools)


def test_what_is_said_of_results_is_what_they_say(tmp_path: Path) -> None:
    for tier in ("standard", "full"):
        own = {"standard": ProfileSettings(tier=tier)}  # type: ignore[arg-type]  # one of its three words
        assert 'begins with "not"' in profile_for("standard", own=own).system
    refused = asyncio.run(
        make_toolbox(["edit"], tmp_path).run(ToolCall("1", "edit", '{"path":"a","old":"b","new":"c"}'))
    )
    assert refused.for_model.startswith("not edited")
