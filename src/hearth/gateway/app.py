"""The gateway's routes: who may ask what, and the one way from a question to an engine's answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
import msgspec

from hearth.errors import HearthError, ModelUnavailable
from hearth.gateway.asgi import ClientGone, Receive, Request, Scope, Send
from hearth.gateway.crashes import MOST_DEATHS, Crashes
from hearth.gateway.exchange import BEAT_S, Exchange
from hearth.gateway.guard import check_browser, check_key
from hearth.gateway.keys import ApiKey
from hearth.gateway.openai import CHAT_PATH, Chat, list_models, read_chat, unknown_model, with_slot
from hearth.gateway.refusal import Refusal, bad_request, daemon_stops, engine_lost, from_engine
from hearth.gateway.timings import Timings, read_timings
from hearth.gateway.upstream import Upstream
from hearth.runtime.engine import Engine, EngineState, LoadProgress
from hearth.runtime.seat import Lease
from hearth.runtime.supervisor import Supervisor
from hearth.weights.card import ModelCard
from hearth.weights.store import is_file_name

LAST_WORDS_S = 1.0
"""How long a broken connection waits for the process to say why it died, and a client for the daemon's last word."""

OWNER = "owner"
"""Whose a conversation is. There is one key, and who holds it is the owner, as is who opens the socket."""

log = logging.getLogger("hearth.gateway")
Route = Callable[[Request], Awaitable[None]]


