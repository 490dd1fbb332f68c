"""The first message of a conversation that was shortened: the task word for word, then what stands for the rest: pure.

It begins with the bytes of the first message as it was, so that the engine's state up to there still holds. What was
put there is found again by its marks when the conversation is shortened once more; a mark that somebody else wrote is
moved from the start of its line, so that it is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Section = tuple[str, str]
"""A mark's word and the text under it."""

WORDS = ("message", "decisions", "files", "file", "summary", "calls", "last", "todo", "note")
_START = "[hearth shortened]"
_INTRODUCTION = "What follows stands for {count} earlier messages, which are no longer shown."
_BEGINNING = re.compile(
    rf"\n\n{re.escape(_START)}\n{re.escape(_INTRODUCTION).replace(re.escape('{count}'), '([0-9]+)')}(?=\n|\Z)"
)
_MARK = re.compile(rf"^\[hearth ({'|'.join(WORDS)})\]$", re.MULTILINE)
_ANY_MARK = re.compile(r"^(?=\[hearth [a-z]+\]$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Head:
    """``task`` is the first message as it was; ``count`` says how many messages the sections stand for."""

    task: str
    sections: tuple[Section, ...] = ()
    count: int = 0

    def texts(self, word: str) -> list[str]:
        """The texts under one mark, in order."""
        return [text for found, text in self.sections if found == word]

    def write(self) -> str:
        """The whole text."""
        if not self.sections:
            return self.task
        parts = [f"[hearth {word}]\n{disarm(text)}" for word, text in self.sections]
        return "\n".join([f"{self.task}\n\n{_START}\n{_INTRODUCTION.format(count=self.count)}", *parts])


def read_head(text: str) -> Head:
    """The parts of a first message; one that was never shortened is all task."""
    starts = list(_BEGINNING.finditer(text))
    if not starts:
        return Head(text)
    # Everything that we put after ours is disarmed: the last one is ours.
    start = starts[-1]
    pieces = _MARK.split(text[start.end() :])
    sections = tuple((word, body.strip("\n")) for word, body in zip(pieces[1::2], pieces[2::2], strict=True))
    return Head(text[: start.start()], sections, int(start[1]))


def disarm(text: str) -> str:
    """The text with every line that looks like a mark of ours moved by a space."""
    return _ANY_MARK.sub(" ", text)
