"""Asks an engine through the gateway, as every client does: its real routes, its dialects, a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
from engine_subjects import Subject

from hearth.gateway.app import Gateway
from hearth.gateway.keys import load_key
from hearth.gateway.server import listen_unix, serve
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine, EngineState, LoadProgress, Tell
from hearth.runtime.seat import Lease
from hearth.runtime.supervisor import Supervisor
from hearth.runtime.watch.watchdog import Watchdog
from hearth.weights.card import ModelCard

Json = dict[str, Any]
LIMIT_S = 120.0
"""What no single question may exceed; none comes near."""


@dataclass
class Told:
    """What came of one question: the status and the body, or the events of a stream."""

    status: int
    body: Json = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    done: bool = False
    """Whether the stream ended with ``[DONE]``."""

    @property
    def error(self) -> Json:
        """What went wrong, wherever it was said; empty when nothing was."""
        found = [each["error"] for each in (self.body, *self.events) if "error" in each]
        return dict(found[-1]) if found else {}

    @property
    def message(self) -> Json:
        """The assistant's message: as it came, or what the deltas add up to."""
        if not self.events:
            return dict(self.body["choices"][0]["message"])
        message: Json = {"role": "assistant", "content": ""}
        for delta in self.deltas:
            for name in ("content", "reasoning_content"):
                if delta.get(name):
                    message[name] = message.get(name, "") + delta[name]
            for part in delta.get("tool_calls", ()):
                calls = message.setdefault("tool_calls", [])
                if part["index"] == len(calls):
                    calls.append({"id": part["id"], "type": part["type"], "function": dict(part["function"])})
                else:
                    calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
        return message

    @property
    def deltas(self) -> list[Json]:
        """The pieces of a stream."""
        return [choice["delta"] for event in self.events for choice in event.get("choices", ())]

    @property
    def finish(self) -> str | None:
        """Why the answer ended; it may be said once only."""
        choices = [choice for each in (self.body, *self.events) for choice in each.get("choices", ())]
        reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        assert len(reasons) <= 1, reasons
        return reasons[0] if reasons else None

    @property
    def usage(self) -> Json:
        """Tokens of prompt and answer."""
        return next(each["usage"] for each in (self.body, *self.events) if each.get("usage"))

    @property
    def timings(self) -> Json:
        """llama-server's, or what is known of them."""
        return next(each["timings"] for each in reversed((self.body, *self.events)) if each.get("timings"))


class _OneEngine:
    """What the gateway needs of a supervisor, for the one engine that is asked."""

    def __init__(self, paths: Paths) -> None:
        self.engine: Engine | None = None
        self._paths = paths

    @asynccontextmanager
    async def lease(self, _name: str, _tell: Tell) -> AsyncIterator[Lease]:
        """The engine as it is."""
        assert self.engine is not None
        watch = Watchdog(self.engine, None, self._paths)
        try:
            yield Lease(self.engine, None, watch)
        finally:
            await watch.close()

    def cards(self) -> list[ModelCard]:
        """Its model."""
        return [self.engine.card] if self.engine else []

    def note_use(self, _card: ModelCard, _speed: tuple[float, float] | None) -> None:
        """Nobody keeps it."""


class Talk:
    """A gateway in front of one engine of the subject."""

    def __init__(self, subject: Subject, one: _OneEngine, client: aiohttp.ClientSession) -> None:
        self.subject = subject
        self._one = one
        self._client = client

    @property
    def engine(self) -> Engine:
        """The engine that is asked."""
        assert self._one.engine is not None
        return self._one.engine

    async def renew(self) -> Engine:
        """Stop the engine, if there is one, and start another."""
        if self._one.engine is not None:
            await self._one.engine.stop()
        self._one.engine = self.subject.engine()
        await self._one.engine.start(_heard_by_nobody)
        assert self._one.engine.state is EngineState.READY
        return self._one.engine

    def body(self, messages: str | list[Json], fields: Mapping[str, Any]) -> Json:
        """A request, greedy and not from any cache, so that two answers can be compared."""
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        plain = {"temperature": 0, "seed": 1, "cache_prompt": False}
        return {"model": self.engine.card.name, "messages": said, **plain, **fields}

    async def ask(self, messages: str | list[Json] = "hello", **fields: Any) -> Told:
        """The answer in one piece."""
        async with asyncio.timeout(LIMIT_S), self._post(self.body(messages, fields)) as response:
            return Told(response.status, await response.json())

    async def complete(self, prompt: str, **fields: Any) -> Told:
        """What follows this text, in one piece."""
        body = {"model": self.engine.card.name, "prompt": prompt, "temperature": 0, **fields}
        async with asyncio.timeout(LIMIT_S), self._client.post("http://hearth/v1/completions", json=body) as response:
            return Told(response.status, await response.json())

    async def stream(self, messages: str | list[Json] = "hello", **fields: Any) -> Told:
        """The answer as a stream, to its end."""
        async with asyncio.timeout(LIMIT_S), self._post(self.body(messages, {"stream": True, **fields})) as response:
            if response.status != 200:
                return Told(response.status, await response.json())
            told = Told(response.status)
            async for data in events_of(response):
                if data == "[DONE]":
                    told.done = True
                else:
                    assert not told.done
                    told.events.append(json.loads(data))
            return told

    @asynccontextmanager
    async def begun(self, **fields: Any) -> AsyncIterator[AsyncIterator[str]]:
        """A stream that may be left at any time: an iterator of the data of its events."""
        async with self._post(self.body("hello", {"stream": True, **fields})) as response:
            assert response.status == 200
            yield events_of(response)

    def _post(self, body: Json) -> Any:
        return self._client.post("http://hearth/v1/chat/completions", json=body)


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """The data of each event; comments are left out."""
    async for line in response.content:
        if line.startswith(b"data: "):
            yield line[6:].strip().decode()


@asynccontextmanager
async def talking(make: Callable[[Paths], Subject]) -> AsyncIterator[Talk]:
    """A gateway and an engine of this subject, started; everything ends with the context."""
    paths = resolve_paths(os.environ)
    paths.ensure()
    one = _OneEngine(paths)
    subject = make(paths)
    stops: list[Callable[[], None]] = []

    def make_gateway(stop: Callable[[], None]) -> Gateway:
        stops.append(stop)
        about = {"version": "0", "pid": os.getpid()}
        supervisor = cast("Supervisor", one)
        return Gateway(
            supervisor, load_key(paths.key_file), model="none", socket=str(paths.socket), about=about, stop=stop
        )

    await subject.begin()
    served = asyncio.create_task(serve(make_gateway, [listen_unix(Path(paths.socket))], idle_exit_s=0.0))
    client = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(paths.socket), force_close=True))
    talk = Talk(subject, one, client)
    try:
        while not stops:
            await asyncio.sleep(0.01)
        await talk.renew()
        yield talk
    finally:
        await client.close()
        stops[0]()
        await served
        with contextlib.suppress(AssertionError):
            await talk.engine.stop()
        await subject.finish()


def _heard_by_nobody(_progress: LoadProgress) -> None:
    return None
