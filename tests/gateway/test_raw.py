"""Raw completions: the same guards, the same way to the engine, the same care as for a chat."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from running_gateway import MODEL, Running, Start

from hearth.gateway.openai import PRIORITIES, read_raw
from hearth.gateway.refusal import Refusal
from hearth.runtime.pretend import Answer, Fault, Script

PROMPT = "<|start|>user<|message|>hello<|end|><|start|>assistant"
LONG = "one two three four five six seven eight nine ten " * 20


async def complete(running: Running, headers: dict[str, str] | None = None, **fields: Any) -> aiohttp.ClientResponse:
    """Ask over the unix socket."""
    body = {"prompt": PROMPT, **fields}
    return await running.local.post("http://hearth/v1/completions", json=body, headers=headers)


def events(body: bytes) -> list[dict[str, Any]]:
    """The JSON of each event but ``[DONE]``."""
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]


def text(body: bytes) -> str:
    """What the stream said."""
    return "".join(choice["text"] for event in events(body) for choice in event.get("choices", ()))


async def test_a_stream_comes_through_with_progress_and_figures(start: Start) -> None:
    running = await start(Script((Answer(text=LONG, prefill_s=0.05),)))
    answer = await complete(running, stream=True, return_progress=True, max_tokens=1000)
    body = await answer.read()
    assert (answer.status, text(body)) == (200, LONG)
    assert body.endswith(b"data: [DONE]\n\n")
    assert sum("prompt_progress" in event for event in events(body)) > 2
    last = events(body)[-1]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["timings"]["predicted_n"] == last["usage"]["completion_tokens"] > 0


async def test_an_answer_in_one_piece_comes_through(start: Start) -> None:
    running = await start(Script((Answer(text=LONG),)))
    answer = await complete(running)
    assert (await answer.json())["choices"][0]["text"] == LONG


async def test_the_engine_gets_the_body_byte_for_byte(start: Start) -> None:
    running = await start()
    body = b'{ "stream" :true,\n"prompt": "\\u003c|start|>\xc3\xa9",  "not_ours": [1,2.50] }'
    await (await running.local.post("http://hearth/v1/completions", data=body)).read()
    assert running.engines[0].requests == [body]


async def test_a_client_that_leaves_frees_the_slot(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text=LONG, token_s=60)))
    answer = await complete(running, stream=True)
    await running.until_busy(1)
    answer.close()
    await running.until_busy(0)


async def test_what_an_engine_died_of_before_a_word_came_is_asked_again(start: Start) -> None:
    running = await start(Script((Answer(fault=Fault.DIE, after=0),)), Script((Answer(text="again"),)), beat_s=0.05)
    body = await (await complete(running, stream=True)).read()
    assert text(body) == "again"
    assert len(running.engines) == 2


async def test_an_engine_that_dies_in_the_middle_is_told(start: Start) -> None:
    running = await start(Script((Answer(text=LONG, fault=Fault.DIE, after=3),)))
    body = await (await complete(running, stream=True)).read()
    error = events(body)[-1]["error"]
    assert (error["code"], error["source"], error["partial"]) == ("engine_lost", "engine", {"events": 3})


async def test_the_key_and_the_method_count_here_too(start: Start) -> None:
    running = await start()
    assert (await running.remote.post(f"{running.url}/v1/completions", json={"prompt": "x"})).status == 401
    assert (await running.local.get("http://hearth/v1/completions")).status == 405
    allowed = {"Authorization": f"Bearer {running.key}"}
    asked = {"prompt": "x", "model": "/tmp/m.gguf"}
    answer = await running.remote.post(f"{running.url}/v1/completions", json=asked, headers=allowed)
    assert (answer.status, (await answer.json())["error"]["code"]) == (403, "model_path")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"prompt": ""}, "invalid_body"),
        ({"prompt": None}, "invalid_body"),
        ({"prompt": ["a", "b"]}, "invalid_body"),
        ({"prompt": [1, 2, 3]}, "invalid_body"),
        ({"prompt": {"prompt_string": "a", "multimodal_data": ["http://x"]}}, "invalid_body"),
        ({"prompt": "a", "n_discard": 0}, "refused_field"),
        ({"prompt": "a", "n_discard": None}, "refused_field"),
        ({"messages": []}, "invalid_body"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_raw(json.dumps(fields).encode(), default_model=MODEL, trusted=True)
    assert json.loads(caught.value.envelope())["error"]["code"] == code


def test_who_goes_first_is_told_by_a_header() -> None:
    ranks = [read_raw(b'{"prompt":"a"}', default_model=MODEL, trusted=True, priority=name).rank for name in PRIORITIES]
    assert ranks == [0, 1, 2]
    assert read_raw(b'{"prompt":"a"}', default_model=MODEL, trusted=True).rank == 0


async def test_a_priority_that_is_none_is_refused(start: Start) -> None:
    running = await start()
    answer = await complete(running, {"X-Hearth-Priority": "first"})
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "invalid_priority")
