"""Ollama's chat, there and back. The lines are those of Ollama's own documentation and source, 0.13 to 0.34."""

from __future__ import annotations

import json
from typing import Any

import pytest
import told as said
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.runtime.dialect import Untranslatable
from hearth.runtime.foreign.dialects.ollama_chat import OllamaChat
from hearth.runtime.foreign.dialects.ollama_request import KEEP_ALIVE, OllamaModel

MODEL = OllamaModel("qwen3:4b", 4096, sees=True, thinks=True)
USER = {"role": "user", "content": "hello"}
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]


def ask(model: OllamaModel = MODEL, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"model": "qwen3:4b@shop", "messages": [USER], **fields}).encode()
    request: dict[str, Any] = json.loads(OllamaChat(model).request(body))
    return request


def line(message: dict[str, Any] | None = None, **more: Any) -> bytes:
    stamp = "2026-09-17T15:42:59.5670387Z"
    message = {"role": "assistant", "content": "", **(message or {})}
    whole = {"model": "qwen3:4b", "created_at": stamp, "message": message, "done": False, **more}
    return json.dumps(whole, ensure_ascii=False).encode() + b"\n"


LAST = line(
    done=True, done_reason="stop", total_duration=9, load_duration=1, prompt_eval_count=29, prompt_eval_cached_count=9,
    prompt_eval_duration=10_000_000, eval_count=3, eval_duration=30_000_000,
)  # fmt: skip
ANSWER = (
    line({"thinking": "hm "}) + line({"thinking": "ä"}) + line({"content": "Grüße "}) + line({"content": "🔥"}) + LAST
)


def tell(stream: bytes, cuts: tuple[int, ...] = (), **fields: Any) -> bytes:
    body = json.dumps({"model": "qwen3:4b@shop", "messages": [USER], "stream": True, **fields}).encode()
    return said.tell(OllamaChat(MODEL).translation(body), stream, cuts)


def test_the_context_is_always_spelt_out_and_nothing_may_be_cut() -> None:
    assert ask() == {
        "model": "qwen3:4b",
        "messages": [USER],
        "stream": False,
        "truncate": False,
        "shift": False,
        "keep_alive": KEEP_ALIVE,
        "options": {"num_ctx": 4096},
    }


def test_sampling_and_limits() -> None:
    asked = ask(
        temperature=0, top_p=0.9, top_k=20, min_p=0.1, seed=7, stop="END", repeat_penalty=1.1, presence_penalty=0.5,
        frequency_penalty=0.2, max_tokens=5, cache_prompt=True, id_slot=3, dry_multiplier=0, logprobs=False,
    )  # fmt: skip
    assert asked["options"] == {
        "num_ctx": 4096, "temperature": 0, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "repeat_penalty": 1.1,
        "presence_penalty": 0.5, "frequency_penalty": 0.2, "num_predict": 5, "seed": 7, "stop": ["END"],
    }  # fmt: skip
    assert ask(max_completion_tokens=0)["options"]["num_predict"] == 0
    assert "num_predict" not in ask(max_tokens=-1, seed=-1)["options"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("grammar", 'root ::= "a"'),
        ("n", 2),
        ("logprobs", True),
        ("logit_bias", {"5": 1}),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "read"}}),
        ("mirostat", 2),
        ("samplers", ["top_k"]),
        ("chat_template_kwargs", {"date": "today"}),
        ("response_format", {"type": "xml"}),
        ("reasoning_format", "none"),
        ("messages", "hello"),
        ("messages", [7]),
        ("messages", [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]),
        ("messages", [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": '}}]}]),
        ("messages", [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "7"}}]}]),
        ("messages", [{"role": "assistant", "tool_calls": ["f"]}]),
    ],
)
def test_what_would_change_the_answer_is_refused(field: str, value: object) -> None:
    with pytest.raises(Untranslatable) as caught:
        ask(**{field: value})
    assert str(caught.value)


