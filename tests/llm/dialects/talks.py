"""Conversations by chance, as the dialects' properties take them."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from hearth.llm.dialects.harmony.markers import JOINER, MARKS
from hearth.messages import Message, ToolCall, ToolSpec

TOOLS = (
    ToolSpec(
        "bash",
        "Run a command.",
        {
            "type": "object",
            "properties": {"command": {"type": "string"}, "timeout": {"type": "integer"}},
            "required": ["command"],
        },
    ),
    ToolSpec(
        "write",
        "Write a file.",
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["path", "content"],
        },
    ),
    ToolSpec(
        "edit",
        "Replace text.",
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "old": {"type": "string"}, "new": {"type": "string"}},
            "required": ["path", "old", "new"],
        },
    ),
    ToolSpec("todo", "What is to do.", {"type": "object", "properties": {"items": {"type": "array"}}}),
)
NAMES = {"bash": "container.exec", "write": "repo_browser.write"}

AWKWARD = (
    *MARKS, *(mark.replace("<", f"<{JOINER}") for mark in MARKS), JOINER, "<|reserved_200013|>", "<|", "|>", "<",
    "```", "```tool", "````", "~~~", "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "path:", "\n", "\r\n", " ",
    '{"a": 1}', "to=functions.bash", "commentary", "assistant", "- old:", "end", "|", "> ",
)  # fmt: skip
"""What the dialects give a meaning to."""
TEXT = st.lists(
    st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
).map("".join)


@st.composite
def arguments(draw: st.DrawFn) -> tuple[str, str]:
    """A tool's name and the JSON of its arguments."""
    tool = draw(st.sampled_from(TOOLS[:3]))
    fields = {}
    for name, field in tool.parameters["properties"].items():
        if name in tool.parameters["required"] or draw(st.booleans()):
            fields[name] = draw(TEXT if field["type"] == "string" else st.integers(0, 10**6))
    return tool.name, json.dumps(fields, ensure_ascii=draw(st.booleans()))


@st.composite
def answers(draw: st.DrawFn, most_calls: int = 2) -> Message:
    """An assistant's message that says or calls something."""
    number = draw(st.integers(0, most_calls))
    made = [draw(arguments()) for _ in range(number)]
    calls = tuple(ToolCall(f"call_{draw(st.integers(0, 10**9))}_{place}", *each) for place, each in enumerate(made))
    return Message("assistant", draw(TEXT), calls, reasoning=draw(TEXT))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A system text, then turns, each answered call with its result."""
    messages = [Message("system", draw(TEXT))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 4))):
        messages.append(Message("user", draw(TEXT)))
        for _ in range(draw(st.integers(0, 2))):
            answer = draw(answers())
            messages.append(answer)
            messages += [Message("tool", draw(TEXT), tool_call_id=call.id) for call in answer.tool_calls]
    return messages


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces of any size."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
