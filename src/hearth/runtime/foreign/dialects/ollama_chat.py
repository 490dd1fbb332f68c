"""Ollama's native chat, from and to llama-server's chat completions: one JSON object a line instead of events."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from hearth.runtime.dialect import Translation
from hearth.runtime.foreign.dialects.calls import Calls
from hearth.runtime.foreign.dialects.fields import read_request, write_request
from hearth.runtime.foreign.dialects.figures import count, finish_reason, speed
from hearth.runtime.foreign.dialects.lines import DONE, Lines, Stream, TooLong
from hearth.runtime.foreign.dialects.ollama_request import OllamaModel, translate_request
from hearth.runtime.foreign.dialects.refusals import error_body, translate_broken, translate_refusal

Json = dict[str, Any]

OLLAMA_PATH = "/api/chat"


class OllamaChat:
    """Ollama's ``/api/chat``. It is a ``Dialect``: see there."""

    path = OLLAMA_PATH
    raw_path = ""

    def __init__(self, model: OllamaModel) -> None:
        self._model = model

    def request(self, body: bytes) -> bytes:
        """The request in Ollama's words, with the context spelt out."""
        return write_request(translate_request(read_request(body), self._model))

    def translation(self, body: bytes) -> Translation:
        """For one answer."""
        return OllamaAnswer(body, self._model.context)


class OllamaAnswer(Stream):
    """One answer on its way back. It is a ``Translation``: see there."""

    def __init__(self, asked: bytes, context: int) -> None:
        super().__init__(asked, context)
        self._lines = Lines()
        self._head: Json = {}
        self._calls = Calls(b"")

    def feed(self, chunk: bytes) -> bytes:
        """Each line as events."""
        if self._broken:
            return b""
        try:
            return b"".join(map(self._line, self._lines.feed(chunk)))
        except TooLong:
            return self._endless()

    def finish(self) -> bytes:
        """The last line, if it came whole without its end."""
        rest = self._lines.rest()
        return self._line(rest) if not self._broken and _decode(rest) is not None else b""

    def whole(self, body: bytes) -> bytes:
        """The answer in one piece; an error object when it is none."""
        line = _decode(body)
        if line is None or not isinstance(line.get("message"), dict):
            if line is not None and "error" in line:
                return translate_broken(line["error"], self._context).removeprefix(b"data: ").strip()
            return error_body(502, f"the engine sent what is no answer: {body[:200]!r}")
        self._open(line)
        said = line["message"]
        message: Json = {"role": "assistant", "content": said.get("content") or ""}
        if said.get("thinking"):
            message["reasoning_content"] = said["thinking"]
        if calls := self._calls.whole(said.get("tool_calls")):
            message["tool_calls"] = calls
        choice = {"finish_reason": self._reason(line), "index": 0, "message": message}
        head = {**self._head, "object": "chat.completion"}
        return msgspec.json.encode({**head, "choices": [choice], **_usage(line), "timings": _timings(line)})

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """A refusal in llama-server's shape."""
        return translate_refusal(status, body, self._context)

    def _line(self, data: bytes) -> bytes:
        if self._broken or not data.strip():
            return b""
        line = _decode(data)
        if line is None:
            return self._garbage(data)
        if "error" in line:
            return self._break(translate_broken(line["error"], self._context))
        opening = b""
        if not self._head:
            self._open(line)
            opening = self._delta({"role": "assistant", "content": None})
        said = line.get("message")
        said = said if isinstance(said, dict) else {}
        pieces = [{"reasoning_content": said["thinking"]}] if said.get("thinking") else []
        pieces += [{"content": said["content"]}] if said.get("content") else []
        pieces += [{"tool_calls": [piece]} for piece in self._pieces(said.get("tool_calls"))]
        events = opening + b"".join(map(self._delta, pieces))
        return events + self._end(line) if line.get("done") is True else events

    def _pieces(self, calls: object) -> list[Json]:
        """Ollama sends each call whole, with arguments as an object, and numbers them anew in each line."""
        found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        return [piece for call in found for piece in self._calls.delta([{**call, "index": self._calls.count}])]

    def _open(self, line: Json) -> None:
        stamp = str(line.get("created_at", ""))
        seed = hashlib.sha256(self._asked + stamp.encode("utf-8", "replace")).hexdigest()
        self._calls = Calls(seed.encode(), only_one=self._only_one)
        self._head = {
            "created": _seconds(stamp),
            "id": f"chatcmpl-{seed[:32]}",
            "model": self._model if isinstance(self._model, str) else line.get("model"),
            "object": "chat.completion.chunk",
        }

    def _delta(self, delta: Json, finish: object = None, **more: Any) -> bytes:
        choice = {"finish_reason": finish, "index": 0, "delta": delta}
        return _event({"choices": [choice], **self._head, **more})

    def _reason(self, line: Json) -> object:
        reason = line.get("done_reason")
        return finish_reason(reason if isinstance(reason, str) and reason else "stop", self._calls.count)

    def _end(self, line: Json) -> bytes:
        timings = {"timings": _timings(line)}
        if not self._wants_usage:
            return self._break(self._delta({}, self._reason(line), **timings) + DONE)
        figures = _event({"choices": [], **self._head, **_usage(line), **timings})
        return self._break(self._delta({}, self._reason(line)) + figures + DONE)


def _usage(line: Json) -> Json:
    prompt, made = count(line.get("prompt_eval_count")) or 0, count(line.get("eval_count")) or 0
    cached = count(line.get("prompt_eval_cached_count"))
    details = {} if cached is None else {"prompt_tokens_details": {"cached_tokens": cached}}
    usage = {"completion_tokens": made, "prompt_tokens": prompt, "total_tokens": prompt + made, **details}
    return {"usage": usage}


def _timings(line: Json) -> Json:
    """Which tokens were cached Ollama tells since 0.33 only. Where it does not, the time of the prompt says nothing of
    the speed, and is left out."""
    prompt, made = count(line.get("prompt_eval_count")) or 0, count(line.get("eval_count")) or 0
    cached = count(line.get("prompt_eval_cached_count"))
    read = max(prompt - (cached or 0), 0)
    prefill = {} if cached is None else {"cache_n": cached, **speed("prompt", read, line.get("prompt_eval_duration"))}
    return {**prefill, "prompt_n": read, "predicted_n": made, **speed("predicted", made, line.get("eval_duration"))}


def _seconds(stamp: str) -> int:
    """A time of Go's (nine digits of a second) as seconds since the epoch; 0 when it is none."""
    try:
        return int(datetime.fromisoformat(stamp[:19] + "+00:00").timestamp())
    except ValueError:
        return 0


def _decode(data: bytes) -> Json | None:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _event(value: Json) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
