"""The HTTP of a pretending engine: the routes of llama-server that hearth uses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from hearth.runtime.pretend.memory import Memory, Seating, Slot, count_tokens, message_text, prompt_text
from hearth.runtime.pretend.reply import Clock, Json, Reply, compose, error_body, message, too_long
from hearth.runtime.pretend.script import Answer, Fault, Script

LARGEST_BODY = 64 << 20
_PREFILL_STEPS = 10
_STALL_S = 86_400.0
_SSE = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PretendServer:
    """Plays a script to whoever asks. One answer is used for each chat request that is valid."""

    def __init__(
        self, script: Script, *, model: str, slots: int, context: int, api_key: str, record: Callable[[bytes], None]
    ) -> None:
        """``context`` is tokens for each slot; ``record`` is given the raw body of each chat request, in order."""
        self._script = script
        self._model = model
        self._context = context
        self._api_key = api_key
        self._record = record
        self._memory = Memory([Slot(number) for number in range(slots)])
        self._free = asyncio.Semaphore(slots)
        self._waiting = 0
        self._asked = 0
        self._ready_at = time.monotonic() + script.loading_s
        self._counts = {"prompt_tokens_total": 0, "prompt_tokens_cached_total": 0, "tokens_predicted_total": 0}

    @property
    def loading(self) -> bool:
        """Whether it still says that it loads its model."""
        return time.monotonic() < self._ready_at

    def application(self) -> web.Application:
        """The routes. Run it with ``handler_cancellation=True``, or a client that leaves is not noticed."""
        application = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._admit])
        application.add_routes(
            [
                web.get("/health", self._health),
                web.get("/v1/models", self._models),
                web.get("/props", self._properties),
                web.get("/slots", self._slots),
                web.get("/metrics", self._metrics),
                web.post("/v1/chat/completions", self._chat),
            ]
        )
        return application

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        if self.loading:
            return _error(error_body(503, "Loading model", "unavailable_error"))
        asked_with = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._api_key and request.path != "/health" and asked_with != self._api_key:
            return _error(error_body(401, "Invalid API Key", "authentication_error"))
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _error(error_body(404, "File Not Found", "not_found_error"))

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, _request: web.Request) -> web.Response:
        meta = {"n_ctx": self._context, "n_ctx_train": self._context}
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": "llamacpp", "meta": meta}
        return web.json_response({"object": "list", "data": [model]})

    async def _properties(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "default_generation_settings": {"n_ctx": self._context},
                "total_slots": len(self._memory.slots),
                "model_alias": self._model,
                "build_info": "pretend",
                "is_sleeping": False,
            }
        )

    async def _slots(self, _request: web.Request) -> web.Response:
        return web.json_response([self._slot(slot) for slot in self._memory.slots])

    def _slot(self, slot: Slot) -> Json:
        shown = {"id": slot.number, "n_ctx": self._context, "speculative": False, "is_processing": slot.processing}
        return {**shown, "id_task": slot.task} if slot.processing else shown

    async def _metrics(self, _request: web.Request) -> web.Response:
        busy = sum(slot.processing for slot in self._memory.slots)
        values = {**self._counts, "requests_processing": busy, "requests_deferred": self._waiting}
        return web.Response(text="".join(f"llamacpp:{name} {value}\n" for name, value in values.items()))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self._record(raw)
        try:
            body = json.loads(raw)
        except ValueError as error:
            return _error(error_body(400, f"parse error: {error}", "invalid_request_error"))
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            return _error(error_body(400, "Expected 'messages' to be an array", "invalid_request_error"))
        number, self._asked = self._asked, self._asked + 1
        answer = self._script.answer(number)
        text = prompt_text(body.get("tools"), body["messages"])
        if answer.fault is Fault.HTTP_500:
            return _error(error_body(500, "the pretending engine was told to fail", "server_error"))
        if answer.fault is Fault.TOO_LONG or count_tokens(text) >= self._context:
            return _error(too_long(max(count_tokens(text), self._context), self._context))
        async with self._seat(text) as seating:
            limit = min(_wanted_tokens(body), self._context - seating.total)
            reply = compose(answer, seating, number=number, created=int(time.time()), model=self._model, limit=limit)
            play = _Stream(request, body, answer, reply) if body.get("stream") else _Whole(request, answer, reply)
            response = await play.run()
            self._remember(reply, text)
            return response

    @asynccontextmanager
    async def _seat(self, text: str) -> AsyncIterator[Seating]:
        """A slot for this prompt, in order of arrival; free again however the answer ends."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        seating = self._memory.seat(text)
        try:
            yield seating
        finally:
            seating.slot.processing = False
            self._free.release()

    def _remember(self, reply: Reply, text: str) -> None:
        reply.seating.slot.text = text + message_text(message(reply.deltas))
        self._counts["prompt_tokens_total"] += reply.seating.total - reply.seating.cached
        self._counts["prompt_tokens_cached_total"] += reply.seating.cached
        self._counts["tokens_predicted_total"] += len(reply.deltas)


