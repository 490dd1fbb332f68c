"""Edits by anchors: each line is shown as ``12:k3fa|text`` and named by ``12:k3fa``.

An anchor stands for the number and the whole content of a line as it was shown, and is never bound to another line.
That another line of the same content has taken the number meanwhile only who knows what was shown can tell
(``workspace/sight.py``).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hearth.workspace.edits.lines import find_starts, split_lines
from hearth.workspace.edits.outcome import Edited, Refused, Splice, splice_text
from hearth.workspace.edits.span import splice_lines

_ANCHOR = re.compile(r"\s*(\d+):([a-z2-7]{4})(?:\|.*)?\s*", re.DOTALL)
_ECHOED = re.compile(r"[ \t]*\d+:[a-z2-7]{4}\|")
AROUND = 4


@dataclass(frozen=True, slots=True)
class AnchoredEdit:
    """``new`` in place of the lines from anchor ``first`` to ``last`` (empty: one line), or below ``first``."""

    first: str
    new: str
    last: str = ""
    below: bool = False


def show_anchored(number: int, line: str) -> str:
    """A line with its anchor, as it is shown to the model."""
    return f"{number}:{_hash(number, line)}|{line}"


def replace_anchored(text: str, edits: Sequence[AnchoredEdit]) -> Edited | Refused:
    """All edits or none; each anchor must name a line that is still as it was shown, and no line may change twice."""
    lines, starts = split_lines(text), find_starts(text)
    places: list[tuple[int, int, str]] = []
    for edit in edits:
        first = _find(lines, edit.first)
        last = _find(lines, edit.last) if edit.last else first
        for found in (first, last):
            if isinstance(found, Refused):
                return found
        if not isinstance(first, int) or not isinstance(last, int):
            return Refused("no edit is given")
        if last < first:
            return Refused(f"{edit.last} stands above {edit.first}")
        new = _strip_echoed(edit.new)
        if new is None:
            return Refused("some lines of new carry anchors and some do not: give them without")
        places.append((first, first, new) if edit.below else (first - 1, last, new))
    if not places:
        return Refused("no edit is given")
    places.sort(key=lambda place: (place[0], place[1]))
    for (low, high, _), (next_low, _, _) in pairwise(places):
        if next_low < high or next_low == low:
            return Refused(f"line {next_low + 1} is changed twice: make one edit of both")
    splices: list[Splice] = [splice_lines(text, starts, low, high, new) for low, high, new in places]
    if any(after.start < before.end for before, after in pairwise(splices)):
        return Refused("two edits touch at the end of the file: make one edit of both")
    edited = splice_text(text, splices)
    return Refused("the lines are already so", "same") if edited.text == text else edited


def _find(lines: list[str], anchor: str) -> int | Refused:
    """The line that an anchor names, counted from 1."""
    match = _ANCHOR.fullmatch(anchor)
    if not match:
        return Refused(f"{anchor[:40]!r} is no anchor: they look like 12:k3fa and are shown by read")
    number = int(match[1])
    if number > len(lines):
        return Refused(f"there is no line {number}: the file has {len(lines)}", "stale")
    if number < 1 or match[2] != _hash(number, lines[number - 1]):
        return refuse_anchor(lines, number, f"line {number} is not what {match[1]}:{match[2]} stands for")
    return number


def refuse_anchor(lines: Sequence[str], number: int, reason: str) -> Refused:
    """A refusal that carries fresh anchors of the lines around ``number``."""
    low, high = max(1, number - AROUND), min(len(lines), number + AROUND)
    fresh = "\n".join(show_anchored(place, lines[place - 1]) for place in range(low, high + 1))
    return Refused(reason, "stale", f"the lines now:\n{fresh}", (low, high))


def number_of(anchor: str) -> int:
    """The number that an anchor carries; 0 if it is none."""
    match = _ANCHOR.fullmatch(anchor)
    return int(match[1]) if match else 0


def _strip_echoed(new: str) -> str | None:
    """``new`` without anchors; None if only some of its lines have one."""
    lines = new.split("\n")
    marked = [bool(_ECHOED.match(line)) for line in lines if line]
    if not any(marked):
        return new
    if not all(marked):
        return None
    return "\n".join(_ECHOED.sub("", line, count=1) for line in lines)


def _hash(number: int, line: str) -> str:
    digest = hashlib.blake2b(f"{number}\0{line}".encode("utf-8", "surrogatepass"), digest_size=5).digest()
    return base64.b32encode(digest)[:4].decode().lower()
