"""OpenAI's chat completions as vLLM and others speak them, from and to llama-server's.

What differs was read in vLLM's ``entrypoints/openai`` (0.11 to 0.33): reasoning is called ``reasoning``, usage comes in
an event of its own, calls may lack ids, there is no ``timings`` and no GBNF.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hearth.runtime.dialect import CHAT_PATH, LlamaServer, Translation
from hearth.runtime.foreign.dialects.calls import Calls
from hearth.runtime.foreign.dialects.fields import (
    DROPPED,
    NEUTRAL,
    read_request,
    refuse_fields,
    schema_of,
    token_limit,
    write_request,
)
from hearth.runtime.foreign.dialects.figures import finish_reason, timings_of
from hearth.runtime.foreign.dialects.lines import DONE, Events, Stream, TooLong
from hearth.runtime.foreign.dialects.refusals import error_body, translate_broken, translate_refusal

Json = dict[str, Any]

_RENAMED = {"repeat_penalty": "repetition_penalty"}
_REPLACED = ("max_completion_tokens", "max_tokens", "n_predict", "json_schema", "response_format")


class RemoteLlama(LlamaServer):
    """A llama-server that is not ours: only the model has another name there, and its slots are its own business."""

    def __init__(self, model: str) -> None:
        """``model`` is what the server calls it."""
        self._model = model

    def request(self, body: bytes) -> bytes:
        """With the server's name of the model, without a slot."""
        request = read_request(body)
        request.pop("id_slot", None)
        return write_request({**request, "model": self._model})


