"""What gpt-oss is given to read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talks import NAMES, TEXT, TOOLS, conversations

from hearth.llm.dialects.harmony.form import Form, Header, template_form
from hearth.llm.dialects.harmony.markers import MARKS, Mark, Splitter, escape, unescape
from hearth.llm.dialects.harmony.naming import Naming
from hearth.llm.dialects.harmony.render import OPEN, Renderer
from hearth.llm.dialects.harmony.signature import type_of
from hearth.messages import Message, ToolCall, ToolSpec

DATA = Path(__file__).parents[2] / "data" / "harmony" / "template.json"
LOOK = ToolSpec(
    "look",
    "Looks at a place.\nTwice if need be.",
    {
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "Where, e.g. the attic"},
            "how": {"type": "string", "enum": ["near", "far"], "default": "near"},
            "times": {"type": "integer", "default": 2},
            "words": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["place"],
    },
)
NOW = ToolSpec("now", "Tells the time.", {"type": "object", "properties": {}})
TALK = (
    Message("system", "Be kind."),
    Message("user", "What is in the attic?"),
    Message(
        "assistant",
        "I look.",
        (ToolCall("call_1", "look", '{"place":"the attic"}'),),
        reasoning="Need to look.",
    ),
    Message("tool", 'a "trunk"\n', tool_call_id="call_1"),
    Message("assistant", "A trunk."),
    Message("user", "Thanks."),
)
SIGNATURES = """# Tools

## functions

namespace functions {

// Looks at a place.
// Twice if need be.
type look = (_: {
// Where, e.g. the attic
place: string,
how?: "near" | "far", // default: near
times?: number, // default: 2
words?: string[],
}) => any;

// Tells the time.
type now = () => any;

} // namespace functions"""
REST = (
    "<|start|>user<|message|>What is in the attic?<|end|>"
    "<|start|>assistant<|channel|>analysis<|message|>Need to look.<|end|>"
    "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.look <|constrain|>json<|message|>"
    '{"place":"the attic"}<|call|>'
    '<|start|>functions.look to=assistant<|channel|>commentary<|message|>a "trunk"\n<|end|>'
    "<|start|>assistant<|channel|>final<|message|>A trunk.<|end|>"
    "<|start|>user<|message|>Thanks.<|end|><|start|>assistant"
)
HEAD = (
    "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
    "Current date: 2026-01-02\n\nReasoning: high\n\n"
)
VALID = (
    "# Valid channels: analysis, commentary, final. Channel must be included for every message.\n"
    "Calls to these tools must go to the commentary channel: 'functions'.<|end|>"
)


def test_tools_in_the_developer_message_as_published() -> None:
    prompt = Renderer(Form("developer", "high", date="2026-01-02"), Naming()).prompt(TALK, (LOOK, NOW))
    developer = f"<|start|>developer<|message|># Instructions\n\nBe kind.\n\n{SIGNATURES}<|end|>"
    assert prompt == HEAD + VALID + developer + REST


def test_tools_in_the_system_message() -> None:
    prompt = Renderer(Form("system", "high", date="2026-01-02"), Naming()).prompt(TALK, (LOOK, NOW))
    developer = "<|start|>developer<|message|># Instructions\n\nBe kind.<|end|>"
    assert prompt == HEAD + SIGNATURES + "\n\n" + VALID + developer + REST


def test_without_tools_and_instructions_there_is_no_developer() -> None:
    prompt = Renderer(Form(), Naming()).prompt((Message("user", "hi"),), ())
    assert prompt == (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
        "<|start|>user<|message|>hi<|end|><|start|>assistant"
    )


def test_its_own_names_have_their_own_namespaces() -> None:
    talk = (
        Message("user", "go"),
        Message("assistant", "", (ToolCall("c", "bash", '{"command":"ls"}'),)),
        Message("tool", "a", tool_call_id="c"),
    )
    prompt = Renderer(Form(), Naming(NAMES)).prompt(talk, TOOLS)
    spaces = ["namespace container {", "namespace functions {", "namespace repo_browser {"]
    assert [prompt.count(space) for space in spaces] == [1, 1, 1]
    assert [prompt.index(space) for space in spaces] == sorted(prompt.index(space) for space in spaces)
    assert "type exec = (_: {\ncommand: string,\ntimeout?: number,\n}) => any;" in prompt
    assert "<|channel|>commentary to=container.exec <|constrain|>json<|message|>" in prompt
    assert "<|start|>container.exec to=assistant<|channel|>commentary<|message|>a<|end|>" in prompt