class _Stream:
    """Plays one reply as server-sent events."""

    def __init__(self, request: web.Request, body: Json, answer: Answer, reply: Reply) -> None:
        self._request = request
        self._answer = answer
        self._reply = reply
        self._wants_progress = bool(body.get("return_progress"))
        self._wants_timings = bool(body.get("timings_per_token"))
        self._wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._response = web.StreamResponse(headers=_SSE)

    async def run(self) -> web.StreamResponse:
        await self._response.prepare(self._request)
        prefilled = await self._prefill()
        await self._event(self._reply.opening())
        began = time.monotonic()
        for count, delta in enumerate(self._reply.deltas):
            if count == self._answer.after and await self._fault_ends_it():
                return self._response
            clock = Clock(prefilled, time.monotonic() - began)
            timings = {"timings": self._reply.timings(count + 1, clock)} if self._wants_timings else {}
            await self._event({**self._reply.chunk(delta), **timings})
            await asyncio.sleep(self._answer.token_s)
        if self._answer.after >= len(self._reply.deltas) and await self._fault_ends_it():
            return self._response
        clock = Clock(prefilled, time.monotonic() - began)
        for event in self._reply.ending(len(self._reply.deltas), clock, with_usage=self._wants_usage):
            await self._event(event)
        await self._response.write(b"data: [DONE]\n\n")
        return self._response

    async def _prefill(self) -> float:
        """Let the prompt take its time, with progress; seconds."""
        seating = self._reply.seating
        new = seating.total - seating.cached
        began = time.monotonic()
        steps = _PREFILL_STEPS if self._answer.prefill_s else 1
        for step in range(steps + 1):
            if self._wants_progress:
                clock = Clock(prefill_s=time.monotonic() - began)
                await self._event(self._reply.progress(seating.cached + new * step // steps, clock))
            if step < steps:
                await asyncio.sleep(self._answer.prefill_s / steps)
        return time.monotonic() - began

    async def _fault_ends_it(self) -> bool:
        """Let the answer's fault strike; True when nothing may follow."""
        match self._answer.fault:
            case Fault.STALL:
                await asyncio.sleep(_STALL_S)
            case Fault.GARBAGE:
                await self._response.write(b"data: {this is not JSON\n\n")
                return False
            case Fault.DISCONNECT:
                _hang_up(self._request)
            case Fault.ERROR_CHUNK:
                await self._event(_chunk_error())
            case _:
                return False
        return True

    async def _event(self, event: Json) -> None:
        data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        await self._response.write(f"data: {data}\n\n".encode())


class _Whole:
    """Plays one reply as one JSON body."""

    def __init__(self, request: web.Request, answer: Answer, reply: Reply) -> None:
        self._request = request
        self._answer = answer
        self._reply = reply

    async def run(self) -> web.StreamResponse:
        began = time.monotonic()
        await asyncio.sleep(self._answer.prefill_s)
        prefilled = time.monotonic() - began
        await asyncio.sleep(self._answer.token_s * len(self._reply.deltas))
        match self._answer.fault:
            case Fault.STALL:
                await asyncio.sleep(_STALL_S)
            case Fault.GARBAGE:
                return web.Response(text="{this is not JSON", content_type="application/json")
            case Fault.DISCONNECT:
                _hang_up(self._request)
            case Fault.ERROR_CHUNK:
                return _error(_chunk_error())
            case _:
                pass
        return web.json_response(self._reply.whole(Clock(prefilled, time.monotonic() - began - prefilled)))


def _wanted_tokens(body: Json) -> int:
    """The request's own limit of the answer; without one, as many as the context holds."""
    for name in ("max_completion_tokens", "max_tokens", "n_predict"):
        limit = body.get(name)
        if isinstance(limit, int) and limit >= 0:
            return limit
    return 1 << 30


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _chunk_error() -> Json:
    return error_body(500, "Context size has been exceeded.", "server_error")


def _error(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=body["error"]["code"])
