"""How many tokens a conversation has: exactly as far as the engine has told, estimated for what came after: pure.

There is no tokenizer here: each model has its own. What a session's own usage says of the text that it had sent is the
measure for the text that it will send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hearth.messages import Message, ToolSpec, Usage

START = 2.8
"""Weight of one token before anything was measured, taken low: with the vocabularies of common models it is 3 to 5."""
SAFETY = 0.9
"""What a measured ratio is trusted for: the next text may be denser than the last."""
MESSAGE = 16
"""Weight of what a chat template puts around a message or a call."""
IMAGE = 4_000
"""Weight of an image: about 1,400 tokens, which is what common vision models make of a screenshot."""
LEAST_MEASURED = 300
"""Tokens of appended text that must have been measured before it counts more than the first request does."""
LEAST_COMPUTED = 64
"""New prompt tokens of a step whose speed is worth counting."""
GONE_BACK = 0.8
"""Part of what a rewrite left that an engine must have reused for it to be one that goes back anywhere."""
MOST_DENSE = 2
"""How many times as many tokens a message may have as its weight lets expect,"""
MOST_LOST = 256
"""and how many more: of what a model writes some never comes, such as marks and short thoughts."""
_SMALL = re.compile(r"[0-9]")
_MARKS = re.compile(r"[^\w\s]", re.ASCII)
_DENSE = re.compile(r"[A-Za-z0-9+/=_-]{32,}")


@lru_cache(maxsize=2048)
def weigh(text: str) -> int:
    """What a text weighs: its characters, where those count more that tokenizers cut small: digits (with many models
    a token each), marks, letters beyond ASCII (by their UTF-8 bytes), long runs without a break (hashes, base64)."""
    weight = len(text) if text.isascii() else len(text.encode("utf-8", errors="replace"))
    small = len(_SMALL.findall(text)) * 9 // 5 + len(_MARKS.findall(text)) // 2
    return weight + small + sum(map(len, _DENSE.findall(text)))


def weigh_message(message: Message, reasoning: bool = True) -> int:
    """What a message weighs in a prompt; ``reasoning`` says whether its reasoning counts."""
    calls = sum(MESSAGE + weigh(call.name) + weigh(call.arguments) for call in message.tool_calls)
    thought = weigh(message.reasoning) if reasoning else 0
    return MESSAGE + weigh(message.content) + calls + thought + IMAGE * len(message.images)


def weigh_all(messages: Iterable[Message], reasoning: bool = True) -> int:
    """What messages weigh together."""
    return sum(weigh_message(message, reasoning) for message in messages)


def weigh_tools(tools: Iterable[ToolSpec]) -> int:
    """What the tools weigh; many templates show them as JSON."""
    return sum(MESSAGE + weigh(json.dumps(tool.to_wire())) for tool in tools)


@dataclass(frozen=True, slots=True)
class _Mark:
    """The engine counted ``prompt`` tokens in the first ``count`` messages, the last of which is ``anchor``; the answer
    that follows them has ``generated``."""

    count: int
    prompt: int
    generated: int
    anchor: Message


class Meter:
    """Counts one session. ``base`` is the weight of what stands before the messages: system text and tools."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._marks: list[_Mark] = []
        self._first = 0.0
        self._appended_weight = self._appended_tokens = 0.0
        self._new = 0
        self._prefill_s = 0.0
        self._promised = 0
        self._reached: int | None = None

    @property
    def ratio(self) -> float:
        """Weight of one token, on the safe side."""
        if self._appended_tokens >= LEAST_MEASURED:
            return self._appended_weight / self._appended_tokens * SAFETY
        return self._first * SAFETY if self._first else START

    @property
    def speed(self) -> float:
        """Prompt tokens that the engine computes in a second, 0 while unknown."""
        return self._new / self._prefill_s if self._prefill_s > 0 else 0.0

    @property
    def base(self) -> int:
        """About the tokens before the messages."""
        return self.tokens(self._base)

    def tokens(self, weight: int) -> int:
        """About the tokens of text of this weight, rather more than less."""
        return int(weight / self.ratio) + 1

    def weight(self, tokens: int) -> int:
        """The weight that about fits into so many tokens."""
        return max(int(tokens * self.ratio), 0)

    def count(self, messages: Sequence[Message]) -> int:
        """The tokens of a request with these messages."""
        for mark in reversed(self._marks):
            if _holds(mark, messages):
                after = messages[mark.count :]
                if mark.generated and after and after[0].role == "assistant":
                    # Of an answer that was cut, or from which a loop was taken, only a part was kept.
                    kept = min(mark.generated, MOST_DENSE * self.tokens(weigh_message(after[0])) + MOST_LOST)
                    return mark.prompt + kept + (self.tokens(weigh_all(after[1:])) if after[1:] else 0)
                return mark.prompt + (self.tokens(weigh_all(after)) if after else 0)
        return self.tokens(self._base + weigh_all(messages))

    def is_exact(self, messages: Sequence[Message]) -> bool:
        """Whether the engine itself counted all of these messages."""
        last = self._marks[-1] if self._marks else None
        if last is None or not _holds(last, messages):
            return False
        after = messages[last.count :]
        return not after or (len(after) == 1 and after[0].role == "assistant" and last.generated > 0)

    def saw(self, messages: Sequence[Message], usage: Usage) -> None:
        """Learn from what the engine counted for a request with these messages."""
        if usage.new >= LEAST_COMPUTED and usage.prefill_s > 0:
            self._new, self._prefill_s = self._new + usage.new, self._prefill_s + usage.prefill_s
        if self._promised:
            self._reached = usage.reused if usage.reused < GONE_BACK * self._promised else None
            self._promised = 0
        if not usage.prompt or not messages:
            return
        self._learn(messages, usage.prompt)
        self._marks.append(_Mark(len(messages), usage.prompt, usage.generated, messages[-1]))

    def told(self, messages: Sequence[Message], tokens: int, *, exact: bool = True) -> None:
        """Take the number of tokens that a refusal named for these messages; one that is not ``exact`` is the least
        that they can have, and says nothing of how dense they are."""
        if tokens and messages:
            if exact:
                self._learn(messages, tokens)
            self._marks.append(_Mark(len(messages), tokens, 0, messages[-1]))

    def forget(self, kept: int = 0) -> None:
        """What follows the first ``kept`` messages was rewritten."""
        self._marks = [mark for mark in self._marks if mark.count <= kept]

    def rewrote(self, kept: Sequence[Message]) -> int:
        """What follows these messages was rewritten; the tokens of them that the engine will not read again. One with
        a sliding window or a recurrent state goes back no further than to where it has a state: how far that was after
        the last rewrite is the measure for the next."""
        self._promised = self.count(kept)
        self.forget(len(kept))
        return self._promised if self._reached is None else min(self._promised, self._reached)

    def looks_cut(self, messages: Sequence[Message], prompt: int) -> bool:
        """Whether the server counted so little that it must have dropped the start of the conversation in silence."""
        last = self._marks[-1] if self._marks else None
        if not prompt or last is None or not _holds(last, messages) or prompt >= last.prompt * 0.8:
            return False
        return (self._base + weigh_all(messages, reasoning=False)) / max(self._first, START) > 2 * prompt

    def _learn(self, messages: Sequence[Message], prompt: int) -> None:
        if not self._first:
            self._first = _sane((self._base + weigh_all(messages, reasoning=False)) / prompt)
        last = self._marks[-1] if self._marks else None
        if last is None or not _holds(last, messages):
            return
        weight, tokens = weigh_all(messages[last.count + 1 :]), prompt - last.prompt - last.generated
        # A template that drops old reasoning makes the increment too small: such a step says nothing.
        if tokens >= 32 and 0.8 <= weight / tokens <= 2 * self._first:
            self._appended_weight = self._appended_weight * 0.8 + weight
            self._appended_tokens = self._appended_tokens * 0.8 + tokens


def replay(meter: Meter, records: Iterable[dict[str, Any]]) -> None:
    """Learn from a transcript's records what its session had learned."""
    messages: list[Message] = []
    for record in records:
        match record["type"]:
            case "message" | "result":
                messages.append(Message.from_wire(record["message"]))
            case "rewrite":
                written = [Message.from_wire(message) for message in record["messages"]]
                meter.rewrote(messages[: count_shared(messages, written)])
                messages = written
            case "usage":
                meter.saw(messages, Usage(**{name: record[name] for name in Usage.__slots__ if name in record}))


def count_shared(old: Sequence[Message], new: Sequence[Message]) -> int:
    """How many messages both begin with."""
    shorter = min(len(old), len(new))
    return next((place for place in range(shorter) if old[place] != new[place]), shorter)


def _holds(mark: _Mark, messages: Sequence[Message]) -> bool:
    return mark.count <= len(messages) and messages[mark.count - 1] == mark.anchor


def _sane(ratio: float) -> float:
    return min(max(ratio, 1.0), 8.0)
