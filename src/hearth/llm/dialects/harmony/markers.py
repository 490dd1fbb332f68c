"""The marks of the format: found in a stream, and kept out of what is only text. Pure.

In a raw prompt the engine reads every mark as its special token, also one that stands in a file. So a mark in a text
gets a word joiner (U+2060, which nobody sees) after its first character, and one that has some already gets one more;
what the model writes loses one again. So a text comes back as it was, byte for byte, and never ends a message.
"""

from __future__ import annotations

import re

START, END, MESSAGE, CHANNEL = "<|start|>", "<|end|>", "<|message|>", "<|channel|>"
CONSTRAIN, CALL, RETURN, END_OF_TEXT = "<|constrain|>", "<|call|>", "<|return|>", "<|endoftext|>"
MARKS = (START, END, MESSAGE, CHANNEL, CONSTRAIN, CALL, RETURN, END_OF_TEXT)

JOINER = "\u2060"
_NAMES = "start|end|message|channel|constrain|call|return|endoftext|startoftext|endofprompt|reserved_[0-9]+"
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_IN_TEXT = re.compile(rf"<({JOINER}*)\|({_NAMES})\|>")
_ESCAPED = re.compile(rf"<{JOINER}({JOINER}*)\|({_NAMES})\|>")
_BEGINNING = re.compile(rf"<{JOINER}*(?:\|(?:[a-z0-9_]{{0,24}}\|?)?)?\Z")
"""What may yet become a mark, or the writing of one."""


def escape(text: str) -> str:
    """The text with no mark in it."""
    return _IN_TEXT.sub(rf"<{JOINER}\1|\2|>", text) if "|>" in text else text


def unescape(text: str) -> str:
    """The text as it was before ``escape``."""
    return _ESCAPED.sub(r"<\1|\2|>", text) if JOINER in text else text


class Mark(str):
    """A mark that is one, and no text that reads like one."""

    __slots__ = ()


class Splitter:
    """Cuts a stream into marks and text. Joined, the texts are the same however the stream was cut."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[str]:
        """Marks, each by itself, and unescaped texts between them. The end is held back while it may become a mark."""
        text = self._held + text
        beginning = _BEGINNING.search(text)
        cut = beginning.start() if beginning else len(text)
        self._held = text[cut:]
        return _split(text[:cut])

    def close(self) -> list[str]:
        """What was held back: it became no mark."""
        rest, self._held = self._held, ""
        return _split(rest)


def _split(text: str) -> list[str]:
    pieces: list[str] = []
    place = 0
    for found in _MARK.finditer(text):
        pieces += [unescape(text[place : found.start()]), Mark(found[0])]
        place = found.end()
    return [piece for piece in (*pieces, unescape(text[place:])) if piece]
