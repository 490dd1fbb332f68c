"""The one way from a question to an engine's answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from weakref import WeakKeyDictionary

import aiohttp
import msgspec

from hearth.errors import HearthError, ModelUnavailable
from hearth.gateway.crashes import MOST_DEATHS, Crashes
from hearth.gateway.exchange import Exchange
from hearth.gateway.openai import Asked, unknown_model, with_slot
from hearth.gateway.refusal import Refusal, bad_request, engine_lost, engine_stuck, from_engine
from hearth.gateway.timings import Timings, read_timings
from hearth.gateway.upstream import Upstream
from hearth.runtime.dialect import Untranslatable
from hearth.runtime.engine import Engine, EngineState, LoadProgress
from hearth.runtime.seat import Lease
from hearth.runtime.supervisor import Supervisor
from hearth.runtime.watch.watchdog import Followed, GivenUp
from hearth.weights.card import ModelCard
from hearth.weights.store import is_file_name

LAST_WORDS_S = 1.0
"""How long a broken connection waits for the process to say why it died."""

OWNER = "owner"
"""Whose a conversation is. There is one key, and who holds it is the owner, as is who opens the socket."""

log = logging.getLogger("hearth.gateway")


class _Lost(Exception):
    """An engine broke off. ``asked`` is whether it had the request, ``alone`` whether it had no other."""

    def __init__(self, error: Exception, *, asked: bool, alone: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.asked = asked
        self.alone = alone


class Relay:
    """Brings questions to engines and answers back. What an engine broke off is asked again where that is safe."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._upstream = Upstream()
        self._crashes = Crashes()
        self._answering: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
        self.contexts: dict[str, int] = {}
        """Tokens that one request may hold, for each model that has answered."""

    async def close(self) -> None:
        """Close the connections to engines."""
        await self._upstream.close()

    async def carry(self, chat: Asked, exchange: Exchange) -> tuple[ModelCard, tuple[float, float] | None] | None:
        """Bring the question to an engine and its answer back: who answered, and how fast. Every failure becomes an
        answer."""
        try:
            self._crashes.check(chat.model, chat.body)
            return await self._ask(chat, exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except GivenUp as error:
            await exchange.refuse(engine_stuck(chat.model, str(error)))
        except HearthError as error:
            await exchange.refuse(await self._not_available(chat.model, error))
        except Exception:
            log.exception("a request failed inside the gateway")
            await exchange.refuse(
                Refusal(500, "server_error", "gateway_bug", "the gateway failed", fix="run: hearth logs")
            )
        return None

    async def _ask(self, chat: Asked, exchange: Exchange) -> tuple[ModelCard, tuple[float, float] | None]:
        """Until an engine has answered."""

        def tell(progress: LoadProgress) -> None:
            # The first word is the phase: clients tell waiting from loading by it.
            since = f" {progress.elapsed_s:.0f} s" if progress.elapsed_s >= 1 else ""
            exchange.waiting_for = f"{progress.phase} {progress.model}{since} · {progress.detail}".rstrip(" ·")

        asked = 0
        while True:
            async with self._supervisor.lease(chat.model, tell) as lease:
                exchange.waiting_for = "queued"
                engine = lease.engine
                self.contexts[engine.card.name] = engine.context_length
                try:
                    timings = await self._seat(lease, chat, exchange)
                    return engine.card, timings.speed if timings else None
                except _Lost as lost:
                    cause = await _cause(engine, lost.error)
                    asked += lost.asked
                    if not self._may_ask_again(engine, chat, exchange, lost, asked):
                        raise engine_lost(chat.model, cause) from lost.error
                    exchange.waiting_for = f"the engine of {chat.model} died, a new one is asked"
                except GivenUp as error:
                    asked += 1
                    if not error.again or asked >= MOST_DEATHS or not exchange.untouched:
                        raise
                    exchange.waiting_for = f"{error}; it is asked again"

    def _may_ask_again(self, engine: Engine, chat: Asked, exchange: Exchange, lost: _Lost, asked: int) -> bool:
        """Whether a request whose engine died may be asked once more: the client has nothing of its answer. Who was
        alone with the engine is held to be the cause; among several nobody is."""
        if engine.state is not EngineState.FAILED:
            self._answering[engine] -= lost.asked
            return False
        if lost.asked and lost.alone and self._crashes.note(chat.model, chat.body) >= MOST_DEATHS:
            return False
        return asked < MOST_DEATHS and exchange.untouched

    async def _seat(self, lease: Lease, chat: Asked, exchange: Exchange) -> Timings | None:
        """Ask in the slot where least is left to compute, if that is ours to choose."""
        if lease.cache is None:
            async with lease.watch.follow() as followed:
                return read_timings(await self._count(lease.engine, chat, chat.body, exchange, followed))
        try:
            request = msgspec.json.decode(chat.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request("invalid_json", f"the body is not JSON: {error}") from error
        async with lease.cache.place(OWNER, request, chat.rank) as place:
            body = with_slot(chat.body, place.slot)
            async with lease.watch.follow(place.slot) as followed:
                told = await self._count(lease.engine, chat, body, exchange, followed, begun=place.broke_off)
            timings = read_timings(told)
            if timings:
                place.reused, place.read, place.made = timings.reused, timings.read, timings.made
        return timings

    async def _count(
        self, engine: Engine, chat: Asked, body: bytes, exchange: Exchange, followed: Followed, *, begun: bool = False
    ) -> bytes:
        """Pass the answer on; the part of it that tells what the engine did. Raises _Lost when it breaks off. ``begun``
        says that it broke off before, over the beginning of this very prompt."""
        self._answering[engine] = self._answering.get(engine, 0) + 1
        try:
            told = await self._pass_on(engine, chat, body, exchange, followed)
        except aiohttp.ClientConnectorError as error:
            if begun:
                raise _Lost(error, asked=True, alone=self._answering[engine] == 1) from error
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

    async def _pass_on(self, engine: Engine, chat: Asked, body: bytes, exchange: Exchange, followed: Followed) -> bytes:
        path = engine.dialect.raw_path if chat.raw else engine.dialect.path
        if not path:
            what = f"the engine of {engine.card.name} takes no raw prompts"
            raise bad_request("not_supported", what, "ask it for a chat, or take a model that llama.cpp runs")
        try:
            asked = engine.dialect.request(body)
        except Untranslatable as error:
            raise bad_request("not_supported", f"the engine of {engine.card.name} cannot do this: {error}") from error
        translation = engine.dialect.translation(body)
        async with self._upstream.post(engine.endpoint, path, asked) as response:
            followed.began()
            if response.status != 200:
                status, said = translation.error(response.status, await response.read())
                raise from_engine(status, said, engine.card.name)
            if not chat.stream:
                whole = translation.whole(await followed.hear_whole(response.read()))
                if whole.startswith(b'{"error"'):
                    raise from_engine(502, whole)
                await exchange.answer(whole)
                return whole
            await exchange.begin()
            told = b""
            async for piece in followed.hear(response.content.iter_any()):
                events = translation.feed(piece)
                told = events if b'"timings"' in events else told
                await exchange.pass_on(events)
            await exchange.pass_on(translation.finish())
            await exchange.finish()
            return told

    async def _not_available(self, model: str, error: HearthError) -> Refusal:
        if isinstance(error, ModelUnavailable) and not is_file_name(model):
            names = [card.name for card in await asyncio.to_thread(self._supervisor.cards)]
            if model not in names:
                return unknown_model(model, names)
        return Refusal(503, "engine_error", "engine_not_available", error.what, fix=error.fix, source="engine")


async def _cause(engine: Engine, error: Exception) -> str:
    """Why the engine broke off: its process's own end when it died, else what the connection saw."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            await engine.wait()
    return engine.cause or f"the engine of {engine.card.name} broke off: {error or type(error).__name__}"
