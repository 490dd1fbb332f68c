"""One answer in the words of llama-server: its deltas, chunks, timings and usage. Pure: clocks are given.

The shapes were copied from the answers of llama.cpp b11549.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hearth.runtime.pretend.memory import Seating, pieces
from hearth.runtime.pretend.script import Answer, Call, Fault

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clock:
    """How long an answer has taken so far. Seconds."""

    prefill_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to one request. ``deltas`` holds one piece for each token; ``finish`` is the finish reason; ``raw``
    says that a text was to be completed, not a chat."""

    number: int
    created: int
    model: str
    seating: Seating
    deltas: tuple[Json, ...]
    finish: str
    raw: bool = False

    def chunk(self, delta: Json, finish: str | None = None) -> Json:
        """One event of a stream."""
        if self.raw:
            choice = {"text": delta.get("content") or "", "index": 0, "logprobs": None, "finish_reason": finish}
            return {"choices": [choice], **self._head("text_completion")}
        return {
            "choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
            **self._head("chat.completion.chunk"),
        }

    def opening(self) -> Json:
        """The event before the first piece; progress comes in the same shape."""
        return self.chunk({"role": "assistant", "content": None})

    def progress(self, processed: int, clock: Clock) -> Json:
        """An event of the prefill; ``processed`` tokens include those from the cache."""
        progress = {
            "total": self.seating.total,
            "cache": self.seating.cached,
            "processed": processed,
            "time_ms": round(clock.prefill_s * 1000),
        }
        return {**self.opening(), "timings": self.timings(0, clock), "prompt_progress": progress}

    def ending(self, generated: int, clock: Clock, *, with_usage: bool) -> list[Json]:
        """The last events. Figures are in an event of their own when usage was asked for, else in the last one."""
        last = self.chunk({}, self.finish)
        timings = {"timings": self.timings(generated, clock)}
        if self.raw:
            return [{**last, "usage": self.usage(generated), **timings}]
        if not with_usage:
            return [{**last, **timings}]
        figures = {"choices": [], **self._head("chat.completion.chunk"), "usage": self.usage(generated), **timings}
        return [last, figures]

    def whole(self, clock: Clock) -> Json:
        """The answer in one piece, for a request without ``stream``."""
        generated = len(self.deltas)
        if self.raw:
            last = self.chunk({"content": message(self.deltas)["content"]}, self.finish)
            return {**last, "usage": self.usage(generated), "timings": self.timings(generated, clock)}
        choice = {"finish_reason": self.finish, "index": 0, "message": message(self.deltas)}
        head = self._head("chat.completion")
        return {"choices": [choice], **head, "usage": self.usage(generated), "timings": self.timings(generated, clock)}

    def usage(self, generated: int) -> Json:
        """Tokens of prompt and answer."""
        total, cached = self.seating.total, self.seating.cached
        return {
            "completion_tokens": generated,
            "prompt_tokens": total,
            "total_tokens": total + generated,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def timings(self, generated: int, clock: Clock) -> Json:
        """Tokens, milliseconds and tokens a second of prefill and decoding."""
        new = self.seating.total - self.seating.cached
        return {
            "cache_n": self.seating.cached,
            **_speed("prompt", new, clock.prefill_s),
            **_speed("predicted", generated, clock.decode_s),
        }

    def _head(self, kind: str) -> Json:
        return {
            "created": self.created,
            "id": f"chatcmpl-pretend{self.number}",
            "model": self.model,
            "system_fingerprint": "pretend",
            "object": kind,
        }


def compose(
    answer: Answer, seating: Seating, *, number: int, created: int, model: str, limit: int, raw: bool = False
) -> Reply:
    """The reply that this answer gives, cut at ``limit`` tokens as an engine cuts it; to a ``raw`` prompt its text."""
    deltas = [{"content": piece} for piece in pieces(answer.text)] if raw else _deltas(answer, number)
    if answer.fault is Fault.TRUNCATED:
        limit = min(limit, answer.after)
    finish = "length" if answer.fault is Fault.TRUNCATED or len(deltas) > limit else _finish(answer, raw=raw)
    return Reply(number, created, model, seating, tuple(deltas[:limit]), finish, raw)


def message(deltas: Sequence[Json]) -> Json:
    """The assistant message that these deltas add up to."""
    text = "".join(delta.get("content", "") for delta in deltas)
    reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
    calls: list[Json] = []
    for part in (part for delta in deltas for part in delta.get("tool_calls", ())):
        if "id" in part:
            calls.append({"type": "function", "function": {**part["function"]}, "id": part["id"]})
        else:
            calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    whole: Json = {"role": "assistant", "content": text}
    if reasoning:
        whole["reasoning_content"] = reasoning
    if calls:
        whole["tool_calls"] = calls
    return whole


def error_body(code: int, what: str, kind: str, **more: Any) -> Json:
    """An error as llama-server writes it."""
    return {"error": {"code": code, "message": what, "type": kind, **more}}


def too_long(total: int, context: int) -> Json:
    """What llama-server says to a prompt that exceeds the context. Tokens."""
    what = f"request ({total} tokens) exceeds the available context size ({context} tokens), try increasing it"
    return error_body(400, what, "exceed_context_size_error", n_prompt_tokens=total, n_ctx=context)


def _deltas(answer: Answer, number: int) -> list[Json]:
    deltas: list[Json] = [{"reasoning_content": piece} for piece in pieces(answer.reasoning)]
    deltas += [{"content": piece} for piece in pieces(answer.text)]
    for index, call in enumerate(answer.tool_calls):
        deltas += _call_deltas(call, index, call.id or f"call{number}x{index}")
    return deltas


def _call_deltas(call: Call, index: int, identity: str) -> list[Json]:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    first = {
        "index": index,
        "id": identity,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces(arguments)]
    return [{"tool_calls": [part]} for part in [first, *rest]]


def _finish(answer: Answer, *, raw: bool) -> str:
    return "tool_calls" if answer.tool_calls and not raw else "stop"


def _speed(name: str, tokens: int, seconds: float) -> Json:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": round(seconds * 1000, 3),
        f"{name}_per_token_ms": seconds * 1000 / tokens if tokens else 0.0,
        f"{name}_per_second": tokens / seconds if seconds > 0 else 0.0,
    }
