"""The pretending engine: each answer and each fault, over real HTTP."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hearth.errors import EngineFailed, UsageError
from hearth.runtime.engine import EngineState, LoadProgress
from hearth.runtime.pretend import Answer, Call, Fault, PretendEngine, Script
from hearth.runtime.pretend.__main__ import main
from hearth.runtime.pretend.script import load_script

ASK = {"messages": [{"role": "user", "content": "Fix the failing test, please."}]}
STREAM = {**ASK, "stream": True, "return_progress": True, "stream_options": {"include_usage": True}}


@asynccontextmanager
async def client(engine: PretendEngine) -> AsyncIterator[aiohttp.ClientSession]:
    socket = engine.endpoint.socket
    connector = aiohttp.UnixConnector(str(socket)) if socket else None
    headers = {"Authorization": f"Bearer {engine.endpoint.api_key}"}
    async with aiohttp.ClientSession(engine.endpoint.url, connector=connector, headers=headers) as session:
        yield session


async def ask(engine: PretendEngine, body: Any = ASK) -> tuple[int, Any]:
    async with client(engine) as session, session.post("/v1/chat/completions", json=body) as response:
        return response.status, await response.json()


async def stream(engine: PretendEngine, body: Any = STREAM) -> list[str]:
    """The data of every event."""
    async with client(engine) as session, session.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        text = (await response.read()).decode()
    return [event.removeprefix("data: ") for event in text.split("\n\n") if event]


def answer(*answers: Answer, **more: Any) -> Script:
    return Script(answers=answers, **more)


def joined(events: list[str], field: str) -> str:
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get(field) or "" for chunk in chunks if chunk["choices"])


async def test_without_a_script_it_answers_at_once() -> None:
    async with PretendEngine() as engine:
        status, body = await ask(engine)
    assert status == 200
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Done."}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 2


async def test_a_stream_has_the_events_of_llama_server() -> None:
    async with PretendEngine(answer(Answer(text="Hello there", reasoning="Let me think"))) as engine:
        events = await stream(engine)
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[0]["prompt_progress"]["processed"] == 0
    assert chunks[1]["prompt_progress"]["processed"] == chunks[1]["prompt_progress"]["total"]
    assert chunks[2]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert joined(events, "content") == "Hello there"
    assert joined(events, "reasoning_content") == "Let me think"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    usage, timings = chunks[-1]["usage"], chunks[-1]["timings"]
    assert usage["prompt_tokens"] == timings["cache_n"] + timings["prompt_n"]
    assert usage["completion_tokens"] == timings["predicted_n"] == 6


async def test_without_usage_the_last_event_has_the_timings() -> None:
    async with PretendEngine() as engine:
        events = await stream(engine, {**ASK, "stream": True, "timings_per_token": True})
    assert "prompt_progress" not in "".join(events)
    assert json.loads(events[1])["timings"]["predicted_n"] == 1
    assert json.loads(events[-2])["timings"]["predicted_n"] == 2


async def test_tool_calls_come_in_pieces_and_whole() -> None:
    calls = (Call("bash", {"command": "python -m pytest -q"}), Call("read", '{"path": "broken', id="mine"))
    async with PretendEngine(answer(*[Answer(tool_calls=calls)] * 2)) as engine:
        events = await stream(engine)
        _, body = await ask(engine)
    parts = [
        part
        for event in events[:-1]
        for choice in json.loads(event)["choices"]
        for part in choice["delta"].get("tool_calls", ())
    ]
    assert parts[0]["function"] == {"name": "bash", "arguments": ""}
    first = "".join(part["function"]["arguments"] for part in parts if part["index"] == 0)
    assert json.loads(first) == {"command": "python -m pytest -q"}
    assert [part["id"] for part in parts if "id" in part] == ["call0x0", "mine"]
    choice = body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["bash", "read"]
    assert choice["message"]["tool_calls"][1]["function"]["arguments"] == '{"path": "broken'


async def test_a_conversation_that_grows_is_found_in_the_cache() -> None:
    script = answer(Answer(text="First answer."), Answer(tool_calls=(Call("read", {"path": "a.py"}),)))
    messages: list[Any] = [{"role": "system", "content": "x" * 400}, {"role": "user", "content": "hello"}]
    async with PretendEngine(script) as engine:
        held = 0
        for number in range(3):
            _, body = await ask(engine, {"messages": messages, "tools": []})
            usage = body["usage"]
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            assert cached >= 0.95 * held if number else cached == 0
            held = usage["total_tokens"]
            messages += [body["choices"][0]["message"], {"role": "user", "content": f"and then {number}"}]
        _, changed = await ask(engine, {"messages": [{"role": "system", "content": "y"}, *messages[1:]]})
    assert changed["usage"]["prompt_tokens_details"]["cached_tokens"] < 20


async def test_two_conversations_keep_a_slot_each() -> None:
    async with PretendEngine(slots=2) as engine:
        for _ in range(2):
            for person in ("ada", "bob"):
                text = person * 300
                _, body = await ask(engine, {"messages": [{"role": "user", "content": text}]})
                cached = body["usage"]["prompt_tokens_details"]["cached_tokens"]
                total = body["usage"]["prompt_tokens"]
        assert cached == total - 1


async def test_slow_prefill_tells_its_progress() -> None:
    async with PretendEngine(answer(Answer(text="ok", prefill_s=0.2))) as engine:
        events = await stream(engine)
    progress = [json.loads(event)["prompt_progress"] for event in events if "prompt_progress" in event]
    assert len(progress) == 11
    assert [step["processed"] for step in progress] == sorted(step["processed"] for step in progress)
    assert progress[-1]["processed"] == progress[-1]["total"]
    assert progress[-1]["time_ms"] >= 200


async def test_a_stall_keeps_its_slot_until_the_client_leaves() -> None:
    async with (
        PretendEngine(answer(Answer(text="long answer", fault=Fault.STALL)), slots=1) as engine,
        client(engine) as c,
    ):
        response = await c.post("/v1/chat/completions", json=STREAM)
        while b"long" not in await response.content.readline():
            pass
        assert await busy_slots(c) == 1
        assert "llamacpp:requests_processing 1" in await (await c.get("/metrics")).text()
        response.close()
        await until_idle(c)
        status, _ = await ask(engine)
        assert status == 200


async def until_idle(session: aiohttp.ClientSession) -> None:
    while True:
        if not await busy_slots(session):
            return
        await asyncio.sleep(0.01)


async def busy_slots(session: aiohttp.ClientSession) -> int:
    async with session.get("/slots") as response:
        return sum(slot["is_processing"] for slot in await response.json())


async def test_requests_beyond_the_slots_wait_their_turn() -> None:
    script = answer(Answer(text="slow one", token_s=0.05), Answer(text="second"))
    async with PretendEngine(script, slots=1) as engine:
        first = asyncio.create_task(ask(engine))
        await engine.asked(1)
        _, second = await ask(engine)
        assert first.done()
    assert second["choices"][0]["message"]["content"] == "second"


async def test_garbage_stands_between_good_events() -> None:
    async with PretendEngine(answer(*[Answer(text="some text", fault=Fault.GARBAGE)] * 2)) as engine:
        events = await stream(engine)
        async with client(engine) as session, session.post("/v1/chat/completions", json=ASK) as response:
            assert (await response.text()).startswith("{this")
    assert "{this is not JSON" in events
    assert joined([event for event in events if "this is not" not in event], "content") == "some text"


async def test_http_500() -> None:
    async with PretendEngine(answer(Answer(fault=Fault.HTTP_500))) as engine:
        status, body = await ask(engine)
        again, _ = await ask(engine)
    assert (status, body["error"]["type"], again) == (500, "server_error", 200)


@pytest.mark.parametrize("body", [ASK, STREAM])
async def test_disconnect_breaks_the_connection(body: Any) -> None:
    async with PretendEngine(answer(Answer(text="half of it", fault=Fault.DISCONNECT))) as engine:
        with pytest.raises(aiohttp.ClientError):
            await (stream if "stream" in body else ask)(engine, body)
        status, _ = await ask(engine)
    assert status == 200


async def test_an_error_in_the_stream_ends_it() -> None:
    async with PretendEngine(answer(*[Answer(text="half of it", fault=Fault.ERROR_CHUNK, after=2)] * 2)) as engine:
        events = await stream(engine)
        status, _ = await ask(engine)
    assert json.loads(events[-1])["error"] == {
        "code": 500,
        "message": "Context size has been exceeded.",
        "type": "server_error",
    }
    assert joined(events[:-1], "content") == "half of "
    assert status == 500


async def test_a_prompt_that_is_too_long() -> None:
    long = {"messages": [{"role": "user", "content": "x" * 4000}]}
    async with PretendEngine(answer(Answer(), Answer(fault=Fault.TOO_LONG)), context=512) as engine:
        status, body = await ask(engine, long)
        forced, _ = await ask(engine)
    tokens = body["error"]["n_prompt_tokens"]
    assert status == forced == 400
    assert body["error"] == {
        "code": 400,
        "message": f"request ({tokens} tokens) exceeds the available context size (512 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": 512,
    }
    assert tokens > 1000


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (Answer(text="twelve chars", fault=Fault.TRUNCATED, after=2), {}),
        (Answer(text="twelve chars"), {"max_tokens": 2}),
    ],
)
async def test_a_truncated_answer_says_so(said: Answer, limits: dict[str, int]) -> None:
    async with PretendEngine(answer(said)) as engine:
        _, body = await ask(engine, {**ASK, **limits})
    assert body["choices"][0] == {
        "finish_reason": "length",
        "index": 0,
        "message": {"role": "assistant", "content": "twelve c"},
    }


async def test_a_truncated_call_is_half_there() -> None:
    said = Answer(tool_calls=(Call("write", {"path": "a.py", "content": "x"}),), fault=Fault.TRUNCATED, after=3)
    async with PretendEngine(answer(said)) as engine:
        _, body = await ask(engine)
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"path":'


async def test_while_it_loads_it_says_so() -> None:
    engine = PretendEngine(Script(loading_s=0.3))
    await engine.listen()
    try:
        async with client(engine) as session, session.get("/health") as response:
            assert response.status == 503
            assert (await response.json())["error"]["message"] == "Loading model"
    finally:
        await engine.stop()


async def test_a_start_tells_of_the_load_and_waits_for_it() -> None:
    told: list[LoadProgress] = []
    engine = PretendEngine(Script(loading_s=0.2))
    await engine.start(told.append)
    assert [told[0].phase, told[-1].phase] == ["loading", "ready"]
    assert engine.context_length == 32_768
    assert (await ask(engine))[0] == 200
    await engine.stop()
    assert engine.state is EngineState.STOPPED


async def test_only_the_key_opens_it(tmp_path: Path) -> None:
    async with PretendEngine(api_key="secret", listen=tmp_path / "p.sock") as engine, client(engine) as session:
        assert (tmp_path / "p.sock").stat().st_mode & 0o777 == 0o600
        wrong = {"Authorization": "Bearer wrong"}
        for path in ("/v1/models", "/props", "/slots", "/metrics"):
            assert (await session.get(path, headers=wrong)).status == 401
            assert (await session.get(path)).status == 200
        assert (await session.get("/health", headers=wrong)).status == 200
        assert (await session.get("/nowhere")).status == 404
    assert not (tmp_path / "p.sock").exists()


@pytest.mark.parametrize("body", ["{bad", "[]", '{"messages": "x"}', ""])
async def test_what_is_no_chat_request_is_refused_and_uses_no_answer(body: str) -> None:
    async with PretendEngine(answer(Answer(text="first"))) as engine, client(engine) as session:
        async with session.post("/v1/chat/completions", data=body) as response:
            assert response.status == 400
        _, good = await ask(engine)
    assert good["choices"][0]["message"]["content"] == "first"


async def test_requests_are_recorded_byte_for_byte(tmp_path: Path) -> None:
    raw = b'{"messages": [ {"role":"user", "content":"\xc3\xa4 \\n"} ] }'
    record = tmp_path / "requests.jsonl"
    async with PretendEngine(record=record) as engine, client(engine) as session:
        await session.post("/v1/chat/completions", data=raw)
        await ask(engine)
    assert engine.requests[0] == raw
    lines = [json.loads(line)["body"].encode() for line in record.read_text().splitlines()]
    assert lines == engine.requests


async def test_a_crash_breaks_what_runs() -> None:
    engine = PretendEngine(answer(Answer(text="never ends", fault=Fault.STALL)))
    await engine.start()
    request = asyncio.create_task(stream(engine))
    await engine.asked(1)
    await engine.fail("killed by SIGKILL")
    await engine.wait()
    with pytest.raises(aiohttp.ClientError):
        await request
    assert (engine.state, engine.cause) == (EngineState.FAILED, "killed by SIGKILL")


async def test_a_place_that_is_taken_is_said(tmp_path: Path) -> None:
    async with PretendEngine() as engine:
        port = int(engine.endpoint.url.rpartition(":")[2])
        second = PretendEngine(listen=port)
        with pytest.raises(EngineFailed, match=str(port)):
            await second.start()
        assert second.state is EngineState.FAILED


def test_a_script_file(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(
        '{"answers": [{"tool_calls": [{"name": "bash", "arguments": {"command": "ls"}}], "fault": "stall"}]}'
    )
    assert load_script(file) == answer(Answer(tool_calls=(Call("bash", {"command": "ls"}),), fault=Fault.STALL))
    file.write_text('{"answers": [{"fault": "none of these"}]}')
    with pytest.raises(UsageError, match="answers"):
        load_script(file)
    assert main(["--port", "0", "--script", str(tmp_path / "missing.json")]) == UsageError.exit_code


async def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    script, socket, record = tmp_path / "script.json", tmp_path / "p.sock", tmp_path / "r.jsonl"
    script.write_text('{"answers": [{"text": "from a file"}]}')
    places = ["--socket", str(socket), "--script", str(script), "--record", str(record)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hearth.runtime.pretend", *places, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).decode().strip() == str(socket)
    connector = aiohttp.UnixConnector(str(socket))
    async with (
        aiohttp.ClientSession("http://engine", connector=connector) as session,
        session.post("/v1/chat/completions", json=ASK) as response,
    ):
        body = await response.json()
    assert body["choices"][0]["message"]["content"] == "from a file"
    assert len(record.read_text().splitlines()) == 1
    process.terminate()
    assert await process.wait() == 0
    assert not socket.exists()


async def test_it_remembers_with_which_priority_it_was_asked() -> None:
    async with PretendEngine() as engine:
        async with client(engine) as session:
            for headers in ({}, {"X-Hearth-Priority": "subagent"}):
                async with session.post("/v1/chat/completions", json=ASK, headers=headers) as response:
                    assert response.status == 200
        assert engine.priorities == ["", "subagent"]


@pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.ERROR_CHUNK])
async def test_a_fault_may_have_words_of_its_own(fault: Fault) -> None:
    async with PretendEngine(answer(Answer(text="so", fault=fault, error="Failed to parse input at pos 2"))) as engine:
        status, body = await ask(engine)
    assert (status, body["error"]["message"]) == (500, "Failed to parse input at pos 2")


@pytest.mark.parametrize(("sees", "takes"), [(False, ["text"]), (True, ["text", "image"])])
async def test_it_says_what_its_model_takes(sees: bool, takes: list[str]) -> None:
    async with PretendEngine(sees=sees) as engine, client(engine) as session, session.get("/v1/models") as response:
        listed = (await response.json())["data"][0]
    assert listed["architecture"]["input_modalities"] == takes
