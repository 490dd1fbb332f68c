"""vLLM's chat completions and those of servers like it, there and back. The shapes are those of vLLM 0.11 to 0.33."""

from __future__ import annotations

import json
from typing import Any

import pytest
import told as said
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.runtime.dialect import Untranslatable
from hearth.runtime.foreign.dialects.openai_chat import OpenAIChat, RemoteLlama

DIALECT = OpenAIChat("Qwen/Qwen3-4B", 4096, is_vllm=True)
USER = {"role": "user", "content": "hello"}


def ask(dialect: OpenAIChat | RemoteLlama = DIALECT, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"model": "qwen@shop", "messages": [USER], **fields}).encode()
    request: dict[str, Any] = json.loads(dialect.request(body))
    return request


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}] if delta is not None else []
    head = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 5, "model": "Qwen/Qwen3-4B"}
    return b"data: " + json.dumps({**head, "choices": choices, **more}, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
USAGE = chunk(usage={"prompt_tokens": 20, "total_tokens": 23, "completion_tokens": 3})
ANSWER = (
    chunk({"role": "assistant", "content": ""})
    + b": ping\n\n"
    + chunk({"reasoning": "hm ", "content": None})
    + chunk({"content": "Grüße "})
    + chunk({"content": "🔥"})
    + chunk({"content": ""}, "stop", stop_reason=None)
    + USAGE
    + DONE
)


def tell(stream: bytes, cuts: tuple[int, ...] = (), **fields: Any) -> bytes:
    body = json.dumps({"model": "qwen@shop", "messages": [USER], "stream": True, **fields}).encode()
    return said.tell(DIALECT.translation(body), stream, cuts)


def test_a_request_loses_what_only_llama_server_knows() -> None:
    asked = ask(
        cache_prompt=True, id_slot=1, return_progress=True, timings_per_token=True, dry_multiplier=0.0, grammar="",
        temperature=0.5, top_k=20, min_p=0.05, repeat_penalty=1.1, seed=-1, n_predict=-1, stop=["x"], logit_bias=None,
        user="me",
    )  # fmt: skip
    assert asked == {
        "model": "Qwen/Qwen3-4B", "messages": [USER], "temperature": 0.5, "top_k": 20, "min_p": 0.05,
        "repetition_penalty": 1.1, "stop": ["x"],
    }  # fmt: skip


def test_usage_is_always_asked_for_in_a_stream() -> None:
    assert ask(stream=True)["stream_options"] == {"include_usage": True}
    assert ask(stream=True, stream_options={"include_usage": False})["stream_options"] == {"include_usage": True}
    assert "stream_options" not in ask(stream_options={"include_usage": True})


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"n_predict": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 5}, "max_completion_tokens", 5),
        ({"response_format": {"type": "json_object"}}, "response_format", {"type": "json_object"}),
        ({"response_format": {"type": "text"}}, "response_format", None),
        ({"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs", {"x": 1}),
        ({"priority": 3}, "priority", 3),
    ],
)
def test_fields_that_are_passed_on_or_renamed(fields: dict[str, Any], name: str, value: object) -> None:
    assert ask(**fields).get(name) == value


def test_a_schema_in_llama_servers_way_becomes_openais() -> None:
    for fields in (
        {"json_schema": {"type": "null"}},
        {"response_format": {"type": "json_object", "schema": {"type": "null"}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "null"}}}},
    ):
        form = ask(**fields)["response_format"]
        assert (form["type"], form["json_schema"]["schema"]) == ("json_schema", {"type": "null"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("grammar", 'root ::= "a"'), ("mirostat", 2), ("typical_p", 0.5), ("samplers", ["top_k"]), ("n_probs", 3),
     ("reasoning_format", "none"), ("xtc_probability", 0.3), ("lora", [{"id": 0, "scale": 1}])],
)  # fmt: skip
def test_what_would_change_the_answer_is_refused(field: str, value: object) -> None:
    with pytest.raises(Untranslatable, match=field):
        ask(**{field: value})


def test_earlier_reasoning_goes_under_vllms_name() -> None:
    messages = [USER, {"role": "assistant", "content": "a", "reasoning_content": "hm"}, USER]
    assert ask(messages=messages)["messages"][1]["reasoning"] == "hm"
    other = OpenAIChat("m", 4096, is_vllm=False)
    assert ask(other, messages=messages)["messages"] == messages


def test_a_llama_server_elsewhere_gets_all_but_the_slot() -> None:
    dialect = RemoteLlama("m")
    assert ask(dialect, id_slot=1, grammar="g") == {"model": "m", "messages": [USER], "grammar": "g"}
    assert dialect.translation(b"").feed(b"as it is") == b"as it is"


