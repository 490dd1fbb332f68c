"""What a change must not do unasked: break the syntax, drop definitions, leave out text."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Protocol

from hearth.workspace.edits.lines import count_lines, find_difference, split_lines
from hearth.workspace.edits.outcome import Refused

LARGEST_PARSED = 250_000
"""Characters of the largest text that is parsed whole, some 7,000 lines (``make bench-edits``). Of a larger one it is
what lies between the unindented lines around the change."""
MOST_NAMED = 8
MOST_DROPPED = 20
"""Definitions that ``drops`` can be asked to name."""
UNNAMED = frozenset({"variable", "key"})
"""Kinds of definitions that a new text may leave out without saying so: they come and go with its lines."""
LEAST_KEPT = 0.6
"""Share of its lines that a definition with another name must have kept to be the same."""
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
_DOTS = re.compile(r"^\s*(?:#|//|--|/\*+|<!--|;+|%)\s*(?:\.\.\.|…)\s*(?:\*/|-->)?\s*$", re.MULTILINE)
"""A comment of dots and nothing else; 66 of 21,239 files of Python and its libraries have one."""
_BARE = re.compile(r"^[ \t]*(?:\.\.\.|…)[ \t]*$", re.MULTILINE)
_WITHOUT_BARE = "c cpp csharp go java javascript kotlin lua php ruby rust scala swift tsx typescript zig"
_NO_BARE = frozenset(_WITHOUT_BARE.split())
"""Languages in which a line of dots alone means nothing."""
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
    """What is known of languages, as a ``SyntaxReader`` tells it. A text that it cannot read has no errors."""

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
    return Refused(reason, "syntax", "\n".join([*shown, "next: the same with that mended"]), (line_number, line_number))


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

    What only moved (the same name in another class or none) is not dropped, nor what only has another name.
    """
    if max(len(before), len(after)) > LARGEST_PARSED or syntax.language_of(path) is None:
        return ()
    old, new = syntax.list_definitions(path, before), syntax.list_definitions(path, after)
    kept = {one.qualified for one in new}
    known = {one.qualified for one in old}
    moved = {one.name for one in new if one.qualified not in known}
    gone = [one for one in old if one.qualified not in kept and one.name not in moved and one.kind not in UNNAMED]
    gone = [
        one for one in gone if not _is_renamed(one, before, [two for two in new if two.qualified not in known], after)
    ]
    outer = {one.qualified for one in gone}
    names = [one.qualified for one in gone if not any(one.qualified.startswith(f"{other}.") for other in outer)]
    return tuple(dict.fromkeys(names))


def _is_renamed(one: Defined, before: str, added: Sequence[Defined], after: str) -> bool:
    """Whether a definition of the text after is this one under another name: most of its lines are there."""
    lines = _lines_of(before, one)
    if len(lines) < 2:  # one line alone is like many
        return False
    for other in added:
        if other.kind == one.kind:
            word = re.compile(rf"(?<!\w){re.escape(other.name)}(?!\w)")
            there = {word.sub(lambda _: one.name, line) for line in _lines_of(after, other)}
            if len(lines & there) >= LEAST_KEPT * len(lines):
                return True
    return False


def _lines_of(text: str, one: Defined) -> set[str]:
    lines = split_lines(text)[one.head_line - 1 : one.last_line]
    return {line.strip() for line in lines} - {""}


def find_lazy(new: str, before: str, language: str = "") -> str:
    """The first line of ``new`` that stands for text left out ("# ... rest unchanged"); empty if there is none.

    A line that the text before has is no such line, nor is one within a fence of Markdown, which shows it.
    """
    if not (_SUSPECT.search(new) or "..." in new or "…" in new):
        return ""
    known: set[str] | None = None
    fenced = False
    for line in split_lines(new):
        if language == "markdown" and line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        bare = language in _NO_BARE and _BARE.search(line)
        if not fenced and (_LAZY.search(line) or _DOTS.search(line) or bare):
            known = known if known is not None else {other.strip() for other in split_lines(before)}
            if line.strip() not in known:
                return line.strip()
    return ""


def find_placeholder(before: str, after: str) -> str:
    """``...`` where it stands for statements of Python that were left out: beside others, as no program has it."""
    if len(_BARE.findall(after)) <= len(_BARE.findall(before)) or len(after) > LARGEST_PARSED:
        return ""
    return "..." if _count_placeholders(after) > _count_placeholders(before) else ""


def _count_placeholders(text: str) -> int:
    """How many ``...`` stand in a body that has other statements; a stub has none beside it but its doc string. In
    15,087 files of Python and its libraries there is not one."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
    count = 0
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if not isinstance(body, list):
                continue
            dots = [one for one in body if _constant(one) is ...]
            others = [one for one in body if not isinstance(_constant(one), str) and _constant(one) is not ...]
            count += len(dots) if any(not isinstance(one, ast.AnnAssign) for one in others) else 0
    return count


def _constant(node: ast.stmt) -> object:
    """The value of a statement that is nothing but a constant."""
    return node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else None


def check_left_out(syntax: Syntax | None, path: str, changed: str, before: str, after: str) -> Refused | None:
    """Whether a line of what was ``changed`` stands for text that was left out."""
    language = (syntax.language_of(path) if syntax else None) or ""
    lazy = find_lazy(changed, before, language)
    if not lazy and language == "python":
        lazy = find_placeholder(before, after)
    if not lazy:
        return None
    detail = "if the file is to have this very line, write it with bash" if not lazy.strip(".… #/*-<>;%") else ""
    return Refused(f"the line {lazy!r} stands for text that you left out: write all lines", "lazy", detail)


def _allows(drops: str, name: str) -> bool:
    """Whether a name is one of those that may go; it may have commas in it itself."""
    return bool(re.search(rf"(?:^|,)[\s'\"`#]*{re.escape(name.lstrip('# '))}[\s'\"`]*(?:,|$)", drops))


def check_whole(syntax: Syntax | None, path: str, before: str, after: str, drops: str) -> Refused | None:
    """Whether a whole new text leaves out what nobody asked to leave out; ``drops`` names what it may."""
    if refused := check_left_out(syntax, path, after, before, after):
        return refused
    gone = find_dropped(syntax, path, before, after) if syntax else ()
    left = [name for name in gone if not _allows(drops, name) and not _allows(drops, name.split(".")[-1])]
    if left:
        names = ", ".join(left[:MOST_NAMED]) + (f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else "")
        advice = f"keep them, use edit for a part of the file, or add drops: {', '.join(left)!r} if they are to go"
        if len(left) > MOST_DROPPED:
            advice = "keep them, or use edit for a part of the file; if all are to go remove the file with bash first"
        return Refused(f"the new text leaves out {names}", "drops", advice)
    lines, fewer = count_lines(before), count_lines(after)
    if not gone and not drops and lines >= LEAST_SHRUNK and fewer * 2 < lines:
        advice = "use edit for a part of the file, or add drops: 'text' if the rest is to go"
        return Refused(f"the new text has {fewer} lines, the file has {lines}", "drops", advice)
    return None
