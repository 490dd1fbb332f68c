"""Messages: the same message is always the same bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.messages import Message, ToolCall, ToolSpec

calls = st.builds(ToolCall, id=st.text(max_size=9), name=st.text(max_size=9), arguments=st.text(max_size=20))
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.text(),
    tool_calls=st.lists(calls, max_size=3).map(tuple),
    tool_call_id=st.text(max_size=5),
    reasoning=st.text(max_size=20),
)


@given(messages)
def test_a_message_survives_the_wire_byte_for_byte(message: Message) -> None:
    wire = json.dumps(message.to_wire())
    again = Message.from_wire(json.loads(wire))
    assert again == message
    assert json.dumps(again.to_wire()) == wire


def test_the_keys_are_in_one_order_and_nothing_empty_is_sent() -> None:
    assert json.dumps(Message("user", "hi").to_wire()) == '{"role": "user", "content": "hi"}'
    whole = Message("assistant", "", (ToolCall("1", "read", '{"path":"a"}'),), reasoning="why")
    assert list(whole.to_wire()) == ["role", "content", "reasoning_content", "tool_calls"]
    assert whole.to_wire()["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}}
    ]
    assert list(Message("tool", "x", tool_call_id="1").to_wire()) == ["role", "content", "tool_call_id"]


def test_null_content_is_empty_text() -> None:
    assert Message.from_wire({"role": "assistant", "content": None}) == Message("assistant", "")


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(KeyError):
        Message.from_wire({"content": "x"})
    with pytest.raises((KeyError, TypeError)):
        Message.from_wire({"role": "assistant", "tool_calls": [{"id": "1", "function": None}]})


def test_a_tool_on_the_wire() -> None:
    spec = ToolSpec("read", "Read a file.", {"type": "object"})
    assert json.dumps(spec.to_wire()) == (
        '{"type": "function", "function": {"name": "read", "description": "Read a file.", '
        '"parameters": {"type": "object"}}}'
    )