def test_a_body_that_is_no_request() -> None:
    for body in (b"", b"{", b"[]", b"{}", b"\xff", b'{"messages": ' + b"[" * 100_000):
        with pytest.raises(Untranslatable):
            OllamaChat(MODEL).request(body)


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"response_format": {"type": "json_object", "schema": {"type": "array"}}}, {"type": "array"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "null"}}}}, {"type": "null"}),
        ({"json_schema": {"type": "object"}}, {"type": "object"}),
    ],
)
def test_formats(fields: dict[str, Any], form: object) -> None:
    assert ask(**fields).get("format") == form


@pytest.mark.parametrize(
    ("fields", "by_switch", "by_level"),
    [
        ({}, None, None),
        ({"reasoning_effort": "none"}, False, "low"),
        ({"reasoning_effort": "high"}, True, "high"),
        ({"reasoning_effort": "minimal"}, True, "low"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False, "low"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, True, None),
        ({"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "medium"}}, True, "medium"),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(
    fields: dict[str, Any], by_switch: object, by_level: object
) -> None:
    assert ask(**fields).get("think") == by_switch
    assert ask(OllamaModel("gpt-oss", 4096, thinks=True, thinks_by_level=True), **fields).get("think") == by_level
    assert "think" not in ask(OllamaModel("llama3", 4096), **fields)


def test_a_conversation_with_tools_and_an_image() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "ä"}'}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    asked = ask(
        tools=TOOLS,
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "the file"},
        ],
    )
    assert asked["tools"] == TOOLS
    assert asked["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "a\nb", "images": ["QUJD"]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"function": {"name": "read", "arguments": {"path": "ä"}}, "id": "c1"}],
        },
        {"role": "tool", "content": "the file", "tool_call_id": "c1", "tool_name": "read"},
    ]
    assert "tools" not in ask(tools=TOOLS, tool_choice="none")
    with pytest.raises(Untranslatable, match="no tools"):
        ask(OllamaModel("old", 4096, calls_tools=False), tools=TOOLS)
    with pytest.raises(Untranslatable, match="no images"):
        ask(OllamaModel("blind", 4096), messages=[{"role": "user", "content": [image]}])


def test_a_stream_becomes_events() -> None:
    told = tell(ANSWER)
    assert said.events(told)[-1] == "[DONE]"
    assert (said.text(told), said.text(told, "reasoning_content")) == ("Grüße 🔥", "hm ä")
    assert said.ending(told) == "stop"
    first, last = said.objects(told)[0], said.objects(told)[-1]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert (first["model"], first["object"], first["created"]) == (
        "qwen3:4b@shop", "chat.completion.chunk", 1_789_659_779,
    )  # fmt: skip
    assert "usage" not in last
    assert last["timings"] == {
        "cache_n": 9, "prompt_n": 20, "prompt_ms": 10.0, "prompt_per_token_ms": 0.5, "prompt_per_second": 2000.0,
        "predicted_n": 3, "predicted_ms": 30.0, "predicted_per_token_ms": 10.0, "predicted_per_second": 100.0,
    }  # fmt: skip


def test_usage_comes_in_an_event_of_its_own_when_it_is_wanted() -> None:
    last = said.objects(tell(ANSWER, stream_options={"include_usage": True}))[-1]
    assert last["choices"] == []
    assert last["usage"] == {
        "completion_tokens": 3, "prompt_tokens": 29, "total_tokens": 32,
        "prompt_tokens_details": {"cached_tokens": 9},
    }  # fmt: skip


def test_no_speed_is_told_when_nobody_knows_what_was_cached() -> None:
    told = tell(line(done=True, done_reason="length", prompt_eval_count=900, prompt_eval_duration=10, eval_count=2))
    assert said.objects(told)[-1]["timings"] == {"prompt_n": 900, "predicted_n": 2}
    assert said.ending(told) == "length"


