"""The HTTP of a pretending engine: the routes of llama-server that hearth uses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from hearth.runtime.pretend.core import FOR_EVER_S, Core
from hearth.runtime.pretend.memory import Memory, Seating, Slot, count_tokens, message_text, prompt_text
from hearth.runtime.pretend.play import Stream, Whole, refused
from hearth.runtime.pretend.reply import Json, Reply, compose, error_body, message, too_long
from hearth.runtime.pretend.script import Fault, Health, Load, Script

LARGEST_BODY = 64 << 20

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PretendServer:
    """Plays a script to whoever asks. One answer is used for each request that is valid, a chat or a raw
    completion."""

    def __init__(
        self,
        script: Script,
        core: Core,
        *,
        model: str,
        slots: int,
        context: int,
        api_key: str,
        record: Callable[[bytes, str], None],
        sees: bool = False,
    ) -> None:
        """``context`` is tokens for each slot; ``record`` is given the raw body of each chat request, in order,
        and the priority that it names."""
        self._script = script
        self._core = core
        self._model = model
        self._context = context
        self._api_key = api_key
        self._record = record
        self._modalities = ["text", "image"] if sees else ["text"]
        self._memory = Memory([Slot(number) for number in range(slots)])
        self._free = asyncio.Semaphore(slots)
        self._waiting = 0
        self._asked = 0
        self._ready_at = time.monotonic() + script.loading_s
        self._counts = {"prompt_tokens_total": 0, "prompt_tokens_cached_total": 0, "tokens_predicted_total": 0}

    @property
    def loading(self) -> bool:
        """Whether it still says that it loads its model."""
        return time.monotonic() < self._ready_at or self._script.load is Load.NEVER

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
                web.post("/v1/completions", self._raw),
                web.post("/completion", self._complete),
            ]
        )
        return application

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        if request.path == "/health" and self._script.health is not Health.TRUE:
            return await self._lie()
        if self.loading:
            return refused(error_body(503, "Loading model", "unavailable_error"))
        asked_with = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._api_key and request.path != "/health" and asked_with != self._api_key:
            return refused(error_body(401, "Invalid API Key", "authentication_error"))
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return refused(error_body(404, "File Not Found", "not_found_error"))
        except ConnectionResetError:
            # The client left in the middle of a word: nobody reads this.
            return web.Response()

    async def _lie(self) -> web.Response:
        match self._script.health:
            case Health.SILENT:
                await asyncio.sleep(FOR_EVER_S)
            case Health.BAD:
                return refused(error_body(503, "Loading model", "unavailable_error"))
            case _:
                pass
        return web.json_response({"status": "ok"})

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, _request: web.Request) -> web.Response:
        meta = {"n_ctx": self._context, "n_ctx_train": self._context}
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": "llamacpp", "meta": meta}
        model["architecture"] = {"input_modalities": self._modalities, "output_modalities": ["text"]}
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
        await self._core.may_tell()
        return web.json_response([self._slot(slot) for slot in self._memory.slots])

    def _slot(self, slot: Slot) -> Json:
        shown = {"id": slot.number, "n_ctx": self._context, "speculative": False, "is_processing": slot.processing}
        if slot.task < 0:
            return shown
        at_work = slot.processing
        return {
            **shown,
            "id_task": slot.task,
            "n_prompt_tokens": slot.prompt + slot.made,
            "n_prompt_tokens_processed": slot.read if at_work else 0,
            "n_prompt_tokens_cache": slot.cached if at_work else 0,
            "next_token": [
                {
                    "has_next_token": at_work,
                    "has_new_line": False,
                    "n_remain": -1,
                    "n_decoded": slot.made if at_work else 0,
                }
            ],
        }

    async def _metrics(self, _request: web.Request) -> web.Response:
        await self._core.may_tell()
        busy = sum(slot.processing for slot in self._memory.slots)
        values = {**self._counts, "requests_processing": busy, "requests_deferred": self._waiting}
        return web.Response(text="".join(f"llamacpp:{name} {value}\n" for name, value in values.items()))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        """One token for whoever wants to see one."""
        body = await request.json()
        async with self._seat(str(body.get("prompt", ""))) as seating:
            await self._core.compute(0.0)
            return web.json_response(
                {"content": "1", "tokens_predicted": 1, "tokens_evaluated": seating.total, "stop": True}
            )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self._record(raw, request.headers.get("X-Hearth-Priority", ""))
        try:
            body = json.loads(raw)
        except ValueError as error:
            return refused(error_body(400, f"parse error: {error}", "invalid_request_error"))
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            return refused(error_body(400, "Expected 'messages' to be an array", "invalid_request_error"))
        return await self._answer(request, body, prompt_text(body.get("tools"), body["messages"]))

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        """A completion of a text: the answer's ``text`` alone is played."""
        raw = await request.read()
        self._record(raw, request.headers.get("X-Hearth-Priority", ""))
        body = json.loads(raw)
        return await self._answer(request, body, str(body["prompt"]), raw=True)

    async def _answer(self, request: web.Request, body: Json, text: str, *, raw: bool = False) -> web.StreamResponse:
        number, self._asked = self._asked, self._asked + 1
        answer = self._script.answer(number)
        if answer.fault is Fault.HTTP_500:
            return refused(error_body(500, answer.error or "the pretending engine was told to fail", "server_error"))
        if answer.fault is Fault.TOO_LONG or count_tokens(text) >= self._context:
            return refused(too_long(max(count_tokens(text), self._context), self._context))
        if answer.fault is Fault.UNSCHEDULED:
            await self._core.hang(answer.fault)
        async with self._seat(text) as seating:
            limit = min(_wanted_tokens(body), self._context - seating.total)
            reply = compose(
                answer, seating, number=number, created=int(time.time()), model=self._model, limit=limit, raw=raw
            )
            if body.get("stream"):
                response = await Stream(request, body, answer, reply, self._core).run()
            else:
                response = await Whole(request, answer, reply, self._core).run()
            self._remember(reply, text)
            return response

    @asynccontextmanager
    async def _seat(self, text: str) -> AsyncIterator[Seating]:
        """A slot for this prompt, in order of arrival; free again however the answer ends."""
        self._waiting += 1
        try:
            await self._core.thawed()
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
        said = message(reply.deltas)
        reply.seating.slot.text = text + (said["content"] if reply.raw else message_text(said))
        self._counts["prompt_tokens_total"] += reply.seating.total - reply.seating.cached
        self._counts["prompt_tokens_cached_total"] += reply.seating.cached
        self._counts["tokens_predicted_total"] += len(reply.deltas)


def _wanted_tokens(body: Json) -> int:
    """The request's own limit of the answer; without one, as many as the context holds."""
    for name in ("max_completion_tokens", "max_tokens", "n_predict"):
        limit = body.get(name)
        if isinstance(limit, int) and limit >= 0:
            return limit
    return 1 << 30