class _Lost(Exception):
    """An engine broke off. ``asked`` is whether it had the request, ``alone`` whether it had no other."""

    def __init__(self, error: Exception, *, asked: bool, alone: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.asked = asked
        self.alone = alone


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
        self._upstream = Upstream()
        self._contexts: dict[str, int] = {}
        self._crashes = Crashes()
        self._answering: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
        self._live: set[asyncio.Task[Any]] = set()
        self._ending = False
        self._busy = 0
        self._quiet_since = time.monotonic()
        self._routes: dict[str, dict[str, Route]] = {
            "/health": {"GET": self._health},
            "/v1/models": {"GET": self._models},
            CHAT_PATH: {"POST": self._chat},
            "/hearth/status": {"GET": self._status},
            "/hearth/stop": {"POST": self._take_stop},
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
        await self._upstream.close()

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
        methods = self._routes.get(request.path)
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
        cards = await asyncio.to_thread(self._supervisor.cards)
        await _answer(request, list_models([card.name for card in cards], self._contexts, self._loaded()))

    def _loaded(self) -> list[str]:
        return [each["model"] for each in self._supervisor.report() if each["state"] == EngineState.READY]

    async def _status(self, request: Request) -> None:
        engines = self._supervisor.report()
        await _answer(request, {**self._about, "model": self._model, "requests": len(self._live), "engines": engines})

    async def _take_stop(self, request: Request) -> None:
        if not request.trusted:
            raise Refusal(403, "permission_error", "socket_only", "the daemon is stopped over its unix socket only")
        await _answer(request, {"status": "stopping"})
        self._stop()

    async def _chat(self, request: Request) -> None:
        """Work and watch: one task carries the answer, the other sees the client leave. The first to end ends both."""
        if self._ending:
            raise daemon_stops()
        began = time.monotonic()
        chat = read_chat(await self._body(request), default_model=self._model, trusted=request.trusted)
        exchange = Exchange(request, chat.model, stream=chat.stream, beat_s=self._beat_s)
        work = asyncio.create_task(self._carry(chat, exchange))
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
            log.info("chat %s: %s, %.2f s", _shown(chat.model), said, time.monotonic() - began)
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

    async def _carry(self, chat: Chat, exchange: Exchange) -> tuple[ModelCard, tuple[float, float] | None] | None:
        """Bring the question to an engine and its answer back: who answered, and how fast. Every failure becomes an
        answer."""

        def tell(progress: LoadProgress) -> None:
            exchange.waiting_for = f"{progress.phase} {progress.model} {progress.elapsed_s:.0f} s {progress.detail}"

        try:
            self._crashes.check(chat.model, chat.body)
            asked = 0
            while True:
                async with self._supervisor.lease(chat.model, tell) as lease:
                    exchange.waiting_for = "queued"
                    engine = lease.engine
                    self._contexts[engine.card.name] = engine.context_length
                    try:
                        timings = await self._seat(lease, chat, exchange)
                        return engine.card, timings.speed if timings else None
                    except _Lost as lost:
                        cause = await _cause(engine, lost.error)
                        asked += lost.asked
                        if not self._may_ask_again(engine, chat, exchange, lost, asked):
                            raise engine_lost(chat.model, cause) from lost.error
                exchange.waiting_for = f"the engine of {chat.model} died, a new one is asked"
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except HearthError as error:
            await exchange.refuse(self._not_available(chat.model, error))
        except Exception:
            log.exception("a request failed inside the gateway")
            await exchange.refuse(
                Refusal(500, "server_error", "gateway_bug", "the gateway failed", fix="run: hearth logs")
            )
        return None

    def _may_ask_again(self, engine: Engine, chat: Chat, exchange: Exchange, lost: _Lost, asked: int) -> bool:
        """Whether a request whose engine died may be asked once more: the client has nothing of its answer. Who was
        alone with the engine is held to be the cause; among several nobody is."""
        if engine.state is not EngineState.FAILED:
            self._answering[engine] -= lost.asked
            return False
        if lost.asked and lost.alone and self._crashes.note(chat.model, chat.body) >= MOST_DEATHS:
            return False
        return asked < MOST_DEATHS and exchange.untouched

    async def _seat(self, lease: Lease, chat: Chat, exchange: Exchange) -> Timings | None:
        """Ask in the slot where least is left to compute, if that is ours to choose."""
        if lease.cache is None:
            return read_timings(await self._relay(lease.engine, chat.stream, chat.body, exchange))
        try:
            request = msgspec.json.decode(chat.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request("invalid_json", f"the body is not JSON: {error}") from error
        async with lease.cache.place(OWNER, request) as place:
            told = await self._relay(lease.engine, chat.stream, with_slot(chat.body, place.slot), exchange)
            timings = read_timings(told)
            if timings:
                place.reused, place.read, place.made = timings.reused, timings.read, timings.made
        return timings

    async def _relay(self, engine: Engine, stream: bool, body: bytes, exchange: Exchange) -> bytes:
        """Pass the answer on; the part of it that tells what the engine did. Raises _Lost when it breaks off."""
        self._answering[engine] = self._answering.get(engine, 0) + 1
        try:
            told = await self._pass_on(engine, stream, body, exchange)
        except aiohttp.ClientConnectorError as error:
            self._answering[engine] -= 1
            raise _Lost(error, asked=False, alone=False) from error
        except (aiohttp.ClientError, OSError) as error:
            # Those that break off leave the count as it is until the cause is known: each sees how many they were.
            raise _Lost(error, asked=True, alone=self._answering[engine] == 1) from error
        except BaseException:
            self._answering[engine] -= 1
            raise
        self._answering[engine] -= 1
        return told

    async def _pass_on(self, engine: Engine, stream: bool, body: bytes, exchange: Exchange) -> bytes:
        async with self._upstream.post(engine.endpoint, CHAT_PATH, body) as response:
            if response.status != 200:
                raise from_engine(response.status, await response.read())
            if not stream:
                whole = await response.read()
                await exchange.answer(whole)
                return whole
            await exchange.begin()
            told = b""
            async for chunk in response.content.iter_any():
                told = chunk if b'"timings"' in chunk else told
                await exchange.pass_on(chunk)
            await exchange.finish()
            return told

    def _not_available(self, model: str, error: HearthError) -> Refusal:
        names = [card.name for card in self._supervisor.cards()]
        if isinstance(error, ModelUnavailable) and model not in names and not is_file_name(model):
            return unknown_model(model, names)
        return Refusal(503, "engine_error", "engine_not_available", error.what, fix=error.fix, source="engine")


async def _answer(request: Request, data: object) -> None:
    await request.answer(200, msgspec.json.encode(data))


async def _cause(engine: Engine, error: Exception) -> str:
    """Why the engine broke off: its process's own end when it died, else what the connection saw."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            await engine.wait()
    return engine.cause or f"the engine of {engine.card.name} broke off: {error or type(error).__name__}"


def _shown(name: str) -> str:
    """A name from outside as part of one log line."""
    return name if name.isprintable() and len(name) <= 100 else repr(name[:100])
