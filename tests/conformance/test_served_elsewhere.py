"""Models of the owner's other engines through the whole daemon: listed, answered, refused, and there again after their
server was away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from hearth.gateway.app import Gateway
from hearth.gateway.keys import load_key
from hearth.gateway.server import listen_unix, serve
from hearth.paths import resolve_paths
from hearth.runtime.pretend.ollama import PretendModel, PretendOllama
from hearth.runtime.pretend.script import Answer, Script
from hearth.runtime.pretend.vllm import PretendVllm
from hearth.runtime.supervisor import Supervisor
from hearth.settings import ForeignSettings, Settings

Json = dict[str, Any]


@asynccontextmanager
async def daemon(**engines: ForeignSettings) -> AsyncIterator[Callable[..., Any]]:
    """A daemon in this process that knows these engines: what asks it, ``ask(path)`` or ``ask(path, body)``."""
    paths = resolve_paths(os.environ)
    paths.ensure()
    settings = Settings(engines=engines)
    supervisor = Supervisor(settings, paths)
    stops: list[Callable[[], None]] = []

    def make_gateway(stop: Callable[[], None]) -> Gateway:
        stops.append(stop)
        about = {"version": "0", "pid": os.getpid()}
        key = load_key(paths.key_file)
        return Gateway(supervisor, key, model="pilot", socket=str(paths.socket), about=about, stop=stop)

    served = asyncio.create_task(serve(make_gateway, [listen_unix(paths.socket)], idle_exit_s=0.0))
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(paths.socket), force_close=True)) as client:

        async def ask(path: str, body: Json | None = None) -> tuple[int, Json]:
            method = "GET" if body is None else "POST"
            async with asyncio.timeout(60), client.request(method, f"http://hearth{path}", json=body) as response:
                return response.status, await response.json()

        while not stops:
            await asyncio.sleep(0.01)
        yield ask
    stops[0]()
    await served
    await supervisor.close()


def chat(model: str, text: str = "hello", **fields: Any) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


async def test_models_elsewhere_are_listed_and_answer() -> None:
    script = Script(otherwise=Answer(text="Hello from there."))
    async with PretendOllama(script) as ollama, PretendVllm(script, context=4096) as vllm:
        home, rack = ForeignSettings(kind="ollama", url=ollama.url), ForeignSettings(kind="vllm", url=vllm.url)
        async with daemon(home=home, rack=rack) as ask:
            _, listed = await ask("/v1/models")
            names = [each["id"] for each in listed["data"]]
            assert names == ["pilot", "qwen3:4b@home", "Qwen/Qwen3-4B@rack"]
            for name in names[1:]:
                status, answer = await ask("/v1/chat/completions", chat(name))
                assert status == 200, answer
                assert answer["choices"][0]["message"]["content"] == "Hello from there."
                assert answer["model"] == name
            _, listed = await ask("/v1/models")
            assert [each["context_length"] for each in listed["data"]] == [None, 16_384, 4096]
            status, refused = await ask("/v1/chat/completions", chat(names[2], "seven " * 8192))
            assert (status, refused["error"]["code"]) == (400, "context_length_exceeded")
            status, refused = await ask("/v1/chat/completions", chat(names[1], grammar="root ::= x"))
            assert (status, refused["error"]["code"]) == (400, "not_supported")
            _, status_page = await ask("/hearth/status")
            assert {each["model"] for each in status_page["engines"]} == set(names[1:])
        assert ollama.loaded == {}


@pytest.mark.slow
async def test_a_model_or_server_that_is_not_there_is_told_and_its_return_noticed() -> None:
    async with PretendOllama(models={"a": PretendModel()}) as ollama:
        port = int(ollama.url.rpartition(":")[2])
        async with daemon(home=ForeignSettings(kind="ollama", url=ollama.url)) as ask:
            status, told = await ask("/v1/chat/completions", chat("b@home"))
            assert status in (404, 503)
            assert "b" in told["error"]["message"]
            # What is not there is no engine of ours, however many names a client makes up.
            _, status_page = await ask("/hearth/status")
            assert status_page["engines"] == []
            assert (await ask("/v1/chat/completions", chat("a@home")))[0] == 200
            await ollama.stop()
            status, told = await ask("/v1/chat/completions", chat("a@home"))
            assert status in (502, 503)
            assert "nobody answers" in told["error"]["message"]
            again = PretendOllama(models={"a": PretendModel()})
            await again.start(port)
            assert (await ask("/v1/chat/completions", chat("a@home")))[0] == 200
            await again.stop()
            status, told = await ask("/v1/chat/completions", chat("a@nowhere"))
            assert status == 404
