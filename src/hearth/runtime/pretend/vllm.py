"""A stand-in for ``vllm serve``, made from its documentation and source (0.15 to 0.33), and for plainer servers like
it: OpenAI's chat completions with vLLM's own fields, its metrics and its way to refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from hearth.runtime.pretend.memory import pieces
from hearth.runtime.pretend.script import Answer, Fault, Script
from hearth.runtime.pretend.stand_in import LARGEST_BODY, STALL_S, Json, StandIn, count_prompt, cut_answer, hang_up

_CREATED = 1_789_659_779
_SSE = {"Content-Type": "text/event-stream; charset=utf-8"}
_UNBOUNDED = 1 << 30

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PretendVllm(StandIn):
    """Plays a script as vLLM does."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        model: str = "Qwen/Qwen3-4B",
        context: int = 32_768,
        slots: int = 4,
        api_key: str = "",
        plain: bool = False,
    ) -> None:
        """``slots`` is its ``--max-num-seqs``. A ``plain`` one is some other server: it has no metrics, tells no
        context and no cached tokens, and has ``reasoning_content`` and calls without ids."""
        super().__init__(script, slots)
        self._model = model
        self._context = context
        self._api_key = api_key
        self._plain = plain
        self._read = 0
        self._made = 0

    def application(self) -> web.Application:
        """Its routes; the key is asked for below ``/v1`` only."""
        application = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._admit])
        application.add_routes(
            [web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._chat)]
            if self._plain
            else [
                web.get("/health", self._health),
                web.get("/version", self._version),
                web.get("/metrics", self._metrics),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
            ]
        )
        return application

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        key = request.headers.get("Authorization", "")
        if self._api_key and request.path.startswith("/v1") and key != f"Bearer {self._api_key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return web.json_response({"detail": "Not Found"}, status=404)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "0.33.0"})

    async def _models(self, _request: web.Request) -> web.Response:
        own = {} if self._plain else {"root": self._model, "parent": None, "max_model_len": self._context}
        owner = "somebody" if self._plain else "vllm"
        entry = {"id": self._model, "object": "model", "created": _CREATED, "owned_by": owner, **own}
        return web.json_response({"object": "list", "data": [entry]})

    async def _metrics(self, _request: web.Request) -> web.Response:
        labels = f'{{engine="0",model_name="{self._model}"}}'
        values = {
            "vllm:num_requests_running": self.busy,
            "vllm:num_requests_waiting": self._waiting,
            "vllm:prompt_tokens_total": self._read,
            "vllm:generation_tokens_total": self._made,
        }
        lines = [f"# TYPE {name} gauge\n{name}{labels} {float(value)}\n" for name, value in values.items()]
        return web.Response(text="".join(lines))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
            messages = body["messages"]
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, f"{type(error).__name__}: {error}", "BadRequestError")
        if not isinstance(messages, list):
            return _error(400, "1 validation error: messages: Input should be a valid list", "BadRequestError")
        self.requests.append(body)
        if body.get("model") not in (None, self._model):
            return _error(404, f"The model `{body['model']}` does not exist.", "NotFoundError", "model")
        text, tokens = count_prompt(body)
        wanted = body.get("max_completion_tokens") or body.get("max_tokens")
        if tokens + (wanted or 1) > self._context:
            return self._too_long(tokens, wanted or 0)
        answer = self._next()
        if answer.fault is Fault.HTTP_500:
            return _error(500, "the stand-in was told to fail", "InternalServerError")
        if answer.fault is Fault.TOO_LONG:
            return self._too_long(self._context, wanted or 0)
        async with self._seat(text) as seating:
            await asyncio.sleep(answer.prefill_s)
            self._read += tokens
            reply = _Reply(request, body, answer, plain=self._plain)
            reply.usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
            if not self._plain:
                reply.usage["prompt_tokens_details"] = {"cached_tokens": seating.cached}
            reply.cut(self._context - tokens)
            return await reply.run(self._count)

    def _count(self) -> None:
        self._made += 1

    def _too_long(self, tokens: int, wanted: int) -> web.Response:
        most = self._context - wanted
        what = (
            f"You passed {tokens} input tokens and requested {wanted} output tokens. However, the model's context "
            f"length is only {self._context} tokens, resulting in a maximum input length of {most} tokens. "
            f"Please reduce the length of the input prompt. (parameter=input_tokens, value={tokens})"
        )
        return _error(400, what, "BadRequestError", "input_tokens")


