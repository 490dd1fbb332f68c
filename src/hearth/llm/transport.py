"""One endpoint over HTTP: whom one asks, what it can, how its streams are read and its failures told.

There is no limit on the time that an answer takes while bytes arrive, comments included: a prefill of nine minutes is
no failure, a silence of ``silence_s`` is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from hearth.errors import Denied, SettingsError, Unavailable
from hearth.llm import http
from hearth.llm.answer import CallDelta, Failed, Final, ModelEvent, ReasoningDelta, TextDelta, Waiting
from hearth.llm.assembly import Assembly
from hearth.llm.failures import failure_from_status
from hearth.llm.request import Request
from hearth.llm.sse import Comment, Garbage, SseReader

SILENCE_S = 600.0
"""Seconds without a single byte after which an endpoint counts as dead."""
LISTING_S = 30.0
LARGEST_LISTING = 4 * 1024 * 1024
RETRY_S = 0.5
LARGEST_ERROR = 64 * 1024
LOADING = 503
"""What a llama-server answers, to any request, while it loads its model."""

OWN_EXTRAS = {"return_progress": True}
"""What llama-server and our gateway understand beyond the standard; timings come unasked."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model answers: ``socket`` of the local daemon, or ``url`` (base, ``/v1`` may be there or not)."""

    url: str = ""
    api_key: str = ""
    socket: Path | None = None

    @property
    def base(self) -> str:
        """The URL before ``/v1``; over the socket the host is only a name."""
        return "http://hearth" if self.socket else self.url.rstrip("/").removesuffix("/v1")

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "the daemon" if self.socket else self.base

    @property
    def remedy(self) -> str:
        """What to do when it does not answer."""
        return "run: hearth status" if self.socket else "check HEARTH_URL and that the server runs"


class _ListedMeta(msgspec.Struct):
    n_ctx: int | None = None


class _Architecture(msgspec.Struct):
    input_modalities: list[str] = []


class _Listed(msgspec.Struct):
    id: str
    architecture: _Architecture | None = None
    owned_by: str | None = None
    context_length: int | None = None
    loaded: bool = True
    max_model_len: int | None = None
    meta: _ListedMeta | None = None

    @property
    def context(self) -> int:
        # meta.n_ctx_train is what the model was trained with, not what this server runs it with: never taken.
        return self.context_length or self.max_model_len or (self.meta.n_ctx if self.meta else 0) or 0


class _Listing(msgspec.Struct):
    data: list[_Listed] = []


class _Shown(msgspec.Struct):
    markers: list[str] = []


class Entry(msgspec.Struct):
    """What a hearth tells of one model; other endpoints tell nothing. ``context_planned`` are the tokens that a request
    could hold if the model were loaded now."""

    hearth: _Shown | None = None
    context_planned: int | None = None

    @property
    def template(self) -> str:
        """The markers of its chat template, one a line, for ``profile_for``."""
        return "\n".join(self.hearth.markers) if self.hearth else ""


