"""What a change must not do unasked: break the syntax, drop definitions, leave out text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from hearth.workspace.edits.lines import count_lines, find_difference, split_lines
from hearth.workspace.edits.outcome import Refused

LARGEST_PARSED = 250_000
"""Characters of the largest text that is parsed whole, some 7,000 lines (``make bench-edits``). Of a larger one it is
what lies between the unindented lines around the change."""
MOST_NAMED = 8
UNNAMED = frozenset({"variable", "key"})
"""Kinds of definitions that a new text may leave out without saying so: they come and go with its lines."""
LEAST_SHRUNK = 40
"""Lines from which on a text without definitions must not shrink to less than half unasked."""

_LEADER = r"^\s*(?:#|//|--|/\*+|\*|<!--|;+|%|\{/\*|\"\"\"|REM\b)\s*"
_LEFT_OUT = (
    r"(?:rest|remain(?:s|ing|der)?|existing|unchanged|omitted|same as (?:before|above)|as before|"
    r"(?:previous|other|more) (?:code|methods?|functions?|lines|content|imports?|tests?|imp)|keep (?:the )?existing)"
)
_LAZY = re.compile(
    rf"{_LEADER}(?:(?:\.\.\.|…).*\b{_LEFT_OUT}\b|.*\b{_LEFT_OUT}\b.*(?:\.\.\.|…)|"
    r"(?:the )?(?:rest|remainder) of (?:the |this )?(?:code|file|class|function|method|module|content|document)\b|"
    r"(?:existing|previous) (?:code|implementation|content)(?: (?:here|unchanged|remains.*|stays.*))?\s*(?:\*/|-->)?$)"
    rf"|^\s*[\[(<](?:(?:\.\.\.|…)\s*(?:the )?{_LEFT_OUT}\b|(?:the )?{_LEFT_OUT} +\w)[^\])>]*[\])>]\s*$",
    re.IGNORECASE,
)
_SUSPECT = re.compile("rest|remain|exist|unchanged|omitted|same as|as before|previous|other |more |keep", re.IGNORECASE)


class Problem(Protocol):
    """A syntax error: where and what."""

    @property
    def line(self) -> int:
        """The line, counted from 1."""
        ...

    @property
    def what(self) -> str:
        """What is wrong, in a few words."""
        ...


class Defined(Protocol):
    """A definition or a heading of a text, with its decorators and comments."""

    @property
    def name(self) -> str:
        """Its own name."""
        ...

    @property
    def qualified(self) -> str:
        """Its name with those around it, such as ``Reader.parse``."""
        ...

    @property
    def kind(self) -> str:
        """What it is."""
        ...

    @property
    def first_line(self) -> int:
        """Its first line, counted from 1."""
        ...

    @property
    def head_line(self) -> int:
        """The line on which the definition itself begins, below its comment and its decorators."""
        ...

    @property
    def last_line(self) -> int:
        """Its last line."""
        ...


class Syntax(Protocol):
    """What is known of languages: ``hearth.workspace.syntax`` is one. A text that it cannot read has no errors."""

    def language_of(self, path: str, /) -> str | None:
        """The language of a file, by its name."""
        ...

    def find_new_errors(self, path: str, before: str, after: str, /) -> Sequence[Problem]:
        """The syntax errors of the text after that the one before had not."""
        ...

    def list_definitions(self, path: str, text: str, /) -> Sequence[Defined]:
        """The definitions or headings of a text."""
        ...

    def enclosing(self, path: str, text: str, line: int, /) -> str:
        """What a line is in, in words."""
        ...


def find_broken(syntax: Syntax, path: str, before: str, after: str) -> Refused | None:
    """Whether the text has syntax errors that the one before had not: those that were there do not count."""
    if syntax.language_of(path) is None:
        return None
    shift = 0
    if len(after) > LARGEST_PARSED:
        before, after, shift = _around_change(before, after)
        if max(len(before), len(after)) > LARGEST_PARSED:
            return None
    new = syntax.find_new_errors(path, before, after)
    if not new:
        return None
    lines = split_lines(after)
    shown = []
    for problem in new[:3]:
        line = lines[problem.line - 1].strip()[:100] if problem.line <= len(lines) else ""
        shown.append(f"line {problem.line + shift}: {problem.what}: {line}")
    line_number = new[0].line + shift
    reason = f"it would break the syntax: {new[0].what} in line {line_number} of the new text"
    return Refused(reason, "syntax", "\n".join(shown), (line_number, line_number))


def _around_change(before: str, after: str) -> tuple[str, str, int]:
    """Both texts between the unindented lines around what differs, and how many lines lie above."""
    head, tail = find_difference(before, after)
    head = max(before.rfind("\n", 0, head - 1) + 1, 0) if head else 0
    while head > 0 and not _begins(before, head):
        head = before.rfind("\n", 0, head - 1) + 1
    end = len(before) - tail
    while end < len(before) and not _begins(before, end):
        newline = before.find("\n", end)
        end = len(before) if newline < 0 else newline + 1
    return before[head:end], after[head : len(after) - (len(before) - end)], before.count("\n", 0, head)


def _begins(text: str, place: int) -> bool:
    """Whether a line that starts at a place seems to begin something of its own at the left edge."""
    return text[place].isalpha() or text[place] in "@_"


def find_dropped(syntax: Syntax, path: str, before: str, after: str) -> tuple[str, ...]:
    """Qualified names of what the text before defines and the one after does not, the outermost only.

    What only moved (the same name in another class or none) is not dropped.
    """
    if max(len(before), len(after)) > LARGEST_PARSED or syntax.language_of(path) is None:
        return ()
    old, new = syntax.list_definitions(path, before), syntax.list_definitions(path, after)
    kept = {one.qualified for one in new}
    known = {one.qualified for one in old}
    moved = {one.name for one in new if one.qualified not in known}
    gone = [one for one in old if one.qualified not in kept and one.name not in moved and one.kind not in UNNAMED]
    outer = {one.qualified for one in gone}
    names = [one.qualified for one in gone if not any(one.qualified.startswith(f"{other}.") for other in outer)]
    return tuple(dict.fromkeys(names))


def find_lazy(new: str, before: str) -> str:
    """The first line of ``new`` that stands for text left out ("# ... rest unchanged"); empty if there is none.

    A line that the text before has is no such line.
    """
    if not _SUSPECT.search(new):
        return ""
    known: set[str] | None = None
    for line in split_lines(new):
        if _LAZY.search(line):
            known = known if known is not None else {other.strip() for other in split_lines(before)}
            if line.strip() not in known:
                return line.strip()
    return ""


def check_whole(syntax: Syntax | None, path: str, before: str, after: str, drops: str) -> Refused | None:
    """Whether a whole new text leaves out what nobody asked to leave out; ``drops`` names what it may."""
    if lazy := find_lazy(after, before):
        return Refused(
            f"the line {lazy!r} stands for text that you left out: write the whole text, or use edit", "lazy"
        )
    allowed = {name.strip().lstrip("# ") for name in drops.split(",")}
    gone = find_dropped(syntax, path, before, after) if syntax else ()
    left = [name for name in gone if name.lstrip("# ") not in allowed and name.split(".")[-1] not in allowed]
    if left:
        names = ", ".join(left[:MOST_NAMED]) + (f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else "")
        advice = f"keep them, use edit for a part of the file, or add drops: {', '.join(left)!r} if they are to go"
        return Refused(f"the new text leaves out {names}", "drops", advice)
    lines, fewer = count_lines(before), count_lines(after)
    if not gone and not drops and lines >= LEAST_SHRUNK and fewer * 2 < lines:
        advice = "use edit for a part of the file, or add drops: 'text' if the rest is to go"
        return Refused(f"the new text has {fewer} lines, the file has {lines}", "drops", advice)
    return None
