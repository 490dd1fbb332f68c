"""The gateway's routes: who may ask what."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from hearth.errors import HearthError
from hearth.gateway.asgi import ClientGone, Receive, Request, Scope, Send
from hearth.gateway.exchange import BEAT_S, Exchange
from hearth.gateway.guard import check_browser, check_key
from hearth.gateway.keys import ApiKey
from hearth.gateway.openai import (
    CHAT_PATH,
    MODELS_PATH,
    RAW_PATH,
    Asked,
    list_model,
    list_models,
    read_chat,
    read_raw,
    unknown_model,
)
from hearth.gateway.refusal import Refusal, daemon_stops
from hearth.gateway.relay import Relay
from hearth.gateway.residency import Residency
from hearth.runtime.seat import SeatState
from hearth.runtime.supervisor import Supervisor
from hearth.weights.card import ModelCard
from hearth.weights.template import Templates

_SERVING = (SeatState.READY, SeatState.BUSY, SeatState.DRAINING)
LAST_WORDS_S = 1.0
"""How long a client is given to take the daemon's last word."""

log = logging.getLogger("hearth.gateway")
Route = Callable[[Request], Awaitable[None]]


class Gateway:
    """An ASGI application. ``stop`` is called when the owner asks the daemon to stop; ``about`` is what
    ``/hearth/status`` adds of the daemon itself."""

    def __init__(
        self,
        supervisor: Supervisor,
        key: ApiKey,
        *,
        model: str,
        socket: str,
        about: Mapping[str, Any],
        stop: Callable[[], None],
        names: frozenset[str] = frozenset(),
        beat_s: float = BEAT_S,
    ) -> None:
        self._supervisor = supervisor
        self._key = key
        self._model = model
        self._socket = socket
        self._about = about
        self._stop = stop
        self._names = names
        self._beat_s = beat_s
        self._relay = Relay(supervisor)
        self._templates = Templates()
        self._live: set[asyncio.Task[Any]] = set()
        self._ending = False
        self._busy = 0
        self._quiet_since = time.monotonic()
        self._routes: dict[str, dict[str, Route]] = {
            "/health": {"GET": self._health},
            MODELS_PATH: {"GET": self._models},
            CHAT_PATH: {"POST": partial(self._complete, read_chat)},
            RAW_PATH: {"POST": partial(self._complete, read_raw)},
            "/hearth/status": {"GET": self._status},
            "/hearth/stop": {"POST": self._take_stop},
            **Residency(supervisor).routes(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway does not speak {scope['type']}")
        request = Request(scope, receive, send, trusted=scope["server"] == (self._socket, None))
        self._busy += 1
        try:
            await self._route(request)(request)
        except Refusal as refusal:
            await request.refuse(refusal)
        except ClientGone:
            pass
        finally:
            self._busy -= 1
            self._quiet_since = time.monotonic()

    def idle_s(self) -> float:
        """Seconds since the last request ended; 0 while one runs."""
        return 0.0 if self._busy else time.monotonic() - self._quiet_since

    def end_streams(self) -> None:
        """End what still runs, each with an error that says why, and take nothing more."""
        self._ending = True
        for work in self._live:
            work.cancel()

    async def close(self) -> None:
        """Close the connections to engines."""
        await self._relay.close()

    def _route(self, request: Request) -> Route:
        """What answers this request. Raises Refusal for who may not ask, and for what is not there."""
        if not request.trusted:
            refusal = check_browser(
                request.header(b"host"),
                request.header(b"origin"),
                request.header(b"sec-fetch-site"),
                self._names | {request.local_host},
            )
            if refusal is None and request.path != "/health":
                refusal = check_key(self._key, request.header(b"authorization"), request.header(b"x-api-key"))
            if refusal is not None:
                raise refusal
        one = request.path.startswith(f"{MODELS_PATH}/")
        methods = {"GET": self._model_entry} if one else self._routes.get(request.path)
        if methods is None:
            raise Refusal(404, "invalid_request_error", "not_found", f"there is nothing at {request.path[:200]}")
        if request.method not in methods:
            allowed = ", ".join(methods)
            raise Refusal(
                405,
                "invalid_request_error",
                "method_not_allowed",
                f"{request.path} takes {allowed}",
                headers=((b"allow", allowed.encode()),),
            )
        return methods[request.method]

    async def _health(self, request: Request) -> None:
        await _answer(request, {"status": "ok", "version": self._about["version"], "models": self._loaded()})

    async def _models(self, request: Request) -> None:
        await self._supervisor.refresh()
        cards = await asyncio.to_thread(self._supervisor.cards)
        templates = {card.name: found for card in cards if (found := self._templates.known(card))}
        names = [card.name for card in cards]
        await _answer(request, list_models(names, self._contexts(), self._loaded(), templates))

    async def _model_entry(self, request: Request) -> None:
        """One model of the list, its file's header read for it: the list itself opens no file."""
        await self._supervisor.refresh()
        name = request.path.removeprefix(f"{MODELS_PATH}/")
        cards = {card.name: card for card in await asyncio.to_thread(self._supervisor.cards)}
        if name not in cards:
            raise unknown_model(name, cards)
        template = await asyncio.to_thread(self._templates.of, cards[name])
        loaded = name in self._loaded()
        planned = None if loaded else await self._plan(cards[name])
        await _answer(request, list_model(name, self._contexts().get(name), loaded, template, planned))

    async def _plan(self, card: ModelCard) -> int | None:
        # What is wrong with a model is for who asks it something.
        with contextlib.suppress(HearthError):
            return await self._supervisor.plan_context(card) or None
        return None

    def _contexts(self) -> dict[str, int]:
        """Also those of engines that were loaded and not asked yet."""
        running = {each["model"]: each["context"] for each in self._supervisor.report() if each["state"] in _SERVING}
        return {**self._relay.contexts, **running}

    def _loaded(self) -> list[str]:
        return [each["model"] for each in self._supervisor.report() if each["state"] in _SERVING]

    async def _status(self, request: Request) -> None:
        told = {"model": self._model, "requests": len(self._live), "engines": self._supervisor.report()}
        await _answer(request, {**self._about, **told, "memory": await self._supervisor.memory()})

    async def _take_stop(self, request: Request) -> None:
        if not request.trusted:
            raise Refusal(403, "permission_error", "socket_only", "the daemon is stopped over its unix socket only")
        await _answer(request, {"status": "stopping"})
        self._stop()

    async def _complete(self, read: Callable[..., Asked], request: Request) -> None:
        """Work and watch: one task carries the answer, the other sees the client leave. The first to end ends both."""
        if self._ending:
            raise daemon_stops()
        began = time.monotonic()
        body, priority = await self._body(request), request.header(b"x-hearth-priority")
        chat = read(body, default_model=self._model, trusted=request.trusted, priority=priority)
        exchange = Exchange(request, chat.model, stream=chat.stream, beat_s=self._beat_s)
        work = asyncio.create_task(self._relay.carry(chat, exchange))
        watch = asyncio.create_task(exchange.until_gone())
        self._live.add(work)
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            if exchange.over:
                # To the watch, a client with its whole answer is gone too; what is left of the work is ours.
                await asyncio.wait((work,))
            if work.cancelled() and self._ending:
                # Not for ever: a client that does not read does not hold up the daemon's end.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS_S):
                        await exchange.refuse(daemon_stops())
        finally:
            self._live.discard(work)
            gone = not exchange.over and not work.done()
            for task in (work, watch):
                task.cancel()
            await asyncio.wait((work, watch))
            said = "client left" if gone else exchange.broken or f"HTTP {exchange.status}"
            log.info(
                "%s %s: %s, %.2f s", "raw" if chat.raw else "chat", _shown(chat.model), said, time.monotonic() - began
            )
        for task in (work, watch):
            if not task.cancelled():
                task.result()
        if not work.cancelled() and (used := work.result()):
            # For the owner's eyes only: after the answer and the lease, and a full disk is no failure.
            with contextlib.suppress(HearthError):
                await asyncio.to_thread(self._supervisor.note_use, *used)

    async def _body(self, request: Request) -> bytes:
        """The request's body; a client that is slow with it does not hold up the daemon's end."""
        reading = asyncio.create_task(request.body())
        self._live.add(reading)
        try:
            await asyncio.wait((reading,))
            if reading.cancelled():
                raise daemon_stops()
            return reading.result()
        finally:
            self._live.discard(reading)
            reading.cancel()


async def _answer(request: Request, data: object) -> None:
    await request.answer(200, msgspec.json.encode(data))


def _shown(name: str) -> str:
    """A name from outside as part of one log line."""
    return name if name.isprintable() and len(name) <= 100 else repr(name[:100])