def test_calls_get_ids_numbers_and_arguments_as_text() -> None:
    call = {"function": {"index": 0, "name": "read", "arguments": {"path": "a b", "n": 1}}}
    stream = line({"tool_calls": [call, {"id": "own", **call}]}) + line({"tool_calls": [call]}) + LAST
    told = tell(stream)
    found = said.calls(told)
    assert [each["name"] for each in found] == ["read"] * 3
    assert json.loads(found[0]["arguments"]) == {"path": "a b", "n": 1}
    assert len({each["id"] for each in found}) == 3
    assert found[1]["id"] == "own"
    assert said.ending(told) == "tool_calls"
    assert len(said.calls(tell(stream, parallel_tool_calls=False))) == 1


def test_the_whole_answer_says_the_same() -> None:
    call = {"function": {"name": "read", "arguments": {}}}
    message = {"content": "Hi", "thinking": "hm", "tool_calls": [call]}
    translation = OllamaChat(MODEL).translation(json.dumps({"model": "m@shop", "messages": [USER]}).encode())
    body = json.loads(LAST) | {"message": {"role": "assistant", **message}}
    answer = json.loads(translation.whole(json.dumps(body).encode()))
    choice = answer["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "Hi")
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "read", "arguments": "{}"}
    assert answer["usage"]["total_tokens"] == 32
    assert (answer["object"], answer["model"]) == ("chat.completion", "m@shop")


def test_an_error_in_the_stream_is_its_last_word() -> None:
    for middle in (b'{"error":"llama runner process has terminated"}\n', b"<html>\n", b"[1]\n"):
        told = tell(line({"content": "a"}) + middle + ANSWER)
        assert said.text(told) == "a"
        assert "error" in said.objects(told)[-1]
        assert "[DONE]" not in said.events(told)
    assert "has terminated" in said.objects(tell(b'{"error":"it has terminated"}\n'))[0]["error"]["message"]


def test_a_stream_that_is_cut_has_no_end() -> None:
    whole = tell(ANSWER)
    for cut in range(len(ANSWER) - 1):
        told = tell(ANSWER[:cut])
        assert "[DONE]" not in said.events(told)
        assert whole.startswith(told)
    assert tell(ANSWER[:-1]) == whole


RUNNER = {
    "error": {
        "code": 400,
        "message": "request (8889 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "type": "exceed_context_size_error", "n_prompt_tokens": 8889, "n_ctx": 4096,
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": json.dumps(RUNNER)}, (400, "exceed_context_size_error", 8889, 4096)),
        (400, {"error": "the prompt is longer than the context length currently available to the model; shorten"},
         (400, "exceed_context_size_error", None, 4096)),
        (500, {"error": "the input length exceeds the context length"}, (400, "exceed_context_size_error", None, 4096)),
        (404, {"error": "model 'nope' not found"}, (404, "not_found_error", None, None)),
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"},
         (503, "unavailable_error", None, None)),
        (500, "panic", (500, "server_error", None, None)),
    ],
)  # fmt: skip
def test_refusals(status: int, body: object, expected: tuple[object, ...]) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    code, told = OllamaChat(MODEL).translation(b"{}").error(status, raw)
    error = json.loads(told)["error"]
    assert (code, error["type"], error.get("n_prompt_tokens"), error.get("n_ctx")) == expected
    assert error["code"] == code


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
def test_it_does_not_matter_where_the_stream_is_cut_into_pieces(cuts: list[int]) -> None:
    assert tell(ANSWER, tuple(cuts)) == tell(ANSWER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["message", "content", "thinking", "tool_calls", "function", "name", "arguments", "error",
                         "done", "done_reason", "created_at", "eval_count", "eval_duration", "prompt_eval_count",
                         "id"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(json_values.map(lambda value: json.dumps(value).encode() + b"\n") | st.binary(max_size=20), max_size=6))
def test_garbage_never_raises_and_is_told_in_whole_events(parts: list[bytes]) -> None:
    said.events(tell(b"".join(parts)))
    translation = OllamaChat(MODEL).translation(b"\xff")
    for part in parts:
        json.loads(translation.whole(part))
        json.loads(translation.error(500, part)[1])
