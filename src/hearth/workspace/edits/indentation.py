"""One uniform indentation between what a model wrote and what the file has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.workspace.edits.lines import BLANKS

_HEREDOC = re.compile(r"(?<!<)<<[-~]?\s*(['\"]?)(\w+)\1")
_LONG_QUOTES = ('"""', "'''", "`")

UNITS = (2, 3, 4, 8)
"""Blanks that one tab may stand for."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How the indentation of old becomes that of the file: something is put in front of each line, or taken away, or
    tabs are written for blanks (``unit`` of them each) or the other way.

    ``old`` and ``file`` are the indentations of the first line that is not blank.
    """

    old: str
    file: str
    add: str = ""
    remove: str = ""
    unit: int = 0
    to_tabs: bool = False

    @property
    def note(self) -> str:
        """What was done to new, for the model."""
        if self.unit:
            done = f"a tab for {self.unit} blanks" if self.to_tabs else f"{self.unit} blanks for a tab"
            return f"indentation differed; new was written with {done}"
        if self.add:
            return f"indentation differed; {_name(self.add)} put in front of each line of new"
        return f"indentation differed; {_name(self.remove)} taken from each line of new"

    def move(self, new: str) -> str | None:
        """``new`` with the file's indentation; None where it is not certain what new means.

        That is so when new begins otherwise than old does: it may have the file's indentation already, or want
        another one.
        """
        lines = new.split("\n")
        first = next((line for line in lines if line.strip(BLANKS)), None)
        if first is None:
            return new
        if indentation(first) != self.old:
            return None
        fixed = find_fixed(lines)
        moved = [
            self.move_line(line) if line.strip(BLANKS) and index not in fixed else line
            for index, line in enumerate(lines)
        ]
        return None if None in moved else "\n".join(line for line in moved if line is not None)

    def move_line(self, line: str) -> str | None:
        """One line that is not blank with the file's indentation; None where it has none that fits."""
        if self.unit:
            given = indentation(line)
            there = _convert(given, self.unit, self.to_tabs)
            return None if there is None else there + line[len(given) :]
        if self.remove:
            return line[len(self.remove) :] if line.startswith(self.remove) else None
        return self.add + line


def indentation(line: str) -> str:
    """The blanks and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def find_fixed(lines: Sequence[str]) -> frozenset[int]:
    """The indexes of lines that keep their place whatever is done to those around them: the text of a here-document,
    and that of a string over several lines which stands further left than the line that opens it."""
    fixed = set[int]()
    index = 0
    while index < len(lines):
        line, index = lines[index], index + 1
        end = _find_heredoc_end(lines, index, line)
        if end:
            fixed.update(range(index, end))
        elif quote := _opened_quote(line):
            end = next((at + 1 for at in range(index, len(lines)) if _opened_quote(lines[at], quote)), 0)
            inner = [one for one in lines[index:end] if one.strip(BLANKS)]
            if any(len(indentation(one)) < len(indentation(line)) for one in inner):
                fixed.update(range(index, end))
        index = max(index, end)
    return frozenset(fixed)


def _find_heredoc_end(lines: Sequence[str], index: int, line: str) -> int:
    """The index beyond the here-document that a line opens, 0 if it opens none."""
    words = [found[2] for found in _HEREDOC.finditer(line)]
    return next((at + 1 for at in range(index, len(lines)) if words and lines[at].strip(BLANKS) == words[-1]), 0)


def _opened_quote(line: str, quote: str = "") -> str:
    """The sign of a string over several lines that a line opens, or closes where it is given; else empty."""
    for sign in (quote,) if quote else _LONG_QUOTES:
        if line.count(sign) % 2:
            return sign
    return ""


def find_shift(old: list[str], file: list[str]) -> Shift | None:
    """The one shift that makes the indentation of each line of old that of the file's line; None if there is none.

    Blank lines do not count. A first line that alone is off is not uniform.
    """
    pairs = [(indentation(one), indentation(other)) for one, other in zip(old, file, strict=True) if one.strip(BLANKS)]
    if not pairs:
        return None
    first, there = pairs[0]
    add = there.removesuffix(first) if first != there else ""
    if add and all(other == add + one for one, other in pairs):
        return Shift(first, there, add=add)
    remove = first.removesuffix(there) if first != there else ""
    if remove and all(one == remove + other for one, other in pairs):
        return Shift(first, there, remove=remove)
    for unit in UNITS:
        for to_tabs in (True, False):
            if any(one for one, _ in pairs) and all(_convert(one, unit, to_tabs) == other for one, other in pairs):
                return Shift(first, there, unit=unit, to_tabs=to_tabs)
    return None


def _convert(given: str, unit: int, to_tabs: bool) -> str | None:
    """The indentation written the other way; None if it is not purely of one kind, or no whole number of units."""
    if to_tabs:
        return "\t" * (len(given) // unit) if not given.strip(" ") and len(given) % unit == 0 else None
    return " " * (len(given) * unit) if not given.strip("\t") else None


def _name(blanks: str) -> str:
    if not blanks.strip(" "):
        return "1 blank was" if len(blanks) == 1 else f"{len(blanks)} blanks were"
    if not blanks.strip("\t"):
        return "1 tab was" if len(blanks) == 1 else f"{len(blanks)} tabs were"
    return "blanks and tabs were"
