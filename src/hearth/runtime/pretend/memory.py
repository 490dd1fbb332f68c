"""What a pretending engine remembers of prompts, so that its cache figures are plausible. Pure.

A token is four characters of the conversation's canonical text: tools first, then one line for each message, keys
sorted, empty fields left out. A message that is sent back as it was answered is thus found again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOKEN_CHARACTERS = 4
LEAST_SIMILARITY = 0.1
"""Below this share of the prompt a common beginning does not count: llama-server's ``slot_prompt_similarity``."""


@dataclass(slots=True)
class Slot:
    """One sequence: the text that it holds, and whether it is answering. ``used_at`` orders slots by last use. Of the
    prompt ``prompt`` tokens are all, ``cached`` were there, ``read`` were read; ``made`` those of the answer."""

    number: int
    text: str = ""
    processing: bool = False
    used_at: int = 0
    task: int = -1
    prompt: int = 0
    cached: int = 0
    read: int = 0
    made: int = 0


@dataclass(frozen=True, slots=True)
class Seating:
    """Which slot takes a prompt, and what of it is there already. Tokens."""

    slot: Slot
    total: int
    cached: int


@dataclass(slots=True)
class Memory:
    """The slots of one engine."""

    slots: list[Slot] = field(default_factory=list)
    clock: int = 0

    def seat(self, text: str) -> Seating:
        """Take the idle slot with the longest common beginning, or without a like one that unused for longest.

        At least one slot must be idle. The slot holds ``text`` and is processing afterwards.
        """
        idle = [slot for slot in self.slots if not slot.processing]
        best = max(idle, key=lambda slot: _common(slot.text, text))
        if _common(best.text, text) <= LEAST_SIMILARITY * len(text):
            best = min(idle, key=lambda slot: slot.used_at)
        total = count_tokens(text)
        # An engine computes at least the last token anew, to have something to sample from.
        cached = min(_common(best.text, text) // TOKEN_CHARACTERS, total - 1)
        self.clock += 1
        best.text, best.processing, best.used_at, best.task = text, True, self.clock, self.clock
        best.prompt, best.cached, best.read, best.made = total, cached, 0, 0
        return Seating(best, total, cached)


def count_tokens(text: str) -> int:
    """Tokens of a text, at least 1."""
    return max(-(-len(text) // TOKEN_CHARACTERS), 1)


def pieces(text: str) -> list[str]:
    """The text token by token."""
    return [text[at : at + TOKEN_CHARACTERS] for at in range(0, len(text), TOKEN_CHARACTERS)]


def prompt_text(tools: Any, messages: Sequence[Any]) -> str:
    """A request as one text, such that a conversation that grew begins with what it was."""
    return _canonical(tools or []) + "\n" + "".join(message_text(message) for message in messages)


def message_text(message: Any) -> str:
    """One message as one line. Fields that are null or empty are left out: clients differ in sending them."""
    if isinstance(message, Mapping):
        message = {key: value for key, value in message.items() if value not in (None, "", [])}
    return _canonical(message) + "\n"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _common(one: str, other: str) -> int:
    """Length of the common beginning. By halves, because comparing slices is far quicker than a loop."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
