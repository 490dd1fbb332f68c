import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from hearth.errors import Denied, SettingsError, Unavailable
from hearth.llm.answer import (
    Completed,
    Failed,
    ModelEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    Truncated,
    Waiting,
)
from hearth.llm.client import ChatClient, Endpoint
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, ToolSpec
from hearth.runtime.pretend import Answer, Call, Fault, PretendEngine, Script

TOOLS = (ToolSpec("read", "Read.", {"type": "object", "properties": {}}),)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


def request(text: str = "hello") -> Request:
    return Request("s1", "pretend", {"temperature": 0.0}, 256, TOOLS, (Message("user", text),))


async def ask(client: ChatClient, text: str = "hello") -> list[ModelEvent]:
    return [event async for event in client.answer(request(text))]


@asynccontextmanager
async def opened(endpoint: Endpoint, silence_s: float = 20.0) -> AsyncIterator[ChatClient]:
    yield ChatClient(endpoint, silence_s)


@asynccontextmanager
async def pretending(*answers: Answer, silence_s: float = 20.0, **more: object) -> AsyncIterator[ChatClient]:
    engine = PretendEngine(Script(answers=answers), **more)  # type: ignore[arg-type]  # passed through as given
    async with engine, opened(Endpoint(engine.endpoint.url, engine.endpoint.api_key), silence_s) as client:
        yield client


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[ChatClient]:
    """A server of which only its answer to a chat request matters."""
    application = web.Application()
    application.add_routes([web.post("/v1/chat/completions", handle), web.get("/v1/models", handle)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with opened(Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}/v1/")) as client:
            yield client
    finally:
        await runner.cleanup()


def stream_of(data: bytes) -> Handle:
    async def handle(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked)
        await response.write(data)
        return response

    return handle


async def test_an_answer_with_everything_in_it() -> None:
    answer = Answer("hello you", (Call("read", {"path": "a"}, "c1"),), reasoning="let me see", prefill_s=0.05)
    async with pretending(answer) as client:
        assert await client.list_models() == {"pretend": 32_768}
        seen = await ask(client)
    final = seen[-1]
    assert isinstance(final, Completed)
    assert final.message == Message(
        "assistant", "hello you", (ToolCall("c1", "read", '{"path": "a"}'),), reasoning="let me see"
    )
    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == "hello you"
    assert "".join(event.text for event in seen if isinstance(event, ReasoningDelta)) == "let me see"
    assert any(isinstance(event, PrefillProgress) for event in seen)
    assert final.usage.prompt == final.usage.new > 0
    assert final.usage.generated > 0
    assert not any(isinstance(event, Completed | Truncated | Failed) for event in seen[:-1])


async def test_what_was_sent_is_reused(tmp_path: Path) -> None:
    async with pretending(listen=tmp_path / "e.sock") as _, opened(Endpoint(socket=tmp_path / "e.sock")) as client:
        first, second = (await ask(client))[-1], (await ask(client))[-1]
    assert isinstance(first, Completed)
    assert isinstance(second, Completed)
    assert second.usage.reused >= 0.9 * first.usage.prompt


@pytest.mark.parametrize(
    ("fault", "kind", "word", "partial"),
    [
        (Fault.STALL, Failed, "sent nothing for 0.5 s", "some"),
        (Fault.GARBAGE, Failed, "not of the OpenAI dialect", "some"),
        (Fault.HTTP_500, Failed, "told to fail", ""),
        (Fault.DISCONNECT, Failed, "broke off", "some"),
        (Fault.ERROR_CHUNK, Failed, "Context size has been exceeded", "some"),
        (Fault.TOO_LONG, Failed, "context holds", ""),
        (Fault.TRUNCATED, Truncated, "", ""),
    ],
)
async def test_every_fault_ends_with_one_final_event(
    fault: Fault, kind: type[Failed | Truncated], word: str, partial: str
) -> None:
    async with pretending(Answer("some text here", fault=fault), silence_s=0.5) as client:
        seen = await ask(client)
        final = seen[-1]
        assert isinstance(final, kind)
        assert not any(isinstance(event, Completed | Truncated | Failed) for event in seen[:-1])
        if isinstance(final, Failed):
            assert word in final.reason
            assert "\n" not in final.reason
            assert final.partial == partial
            assert final.exit_code in (1, 4)
        # The next request works: nothing of the failure stays in the client.
        assert isinstance((await ask(client))[-1], Completed)


async def test_a_truncated_call_is_left_out() -> None:
    call = Call("read", {"path": "a/very/long/path/to/some/file.py"})
    async with pretending(Answer("I look. ", (call,), fault=Fault.TRUNCATED, after=6)) as client:
        final = (await ask(client))[-1]
    assert isinstance(final, Truncated)
    assert final.message.tool_calls == ()


async def test_a_loading_server_is_waited_for() -> None:
    engine = PretendEngine(Script(loading_s=0.7))
    await engine.listen()
    try:
        async with opened(Endpoint(engine.endpoint.url)) as client:
            assert await client.list_models() == {}
            seen = await ask(client)
    finally:
        await engine.stop()
    assert isinstance(seen[0], Waiting)
    assert isinstance(seen[-1], Completed)


async def test_a_wrong_key_is_told() -> None:
    async with PretendEngine(api_key="right") as engine, opened(Endpoint(engine.endpoint.url, "wrong")) as client:
        with pytest.raises(Unavailable, match="another API key"):
            await client.list_models()
        final = (await ask(client))[-1]
    assert isinstance(final, Failed)
    assert "HEARTH_API_KEY" in final.fix


async def test_nobody_there_is_told_twice(tmp_path: Path) -> None:
    for endpoint, fix in (
        (Endpoint("http://127.0.0.1:9"), "HEARTH_URL"),
        (Endpoint(socket=tmp_path / "none.sock"), "hearth status"),
    ):
        async with opened(endpoint) as client:
            with pytest.raises(Unavailable) as raised:
                await client.list_models()
            assert fix in raised.value.fix
            final = (await ask(client))[-1]
            assert isinstance(final, Failed)
            assert (final.source, final.exit_code) == ("gateway", 4)
            assert fix in final.fix


async def test_comments_are_signs_of_life_and_some_are_words() -> None:
    end = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}
    data = f": loading pilot 2 s\n\n: queued\n\n: waiting\n\n:\n\ndata: {json.dumps(end)}\n\ndata: [DONE]\n\n"
    async with serving(stream_of(data.encode())) as client:
        seen = await ask(client)
    assert seen[:3] == [
        Waiting("loading", "loading pilot 2 s"),
        Waiting("queued", "queued"),
        Waiting("queued", "waiting"),
    ]
    assert isinstance(seen[-1], Completed)


async def test_garbage_between_events_is_tolerated() -> None:
    end = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}
    async with serving(stream_of(f"oops\n\ndata: {json.dumps(end)}\n\n".encode())) as client:
        assert isinstance((await ask(client))[-1], Completed)