class Transport:
    """The way to one endpoint. Each request has a connection of its own: there is nothing to close."""

    def __init__(self, endpoint: Endpoint, silence_s: float = SILENCE_S) -> None:
        """Raises SettingsError for an API key that no HTTP request can carry."""
        if not (endpoint.api_key.isascii() and endpoint.api_key.isprintable()):
            raise SettingsError("the API key is not one line of ASCII", "set HEARTH_API_KEY")
        self._endpoint = endpoint
        self._silence_s = silence_s
        self._extras: dict[str, Any] = OWN_EXTRAS if endpoint.socket else {}
        self._seeing: frozenset[str] = frozenset()
        self._unloaded: frozenset[str] = frozenset()

    @property
    def extras(self) -> Mapping[str, Any]:
        """Fields beyond the standard that this endpoint understands."""
        return self._extras

    @property
    def is_llama(self) -> bool:
        """Whether it is our gateway or a llama-server, as far as is known: only those complete raw prompts."""
        return bool(self._extras)

    async def list_models(self) -> dict[str, int]:
        """The names of the models, each with its context length in tokens, 0 where unknown.

        An endpoint without a list is no failure: then nothing is known. One that turns out to be ours or a llama-server
        gets the extra fields from now on. Raises Unavailable when nobody answers, for a redirect and an error of the
        server, Denied or Unavailable for a bad key.
        """
        try:
            async with asyncio.timeout(LISTING_S), self._ask("GET", "models") as response:
                status, body = response.status, await response.read(LARGEST_LISTING)
        except OSError as error:
            what = f"{self._endpoint.name} does not answer: {http.describe(error)}"
            raise Unavailable(what, self._endpoint.remedy) from error
        if 300 <= status < 400 or status in (401, 403) or (status >= 500 and status != LOADING):
            failure = failure_from_status(status, body, response.headers.get("location", ""))
            raise (Denied if status == 403 else Unavailable)(failure.reason, failure.fix)
        try:
            listed = msgspec.json.decode(body, type=_Listing).data
        except (msgspec.DecodeError, UnicodeError):
            return {}
        if any(entry.owned_by in ("hearth", "llamacpp") for entry in listed):
            self._extras = OWN_EXTRAS
        shown = ((entry.id, entry.architecture.input_modalities if entry.architecture else []) for entry in listed)
        self._seeing = frozenset(name for name, modalities in shown if "image" in modalities)
        self._unloaded = frozenset(entry.id for entry in listed if not entry.loaded)
        return {entry.id: entry.context for entry in listed}

    def is_loaded(self, name: str) -> bool:
        """Whether what the list said of this model is of an engine that runs; where nobody tells, it is."""
        return name not in self._unloaded

    def sees(self, name: str) -> bool:
        """Whether the list said that this model takes images, as llama-server's does."""
        return name in self._seeing

    async def entry_of(self, name: str) -> Entry:
        """What a hearth tells of a model. Empty where there is nothing to be had; never raises: a session begins
        without it, too."""
        try:
            async with asyncio.timeout(LISTING_S), self._ask("GET", f"models/{quote(name)}") as response:
                status, body = response.status, await response.read(LARGEST_LISTING)
            return msgspec.json.decode(body, type=Entry) if status == 200 else Entry()
        except (OSError, msgspec.DecodeError, UnicodeError):
            return Entry()

    async def stream(
        self, what: str, request: Request, body: bytes, assembly: Assembly
    ) -> AsyncGenerator[ModelEvent, None]:
        """Ask ``what`` (the path after ``/v1/``) and stream the answer, put together by ``assembly``; see
        ``llm.answer`` for the order. Never raises for what the server did."""
        headers = {"X-Hearth-Session": request.session} if request.session else {}
        if request.priority != "interactive":
            headers["X-Hearth-Priority"] = request.priority
        try:
            while True:
                async with self._ask("POST", what, headers, body) as response:
                    if response.status == 200:
                        async for event in _read_answer(response, assembly):
                            yield event
                        return
                    failure = failure_from_status(
                        response.status, await response.read(LARGEST_ERROR), response.headers.get("location", "")
                    )
                if response.status != LOADING or "oading" not in failure.reason:
                    yield failure
                    return
                # A bare llama-server refuses while it loads; our gateway waits instead and keeps the line alive.
                yield Waiting("loading", failure.reason)
                await asyncio.sleep(RETRY_S)
        except OSError as error:
            yield self._explain(error, assembly.text)

    def _ask(
        self, method: str, what: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[http.Response]:
        sent = {"Content-Type": "application/json", **headers} if headers is not None else {}
        if self._endpoint.api_key:
            sent["Authorization"] = f"Bearer {self._endpoint.api_key}"
        url = f"{self._endpoint.base}/v1/{what}"
        return http.request(method, url, self._silence_s, socket=self._endpoint.socket, headers=sent, body=body)

    def _explain(self, error: OSError, partial: str) -> Failed:
        match error:
            case http.Silent():
                source, what = "engine", f"sent nothing for {self._silence_s:g} s"
            case http.BrokenOff():
                source, what = "gateway", f"broke off the answer: {http.describe(error)}"
            case _:
                source, what = "gateway", f"does not answer: {http.describe(error)}"
        return Failed(source, f"{self._endpoint.name} {what}", self._endpoint.remedy, 4, partial)


async def _read_answer(response: http.Response, assembly: Assembly) -> AsyncGenerator[ModelEvent, None]:
    """The deltas of one response, then its final event."""
    reader = SseReader()
    started = time.monotonic()
    first = 0.0
    garbage = ""
    ended = False
    while not ended:
        chunk = await response.take()
        ended = not chunk
        for item in reader.feed(chunk) if chunk else reader.close():
            if isinstance(item, Garbage):
                garbage = garbage or item.line
            elif isinstance(item, Comment):
                if waiting := _waiting_reason(item.text):
                    yield Waiting(waiting, item.text)
            elif item.text == "[DONE]":
                ended = True
            else:
                deltas = assembly.add(item.text)
                if isinstance(deltas, Failed):
                    yield deltas
                    return
                for delta in deltas:
                    if isinstance(delta, TextDelta | ReasoningDelta | CallDelta):
                        first = first or time.monotonic()
                    yield delta
    for delta in assembly.rest():
        yield delta
    now = time.monotonic()
    final: Final = assembly.finish((first or now) - started, now - started)
    if garbage and isinstance(final, Failed):
        reason = f"the endpoint sent what is no event stream: {garbage!r}"
        final = Failed(final.source, reason, "check that HEARTH_URL leads to an OpenAI endpoint", 4, final.partial)
    yield final


def _waiting_reason(comment: str) -> Literal["loading", "queued"] | None:
    word = comment.split(" ", 1)[0].lower()
    if word in ("loading", "starting", "stopping"):
        return "loading"
    return "queued" if word in ("queued", "waiting") else None
