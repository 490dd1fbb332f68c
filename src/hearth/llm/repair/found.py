"""What the readers of markup find: calls as they stand in the text, not yet held against any tool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

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