class _Reply:
    """One answer as events, or as one object."""

    def __init__(self, request: web.Request, body: Json, answer: Answer, *, plain: bool) -> None:
        self.usage: Json = {}
        self._request = request
        self._body = body
        self._answer = answer
        self._plain = plain
        self._thought = "reasoning_content" if plain else "reasoning"
        self._response = web.StreamResponse(headers=_SSE)
        self._deltas: list[Json] = []
        self._calls: list[Json] = []
        self._reason = "stop"

    def cut(self, room: int) -> None:
        """Decide what is said, in ``room`` tokens at most."""
        stop = self._body.get("stop") or []
        wanted = self._body.get("max_completion_tokens") or self._body.get("max_tokens") or _UNBOUNDED
        limit = min(room, wanted, self._answer.after if self._answer.fault is Fault.TRUNCATED else _UNBOUNDED)
        thoughts, said, self._reason = cut_answer(self._answer, [stop] if isinstance(stop, str) else stop, limit)
        self._deltas = [{self._thought: piece} for piece in thoughts] + [{"content": piece} for piece in said]
        if self._reason == "stop" and self._answer.tool_calls:
            self._call()
            self._reason = "tool_calls"

    def _call(self) -> None:
        for index, call in enumerate(self._answer.tool_calls):
            arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
            identity = {} if self._plain else {"id": call.id or f"chatcmpl-tool-{index}", "type": "function"}
            self._calls.append({**identity, "function": {"name": call.name, "arguments": arguments}})
            parts = [{**identity, "function": {"name": call.name}}]
            parts += [{"function": {"arguments": piece}} for piece in pieces(arguments)]
            numbered = [part if self._plain else {"index": index, **part} for part in parts]
            self._deltas += [{"tool_calls": [part]} for part in numbered]

    async def run(self, count: Callable[[], None]) -> web.StreamResponse:
        """Answer; ``count`` is called for each token."""
        if not self._body.get("stream"):
            return await self._whole(count)
        await self._response.prepare(self._request)
        await self._chunk({"role": "assistant", "content": ""})
        for number, delta in enumerate(self._deltas):
            if number == self._answer.after and await self._fault_ends_it():
                return self._response
            count()
            self._made(1)
            await self._chunk(delta)
            await asyncio.sleep(self._answer.token_s)
        if self._answer.after >= len(self._deltas) and await self._fault_ends_it():
            return self._response
        await self._chunk({} if self._plain else {"content": ""}, self._reason)
        if (self._body.get("stream_options") or {}).get("include_usage"):
            await self._event({**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage})
        await self._response.write(b"data: [DONE]\n\n")
        return self._response

    async def _whole(self, count: Callable[[], None]) -> web.StreamResponse:
        await asyncio.sleep(self._answer.token_s * len(self._deltas))
        match self._answer.fault:
            case Fault.STALL:
                await asyncio.sleep(STALL_S)
            case Fault.DISCONNECT:
                hang_up(self._request)
            case Fault.GARBAGE:
                return web.Response(text="{this is not JSON", content_type="application/json")
            case Fault.ERROR_CHUNK:
                return _error(500, "EngineCore encountered an issue.", "InternalServerError")
            case _:
                pass
        for _ in self._deltas:
            count()
        self._made(len(self._deltas))
        text = "".join(delta.get("content", "") for delta in self._deltas)
        thoughts = "".join(delta.get(self._thought, "") for delta in self._deltas)
        message: Json = {"role": "assistant", "content": text or None, "refusal": None, self._thought: thoughts or None}
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason, "stop_reason": None}
        return web.json_response({**self._head("chat.completion"), "choices": [choice], "usage": self.usage})

    async def _fault_ends_it(self) -> bool:
        match self._answer.fault:
            case Fault.STALL:
                await asyncio.sleep(STALL_S)
            case Fault.GARBAGE:
                await self._response.write(b"data: {this is not JSON\n\n")
                return False
            case Fault.DISCONNECT:
                hang_up(self._request)
            case Fault.ERROR_CHUNK:
                # vLLM says so, and then that it is done.
                said = {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}
                await self._event({"error": said})
                await self._response.write(b"data: [DONE]\n\n")
            case _:
                return False
        return True

    def _made(self, tokens: int) -> None:
        self.usage["completion_tokens"] += tokens
        self.usage["total_tokens"] += tokens

    def _head(self, kind: str) -> Json:
        model = self._body.get("model")
        return {"id": f"chatcmpl-{id(self):x}", "object": kind, "created": _CREATED, "model": model}

    async def _chunk(self, delta: Json, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        await self._event({**self._head("chat.completion.chunk"), "choices": [choice]})

    async def _event(self, event: Json) -> None:
        data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        await self._response.write(f"data: {data}\n\n".encode())


def _error(status: int, what: str, kind: str, parameter: str | None = None) -> web.Response:
    error = {"message": what, "type": kind, "param": parameter, "code": status}
    return web.json_response({"error": error}, status=status)
