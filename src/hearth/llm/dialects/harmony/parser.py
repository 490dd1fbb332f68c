"""Read an answer of gpt-oss while it comes, in pieces of any size. Pure.

What is malformed is mended where there is one reading, and else told as broken: the caller gets the whole text as it
came, no call of it, and asks again. Nothing that broke off is ever a call.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from hearth.llm.answer import CallDelta, ReasoningDelta, TextDelta
from hearth.llm.dialects.harmony.header import Broken, Said, is_opening, read_header
from hearth.llm.dialects.harmony.markers import (
    CALL,
    CHANNEL,
    CONSTRAIN,
    END,
    END_OF_TEXT,
    MARKS,
    MESSAGE,
    RETURN,
    START,
    Mark,
    Splitter,
)
from hearth.llm.dialects.harmony.naming import Naming
from hearth.llm.dialects.harmony.quoting import is_quoting
from hearth.messages import Message, ToolCall

BETWEEN = "\n\n"
"""What is put between two messages of one kind, to be one text."""
MOST_QUOTED = 64
"""Marks in one quotation."""
_LAST = (CALL, RETURN, END_OF_TEXT)
"""Marks after which the model has stopped; what an engine that does not may still send is nothing."""
_RUN_IN = re.compile(r"<\|channel\|>(analysis|commentary|final)\b(?![^\s]*=)(?!.*\bto=)\s*(.*)\Z", re.DOTALL)
"""A header without recipient that runs into its text, for want of ``<|message|>``."""

Piece = TextDelta | ReasoningDelta | CallDelta


@dataclass(slots=True)
class _Part:
    """One message of the answer. ``end`` is the mark that ended it, empty when another began or the stream ended;
    ``quoted`` counts the marks that the open quotation in it holds."""

    said: Said
    text: list[str] = field(default_factory=list)
    end: str = ""
    quoted: int = 0

    @property
    def content(self) -> str:
        return "".join(self.text)

    @property
    def is_call(self) -> bool:
        return bool(self.said.recipient)

    @property
    def is_reasoning(self) -> bool:
        return self.said.channel == "analysis" and not self.is_call


class Parser:
    """One answer. ``feed`` it what follows ``<|start|>assistant``, then ``finish`` it."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._splitter = Splitter()
        self._raw: list[str] = []
        self._header: list[str] = []
        self._part: _Part | None = None
        self._parts: list[_Part] = []
        self._over = False
        self._broken = ""

    @property
    def broken(self) -> str:
        """Why there is no certain reading; empty when there is one."""
        return self._broken

    @property
    def text(self) -> str:
        """What was said to the person so far."""
        return self._joined(reasoning=False)

    def feed(self, text: str) -> list[Piece]:
        """What more of the answer and of the reasoning there is, now that this has come."""
        self._raw.append(text)
        return self._take(self._splitter.feed(text))

    def finish(self, *, cut: bool = False) -> tuple[Message, list[Piece]]:
        """The message, and the last pieces. A ``cut`` answer, and what is ``broken``, have no calls; what is broken is
        the whole text as it came, marks and all."""
        pieces = self._take(self._splitter.close())
        if not self._over and not self._broken and not cut:
            try:
                pieces += self._end_of_stream()
                for part in self._parts:
                    _check(part)
            except Broken as error:
                self._broken = str(error)
        if self._broken and not cut:
            return Message("assistant", "".join(self._raw)), pieces
        calls = () if cut else tuple(self._call(part) for part in self._parts if part.is_call)
        return Message("assistant", self.text, calls, reasoning=self._joined(reasoning=True)), pieces

    def _take(self, tokens: Sequence[str]) -> list[Piece]:
        pieces: list[Piece] = []
        for token in tokens:
            if self._over or self._broken:
                break
            try:
                pieces += self._mark(token) if isinstance(token, Mark) else self._words(token)
            except Broken as error:
                self._broken = str(error)
        return pieces

    def _words(self, text: str) -> list[Piece]:
        if self._part is None:
            self._header.append(text)
            return []
        return self._add(self._part, text)

    def _add(self, part: _Part, text: str) -> list[Piece]:
        """Text of a message, told at once."""
        first = not part.text
        part.text.append(text)
        if part.is_call:
            return [CallDelta(text)]
        before = first and any(
            each.content and not each.is_call and each.is_reasoning == part.is_reasoning for each in self._parts
        )
        shown = BETWEEN + text if before else text
        return [ReasoningDelta(shown) if part.is_reasoning else TextDelta(shown)]

    def _mark(self, mark: str) -> list[Piece]:
        if self._part is None:
            return self._mark_in_header(mark)
        part = self._part
        if self._is_quoted(part, mark):
            return self._add(part, mark)
        if mark == MESSAGE:
            if part.content.strip():
                raise Broken("a message within a message")
        elif mark == CONSTRAIN:
            raise Broken("a type within a message")
        elif mark in (START, CHANNEL):
            self._close(part, "")
            self._header = [mark]
        else:
            self._close(part, mark)
        return []

    def _is_quoted(self, part: _Part, mark: str) -> bool:
        """Whether a mark is only spoken of: one that would begin a message, and what belongs to it up to the end of the
        quotation. Raises Broken for more of them than anybody quotes."""
        if part.is_call or not (part.quoted or mark in (START, CHANNEL)):
            return False
        part.quoted = part.quoted + 1 if is_quoting(part.content) else 0
        if part.quoted > MOST_QUOTED:
            raise Broken("a quotation without end")
        return part.quoted > 0

    def _mark_in_header(self, mark: str) -> list[Piece]:
        if mark == MESSAGE:
            said = read_header(self._header, self._naming)
            if said.foreign:
                self._turn_away()
            else:
                self._part = _Part(said)
            return []
        if mark in (START, CHANNEL, CONSTRAIN):
            self._header.append(mark)
            return []
        if not self._is_blank():
            return self._run_in(mark)
        self._over = mark in _LAST
        return []

    def _turn_away(self) -> None:
        """The model goes on as somebody else: its own part ends here, if it had one."""
        if not any(part.content.strip() and not part.is_reasoning for part in self._parts):
            raise Broken("another's message instead of an answer")
        for part in self._parts:
            _check(part)
        self._over = True

    def _run_in(self, mark: str) -> list[Piece]:
        """A message without ``<|message|>``, ended by this mark: a call whose arguments are whole, or plain text."""
        text = "".join(self._header)
        head, brace, body = text.partition("{")
        if brace and _is_object(brace + body):
            said = read_header(_tokens(head), self._naming)
            if said.recipient and not said.foreign:
                self._close(_Part(said, [brace + body]), mark)
                return []
        found = _RUN_IN.search(text)
        head = text[: found.start()] if found else ""
        if found is None or not found[2] or not is_opening(head):
            raise Broken("a header without its message")
        if any(each in found[2] for each in MARKS) or mark == CALL:
            raise Broken("a header without its message")
        part = _Part(Said(found[1]))
        pieces = self._add(part, found[2])
        self._close(part, mark)
        return pieces

    def _end_of_stream(self) -> list[Piece]:
        """The engine may keep its last mark to itself: what is whole without it counts."""
        if self._part is not None:
            if self._part.quoted and is_quoting(self._part.content):
                raise Broken("a call in a quotation that does not end")
            self._close(self._part, "")
            return []
        if self._is_blank():
            return []
        text = "".join(self._header)
        if not self._parts and not any(mark in text for mark in MARKS):
            part = _Part(Said("final"))
            pieces = self._add(part, text)
            self._close(part, "")
            return pieces
        return self._run_in("")

    def _close(self, part: _Part, mark: str) -> None:
        part.end = mark
        self._part, self._header = None, []
        self._parts.append(part)
        if mark in _LAST:
            for each in self._parts:
                _check(each)
            self._over = True

    def _is_blank(self) -> bool:
        """Whether the header so far says nothing: marks twice, or the beginning that was in the prompt."""
        return is_opening("".join(self._header))

    def _joined(self, *, reasoning: bool) -> str:
        parts = [*self._parts, self._part] if self._part is not None else self._parts
        texts = [part.content for part in parts if not part.is_call and part.is_reasoning == reasoning]
        return BETWEEN.join(text for text in texts if text)

    def _call(self, part: _Part) -> ToolCall:
        name = self._naming.to_ours(part.said.recipient)
        as_written = part.said.header if self._naming.to_model(name) == part.said.recipient else None
        note = as_written.note() if as_written else ""
        return ToolCall(f"call_{secrets.token_hex(8)}{note}", name, part.content)


def _check(part: _Part) -> None:
    """Raise Broken for a call that is not certainly whole, and for what ended as a call and is none."""
    if part.is_call and part.end not in (CALL, END) and not _is_object(part.content):
        raise Broken("a call that breaks off")
    if part.end == CALL and not part.is_call:
        raise Broken("a call to nobody")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _tokens(text: str) -> list[str]:
    splitter = Splitter()
    return [*splitter.feed(text), *splitter.close()]
