"""Tokens: exact as far as the engine told, estimated beyond, never far below."""

import json

from hypothesis import given
from hypothesis import strategies as st

from counting_model import count_text
from hearth.agent.meter import START, Meter, replay, weigh, weigh_message
from hearth.messages import Message, ToolCall, Usage

CODE = "def total(self, items):\n    return sum(item.price * item.count for item in items)\n" * 20
ASK = Message("user", "What is in a.py?")
CALL = Message("assistant", "I look.", (ToolCall("c", "read", '{"path": "a.py"}'),))
RESULT = Message("tool", CODE, tool_call_id="c")


def test_what_the_engine_told_is_exact() -> None:
    meter = Meter(1000)
    meter.saw([ASK], Usage(400, 0, 400, 30, 0.5, 1.0))
    assert meter.count([ASK]) == 400
    assert meter.count([ASK, CALL]) == 430
    assert meter.is_exact([ASK, CALL])
    assert meter.count([ASK, CALL, RESULT]) > 430 + count_text(CODE) * 0.8
    assert not meter.is_exact([ASK, CALL, RESULT])
    assert meter.speed == 800


def test_a_session_measures_its_own_text() -> None:
    meter, messages = Meter(0), [ASK]
    prompt = 12
    for _ in range(6):
        meter.saw(messages, Usage(prompt, 0, prompt, 10, 0.1, 0.1))
        messages = [*messages, CALL, RESULT]
        prompt += 10 + count_text(CODE)
    real = prompt
    assert real * 0.98 <= meter.count(messages) <= real * 1.1
    meter.forget()
    assert real * 0.8 <= meter.count(messages) <= real * 1.5


def test_what_was_rewritten_is_estimated_anew() -> None:
    meter = Meter(0)
    meter.saw([ASK], Usage(prompt=50, generated=5))
    meter.saw([ASK, CALL, RESULT], Usage(prompt=900, generated=5))
    meter.forget(1)
    assert meter.count([ASK]) == 50
    assert meter.count([ASK, CALL]) == 55
    # Nobody told of this rewrite: the anchor is not there any more.
    assert meter.count([Message("user", "x")]) < 50


def test_of_an_answer_that_was_cut_only_what_was_kept_counts() -> None:
    meter = Meter(0)
    meter.saw([ASK], Usage(prompt=400, generated=8_192))
    assert meter.count([ASK, Message("assistant", "[cut off]")]) < 800
    assert meter.count([ASK, Message("assistant", CODE * 40)]) == 8_592


def test_a_refusal_tells_how_dense_the_text_is() -> None:
    dense = Message("tool", "\u6587\u5b57" * 3_000, tool_call_id="c")
    meter, unsure = Meter(1_600), Meter(1_600)
    for each in (meter, unsure):
        each.saw([ASK], Usage(prompt=400))
    before = meter.count([dense])
    meter.told([ASK, CALL, dense], 18_500)
    assert meter.count([dense]) > 1.5 * before
    unsure.told([ASK, CALL, dense], 4_097, exact=False)
    assert unsure.count([dense]) == before


def test_a_refusal_is_believed() -> None:
    meter = Meter(0)
    meter.told([ASK, CALL, RESULT], 9_000)
    assert meter.count([ASK, CALL, RESULT]) == 9_000


def test_a_server_that_cuts_in_silence_is_seen() -> None:
    meter = Meter(0)
    messages = [ASK, CALL, Message("tool", CODE * 20, tool_call_id="c")]
    meter.saw(messages, Usage(prompt=9_000, generated=10))
    longer = [*messages, CALL, RESULT]
    assert not meter.looks_cut(longer, 9_500)
    assert not meter.looks_cut(longer, 0)
    assert meter.looks_cut(longer, 2_048)


def test_a_resumed_session_knows_what_it_had_learned() -> None:
    first, second = Meter(100), Meter(100)
    usage = Usage(400, 0, 400, 30, 0.5, 1.0)
    first.saw([ASK], usage)
    fields = {"prompt": 400, "reused": 0, "new": 400, "generated": 30, "prefill_s": 0.5, "decode_s": 1.0}
    records = [
        {"type": "session"},
        {"type": "rewrite", "kind": "undo", "messages": []},
        {"type": "message", "message": ASK.to_wire()},
        {"type": "usage", **fields},
        {"type": "message", "message": CALL.to_wire()},
    ]
    replay(second, json.loads(json.dumps(records)))
    assert second.count([ASK, CALL, RESULT]) == first.count([ASK, CALL, RESULT])


@given(st.text(max_size=300))
def test_weight_grows_with_text(text: str) -> None:
    assert weigh(text) >= len(text)
    assert weigh(text + "a") > weigh(text) - 1


def test_what_tokenizers_cut_small_weighs_more() -> None:
    for dense in ("8231907 55112 9982", "}{)(*&^%$#", "日本語の文章です", "Zm9vYmFyQmF6" * 20):
        assert weigh(dense) / START >= count_text(dense) * 0.5
        assert weigh(dense) > weigh("word " * (len(dense) // 5)) or dense.isalnum()
    assert weigh_message(Message("user", "x", images=("data:image/png;base64,AAAA",))) > 1_000
    assert weigh_message(Message("assistant", "x", reasoning="long thought")) > weigh_message(
        Message("assistant", "x", reasoning="long thought"), reasoning=False
    )


def test_how_far_an_engine_goes_back_is_learned_from_the_last_rewrite() -> None:
    meter = Meter(400)
    meter.saw([ASK], Usage(prompt=400, new=400, generated=20))
    meter.saw([ASK, CALL, RESULT], Usage(prompt=2_000, reused=400, new=1_600, generated=20))
    assert meter.rewrote([ASK]) == 400
    meter.saw([ASK, CALL], Usage(prompt=900, reused=120, new=780))
    assert meter.rewrote([ASK, CALL]) == 120
    meter.saw([ASK, CALL], Usage(prompt=900, reused=890, new=10))
    assert meter.rewrote([ASK, CALL]) == 900
