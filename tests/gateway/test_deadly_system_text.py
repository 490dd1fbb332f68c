"""A system text that engines die of while they read it by itself: it ends two of them, not one after the other."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from aiohttp import web

import gguf_models
from hearth.gateway.asgi import Message, Request
from hearth.gateway.exchange import Exchange
from hearth.gateway.openai import read_chat
from hearth.gateway.relay import Relay
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Endpoint, Engine, EngineState, LoadProgress, Tell
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import PretendEngine
from hearth.runtime.supervisor import Supervisor
from hearth.settings import Settings
from hearth.weights.store import ModelCard

SYSTEM = "You are a careful assistant. " * 80


class Frail(PretendEngine):
    """Keeps states, and dies of each prompt that it is to read by itself."""

    _site: web.AppRunner | None = None

    @property
    def kv_state(self) -> str:
        return "frail"

    async def start(self, tell: Tell = lambda _progress: None) -> None:
        application = web.Application()
        application.router.add_post("/apply-template", self._template)
        application.router.add_post("/tokenize", self._tokens)
        application.router.add_post("/completion", self._perish)
        self._site = web.AppRunner(application, shutdown_timeout=0.1)
        await self._site.setup()
        await web.TCPSite(self._site, "127.0.0.1", 0).start()
        self._endpoint = Endpoint(None, f"http://127.0.0.1:{self._site.addresses[0][1]}", "")
        self._state = EngineState.READY
        tell(LoadProgress(self.card.name, "ready", 0.0))

    async def _template(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt": "".join(each["content"] for each in (await request.json())["messages"])})

    async def _tokens(self, request: web.Request) -> web.Response:
        return web.json_response({"tokens": list((await request.json())["content"].encode())})

    async def _perish(self, request: web.Request) -> web.Response:
        self._die()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _close(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            await site.cleanup()
        await super()._close()


@pytest.mark.slow
async def test_a_request_whose_beginning_ends_engines_is_refused_after_two(home: Path) -> None:
    paths = resolve_paths(os.environ)
    paths.ensure()
    gguf_models.write_llama(paths.models / "small.gguf")
    engines: list[Frail] = []

    def make(card: ModelCard, _launch: Launch, _paths: Paths) -> Engine:
        engines.append(Frail(card=card))
        return engines[-1]

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    body = (
        b'{"model":"small","messages":[{"role":"system","content":"%b"},{"role":"user","content":"hello"}]}'
        % SYSTEM.encode()
    )
    supervisor = Supervisor(Settings(model="small"), paths, make_engine=make)
    relay = Relay(supervisor)
    chat = read_chat(body, default_model="small", trusted=True)
    codes = []
    for _ in range(2):
        scope = {"method": "POST", "path": "/", "headers": [], "server": None}
        exchange = Exchange(Request(scope, receive, send, trusted=True), "small", stream=False)
        async with asyncio.timeout(60):
            await relay.carry(chat, exchange)
        codes.append(exchange.status)
    assert codes == [502, 422]
    assert len(engines) == 2
    await relay.close()
    await supervisor.close()
