"""An endpoint whose answers are scripted and whose prompts are read by a real engine behind it.

Every request goes to a real daemon first, for one token: what it reused of the prompt and what it read is the engine's
own figure. Then the client gets the script's answer with these figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from bench.prefix.script import Answer

from hearth.ops.local import ask

CHAT = "/v1/chat/completions"
LARGEST_BODY = 64 << 20
Answerer = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Answer]


@dataclass(frozen=True, slots=True)
class Read:
    """One prompt as the engine read it: tokens in all, tokens that it had, seconds for the others; ``messages`` and
    ``tools`` are what was asked."""

    prompt: int
    reused: int
    seconds: float
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]


def one_token(_: Answer) -> int:
    """Where nobody counts the scripted answer, it has what the engine was asked for."""
    return 1


@dataclass(slots=True)
class Reading:
    """Tokens of the prompts of one client. ``could`` is what a client that never changes what it sent had reused;
    ``first`` is the size of its first request with tools, in bytes."""

    requests: int = 0
    prompt: int = 0
    reused: int = 0
    could: int = 0
    longest: int = 0
    first: int = 0

    def add(self, prompt: int, reused: int) -> None:
        """Count one request."""
        self.requests += 1
        self.prompt += prompt
        could = min(prompt, self.longest)
        self.could += could
        # The gateway may have read the system text ahead within this very request: that is no reuse.
        self.reused += min(reused, could)
        self.longest = max(self.longest, prompt)

    @property
    def share(self) -> float:
        """How much of what could be reused was."""
        return self.reused / self.could if self.could else 1.0


class Front:
    """The endpoint. ``url`` is its address, ``reading`` what was measured since it was last set."""

    def __init__(
        self, socket: Path, model: str, context: int, answerer: Answerer, count: Callable[[Answer], int] = one_token
    ) -> None:
        """``count`` gives the tokens of a scripted answer: what the client is told that it generated."""
        self.url = ""
        self.reading = Reading()
        self.reads: list[Read] = []
        self._count = count
        self._socket = socket
        self._model = model
        self._context = context
        self._answerer = answerer

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Front]:
        """Listen on 127.0.0.1."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.add_routes([web.get("/v1/models", self._models), web.post(CHAT, self._chat)])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _models(self, _request: web.Request) -> web.Response:
        model = {"id": self._model, "object": "model", "owned_by": "bench", "context_length": self._context}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        tools = body.get("tools") or []
        question = {"model": self._model, "messages": _plain(body["messages"]), "max_tokens": 1, "temperature": 0}
        found = await ask(
            self._socket, "POST", CHAT, {**question, **({"tools": tools} if tools else {})}, timeout_s=1800
        )
        if found.status != 200:
            return web.json_response(found.data, status=found.status)
        timings = found.data["timings"]
        prompt = timings["cache_n"] + timings["prompt_n"]
        self.reading.add(prompt, timings["cache_n"])
        self.reads.append(Read(prompt, timings["cache_n"], timings["prompt_ms"] / 1000, question["messages"], tools))
        self.reading.first = self.reading.first or (len(raw) if tools else 0)
        answer = self._answerer(body["messages"], tools)
        generated = self._count(answer)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": timings["cache_n"]},
        }
        if not body.get("stream"):
            choice = {"index": 0, "message": _message(answer), "finish_reason": _finish(answer)}
            return web.json_response({**_head("chat.completion"), "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        told = {**timings, "predicted_n": generated}
        for event in _events(answer, usage, told):
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


def _plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the role names that every template knows."""
    return [{**message, "role": "system"} if message["role"] == "developer" else message for message in messages]


def _events(answer: Answer, usage: dict[str, Any], timings: dict[str, Any]) -> list[dict[str, Any]]:
    delta = _message(answer)
    for index, call in enumerate(delta.get("tool_calls", ())):
        call["index"] = index
    head = _head("chat.completion.chunk")
    first = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(answer)}]}
    return [first, last, {**head, "choices": [], "usage": usage, "timings": timings}]


def _message(answer: Answer) -> dict[str, Any]:
    if not answer.name:
        return {"role": "assistant", "content": answer.text}
    function = {"name": answer.name, "arguments": answer.arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": answer.id, "type": "function", "function": function}],
    }


def _finish(answer: Answer) -> str:
    return "tool_calls" if answer.name else "stop"


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"bench-{time.monotonic_ns()}", "object": kind, "created": 0, "model": "bench"}
