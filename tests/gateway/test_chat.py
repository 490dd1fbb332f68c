"""From the question to the answer: streams, faults of engines, clients that leave."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from running_gateway import QUESTION, Running, Start, eventually

from hearth.runtime.engine import EngineState
from hearth.runtime.pretend import Answer, Fault, Script

LONG = "one two three four five six seven eight nine ten " * 20


def events(body: bytes) -> list[dict[str, Any]]:
    """The JSON of each event but ``[DONE]``."""
    lines = [line for line in body.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def text(body: bytes) -> str:
    """What the stream said."""
    deltas = [event["choices"][0]["delta"] for event in events(body) if event.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


async def until(stream: aiohttp.StreamReader, wanted: bytes) -> bytes:
    """Read until these bytes have come."""
    seen = b""
    async with asyncio.timeout(20):
        while wanted not in seen:
            part = await stream.readany()
            assert part, f"{wanted!r} did not come: {seen!r}"
            seen += part
    return seen


async def test_a_stream_comes_through(start: Start) -> None:
    running = await start(Script((Answer(text=LONG),)))
    answer = await running.chat(stream=True)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    body = await answer.read()
    assert text(body) == LONG
    assert body.endswith(b"data: [DONE]\n\n")


async def test_an_answer_in_one_piece_comes_through(start: Start) -> None:
    running = await start(Script((Answer(text=LONG),)))
    answer = await running.chat()
    assert answer.headers["content-type"] == "application/json"
    assert (await answer.json())["choices"][0]["message"]["content"] == LONG


async def test_the_engine_gets_the_body_byte_for_byte(start: Start) -> None:
    running = await start()
    body = b'{ "stream" :true,\n"messages":[ {"role":"user","content":"\\u00e9 \xc3\xa9"} ],  "not_ours": [1,2.50] }'
    await (await running.local.post("http://hearth/v1/chat/completions", data=body)).read()
    assert running.engines[0].requests == [body]


async def test_prefill_progress_comes_through_when_asked_for(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text="hi", prefill_s=0.1)))
    body = await (await running.chat(stream=True, return_progress=True)).read()
    done = [event["prompt_progress"]["processed"] for event in events(body) if "prompt_progress" in event]
    assert len(done) > 2
    assert done == sorted(done)
    assert b"prompt_progress" not in await (await running.chat(stream=True)).read()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_the_slot(start: Start, stream: bool) -> None:
    running = await start(Script(otherwise=Answer(text=LONG, token_s=60)))
    asking = asyncio.create_task(running.chat(stream=stream))
    await running.until_busy(1)
    if stream:
        (await asking).close()
    else:
        asking.cancel()
    await running.until_busy(0)
    status = await (await running.local.get("http://hearth/hearth/status")).json()
    assert status["requests"] == 0


async def test_a_client_that_leaves_while_it_loads_does_not_spoil_the_load(start: Start) -> None:
    running = await start(Script(loading_s=0.5))
    asking = asyncio.create_task(running.chat(stream=True))
    await eventually(running.has_engine)
    asking.cancel()
    assert (await running.chat()).status == 200
    assert len(running.engines) == 1


async def test_comments_keep_a_stream_alive_while_the_engine_loads(start: Start) -> None:
    running = await start(Script(loading_s=0.6), beat_s=0.05)
    answer = await running.chat(stream=True)
    body = await answer.read()
    comments = [line for line in body.split(b"\n\n") if line.startswith(b":")]
    assert len(comments) >= 2
    assert comments[1].startswith(b": loading small")
    assert text(body) == "Done."


async def test_comments_keep_a_queued_stream_alive(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text="hi", prefill_s=0.5)), beat_s=0.05)
    body = await (await running.chat(stream=True)).read()
    assert b": working\n\n" in body
    assert text(body) == "hi"


async def test_an_error_after_the_first_comment_is_an_event(start: Start) -> None:
    running = await start(Script((Answer(fault=Fault.TOO_LONG),), loading_s=0.4), beat_s=0.05)
    answer = await running.chat(stream=True)
    body = await answer.read()
    assert answer.status == 200
    assert events(body)[-1]["error"]["type"] == "exceed_context_size_error"


async def test_a_too_long_prompt_keeps_both_numbers(start: Start) -> None:
    running = await start()
    answer = await running.chat(messages=[{"role": "user", "content": "x" * 200_000}], stream=True)
    assert answer.status == 400
    error = (await answer.json())["error"]
    assert (error["type"], error["code"]) == ("exceed_context_size_error", "context_length_exceeded")
    assert (error["n_ctx"], error["source"]) == (32_768, "engine")
    assert error["n_prompt_tokens"] > 50_000
    assert str(error["n_prompt_tokens"]) in error["message"]
    assert "HEARTH_CONTEXT" in error["fix"]


async def test_an_engine_that_refuses_is_named_as_the_source(start: Start) -> None:
    running = await start(Script((Answer(fault=Fault.HTTP_500),)))
    answer = await running.chat(stream=True)
    assert answer.status == 500
    assert (await answer.json())["error"]["source"] == "engine"


async def test_an_engine_that_dies_mid_stream_gives_a_typed_error_and_the_next_request_works(start: Start) -> None:
    running = await start(Script((Answer(text=LONG, token_s=0.05),)), Script())
    answer = await running.chat(stream=True)
    seen = await until(answer.content, b"one")
    await running.engines[0].fail("the engine of small died: killed by SIGKILL")
    seen += await answer.read()
    error = events(seen)[-1]["error"]
    assert (error["type"], error["code"], error["source"]) == ("engine_error", "engine_lost", "engine")
    assert error["message"] == "the engine of small died: killed by SIGKILL"
    assert "hearth logs small" in error["fix"]
    assert b"[DONE]" not in seen
    assert (await (await running.chat()).json())["choices"][0]["message"]["content"] == "Done."


@pytest.mark.parametrize("stream", [True, False])
async def test_when_an_engine_dies_before_the_first_byte_the_next_one_is_asked(start: Start, stream: bool) -> None:
    running = await start(Script((Answer(text=LONG, prefill_s=60),)), Script((Answer(text=LONG),)))
    asking = asyncio.create_task(running.chat(stream=stream))
    await running.until_busy(1)
    await running.engines[0].fail("the engine of small died: killed by SIGSEGV")
    answer = await asking
    assert answer.status == 200
    body = await answer.read()
    assert (text(body) if stream else json.loads(body)["choices"][0]["message"]["content"]) == LONG
    assert [engine.requests for engine in running.engines] == [running.engines[0].requests] * 2


async def test_a_request_that_ends_engine_after_engine_is_refused(start: Start) -> None:
    deadly = Script((Answer(text=LONG, token_s=60),))
    running = await start(deadly, deadly, Script())
    asking = asyncio.create_task(running.chat())
    for number in range(2):
        await eventually(lambda count=number + 1: has_engines(running, count))
        await running.until_busy(1)
        await running.engines[number].fail("the engine of small died: killed by SIGSEGV")
    answer = await asking
    assert answer.status == 502
    assert (await answer.json())["error"]["message"] == "the engine of small died: killed by SIGSEGV"
    again = await running.chat()
    assert again.status == 422
    error = (await again.json())["error"]
    assert (error["code"], error["source"]) == ("engine_poison", "gateway")
    assert "2 engines of small died" in error["message"]
    assert (await running.chat(max_tokens=9)).status == 200
    assert len(running.engines) == 3


async def test_who_was_not_alone_with_an_engine_that_died_is_not_held_to_be_the_cause(start: Start) -> None:
    deadly = Script(otherwise=Answer(text=LONG, token_s=60))
    running = await start(deadly, deadly, Script())
    asking = [asyncio.create_task(running.chat(max_tokens=count)) for count in (100, 101)]
    for number in range(2):
        await eventually(lambda count=number + 1: has_engines(running, count))
        await running.until_busy(2)
        await running.engines[number].fail("the engine of small died: killed by SIGSEGV")
    assert [(await task).status for task in asking] == [502, 502]
    assert [(await running.chat(max_tokens=count)).status for count in (100, 101)] == [200, 200]


async def has_engines(running: Running, count: int) -> bool:
    """Whether so many have been made, and the last of them answers."""
    return len(running.engines) == count and running.engines[-1].state is EngineState.READY


@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_that_breaks_is_never_a_silent_cut(start: Start, stream: bool) -> None:
    running = await start(Script((Answer(text=LONG, fault=Fault.DISCONNECT),)))
    answer = await running.chat(stream=stream)
    error = events(await answer.read())[-1]["error"] if stream else (await answer.json())["error"]
    assert error["code"] == "engine_lost"
    assert error["message"].startswith("the engine of small broke off")


async def test_an_engine_that_does_not_start_is_a_503_with_its_cause(start: Start, home: Path) -> None:
    running = await start(listen=home / "no such folder" / "engine.sock")
    answer = await running.chat(stream=True)
    assert answer.status == 503
    error = (await answer.json())["error"]
    assert (error["code"], error["source"]) == ("engine_not_available", "engine")
    assert "cannot listen" in error["message"]


async def test_the_engines_own_error_event_ends_the_stream_alone(start: Start) -> None:
    running = await start(Script((Answer(text=LONG, fault=Fault.ERROR_CHUNK),)))
    body = await (await running.chat(stream=True)).read()
    assert [event["error"]["type"] for event in events(body) if "error" in event] == ["server_error"]


async def test_garbage_is_the_clients_to_judge(start: Start) -> None:
    running = await start(Script((Answer(text=LONG, fault=Fault.GARBAGE),)))
    body = await (await running.chat(stream=True)).read()
    assert b"data: {this is not JSON\n\n" in body
    assert body.endswith(b"data: [DONE]\n\n")


async def test_streams_end_with_a_word_when_the_daemon_stops(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text=LONG, token_s=60)))
    streamed = await running.chat(stream=True)
    whole = asyncio.create_task(running.chat())
    await running.until_busy(2)
    running.gateway.end_streams()
    assert events(await streamed.read())[-1]["error"]["code"] == "daemon_stops"
    assert (await whole).status == 503
    late = await running.chat()
    assert (late.status, (await late.json())["error"]["code"]) == (503, "daemon_stops")
    await running.until_busy(0)


async def test_a_body_that_is_still_coming_does_not_hold_up_the_end(start: Start) -> None:
    running = await start()
    reader, writer = await asyncio.open_unix_connection(str(running.paths.socket))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")

    async def is_seen() -> bool:
        return bool((await (await running.local.get("http://hearth/hearth/status")).json())["requests"])

    await eventually(is_seen)
    running.gateway.end_streams()
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        assert b'"daemon_stops"' in await reader.readuntil(b"}}")
    writer.close()


async def ask_many(running: Running, count: int) -> list[aiohttp.ClientResponse]:
    """So many requests at once."""
    body = {"messages": [QUESTION], "stream": True}
    posts = [running.local.post("http://hearth/v1/chat/completions", json=body) for _ in range(count)]
    return list(await asyncio.gather(*posts))


async def test_many_at_once_share_one_engine(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text=LONG), loading_s=0.2))
    answers = await ask_many(running, 20)
    assert [text(await answer.read()) for answer in answers] == [LONG] * 20
    assert len(running.engines) == 1


async def test_a_name_from_outside_makes_no_log_line_of_its_own(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start()
    caplog.set_level("INFO", logger="hearth.gateway")
    await (await running.chat(model="a\n2026-01-01 INFO forged")).read()

    async def is_logged() -> bool:
        return any(message.startswith("chat ") for message in caplog.messages)

    await eventually(is_logged)
    (line,) = [message for message in caplog.messages if message.startswith("chat ")]
    assert line.startswith(r"chat 'a\n2026-01-01 INFO forged': HTTP 404")
