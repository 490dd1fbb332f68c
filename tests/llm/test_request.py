import json

from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.repair import tame_calls
from hearth.llm.request import Request, encode_request
from hearth.messages import Message, ToolCall, ToolSpec

TEXT = st.text(max_size=40)
CALLS = st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=3).map(tuple)
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(("user", "assistant", "tool")), TEXT, CALLS, TEXT, TEXT), min_size=1, max_size=8
)
TOOLS = (ToolSpec("read", "Read.", {"type": "object", "properties": {}}),)


def request(messages: list[Message]) -> Request:
    return Request("s", "m", {"temperature": 0.7}, 512, TOOLS, tuple(messages))


@given(MESSAGES, MESSAGES)
def test_a_longer_conversation_has_the_shorter_one_as_its_prefix(before: list[Message], after: list[Message]) -> None:
    short, long = encode_request(request(before)), encode_request(request(before + after))
    assert short.endswith(b"]}")
    assert long.startswith(short[:-2])


def test_the_body_is_compact_and_messages_come_last() -> None:
    body = encode_request(request([Message("user", "grüße")]), {"return_progress": True})
    assert list(json.loads(body))[-1] == "messages"
    assert body.endswith('"messages":[{"role":"user","content":"grüße"}]}'.encode())
    assert b'"return_progress":true' in body


def test_a_lone_surrogate_does_not_break_the_body() -> None:
    assert encode_request(request([Message("user", "a\udcffb")])).endswith(b'"a?b"}]}')


@given(st.text(max_size=30))
def test_tamed_arguments_are_always_an_object(arguments: str) -> None:
    tamed = tame_calls(Message("assistant", "", (ToolCall("i", "n", arguments),)))
    assert isinstance(json.loads(tamed.tool_calls[0].arguments), dict)


def test_good_arguments_stay_byte_for_byte() -> None:
    message = Message("assistant", "", (ToolCall("i", "n", '{"a":  1 , "b":"ä"}'),))
    assert tame_calls(message) == message


def test_arguments_nested_beyond_reason_are_made_safe() -> None:
    deep = '{"a": ' * 5000 + "1" + "}" * 5000
    message = tame_calls(Message("assistant", "", (ToolCall("1", "read", deep),)))
    assert json.loads(message.tool_calls[0].arguments) == {"unreadable": deep}
