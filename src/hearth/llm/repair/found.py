"""What the readers of markup find: calls as they stand in the text, not yet held against any tool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hearth.llm.repair.prose import Fence

Flaw = Literal["", "open", "broken"]
"""What is wrong with a call's text: nothing; it ends before its end; it is damaged in the middle."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A value that stands between tags: only the schema says what it is. ``json`` says that the tag promised JSON."""

    text: str
    json: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One call in a text, from ``start`` to ``end`` (the end markers included).

    ``arguments`` is what was read, of any JSON type, Raw within; what a call with a ``flaw`` gives is not to be used.
    """

    name: str
    arguments: Any
    start: int
    end: int
    flaw: Flaw = ""


@dataclass(frozen=True, slots=True)
class Body:
    """What stands behind a marker: its calls, and where they end."""

    calls: tuple[Found, ...]
    end: int = field(default=0)


@dataclass(frozen=True, slots=True)
class Mention:
    """A marker without a call behind it."""

    start: int
    end: int
    opens: bool


@dataclass(slots=True)
class Walk:
    """What a text holds: calls, markers without calls, fences, reasoning (in pieces, from where to where)."""

    text: str
    calls: list[Found] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    thoughts: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    crowded: bool = False

    @property
    def said(self) -> str:
        """The text without reasoning and without the markup of calls."""
        return self._without([*self.thoughts, *self.dropped, *((call.start, call.end) for call in self.calls)])

    @property
    def spoken(self) -> str:
        """The text without reasoning, markup included."""
        return self._without([*self.thoughts, *self.dropped])

    @property
    def thought(self) -> str:
        """The reasoning."""
        return "\n".join(piece for begin, end in self.thoughts if (piece := self.text[begin:end].strip()))

    def _without(self, spans: list[tuple[int, int]]) -> str:
        kept: list[str] = []
        at = 0
        for begin, end in sorted(spans):
            if begin >= at:
                kept.append(self.text[at:begin])
            at = max(at, end)
        kept.append(self.text[at:])
        return "".join(kept)
