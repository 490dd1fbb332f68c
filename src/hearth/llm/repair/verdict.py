"""What is made of an answer: one closed union."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.messages import ToolCall

Kind = Literal["truncated", "unknown_tool", "missing_argument", "wrong_type"]
"""Why a call that was understood must not run."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer as a server gave it. ``cut`` says that it ended at the token limit; ``calls`` are the server's own."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that are certain, with canonical names and arguments, in order; ``text`` is what was said beside them."""

    calls: tuple[ToolCall, ...]
    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Words. ``text`` is the answer without reasoning that the server had left in it."""

    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Calls that were understood and must not run: each carries its refusal, for the model to read. None of them may
    run, for what one call does may rest on another."""

    kind: Kind
    calls: tuple[ToolCall, ...]
    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Resample:
    """Nothing that can be told for certain. ``tool`` is the offered tool that was meant, where that much is known;
    ``text`` is what was said beside the markup; ``empty`` says that nothing was said and no call was begun."""

    reason: str
    tool: str = ""
    text: str = ""
    reasoning: str = ""
    empty: bool = False


Verdict = Calls | Answer | Rejected | Resample