@pytest.mark.parametrize(
    "asked", json.loads(DATA.read_text(encoding="utf-8")), ids=lambda asked: str(len(asked["prompt"]))
)
def test_it_is_what_llama_cpp_renders_through_the_models_template(asked: dict[str, Any]) -> None:
    tools = [ToolSpec(**each["function"]) for each in asked["tools"]]
    messages = [Message.from_wire(each) for each in asked["messages"]]
    prompt = Renderer(template_form(asked["effort"], asked["date"]), Naming()).prompt(messages, tools)
    assert prompt == asked["prompt"]


@given(conversations(), st.sampled_from(("system", "developer")))
def test_a_conversation_that_grew_is_a_prompt_that_grew(messages: list[Message], place: Any) -> None:
    renderer = Renderer(Form(place), Naming(NAMES))
    whole = renderer.conversation(messages, TOOLS)
    start = 1 if messages[0].role == "system" else 0
    for count in range(start, len(messages)):
        assert whole.startswith(renderer.conversation(messages[:count], TOOLS))
        if messages[count].role == "assistant":
            assert whole.startswith(renderer.prompt(messages[:count], TOOLS))


@given(conversations())
def test_nothing_that_is_said_ends_a_message(messages: list[Message]) -> None:
    plain = [replace(each, content="x", reasoning="x" * bool(each.reasoning)) for each in messages]
    plain = [
        replace(
            each, content=before.content and "x", tool_calls=tuple(replace(c, arguments="{}") for c in each.tool_calls)
        )
        for each, before in zip(plain, messages, strict=True)
    ]
    renderer = Renderer(Form(), Naming(NAMES))
    marks = [piece for piece in Splitter().feed(renderer.prompt(messages, TOOLS)) if isinstance(piece, Mark)]
    assert marks == [piece for piece in Splitter().feed(renderer.prompt(plain, TOOLS)) if isinstance(piece, Mark)]


@given(TEXT)
def test_what_is_escaped_comes_back(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not any(mark in escape(text) for mark in MARKS)
    assert escape("print('<end>')") == "print('<end>')"


def test_a_name_that_a_model_made_up_cannot_end_a_header() -> None:
    call = ToolCall("c", "x<|message|> y", "{}")
    prompt = Renderer(Form(), Naming()).answer(Message("assistant", "", (call,)))
    assert prompt == f"{OPEN}<|channel|>commentary to=functions.x__message___y <|constrain|>json<|message|>{{}}<|call|>"


def test_a_header_is_written_again_as_the_model_wrote_it() -> None:
    header = Header("analysis", after_role=True, kind=" code")
    call = ToolCall(f"call_1{header.note()}", "bash", "{}")
    prompt = Renderer(Form(), Naming(NAMES)).answer(Message("assistant", "", (call,)))
    assert prompt == f"{OPEN} to=container.exec<|channel|>analysis code<|message|>{{}}<|call|>"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "any"),
        ({"type": ["number", "string"]}, "number | string"),
        ({"type": ["integer", "null"]}, "number | null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": "array"}, "any[]"),
        ({"type": "array", "items": {"enum": ["a", "b"], "type": "string"}}, '("a" | "b")[]'),
        ({"type": "string", "nullable": True}, "string | null"),
        ({"$ref": "#/$defs/X", "$defs": {"X": {"type": "boolean"}}}, "boolean"),
        ({"$ref": "#/$defs/Y"}, "any"),
        (
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"text": {"type": "string"}, "done": {"type": "boolean"}},
                    "required": ["text"],
                },
            },
            "{\ntext: string,\ndone?: boolean,\n}[]",
        ),
    ],
)
def test_types(schema: dict[str, Any], text: str) -> None:
    assert type_of(schema) == text
