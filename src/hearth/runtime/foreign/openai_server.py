"""vLLM, and whatever else speaks OpenAI's chat completions, as an engine. What it is and can is asked, not assumed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from hearth.errors import EngineFailed, ModelUnavailable
from hearth.runtime.capabilities import Capabilities
from hearth.runtime.dialect import Dialect
from hearth.runtime.engine import Activity, LoadProgress, Tell
from hearth.runtime.foreign.dialects.openai_chat import OpenAIChat, RemoteLlama
from hearth.runtime.foreign.engine import ForeignEngine, Found, ask_json, base_url, open_session, read_key
from hearth.settings import ForeignSettings

VLLM_SLOTS = 32
"""Requests at once for a vLLM whose ``--max-num-seqs`` nobody told; its own default is larger."""
OTHER_SLOTS = 4
_POLL_S = 0.5
_LOADING = re.compile(r"HTTP 503.*loading", re.IGNORECASE | re.DOTALL)
_LINE = re.compile(
    r"^(?P<name>[a-z_:]+)(?:\{(?P<labels>.*)\})? (?P<value>[0-9]+(?:\.[0-9]+)?(?:e\+?[0-9]{1,2})?)$", re.MULTILINE
)
_WAITING = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
_RUNNING = ("vllm:num_requests_running", "llamacpp:requests_processing")
_TOKENS = (
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "llamacpp:prompt_tokens_total",
    "llamacpp:tokens_predicted_total",
)

Json = dict[str, Any]


class OpenAIServer(ForeignEngine):
    """One model of a server that speaks OpenAI's chat completions. It is an ``Engine``: see there for the contract."""

    capabilities = Capabilities(
        own_process=False,
        explicit_context=False,
        saves_kv=False,
        progress=False,
        activity=False,
        overflow_counts=True,
        cached_tokens=True,
        speeds=False,
        grammar=False,
        json_schema=True,
        forced_tools=True,
        template_arguments=True,
        logprobs=True,
        infill=False,
        raw=False,
    )
    _alive_path = "/v1/models"
    _is_vllm = False
    _has_metrics = False

    async def look(self) -> Activity | None:
        """By its metrics, all its requests as one: it tells no more. None when it has none."""
        if not self._has_metrics:
            return None
        try:
            async with self._session() as session:
                return read_activity(await self._metrics(session), self._model)
        except aiohttp.ClientError as error:
            raise OSError(f"{self._endpoint.url}: {error}") from error

    async def _check(self, session: aiohttp.ClientSession) -> None:
        await self._entry(session, lambda _progress: None)

    async def _meet(self, session: aiohttp.ClientSession, tell: Tell) -> Found:
        entry = await self._entry(session, tell)
        owner = entry.get("owned_by")
        self._is_vllm = self._settings.kind == "vllm" or owner == "vllm"
        properties = await self._properties(session) if owner == "llamacpp" else {}
        context = self._context(entry, properties)
        dialect: Dialect = OpenAIChat(self._model, context, is_vllm=self._is_vllm)
        if properties:
            dialect = RemoteLlama(self._model)
        self._has_metrics = bool(read_activity(await self._metrics(session), self._model))
        await self._first_token(dialect)
        usual = VLLM_SLOTS if self._is_vllm else OTHER_SLOTS
        slots = self._settings.slots or _number(properties.get("total_slots")) or usual
        return Found(dialect, context, slots, {})

    async def _entry(self, session: aiohttp.ClientSession, tell: Tell) -> Json:
        """The model's entry in the list. A llama-server that still loads is waited for; vLLM does not listen until it
        is ready. Raises ModelUnavailable naming those that there are."""
        began = time.monotonic()
        while True:
            try:
                listed = await self._get(session, "/v1/models")
                break
            except EngineFailed as error:
                if not _LOADING.search(error.what):
                    raise
                tell(LoadProgress(self._card.name, "loading", time.monotonic() - began, "the server loads its model"))
                await asyncio.sleep(_POLL_S)
        entries = [each for each in listed.get("data") or () if isinstance(each, dict)]
        for entry in entries:
            if entry.get("id") == self._model:
                return entry
        names = ", ".join(str(each.get("id")) for each in entries[:20])
        raise ModelUnavailable(
            f"{self._endpoint.url} has no model {self._model!r}", f"it has: {names}" if names else "it has none"
        )

    async def _properties(self, session: aiohttp.ClientSession) -> Json:
        """llama-server's own account; empty when there is none."""
        try:
            return await self._get(session, "/props")
        except (EngineFailed, ModelUnavailable):
            return {}

    def _context(self, entry: Json, properties: Json) -> int:
        """Tokens of one request by the server's account, else by the owner's. Raises EngineFailed."""
        settings = properties.get("default_generation_settings")
        meta = entry.get("meta")
        told = [
            settings.get("n_ctx") if isinstance(settings, dict) else None,
            *(entry.get(name) for name in ("max_model_len", "context_length", "max_context_length")),
            meta.get("n_ctx") if isinstance(meta, dict) else None,
        ]
        own = next((number for each in told if (number := _number(each))), 0)
        wanted = self._settings.context
        if own and wanted > own:
            raise EngineFailed(
                f"{self._endpoint.url} gives {self._model} {own:,} tokens, engines.{self._name}.context asks for "
                f"{wanted:,}",
                "start it with a larger context (vLLM: --max-model-len), or ask for less",
            )
        if not own and not wanted:
            raise EngineFailed(
                f"{self._endpoint.url} does not tell the context of {self._model}",
                f"set engines.{self._name}.context to what it is",
            )
        return own or wanted

    async def _metrics(self, session: aiohttp.ClientSession) -> str:
        async with session.get(self._endpoint.url + "/metrics", allow_redirects=False) as response:
            return await response.text(errors="replace") if response.status == 200 else ""


async def list_models(settings: ForeignSettings, name: str) -> Sequence[str]:
    """The models that this server names. Raises as ``ask_json``."""
    async with open_session(read_key(settings.api_key, name)) as session:
        listed = (await ask_json(session, "GET", base_url(settings) + "/v1/models", name)).get("data")
    found = [each.get("id") for each in listed or () if isinstance(each, dict)]
    return [model for model in found if isinstance(model, str)]


def read_activity(metrics: str, model: str) -> Activity | None:
    """What these metrics (Prometheus text) tell of the model: one slot that stands for all requests, working while any
    runs. None when they are not vLLM's or llama-server's."""
    found: dict[str, float] = {}
    for match in _LINE.finditer(metrics):
        labels = match["labels"] or ""
        if "model_name=" in labels and f'model_name="{model}"' not in labels:
            continue
        found[match["name"]] = found.get(match["name"], 0.0) + float(match["value"])
    if not found.keys() & set(_RUNNING):
        return None
    running, waiting, tokens = (
        int(sum(found.get(name, 0.0) for name in names)) for names in (_RUNNING, _WAITING, _TOKENS)
    )
    return Activity(frozenset({0} if running else ()), {0: tokens}, waiting)


def _number(value: object) -> int:
    """A count that a server told; 0 when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
