"""A real engine with a tiny model, and its cache, as tests talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

import gguf_models
from hearth.paths import Paths
from hearth.runtime.kv.cache import Place, PrefixCache
from hearth.runtime.kv.store import KvStore
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.weights.card import card_of_file

Message = dict[str, str]
MODELS: dict[str, Callable[[Path], object]] = {
    "dense": lambda path: gguf_models.write_llama(path, context=8192),
    "window": gguf_models.write_gemma3,
    "hybrid": lambda path: gguf_models.write_lfm2(path, context=8192),
}
"""One of each kind of memory."""
SYSTEM = {"role": "system", "content": "You are a careful assistant. " * 40}


def ask(text: str, times: int = 1) -> Message:
    """A question."""
    return {"role": "user", "content": f"{text} " * times}


@dataclass
class Answered:
    """One answer, and where it was made."""

    text: str
    reused: int
    read: int
    place: Place


@dataclass
class Conversation:
    """Messages that grow by every question and answer."""

    running: Running
    messages: list[Message] = field(default_factory=lambda: [SYSTEM])
    owner: str = "owner"

    async def say(self, text: str, times: int = 1, **fields: Any) -> Answered:
        """Ask, and keep the answer in the conversation."""
        self.messages.append(ask(text, times))
        answered = await self.running.chat(self.messages, self.owner, **fields)
        self.messages.append({"role": "assistant", "content": answered.text})
        return answered


@dataclass
class Running:
    """One engine, its cache and its store."""

    engine: EmbeddedEngine
    cache: PrefixCache
    store: KvStore
    session: aiohttp.ClientSession

    async def chat(self, messages: Sequence[Message], owner: str = "owner", **fields: Any) -> Answered:
        """Ask in the slot that the cache chooses, greedily."""
        request = {"messages": list(messages), "max_tokens": 8, "temperature": 0, **fields}
        async with self.cache.place(owner, request) as place:
            url = "http://engine/v1/chat/completions"
            async with self.session.post(url, json={**request, "id_slot": place.slot}) as response:
                assert response.status == 200, await response.text()
                answer = await response.json()
            timings = answer["timings"]
            place.reused, place.read, place.made = timings["cache_n"], timings["prompt_n"], timings["predicted_n"]
        text = answer["choices"][0]["message"]["content"]
        return Answered(text, place.reused, place.read, place)

    def begin(self, owner: str = "owner", system: Message = SYSTEM) -> Conversation:
        """A new conversation."""
        return Conversation(self, [system], owner)


@asynccontextmanager
async def running(
    paths: Paths, *, rest_s: float = 600.0, save: bool = True, quota_bytes: int = 0, **settings: Any
) -> AsyncIterator[Running]:
    """An engine over the home's ``m.gguf``; both ended after, as the supervisor does it. Without ``save`` it ends as
    after a crash."""
    card = card_of_file("m", paths.models / "m.gguf")
    engine = EmbeddedEngine(card, Launch(**{"context": 4096, "slots": 2, "threads": 1, **settings}), paths)
    store = KvStore(paths.kv, quota_bytes)
    store.open()
    await engine.start(lambda _progress: None)
    cache = PrefixCache(engine, store, rest_s=rest_s)
    connector = aiohttp.UnixConnector(str(engine.endpoint.socket), force_close=True)
    headers = {"Authorization": f"Bearer {engine.endpoint.api_key}"}
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            yield Running(engine, cache, store, session)
        if save:
            await cache.save_all(20)
    finally:
        await cache.close()
        await engine.stop()
