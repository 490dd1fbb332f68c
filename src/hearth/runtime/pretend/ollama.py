"""A stand-in for an Ollama server, made from its documentation and source (0.13 to 0.34): its native routes, a context
of 4,096 tokens for whoever asks for none, and prompts that are cut to about half of it unless that is forbidden."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from hearth.runtime.pretend.script import Answer, Call, Fault, Script
from hearth.runtime.pretend.stand_in import LARGEST_BODY, STALL_S, Json, StandIn, count_prompt, cut_answer, hang_up

DEFAULT_CONTEXT = 4096
"""What a request gets that asks for none, on a machine with less than 24 GiB of video memory."""
KEPT = 4
"""``num_keep``: so many tokens stay from the beginning when a prompt is cut."""
_STAMP = "2026-09-17T15:42:59.5670387Z"
_SIZE = 3_000_000_000


@dataclass(frozen=True, slots=True)
class PretendModel:
    """A model of the stand-in. ``context`` is what it was trained for; ``remote`` where it really runs."""

    context: int = 32_768
    capabilities: tuple[str, ...] = ("completion", "tools", "thinking")
    family: str = "qwen3"
    format: str = "gguf"
    remote: str = ""


@dataclass(slots=True)
class _Loaded:
    context: int
    keep_alive: object = "5m"


@dataclass(slots=True)
class _Asked:
    """One chat request, read."""

    body: Json
    model: PretendModel
    context: int
    tokens: int
    text: str
    cut: bool = False
    options: Json = field(default_factory=dict)


class PretendOllama(StandIn):
    """Plays a script as Ollama does. ``loaded`` maps the models that are in memory to the context they have there."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        models: Mapping[str, PretendModel] | None = None,
        version: str = "0.34.0",
        slots: int = 1,
        honest: bool = True,
    ) -> None:
        """``slots`` is its OLLAMA_NUM_PARALLEL. One that is not ``honest`` cuts prompts whatever it is told, as old
        versions do."""
        super().__init__(script, slots)
        self._models = dict(models or {"qwen3:4b": PretendModel()})
        self._version = version
        self._honest = honest
        self._resident: dict[str, _Loaded] = {}

    @property
    def loaded(self) -> dict[str, int]:
        """Context in tokens of each model in memory."""
        return {name: each.context for name, each in self._resident.items()}

    def keep_alive_of(self, name: str) -> object:
        """How long the model was last asked to stay."""
        return self._resident[name].keep_alive

    def application(self) -> web.Application:
        """Its routes."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.add_routes(
            [
                web.get("/", self._root),
                web.get("/api/version", self._tell_version),
                web.get("/api/tags", self._tags),
                web.get("/api/ps", self._ps),
                web.post("/api/show", self._show),
                web.post("/api/generate", self._generate),
                web.post("/api/chat", self._chat),
            ]
        )
        return application

    async def _root(self, _request: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def _tell_version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": self._version})

    async def _tags(self, _request: web.Request) -> web.Response:
        return web.json_response({"models": [self._entry(name) for name in self._models]})

    async def _ps(self, _request: web.Request) -> web.Response:
        entries = [
            {
                **self._entry(name),
                "expires_at": _STAMP,
                "size_vram": _SIZE // 2,
                "context_length": loaded.context,
            }
            for name, loaded in self._resident.items()
        ]
        return web.json_response({"models": entries})

    def _entry(self, name: str) -> Json:
        details = {"format": "gguf", "family": self._models[name].family, "quantization_level": "Q4_K_M"}
        return {"name": name, "model": name, "size": _SIZE, "digest": "0" * 64, "details": details}

    async def _show(self, request: web.Request) -> web.Response:
        body = await request.json()
        model = self._models.get(str(body.get("model")))
        if model is None:
            return _error(404, f"model '{body.get('model')}' not found")
        remote = {"remote_host": model.remote, "remote_model": "large"} if model.remote else {}
        return web.json_response(
            {
                "modelfile": "",
                "template": "{{ .Prompt }}",
                "details": {"format": model.format, "family": model.family, "parameter_size": "4.0B"},
                "model_info": {
                    "general.architecture": model.family,
                    f"{model.family}.context_length": model.context,
                    f"{model.family}.embedding_length": 2560,
                },
                "capabilities": list(model.capabilities),
                "modified_at": _STAMP,
                **remote,
            }
        )

    async def _generate(self, request: web.Request) -> web.Response:
        """Without a prompt it only loads, or unloads."""
        body = await request.json()
        name = str(body.get("model"))
        if name not in self._models:
            return _error(404, f"model '{name}' not found")
        reason = "load"
        if body.get("keep_alive") == 0:
            self._resident.pop(name, None)
            reason = "unload"
        return web.json_response(
            {"model": name, "created_at": _STAMP, "response": "", "done": True, "done_reason": reason}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            return _error(400, str(error))
        self.requests.append(body)
        name = str(body.get("model"))
        model = self._models.get(name)
        if model is None:
            return _error(404, f"model '{name}' not found")
        if (wrong := _wrong(body, name, model)) is not None:
            return wrong
        options = body.get("options") or {}
        context = min(options.get("num_ctx") or DEFAULT_CONTEXT, model.context)
        await self._load(name, context, body.get("keep_alive", "5m"))
        text, tokens = count_prompt(body)
        asked = _Asked(body, model, context, tokens, text, options=options)
        if tokens > context - 1:
            if self._honest and body.get("truncate") is False:
                return _runner_refuses(tokens, context)
            asked.cut, asked.tokens = True, context - max((context - KEPT) // 2, 1)
        answer = self._next()
        if answer.fault is Fault.HTTP_500:
            return _error(500, "the stand-in was told to fail")
        if answer.fault is Fault.TOO_LONG:
            return _runner_refuses(max(tokens, context), context)
        async with self._seat(text) as seating:
            await asyncio.sleep(answer.prefill_s)
            cached = 0 if asked.cut else min(seating.cached, asked.tokens - 1)
            return await _Reply(request, asked, answer, cached).run()

    async def _load(self, name: str, context: int, keep_alive: object) -> None:
        """Another context is another load, as in Ollama."""
        loaded = self._resident.get(name)
        if loaded is None or loaded.context != context:
            await asyncio.sleep(self._script.loading_s)
            self._resident[name] = _Loaded(context)
        self._resident[name].keep_alive = keep_alive


class _Reply:
    """One answer as lines of JSON, or as one object."""

    def __init__(self, request: web.Request, asked: _Asked, answer: Answer, cached: int) -> None:
        self._request = request
        self._asked = asked
        self._answer = answer
        self._cached = cached
        self._response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        limit = asked.options.get("num_predict", -1)
        room = asked.context - asked.tokens
        limit = min(limit, room) if isinstance(limit, int) and limit >= 0 else room
        if answer.fault is Fault.TRUNCATED:
            limit = min(limit, answer.after)
        thinks = "thinking" in asked.model.capabilities and asked.body.get("think") is not False
        if not thinks:
            answer = Answer(text=answer.text, tool_calls=answer.tool_calls)
        self._thoughts, self._said, self._reason = cut_answer(answer, asked.options.get("stop") or [], limit)

    async def run(self) -> web.StreamResponse:
        calls = self._answer.tool_calls if self._reason == "stop" else ()
        lines = [{"thinking": piece} for piece in self._thoughts] + [{"content": piece} for piece in self._said]
        if self._asked.body.get("stream") is False:
            return await self._whole(lines, calls)
        await self._response.prepare(self._request)
        tool_lines: list[Json] = [{"tool_calls": [_call(call)]} for call in calls]
        for count, message in enumerate([*lines, *tool_lines]):
            if count == self._answer.after and await self._fault_ends_it():
                return self._response
            await self._line({"message": {"role": "assistant", "content": "", **message}, "done": False})
            await asyncio.sleep(self._answer.token_s)
        if self._answer.after >= len(lines) + len(tool_lines) and await self._fault_ends_it():
            return self._response
        await self._line({"message": {"role": "assistant", "content": ""}, **self._end(len(lines) + len(tool_lines))})
        return self._response

    async def _whole(self, lines: list[Json], calls: tuple[Call, ...]) -> web.StreamResponse:
        await asyncio.sleep(self._answer.token_s * len(lines))
        if self._answer.fault is Fault.STALL:
            await asyncio.sleep(STALL_S)
        if self._answer.fault is Fault.DISCONNECT:
            hang_up(self._request)
        if self._answer.fault is Fault.GARBAGE:
            return web.Response(text="{this is not JSON", content_type="application/json")
        message: Json = {"role": "assistant", "content": "".join(self._said)}
        if self._thoughts:
            message["thinking"] = "".join(self._thoughts)
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        return web.json_response({**self._head(), "message": message, **self._end(len(lines) + len(calls))})

    async def _fault_ends_it(self) -> bool:
        match self._answer.fault:
            case Fault.STALL:
                await asyncio.sleep(STALL_S)
            case Fault.GARBAGE:
                await self._response.write(b"{this is not JSON\n")
                return False
            case Fault.DISCONNECT:
                hang_up(self._request)
            case Fault.ERROR_CHUNK:
                await self._response.write(b'{"error":"llama runner process has terminated: exit status 2"}\n')
            case _:
                return False
        return True

    def _head(self) -> Json:
        return {"model": self._asked.body["model"], "created_at": _STAMP}

    def _end(self, generated: int) -> Json:
        return {
            "done": True,
            "done_reason": self._reason,
            "total_duration": 60_000_000,
            "load_duration": 10_000_000,
            "prompt_eval_count": self._asked.tokens,
            "prompt_eval_cached_count": self._cached,
            "prompt_eval_duration": 20_000_000,
            "eval_count": generated,
            "eval_duration": 30_000_000,
        }

    async def _line(self, line: Json) -> None:
        data = json.dumps({**self._head(), **line}, ensure_ascii=False, separators=(",", ":"))
        await self._response.write(data.encode() + b"\n")


def _call(call: Call) -> Json:
    arguments = json.loads(call.arguments) if isinstance(call.arguments, str) else call.arguments
    return {"function": {"index": 0, "name": call.name, "arguments": arguments}}


def _wrong(body: Json, name: str, model: PretendModel) -> web.Response | None:
    """What the server finds wrong before it loads anything."""
    if not isinstance(body.get("messages"), list):
        return _error(400, "json: cannot unmarshal into Go struct field ChatRequest.messages of type []api.Message")
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            if not isinstance(call["function"]["arguments"], dict):
                return _error(400, "Value looks like object, but can't find closing '}' symbol")
        if not isinstance(message.get("content", ""), str):
            return _error(
                400, "json: cannot unmarshal array into Go struct field Message.messages.content of type string"
            )
    if body.get("tools") and "tools" not in model.capabilities:
        return _error(400, f"registry.ollama.ai/library/{name} does not support tools")
    think = body.get("think")
    if think and "thinking" not in model.capabilities:
        return _error(400, f'"{name}" does not support thinking')
    if isinstance(think, str) and model.family != "gptoss":
        return _error(400, f'think value "{think}" is not supported for this model')
    return None


def _runner_refuses(tokens: int, context: int) -> web.Response:
    """The runner's own words, as Ollama passes them on: JSON in a text."""
    what = f"request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it"
    more = {"type": "exceed_context_size_error", "n_prompt_tokens": tokens, "n_ctx": context}
    return _error(400, json.dumps({"error": {"code": 400, "message": what, **more}}))


def _error(status: int, what: str) -> web.Response:
    return web.json_response({"error": what}, status=status)