class OpenAIChat:
    """vLLM's chat completions, and those of servers like it. It is a ``Dialect``: see there."""

    path = CHAT_PATH
    raw_path = ""

    def __init__(self, model: str, context: int, *, is_vllm: bool) -> None:
        """``model`` is what the server calls it, ``context`` the tokens that one request may hold."""
        self._model = model
        self._context = context
        self._engine = "vLLM" if is_vllm else "this server"
        self._is_vllm = is_vllm

    def request(self, body: bytes) -> bytes:
        """The same request without what only llama-server knows, under the names that are known there."""
        asked = read_request(body)
        refuse_fields(asked, self._engine, {**NEUTRAL, "typical_p": (1,)})
        left_out = DROPPED | NEUTRAL.keys() | {"typical_p", *_REPLACED, *_RENAMED}
        request = {name: value for name, value in asked.items() if name not in left_out and value is not None}
        for ours, theirs in _RENAMED.items():
            if asked.get(ours) is not None:
                request.setdefault(theirs, asked[ours])
        if request.get("seed") == -1:
            del request["seed"]
        if (limit := token_limit(asked)) is not None:
            # Newer models of OpenAI's take only the one name, most servers know both, old ones only the other.
            name = "max_completion_tokens" if asked.get("max_completion_tokens") is not None else "max_tokens"
            request[name] = limit
        if (schema := schema_of(asked)) is not None:
            request["response_format"] = _response_format(schema)
        if self._is_vllm:
            request["messages"] = [_with_reasoning(message) for message in asked["messages"]]
        if asked.get("stream"):
            options = asked.get("stream_options")
            request["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        else:
            request.pop("stream_options", None)
        return write_request({**request, "model": self._model})

    def translation(self, body: bytes) -> Translation:
        """For one answer."""
        return OpenAIAnswer(body, self._context)


class OpenAIAnswer(Stream):
    """One answer on its way back. It is a ``Translation``: see there."""

    def __init__(self, asked: bytes, context: int) -> None:
        super().__init__(asked, context)
        self._events = Events()
        self._calls: dict[object, Calls] = {}
        self._usage: Json | None = None
        self._timings: Json | None = None
        self._head: Json = {}
        self._ends: list[Json] = []

    def feed(self, chunk: bytes) -> bytes:
        """Events in llama-server's shape. The last piece of an answer is held back until its figures are there."""
        if self._broken:
            return b""
        try:
            return b"".join(map(self._event, self._events.feed(chunk)))
        except TooLong:
            return self._endless()

    def finish(self) -> bytes:
        """What was held back. Without ``[DONE]`` from the engine there is none here."""
        if self._broken:
            return b""
        # Half an event is no event: that it was cut shows in the missing [DONE].
        left = b"".join(self._event(data) for data in self._events.rest() if data == b"[DONE]" or _decode(data))
        return left + (b"" if self._broken else self._end())

    def whole(self, body: bytes) -> bytes:
        """The answer in one piece; an error object when it is none."""
        answer = _decode(body)
        if answer is None:
            return error_body(502, f"the engine sent what is no answer: {body[:200]!r}")
        if "error" in answer or not isinstance(answer.get("choices"), list):
            return translate_broken(answer.get("error", answer), self._context).removeprefix(b"data: ").strip()
        self._head = {"id": answer.get("id", "")}
        choices = [self._choice(choice, "message") for choice in answer["choices"] if isinstance(choice, dict)]
        usage = answer.get("usage")
        timings = answer.get("timings") or (timings_of(usage) if isinstance(usage, dict) else None)
        kept = {name: value for name, value in answer.items() if value is not None and not name.startswith("prompt_")}
        return _encode({**kept, **self._named(), "choices": choices, **({"timings": timings} if timings else {})})

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """A refusal in llama-server's shape."""
        return translate_refusal(status, body, self._context)

    def _event(self, data: bytes) -> bytes:
        if self._broken:
            return b""
        if data.strip() == b"[DONE]":
            return self._break(self._end() + DONE)
        chunk = _decode(data)
        if chunk is None:
            return self._garbage(data)
        if chunk.get("error") is not None or chunk.get("object") == "error":
            return self._break(self._end() + translate_broken(chunk.get("error") or chunk, self._context))
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        if isinstance(chunk.get("timings"), dict):
            self._timings = chunk["timings"]
        self._head = {name: chunk[name] for name in _HEAD if chunk.get(name) is not None} | self._named()
        choices = chunk.get("choices")
        found = choices if isinstance(choices, list) else []
        told = [self._choice(choice, "delta") for choice in found if isinstance(choice, dict)]
        goes = [{**choice, "finish_reason": None} for choice in told if choice["delta"]]
        for choice in told:
            if choice["finish_reason"] is not None:
                self._ends.append({**self._head, "choices": [{**choice, "delta": {}}]})
        return _event({**self._head, "choices": goes}) if goes else b""

    def _end(self) -> bytes:
        """The last pieces and the figures, as llama-server sends them: in an event of their own if usage was wanted,
        else in the last piece."""
        ends, self._ends = self._ends, []
        if not ends:
            return b""
        timings = self._timings or (timings_of(self._usage) if self._usage else None)
        figures = {"timings": timings} if timings else {}
        if self._wants_usage and self._usage:
            ends.append({**self._head, "choices": [], "usage": self._usage, **figures})
        else:
            ends[-1] = {**ends[-1], **figures}
        return b"".join(map(_event, ends))

    def _named(self) -> Json:
        """The model as the client called it."""
        return {"model": self._model} if isinstance(self._model, str) else {}

    def _choice(self, choice: Json, part: str) -> Json:
        index = choice.get("index", 0)
        said = choice.get(part)
        said = dict(said) if isinstance(said, dict) else {}
        reasoning = said.pop("reasoning", None)
        if reasoning and not said.get("reasoning_content"):
            said["reasoning_content"] = reasoning
        calls = self._calls.get(index) if isinstance(index, int) else None
        if calls is None:
            calls = self._calls[index if isinstance(index, int) else 0] = Calls(self._seed(), only_one=self._only_one)
        found = said.pop("tool_calls", None)
        kept = {name: value for name, value in said.items() if value is not None}
        pieces = calls.delta(found) if part == "delta" else calls.whole(found)
        if pieces:
            kept["tool_calls"] = pieces
        if part == "delta":
            if not kept.get("content"):
                kept.pop("content", None)
            if "role" in kept:
                kept.setdefault("content", None)
        else:
            kept = {"role": "assistant", "content": "", **kept}
        more = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        reason = finish_reason(choice.get("finish_reason"), calls.count)
        return {"finish_reason": reason, "index": index, part: kept, **more}

    def _seed(self) -> bytes:
        return self._asked + str(self._head.get("id", "")).encode("utf-8", "replace")


_HEAD = ("created", "id", "model", "object", "system_fingerprint")


def _response_format(schema: object) -> Json:
    if schema is True:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _with_reasoning(message: object) -> object:
    """vLLM reads an earlier answer's reasoning under its own name."""
    if isinstance(message, dict) and message.get("reasoning_content") and not message.get("reasoning"):
        return {**message, "reasoning": message["reasoning_content"]}
    return message


def _decode(data: bytes) -> Json | None:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _encode(value: Json) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        return error_body(502, f"the engine sent what cannot be passed on: {error}")


def _event(value: Json) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
