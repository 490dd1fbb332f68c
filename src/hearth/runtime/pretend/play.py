"""How a pretending engine plays one answer over HTTP, and fails as the script says."""

from __future__ import annotations

import json
import time

from aiohttp import web

from hearth.runtime.pretend.core import Core
from hearth.runtime.pretend.reply import Clock, Json, Reply, error_body
from hearth.runtime.pretend.script import Answer, Fault

_PREFILL_STEPS = 10
_SSE = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}


class Stream:
    """Plays one reply as server-sent events."""

    def __init__(self, request: web.Request, body: Json, answer: Answer, reply: Reply, core: Core) -> None:
        self._request = request
        self._answer = answer
        self._reply = reply
        self._core = core
        self._wants_progress = bool(body.get("return_progress")) and not answer.one_batch
        self._wants_timings = bool(body.get("timings_per_token"))
        self._wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._response = web.StreamResponse(headers=_SSE)

    async def run(self) -> web.StreamResponse:
        """Play it to its end, or its fault's."""
        await self._response.prepare(self._request)
        prefilled = await self._prefill()
        if not self._reply.raw:
            await self._event(self._reply.opening())
        began = time.monotonic()
        for count, delta in enumerate(self._reply.deltas):
            if count == self._answer.after and await self._fault_ends_it():
                return self._response
            await self._core.thawed()
            self._reply.seating.slot.made = count + 1
            clock = Clock(prefilled, time.monotonic() - began)
            timings = {"timings": self._reply.timings(count + 1, clock)} if self._wants_timings else {}
            slowly = self._answer.fault is Fault.DRIBBLE and count == self._answer.after
            await self._event({**self._reply.chunk(delta), **timings}, slowly=slowly)
            await self._core.compute(self._answer.token_s)
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
        steps = _PREFILL_STEPS if self._answer.prefill_s and not self._answer.one_batch else 1
        for step in range(steps + 1):
            seating.slot.read = new * step // steps
            if self._wants_progress:
                clock = Clock(prefill_s=time.monotonic() - began)
                await self._event(self._reply.progress(seating.cached + seating.slot.read, clock))
            if step == steps // 2:
                await stall_in_prefill(self._answer, self._core)
            if step < steps:
                async with self._core.batch(alone=self._answer.one_batch):
                    await self._core.compute(self._answer.prefill_s / steps)
        return time.monotonic() - began

    async def _fault_ends_it(self) -> bool:
        """Let the answer's fault strike; True when nothing may follow."""
        match self._answer.fault:
            case Fault.STALL | Fault.FREEZE:
                await self._core.hang(self._answer.fault)
            case Fault.DIE:
                self._core.die()
                await self._core.hang(Fault.DIE)
            case Fault.GARBAGE:
                await self._response.write(b"data: {this is not JSON\n\n")
                return False
            case Fault.DISCONNECT:
                hang_up(self._request)
            case Fault.ERROR_CHUNK:
                await self._event(chunk_error(self._answer.error))
            case _:
                return False
        return True

    async def _event(self, event: Json, *, slowly: bool = False) -> None:
        data = f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
        if not slowly:
            await self._response.write(data)
            return
        for byte in data:
            await self._response.write(bytes([byte]))
            await self._core.compute(self._answer.token_s)


class Whole:
    """Plays one reply as one JSON body."""

    def __init__(self, request: web.Request, answer: Answer, reply: Reply, core: Core) -> None:
        self._request = request
        self._answer = answer
        self._reply = reply
        self._core = core

    async def run(self) -> web.StreamResponse:
        """Play it to its end, or its fault's."""
        began = time.monotonic()
        slot = self._reply.seating.slot
        await stall_in_prefill(self._answer, self._core)
        async with self._core.batch(alone=self._answer.one_batch):
            await self._core.compute(self._answer.prefill_s)
        slot.read = self._reply.seating.total - self._reply.seating.cached
        prefilled = time.monotonic() - began
        for count in range(len(self._reply.deltas)):
            if count == self._answer.after and (broken := await self._fault()):
                return broken
            slot.made = count + 1
            await self._core.compute(self._answer.token_s)
        if self._answer.after >= len(self._reply.deltas) and (broken := await self._fault()):
            return broken
        return web.json_response(self._reply.whole(Clock(prefilled, time.monotonic() - began - prefilled)))

    async def _fault(self) -> web.StreamResponse | None:
        match self._answer.fault:
            case Fault.STALL | Fault.FREEZE:
                await self._core.hang(self._answer.fault)
            case Fault.DIE:
                self._core.die()
                await self._core.hang(Fault.DIE)
            case Fault.GARBAGE:
                return web.Response(text="{this is not JSON", content_type="application/json")
            case Fault.DISCONNECT:
                hang_up(self._request)
            case Fault.ERROR_CHUNK:
                return refused(chunk_error(self._answer.error))
            case _:
                pass
        return None


async def stall_in_prefill(answer: Answer, core: Core) -> None:
    """Let the fault strike that comes half-way through a prompt, if it is one."""
    if answer.fault in (Fault.FREEZE_IN_PREFILL, Fault.STALL_IN_PREFILL):
        await core.hang(answer.fault)


def hang_up(request: web.Request) -> None:
    """Break the connection off."""
    if request.transport is not None:
        request.transport.abort()


def chunk_error(said: str = "") -> Json:
    """What llama-server says in the middle of an answer that it cannot go on with: usually that it does not fit."""
    return error_body(500, said or "Context size has been exceeded.", "server_error")


def refused(body: Json) -> web.Response:
    """An error with the status that it names."""
    return web.json_response(body, status=body["error"]["code"])
