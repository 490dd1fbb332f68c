"""Calls that gpt-oss only speaks of: an engine gives the letters of a mark and the mark itself alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.dialects.harmony.naming import Naming
from hearth.llm.dialects.harmony.parser import MOST_QUOTED, Parser
from hearth.llm.dialects.harmony.quoting import is_quoting
from hearth.llm.repair.cases import TOOLS
from hearth.llm.repair.judge import judge
from hearth.llm.repair.verdict import Answer, Calls, Resample, Said
from hearth.messages import Message

CALL = '<|channel|>commentary to=functions.bash <|constrain|>json<|message|>{"command": "id"}<|call|>'
WHOLE = f"<|start|>assistant{CALL}"
ESCAPED = CALL.replace("<|", "\\<|")

QUOTED = [
    f"A call is `{CALL}` there.",
    f"A call is `` {WHOLE} `` there.",
    f"So:\n\n```\n{CALL}\n```\n\nThat is it.",
    f"So:\n\n~~~~text\n{WHOLE}\n```\n~~~~\nThat is it.",
    f"> {CALL}\n\nsaid he.",
    f"So:\n\n    {WHOLE}\n\nThat is it.",
    f"So it is {ESCAPED} there.",
    f"A call is `{CALL}` and `{WHOLE}`, then an answer is `<|channel|>final`.",
]


def read(stream: str) -> tuple[Message, str]:
    parser = Parser(Naming({}))
    for char in stream:
        parser.feed(char)
    message, _ = parser.finish()
    return message, parser.broken


@pytest.mark.parametrize("text", QUOTED)
def test_what_is_quoted_is_said(text: str) -> None:
    assert read(f"<|channel|>final<|message|>{text}<|return|>") == (Message("assistant", text), "")
    thought = f"<|channel|>analysis<|message|>{text}<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>"
    assert read(thought) == (Message("assistant", "Hi.", reasoning=text), "")
    assert isinstance(judge(Said(text), TOOLS), Answer)


@pytest.mark.parametrize(
    "text",
    [
        f"A call is `{CALL}",
        f"So:\n```\n{CALL}",
        f"So it is \\{CALL}",
        f'It is "{CALL}" there.',
        f"It is “{CALL}” there.",
        f"```\n{CALL * MOST_QUOTED}\n```",
    ],
)
def test_what_may_be_either_is_asked_again(text: str) -> None:
    message, broken = read(f"<|channel|>final<|message|>{text}<|return|>")
    assert broken
    assert not message.tool_calls


@pytest.mark.parametrize(
    "before",
    [
        "I look.",
        "It is `a` and ``b``.",
        "```\nx\n```\n",
        'He said "so"',
        "> so\nit is",
        "So:\n\n  ",
        "a\\b",
        "5 > 4",
        "- x",
    ],
)
def test_what_has_ended_what_it_said_calls(before: str) -> None:
    message, broken = read(f"<|channel|>commentary<|message|>{before}{CALL}")
    assert not broken
    assert [call.arguments for call in message.tool_calls] == ['{"command": "id"}']


@given(st.text(alphabet='ab `~>\\"\n\t', max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    parser = Parser(Naming({}))
    parser.feed(f"<|channel|>final<|message|>{text}{CALL}")
    message, _ = parser.finish()
    if is_quoting(text):
        assert not message.tool_calls


@pytest.mark.parametrize(
    "unit", ["<|channel|>", "`", "```\n", "    x\n\n", "   \n", "\\<|start|>", "> ", '"', "a <|channel|>"]
)
def test_a_flood_ends(unit: str) -> None:
    flood = unit * (100_000 // len(unit))
    for stream in (flood, f"<|channel|>final<|message|>`{flood}", f"<|channel|>final<|message|>```\n{flood}"):
        parser = Parser(Naming({}))
        for at in range(0, len(stream), 512):
            parser.feed(stream[at : at + 512])
        assert not parser.finish()[0].tool_calls
    assert isinstance(judge(Said(f"x\n\n{flood}    {ENVELOPE}\n\nx"), TOOLS), Calls | Answer | Resample)


ENVELOPE = '<tool_call>\n{"name": "bash", "arguments": {"command": "id"}}\n</tool_call>'


@pytest.mark.parametrize(
    "text",
    [
        f"Hermes writes \\{ENVELOPE.replace('</', chr(92) + '</')} for a call.",
        "Qwen writes \\<function=bash>\\<parameter=command>ls\\</parameter>\\</function> for a call.",
        f"In Harmony:\n{ESCAPED}",
        "So:\n\n    " + ENVELOPE.replace("\n", "\n    ") + "\n\nThat is how it looks.",
        "So:\n\n\t" + ENVELOPE.replace("\n", "\n\t") + "\n\nThat is how it looks.",
    ],
)
def test_in_other_forms_too(text: str) -> None:
    assert isinstance(judge(Said(text), TOOLS), Answer)


@pytest.mark.parametrize(
    "text",
    ["I look.\n\n    " + ENVELOPE.replace("\n", "\n    "), f"    {ENVELOPE}\n\nI wait.", f"- I look:\n    {ENVELOPE}"],
)
def test_a_call_with_a_margin_is_one(text: str) -> None:
    assert not isinstance(judge(Said(text), TOOLS), Answer)
