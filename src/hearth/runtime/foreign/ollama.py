"""Ollama as an engine: a daemon of the owner's, spoken to by its native API, its context always spelt out."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from hearth.errors import EngineFailed, ModelUnavailable
from hearth.runtime.capabilities import Capabilities
from hearth.runtime.engine import LoadProgress, Tell, own_context
from hearth.runtime.foreign.dialects.ollama_chat import OLLAMA_PATH, OllamaChat
from hearth.runtime.foreign.dialects.ollama_request import OllamaModel
from hearth.runtime.foreign.dialects.refusals import find_error, find_overflow
from hearth.runtime.foreign.engine import ForeignEngine, Found, ask_json, base_url, open_session, read_key
from hearth.settings import ForeignSettings

OLDEST = (0, 13, 0)
"""The first version that is trusted with ``truncate`` and ``shift`` of a chat: pull request 12582 brought them in
October 2025. Before, a prompt that is too long is cut without a word."""
OVERFLOW_S = 20.0
"""How long the refusal of a prompt that is too long may take. It comes before anything is computed."""
_LONG = "seven "
"""One token at least in every vocabulary, and hardly more."""
_BEAT_S = 1.0
_UNNUMBERED = (0, 0, 0)
_BY_LEVEL = ("gptoss", "gpt-oss")

log = logging.getLogger("hearth.runtime")
Json = dict[str, Any]


class OllamaEngine(ForeignEngine):
    """One model of an Ollama server. It is an ``Engine``: see there for the contract.

    On ``stop`` the model is unloaded there if nobody had it loaded before and it is still loaded with our context. Who
    else uses it then waits for a load, no more: Ollama finishes what it answers.
    """

    capabilities = Capabilities(
        own_process=False,
        explicit_context=True,
        saves_kv=False,
        progress=False,
        activity=False,
        overflow_counts=True,
        cached_tokens=True,
        speeds=True,
        grammar=False,
        json_schema=True,
        forced_tools=False,
        template_arguments=False,
        logprobs=False,
        infill=False,
        raw=False,
    )
    _alive_path = "/api/version"
    _is_ours = False
    _context = 0

    async def _check(self, session: aiohttp.ClientSession) -> None:
        await self._show(session)

    async def _meet(self, session: aiohttp.ClientSession, tell: Tell) -> Found:
        self._check_version(await self._get(session, "/api/version"))
        shown = await self._show(session)
        model = self._describe(shown)
        self._context = model.context
        dialect = OllamaChat(model)
        loaded = await self._loaded(session)
        self._is_ours = loaded is None
        await self._load(dialect, tell)
        loaded = await self._loaded(session) or {}
        given = loaded.get("context_length")
        if isinstance(given, int) and 0 < given < model.context:
            raise EngineFailed(
                f"Ollama gives {self._model} a context of {given:,} tokens, {model.context:,} were asked for",
                f"set engines.{self._name}.context to {given}, or see Ollama's log",
            )
        if _object(shown.get("details")).get("format", "gguf") == "gguf":
            # What runs on MLX knows no context at all: it reads every prompt whole (server/routes.go, IsMLX).
            await self._see_it_refuse()
        slots = self._settings.slots or 1
        return Found(dialect, model.context, slots, self._held(loaded))

    async def _show(self, session: aiohttp.ClientSession) -> Json:
        try:
            return await self._post(session, "/api/show", {"model": self._model})
        except ModelUnavailable as error:
            names = await list_models(self._settings, self._name)
            raise ModelUnavailable(
                f"Ollama at {self._endpoint.url} has no model {self._model!r}",
                f"run: ollama pull {self._model}; it has: {', '.join(names[:20]) or 'none'}",
            ) from error

    def _check_version(self, told: Json) -> None:
        number = re.match(r"(\d+)\.(\d+)\.(\d+)", str(told.get("version")))
        version = tuple(map(int, number.groups())) if number else _UNNUMBERED
        if _UNNUMBERED != version < OLDEST:
            raise EngineFailed(
                f"Ollama {told['version']} at {self._endpoint.url} cuts prompts that are too long without a word",
                f"update it to {'.'.join(map(str, OLDEST))} or newer",
            )

    def _describe(self, shown: Json) -> OllamaModel:
        """What the model can do. Raises ModelUnavailable, EngineFailed."""
        if shown.get("remote_host") and self._model not in self._settings.models:
            raise ModelUnavailable(
                f"{self._model} runs at {shown['remote_host']}, not here: Ollama would send the conversation there",
                f"if you want that, name it in engines.{self._name}.models",
            )
        able = shown.get("capabilities")
        able = able if isinstance(able, list) else ["completion", "tools"]
        if "completion" not in able:
            raise ModelUnavailable(f"{self._model} answers no chats, by Ollama's account", "ask for another model")
        info = _object(shown.get("model_info"))
        lengths = [value for name, value in info.items() if name.endswith(".context_length") and isinstance(value, int)]
        native = max(lengths, default=0)
        context = self._settings.context or own_context(native)
        if 0 < native < context:
            raise EngineFailed(
                f"{self._model} holds {native:,} tokens, engines.{self._name}.context asks for {context:,}",
                f"set engines.{self._name}.context to {native} at most",
            )
        return OllamaModel(
            self._model,
            context,
            calls_tools="tools" in able,
            sees="vision" in able,
            thinks="thinking" in able,
            thinks_by_level=_object(shown.get("details")).get("family") in _BY_LEVEL,
        )

    async def _load(self, dialect: OllamaChat, tell: Tell) -> None:
        """Have it load the model by asking for a token. It tells no progress; that it still listens is a sign of
        life enough, for a connection to a server that is gone breaks."""
        began = time.monotonic()
        loading = asyncio.create_task(self._first_token(dialect))
        try:
            while not loading.done():
                tell(LoadProgress(self._card.name, "loading", time.monotonic() - began, f"Ollama loads {self._model}"))
                await asyncio.wait([loading], timeout=_BEAT_S)
        finally:
            loading.cancel()
            await asyncio.wait([loading])
        loading.result()

    async def _see_it_refuse(self) -> None:
        """Send a prompt that is longer than the context, and see it refused before it is relied upon. Raises
        EngineFailed when it is cut instead."""
        request = {
            "model": self._model,
            "messages": [{"role": "user", "content": _LONG * (self._context + 64)}],
            "stream": False,
            "truncate": False,
            "shift": False,
            "options": {"num_ctx": self._context, "num_predict": 1},
        }
        try:
            async with (
                self._session(aiohttp.ClientTimeout(total=OVERFLOW_S)) as session,
                session.post(self._endpoint.url + OLLAMA_PATH, json=request, allow_redirects=False) as response,
            ):
                raw = await response.read()
        except TimeoutError:
            # Some runners read on beyond the context; that takes long, and loses nothing.
            log.warning("%s: a prompt that is too long was not refused within %.0f s", self._card.name, OVERFLOW_S)
            return
        told = find_error(raw)
        if response.status != 200 and find_overflow(told, str(told.get("message")), self._context):
            return
        read = told.get("prompt_eval_count")
        if response.status == 200 and isinstance(read, int) and read > self._context:
            return
        raise EngineFailed(
            f"Ollama at {self._endpoint.url} cut a prompt of more than {self._context:,} tokens without a word "
            f"(HTTP {response.status}, {read} tokens read)",
            "update it",
        )

    async def _loaded(self, session: aiohttp.ClientSession) -> Json | None:
        """The model's entry among those that are loaded there."""
        models = (await self._get(session, "/api/ps")).get("models")
        names = (self._model, f"{self._model}:latest")
        found = [each for each in models or () if isinstance(each, dict) and each.get("model") in names]
        return found[0] if found else None

    def _held(self, loaded: Json) -> dict[str, int]:
        """What it takes in bytes, by Ollama's account: nothing when that is another machine's."""
        total, cards = loaded.get("size"), loaded.get("size_vram")
        if not _is_here(self._endpoint.url) or not isinstance(total, int) or not isinstance(cards, int):
            return {}
        return {name: size for name, size in (("CPU", total - cards), ("GPU", cards)) if size > 0}

    async def _let_go(self, session: aiohttp.ClientSession) -> None:
        if not self._is_ours:
            return
        loaded = await self._loaded(session)
        if loaded is not None and loaded.get("context_length", self._context) == self._context:
            await self._post(session, "/api/generate", {"model": self._model, "keep_alive": 0})


async def list_models(settings: ForeignSettings, name: str) -> Sequence[str]:
    """The models that this Ollama has. Raises as ``ask_json``."""
    async with open_session(read_key(settings.api_key, name)) as session:
        models = (await ask_json(session, "GET", base_url(settings) + "/api/tags", name)).get("models")
    found = [each.get("model") or each.get("name") for each in models or () if isinstance(each, dict)]
    return [model for model in found if isinstance(model, str)]


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