async def test_a_page_instead_of_a_stream_is_told() -> None:
    async with serving(stream_of(b"<html>\n<body>welcome</body>\n</html>\n")) as client:
        final = (await ask(client))[-1]
        assert await client.list_models() == {}
    assert isinstance(final, Failed)
    assert "<html>" in final.reason
    assert "HEARTH_URL" in final.fix


async def test_a_refused_owner_is_told() -> None:
    async def refuse(_asked: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "not for you"}}, status=403)

    async with serving(refuse) as client:
        with pytest.raises(Denied, match="not for you"):
            await client.list_models()


async def test_a_redirect_is_told_and_never_followed() -> None:
    asked: list[str] = []

    async def redirect(asked_for: web.Request) -> web.StreamResponse:
        asked.append(asked_for.method)
        return web.Response(status=308, headers={"Location": "https://elsewhere.example/v1/models"})

    async with serving(redirect) as client:
        with pytest.raises(Unavailable, match=r"redirects \(HTTP status 308\) to https://elsewhere\.example") as raised:
            await client.list_models()
        final = (await ask(client))[-1]
    assert "HEARTH_URL" in raised.value.fix
    assert isinstance(final, Failed)
    assert "elsewhere.example" in final.reason
    assert asked == ["GET", "POST"]


@pytest.mark.parametrize("key", ["two\nlines", "käse"])
def test_a_key_that_no_request_can_carry_is_told(key: str) -> None:
    with pytest.raises(SettingsError, match="API key"):
        ChatClient(Endpoint("http://127.0.0.1:9", key))


async def test_a_foreign_endpoint_gets_standard_fields_only() -> None:
    bodies: list[bytes] = []

    async def handle(asked: web.Request) -> web.StreamResponse:
        if asked.method == "GET":
            return web.json_response({"data": [{"id": "big", "owned_by": "vllm", "max_model_len": 65536}]})
        bodies.append(await asked.read())
        assert asked.headers["X-Hearth-Session"] == "s1"
        return web.json_response({}, status=500)

    async with serving(handle) as client:
        assert await client.list_models() == {"big": 65536}
        await ask(client)
    assert set(json.loads(bodies[0])) == (
        {"model", "stream", "stream_options", "temperature", "max_tokens", "tools", "messages"}
    )


async def test_leaving_frees_the_slot() -> None:
    async with pretending(Answer("word " * 50, token_s=5.0), slots=1) as client:
        async with aclosing(client.answer(request())) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
        async with asyncio.timeout(4):
            assert isinstance((await ask(client))[-1], Completed)
