import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.answer import CallDelta, Completed, Failed, PrefillProgress, ReasoningDelta, TextDelta, Truncated
from hearth.llm.assembly import Assembly
from hearth.messages import Message, ToolCall, Usage


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"choices": choices, **more})


def test_text_and_reasoning_become_one_message() -> None:
    assembly = Assembly()
    assert assembly.add(chunk({"role": "assistant", "content": None})) == []
    assert assembly.add(chunk({"reasoning_content": "hm"})) == [ReasoningDelta("hm")]
    assert assembly.add(chunk({"content": "he"})) == [TextDelta("he")]
    assert assembly.add(chunk({"content": "llo"}, "stop")) == [TextDelta("llo")]
    final = assembly.finish(0.5, 1.5)
    assert final == Completed(Message("assistant", "hello", reasoning="hm"), Usage(prefill_s=0.5, decode_s=1.0))


@given(st.lists(st.integers(0, 30), max_size=6))
def test_call_arguments_are_the_raw_text_however_they_are_cut(cuts: list[int]) -> None:
    arguments = '{"path": "a b.py",  "limit": 3}'
    borders = [0, *sorted(cuts), len(arguments)]
    assembly = Assembly()
    assembly.add(chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "read", "arguments": ""}}]}))
    told = ""
    for low, high in itertools.pairwise(borders):
        deltas = assembly.add(chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[low:high]}}]}))
        told += "".join(delta.text for delta in deltas if isinstance(delta, CallDelta))
    assert told == arguments
    assembly.add(chunk({}, "tool_calls"))
    final = assembly.finish(0, 0)
    assert isinstance(final, Completed)
    assert final.message.tool_calls == (ToolCall("c1", "read", arguments),)


def test_calls_without_index_or_id_are_calls_of_their_own() -> None:
    assembly = Assembly()
    parts = [{"function": {"name": "read", "arguments": "{}"}}, {"function": {"name": "glob", "arguments": "{}"}}]
    assembly.add(chunk({"tool_calls": parts}, "tool_calls"))
    final = assembly.finish(0, 0)
    assert isinstance(final, Completed)
    assert [call.name for call in final.message.tool_calls] == ["read", "glob"]
    assert len({call.id for call in final.message.tool_calls}) == 2


def test_a_truncated_answer_carries_no_calls() -> None:
    assembly = Assembly()
    function = {"name": "write", "arguments": '{"path": "a.py", "content": "half'}
    assembly.add(chunk({"content": "I write", "tool_calls": [{"index": 0, "id": "c", "function": function}]}))
    assembly.add(chunk({}, "length"))
    final = assembly.finish(0, 0)
    assert isinstance(final, Truncated)
    assert final.message == Message("assistant", "I write")


def test_timings_and_usage_are_counted() -> None:
    assembly = Assembly()
    assembly.add(chunk({"content": "x"}, "stop"))
    assembly.add(
        chunk(
            usage={"prompt_tokens": 120, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 100}},
            timings={"cache_n": 100, "prompt_n": 20, "prompt_ms": 250.0, "predicted_n": 7, "predicted_ms": 35.0},
        )
    )
    final = assembly.finish(9, 9)
    assert isinstance(final, Completed)
    assert final.usage == Usage(prompt=120, reused=100, new=20, generated=7, prefill_s=0.25, decode_s=0.035)


def test_a_standard_endpoint_gives_usage_without_timings() -> None:
    assembly = Assembly()
    assembly.add(chunk({"content": "x"}, "stop"))
    assembly.add(chunk(usage={"prompt_tokens": 50, "completion_tokens": 2, "prompt_tokens_details": None}))
    final = assembly.finish(0.2, 0.5)
    assert isinstance(final, Completed)
    assert final.usage == Usage(prompt=50, reused=0, new=50, generated=2, prefill_s=0.2, decode_s=0.3)


def test_prefill_progress_is_passed_on() -> None:
    progress = {"total": 1000, "cache": 200, "processed": 600, "time_ms": 1500.0}
    assert Assembly().add(chunk(prompt_progress=progress)) == [PrefillProgress(600, 1000, 200, 1.5)]


def test_an_error_in_the_middle_fails_with_the_text_so_far() -> None:
    assembly = Assembly()
    assembly.add(chunk({"content": "so far"}))
    failed = assembly.add('{"error": {"code": 500, "message": "slot died", "type": "server_error"}}')
    assert isinstance(failed, Failed)
    assert failed.source == "engine"
    assert "slot died" in failed.reason
    assert failed.partial == "so far"
    assert failed.exit_code == 4


@pytest.mark.parametrize("data", ["not json", "[]", "7", '{"choices": 3}', '{"choices": [{"delta": []}]}', "\ud800"])
def test_what_is_no_chunk_fails(data: str) -> None:
    failed = Assembly().add(data)
    assert isinstance(failed, Failed)
    assert "OpenAI" in failed.reason


def test_an_answer_without_an_end_fails() -> None:
    assembly = Assembly()
    assembly.add(chunk({"content": "half"}))
    final = assembly.finish(0, 0)
    assert isinstance(final, Failed)
    assert final.partial == "half"


def test_a_chunk_nested_beyond_reason_is_a_failure() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    outcome = Assembly().add(f'{{"unknown": {deep}}}')
    assert isinstance(outcome, Failed)
    assert "not of the OpenAI dialect" in outcome.reason


def test_an_error_as_llama_server_says_it_in_a_stream() -> None:
    outcome = Assembly().add('{"error":{"code":500,"message":"The model produced output","type":"server_error"}}')
    assert isinstance(outcome, Failed)
    assert "The model produced output" in outcome.reason
    assert "dialect" not in outcome.reason
