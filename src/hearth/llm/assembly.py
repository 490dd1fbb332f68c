"""Put an answer together from the chunks of an OpenAI stream: pure, never raises for what a chunk holds."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import msgspec

from hearth.llm.answer import (
    CallDelta,
    Completed,
    Delta,
    Failed,
    Final,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    Truncated,
)
from hearth.llm.failures import failure_from_error
from hearth.messages import Message, ToolCall, Usage


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Timings(msgspec.Struct):
    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0


class _PromptProgress(msgspec.Struct):
    total: int = 0
    cache: int = 0
    processed: int = 0
    time_ms: float = 0.0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _PromptProgress | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(_Chunk)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Assembly:
    """One answer in the making. ``add`` chunks until it returns Failed or the stream is over, then ``finish``."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish_reason = ""
        self._usage: _Usage | None = None
        self._timings: _Timings | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def add(self, data: str) -> list[Delta] | Failed:
        """Take one chunk; the deltas that it brings, or Failed if it is an error or not a chunk at all."""
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            reason = f"the answer holds a chunk that is not of the OpenAI dialect: {error}: {data[:120]!r}"
            return Failed("engine", reason, "run: hearth logs", partial=self.text)
        if chunk.error is not msgspec.UNSET and bytes(chunk.error) != b"null":
            return failure_from_error(bytes(chunk.error), partial=self.text)
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        deltas: list[Delta] = []
        if progress := chunk.prompt_progress:
            seconds = progress.time_ms / 1000
            deltas.append(PrefillProgress(progress.processed, progress.total, progress.cache, seconds))
        for choice in (chunk.choices or [])[:1]:
            self._finish_reason = choice.finish_reason or self._finish_reason
            if choice.delta:
                deltas += self._take(choice.delta)
            if choice.text:
                deltas += self.take_raw(choice.text)
        return deltas

    def finish(self, first_s: float, total_s: float) -> Final:
        """The final event. ``first_s`` and ``total_s`` are seconds until the first and the last token as we saw them;
        they stand in where the server gives no timings."""
        if not self._finish_reason:
            return Failed("engine", "the answer broke off before its end", "run: hearth logs", partial=self.text)
        usage = self._count(first_s, total_s)
        if self.is_cut:
            return Truncated(self.message(cut=True), usage)
        return Completed(self.message(cut=False), usage, self.broken)

    @property
    def is_cut(self) -> bool:
        """Whether the answer was cut at the token limit."""
        return self._finish_reason == "length"

    @property
    def broken(self) -> str:
        """Why there is no certain reading of it; never here, where the server reads."""
        return ""

    def rest(self) -> list[Delta]:
        """The last deltas, now that the stream is over: what a dialect held back."""
        return []

    def take_raw(self, text: str) -> list[Delta]:
        """Take text that a raw prompt was completed with. A dialect that reads marks in it does so here."""
        self._text.append(text)
        return [TextDelta(text)]

    def message(self, *, cut: bool) -> Message:
        """The message; one that was ``cut`` has no calls."""
        calls = (
            ()
            if cut
            else tuple(
                ToolCall(call.id or f"call_{secrets.token_hex(8)}", call.name, call.arguments)
                for _, call in sorted(self._calls.items())
            )
        )
        return Message("assistant", self.text, tool_calls=calls, reasoning="".join(self._reasoning))

    def _take(self, delta: _Delta) -> list[Delta]:
        deltas: list[Delta] = []
        if reasoning := delta.reasoning_content or delta.reasoning:
            self._reasoning.append(reasoning)
            deltas.append(ReasoningDelta(reasoning))
        if delta.content:
            self._text.append(delta.content)
            deltas.append(TextDelta(delta.content))
        for part in delta.tool_calls or ():
            # Some servers send whole calls without an index: each is then a call of its own.
            call = self._calls.setdefault(len(self._calls) if part.index is None else part.index, _Call())
            call.id = call.id or part.id or ""
            if part.function:
                call.name += part.function.name or ""
                if arguments := part.function.arguments:
                    call.arguments += arguments
                    deltas.append(CallDelta(arguments))
        return deltas

    def _count(self, first_s: float, total_s: float) -> Usage:
        usage, timings = self._usage or _Usage(), self._timings
        details = usage.prompt_tokens_details
        reused = (details.cached_tokens or 0) if details else 0
        prefill_s, decode_s = first_s, max(0.0, total_s - first_s)
        prompt, generated = usage.prompt_tokens, usage.completion_tokens
        if timings:
            reused = timings.cache_n or reused
            prompt = prompt or timings.cache_n + timings.prompt_n
            generated = generated or timings.predicted_n
            prefill_s, decode_s = timings.prompt_ms / 1000, timings.predicted_ms / 1000
        reused = min(reused, prompt)
        return Usage(prompt, reused, prompt - reused, generated, round(prefill_s, 4), round(decode_s, 4))
