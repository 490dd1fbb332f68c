"""The model over HTTP: one dialect, OpenAI chat, spoken to the local daemon or to any endpoint.

There is no limit on the time that an answer takes while bytes arrive, comments included: a prefill of nine minutes is
no failure, a silence of ``silence_s`` is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec

from hearth.errors import Denied, Unavailable
from hearth.llm.answer import Failed, Final, ModelEvent, ReasoningDelta, TextDelta, Waiting
from hearth.llm.assembly import Assembly
from hearth.llm.failures import failure_from_status
from hearth.llm.request import Request, encode_request
from hearth.llm.sse import Comment, Garbage, SseReader

SILENCE_S = 600.0
"""Seconds without a single byte after which an endpoint counts as dead."""
CONNECT_S = 30.0
LISTING_S = 30.0
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


class _Listed(msgspec.Struct):
    id: str
    owned_by: str | None = None
    context_length: int | None = None
    max_model_len: int | None = None
    meta: _ListedMeta | None = None

    @property
    def context(self) -> int:
        # meta.n_ctx_train is what the model was trained with, not what this server runs it with: never taken.
        return self.context_length or self.max_model_len or (self.meta.n_ctx if self.meta else 0) or 0


class _Listing(msgspec.Struct):
    data: list[_Listed] = []


class ChatClient:
    """A model behind an endpoint. Open one for a session, close it after."""

    def __init__(self, endpoint: Endpoint, silence_s: float = SILENCE_S) -> None:
        self._endpoint = endpoint
        self._silence_s = silence_s
        self._extras: dict[str, Any] = OWN_EXTRAS if endpoint.socket else {}
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http:
            await self._http.close()

    async def list_models(self) -> dict[str, int]:
        """The names of the models, each with its context length in tokens, 0 where unknown.

        An endpoint without a list is no failure: then nothing is known. One that turns out to be ours or a llama-server
        gets the extra fields from now on. Raises Unavailable when nobody answers, Denied or Unavailable for a bad key.
        """
        limit = aiohttp.ClientTimeout(total=LISTING_S, sock_connect=CONNECT_S)
        try:
            async with self._session().get(f"{self._endpoint.base}/v1/models", timeout=limit) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            what = f"{self._endpoint.name} does not answer: {_say(error)}"
            raise Unavailable(what, self._endpoint.remedy) from error
        if status in (401, 403) or (status >= 500 and status != LOADING):
            failure = failure_from_status(status, body)
            raise (Denied if status == 403 else Unavailable)(failure.reason, failure.fix)
        try:
            listed = msgspec.json.decode(body, type=_Listing).data
        except (msgspec.DecodeError, UnicodeError):
            return {}
        if any(entry.owned_by in ("hearth", "llamacpp") for entry in listed):
            self._extras = OWN_EXTRAS
        return {entry.id: entry.context for entry in listed}

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer; see ``llm.answer`` for the order. Never raises for what the server did."""
        body = encode_request(request, self._extras)
        assembly = Assembly()
        try:
            while True:
                async with self._post(request, body) as response:
                    if response.status == 200:
                        async for event in _read_answer(response, assembly):
                            yield event
                        return
                    failure = failure_from_status(response.status, await response.content.read(LARGEST_ERROR))
                if response.status != LOADING or "oading" not in failure.reason:
                    yield failure
                    return
                # A bare llama-server refuses while it loads; our gateway waits instead and keeps the line alive.
                yield Waiting("loading", failure.reason)
                await asyncio.sleep(RETRY_S)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            yield self._explain(error, assembly.text)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            socket = self._endpoint.socket
            connector = aiohttp.UnixConnector(path=str(socket)) if socket else aiohttp.TCPConnector()
            key = self._endpoint.api_key
            self._http = aiohttp.ClientSession(
                connector=connector, headers={"Authorization": f"Bearer {key}"} if key else {}
            )
        return self._http

    def _post(self, request: Request, body: bytes) -> Any:
        return self._session().post(
            f"{self._endpoint.base}/v1/chat/completions",
            data=body,
            headers={"Content-Type": "application/json", "X-Hearth-Session": request.session},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self._silence_s),
        )

    def _explain(self, error: Exception, partial: str) -> Failed:
        source = "gateway" if isinstance(error, aiohttp.ClientConnectorError) else "engine"
        if isinstance(error, aiohttp.SocketTimeoutError):
            reason = f"{self._endpoint.name} sent nothing for {self._silence_s:g} s"
        elif isinstance(error, aiohttp.ClientConnectorError):
            reason = f"{self._endpoint.name} does not answer: {_say(error)}"
        else:
            source = "gateway"
            reason = f"{self._endpoint.name} broke off the answer: {_say(error)}"
        return Failed(source, reason, self._endpoint.remedy, 4, partial)


async def _read_answer(response: aiohttp.ClientResponse, assembly: Assembly) -> AsyncGenerator[ModelEvent, None]:
    """The deltas of one response, then its final event."""
    reader = SseReader()
    started = time.monotonic()
    first = 0.0
    garbage = ""
    ended = False
    while not ended:
        chunk = await response.content.readany()
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
                    if isinstance(delta, TextDelta | ReasoningDelta):
                        first = first or time.monotonic()
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


def _say(error: Exception) -> str:
    return str(error) or type(error).__name__