def test_a_stream_comes_in_llama_servers_shape() -> None:
    told = tell(ANSWER)
    assert said.events(told)[-1] == "[DONE]"
    assert (said.text(told), said.text(told, "reasoning_content")) == ("Grüße 🔥", "hm ")
    assert not any("reasoning" in delta for delta in said.deltas(told))
    assert said.ending(told) == "stop"
    assert {event["model"] for event in said.objects(told)} == {"qwen@shop"}
    last = said.objects(told)[-1]
    assert last["choices"] == [{"finish_reason": "stop", "index": 0, "delta": {}}]
    assert "usage" not in last
    assert last["timings"] == {"prompt_n": 20, "predicted_n": 3, "source": "usage"}


def test_usage_is_told_when_it_was_wanted() -> None:
    details = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 16}}
    told = tell(ANSWER.replace(USAGE, chunk(usage=details)), stream_options={"include_usage": True})
    last = said.objects(told)[-1]
    assert (last["choices"], last["usage"]) == ([], details)
    assert last["timings"] == {"cache_n": 16, "prompt_n": 4, "predicted_n": 3, "source": "usage"}


def test_usage_in_every_event_or_in_the_last_one_is_told_once() -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    stream = chunk({"content": "a"}, usage=usage) + chunk({"content": "b"}, "length", usage=usage) + DONE
    told = tell(stream, stream_options={"include_usage": True})
    assert said.text(told) == "ab"
    assert said.ending(told) == "length"
    assert [event.get("usage") for event in said.objects(told)] == [None, None, None, usage]


def call(arguments: str | None = None, name: str | None = None, **more: Any) -> bytes:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return chunk({"tool_calls": [{"function": function, **more}]})


@pytest.mark.parametrize(
    "parts",
    [
        # vLLM: index and id first, then index alone
        [call("", "read", index=0, id="c1", type="function"), call('{"a"', index=0), call(": 1}", index=0),
         call("{}", "list", index=1, id="c2")],
        # id, type and a null name in each piece
        [call('{"a"', "read", index=0, id="c1"), call(": 1}", index=0, id="c1", type="function"),
         call("{}", "list", index=1, id="c2")],
        # neither index nor id
        [call('{"a"', "read"), call(": 1}"), call("{}", "list")],
        # each call whole and with index 0
        [call('{"a": 1}', "read", index=0, id="c1"), call("{}", "list", index=0, id="c2")],
        # the name again in each piece
        [call('{"a"', "read", index=0, id="c1"), call(": 1}", "read", index=0, id="c1"),
         call("{}", "list", index=1, id="c2")],
    ],
)  # fmt: skip
def test_pieces_of_calls_are_made_regular(parts: list[bytes]) -> None:
    told = tell(b"".join(parts) + chunk({}, "stop") + DONE)
    found = said.calls(told)
    assert [(each["name"], each["arguments"]) for each in found] == [("read", '{"a": 1}'), ("list", "{}")]
    assert found[0]["id"]
    assert found[0]["id"] != found[1]["id"]
    assert said.ending(told) == "tool_calls"
    only = tell(b"".join(parts) + chunk({}, "tool_calls") + DONE, parallel_tool_calls=False)
    assert [each["name"] for each in said.calls(only)] == ["read"]


def test_made_up_ids_are_those_of_one_answer_alone() -> None:
    def made_up(identity: str, question: str) -> str:
        message = {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
        body = {"id": identity, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        translation = DIALECT.translation(json.dumps({"messages": [{"content": question}]}).encode())
        answer = json.loads(translation.whole(json.dumps(body).encode()))
        return str(answer["choices"][0]["message"]["tool_calls"][0]["id"])

    assert made_up("1", "a") == made_up("1", "a")
    assert len({made_up("1", "a"), made_up("2", "a"), made_up("", "a"), made_up("", "b")}) == 4


def test_several_choices_keep_their_calls_apart() -> None:
    def both(index: int) -> dict[str, Any]:
        calls = [{"index": 0, "id": f"c{index}", "function": {"name": "f", "arguments": "{}"}}]
        return {"index": index, "delta": {"tool_calls": calls}, "finish_reason": "stop" if index else None}

    told = tell(chunk(choices=[both(0), both(1)]) + chunk({}, "stop") + DONE)
    pieces = [part for delta in said.deltas(told) for part in delta["tool_calls"]]
    assert [(part["index"], part["id"]) for part in pieces] == [(0, "c0"), (0, "c1")]


def test_the_whole_answer_says_the_same() -> None:
    tool_call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": None, "reasoning": "hm", "refusal": None, "tool_calls": [tool_call]}
    body = {
        "id": "chatcmpl-7", "object": "chat.completion", "created": 5, "model": "Qwen/Qwen3-4B",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23, "prompt_tokens_details": None},
        "prompt_logprobs": None, "kv_transfer_params": None,
    }  # fmt: skip
    translation = DIALECT.translation(json.dumps({"model": "qwen@shop", "messages": [USER]}).encode())
    answer = json.loads(translation.whole(json.dumps(body).encode()))
    assert answer["choices"] == [
        {
            "finish_reason": "tool_calls",
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "",
                "reasoning_content": "hm",
                "tool_calls": [
                    {"type": "function", "function": {"name": "read", "arguments": '{"a":1}'}, "id": "c1"},
                ],
            },
        }
    ]
    assert answer["timings"] == {"prompt_n": 20, "predicted_n": 3, "source": "usage"}
    assert (answer["model"], "kv_transfer_params" in answer) == ("qwen@shop", False)


def test_an_error_in_the_stream_is_its_last_word() -> None:
    broken = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
    for middle in (b"data: " + json.dumps(broken).encode() + b"\n\n", b"data: {oops\n\n", b"data: []\n\n"):
        told = tell(chunk({"content": "a"}) + middle + ANSWER)
        assert said.text(told) == "a"
        assert said.objects(told)[-1]["error"]["code"] in (500, 502)
        assert "[DONE]" not in said.events(told)


def test_a_stream_that_is_cut_has_no_end_but_loses_nothing() -> None:
    for cut in range(len(ANSWER) - len(DONE) + len("data: [DONE")):
        assert "[DONE]" not in said.events(tell(ANSWER[:cut]))
    assert said.text(tell(ANSWER[: -len(DONE)])) == "Grüße 🔥"
    assert said.ending(tell(ANSWER[: -len(DONE)])) == "stop"
    assert tell(ANSWER.rstrip()) == tell(ANSWER)


def test_other_line_ends_and_data_in_several_lines() -> None:
    assert tell(ANSWER.replace(b"\n", b"\r\n")) == tell(ANSWER)
    assert tell(ANSWER.replace(b', "object"', b',\ndata: "object"')) == tell(ANSWER)


def test_an_endless_line_ends_the_stream() -> None:
    told = tell(b"data: " + b"x" * (17 << 20))
    assert "16 MiB" in said.objects(told)[0]["error"]["message"]


PASSED = (
    "You passed 99073 input tokens and requested 32000 output tokens. However, the model's context length is only "
    "131072 tokens, resulting in a maximum input length of 99072 tokens. Please reduce the length of the input prompt."
)
REQUESTED = (
    "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the "
    "messages, 10000 in the completion). Please reduce the length of the messages or completion."
)
RUST = "this model's maximum context length is 4096 tokens, but the prompt contains 9000 input tokens"
HAS = "This model's maximum context length is 4096 tokens. However, your request has 9000 input tokens. Please reduce"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": PASSED, "type": "BadRequestError", "param": "input_tokens", "code": 400}},
         (400, "exceed_context_size_error", 99073, 131072)),
        (400, {"object": "error", "message": REQUESTED, "type": "BadRequestError", "param": None, "code": 400},
         (400, "exceed_context_size_error", 112946, 16384)),
        (400, {"error": {"message": RUST}}, (400, "exceed_context_size_error", 9000, 4096)),
        (400, {"error": {"message": HAS}}, (400, "exceed_context_size_error", 9000, 4096)),
        (400, {"error": {"message": "too long", "code": "context_length_exceeded"}},
         (400, "exceed_context_size_error", None, 4096)),
        (400, {"error": {"message": "n_ctx", "type": "exceed_context_size_error", "n_prompt_tokens": 7, "n_ctx": 5}},
         (400, "exceed_context_size_error", 7, 5)),
        (401, {"error": "Unauthorized"}, (401, "authentication_error", None, None)),
        (404, {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}},
         (404, "not_found_error", None, None)),
        (404, {"detail": "Not Found"}, (404, "not_found_error", None, None)),
        (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, (422, "invalid_request_error", None, None)),
        (502, "<html>Bad gateway</html>", (502, "server_error", None, None)),
        (500, "", (500, "server_error", None, None)),
    ],
)  # fmt: skip
def test_refusals(status: int, body: object, expected: tuple[object, ...]) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    code, told = DIALECT.translation(b"{}").error(status, raw)
    error = json.loads(told)["error"]
    assert (code, error["type"], error.get("n_prompt_tokens"), error.get("n_ctx")) == expected
    assert error["message"]


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
def test_it_does_not_matter_where_the_stream_is_cut_into_pieces(cuts: list[int]) -> None:
    assert tell(ANSWER, tuple(cuts)) == tell(ANSWER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "delta", "message", "content", "reasoning", "tool_calls", "function", "name", "id",
                         "arguments", "error", "finish_reason", "index", "usage", "prompt_tokens", "timings"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(
    st.lists(
        json_values.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n") | st.binary(max_size=20),
        max_size=6,
    )
)
def test_garbage_never_raises_and_is_told_in_whole_events(parts: list[bytes]) -> None:
    said.events(tell(b"".join(parts)))
    translation = DIALECT.translation(b"\xff")
    for part in parts:
        json.loads(translation.whole(part.removeprefix(b"data: ")))
        json.loads(translation.error(500, part)[1])
