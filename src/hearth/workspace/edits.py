"""Replace text in text: pure, exact, never by similarity."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MOST_COMPARED = 4_000
"""Lines, old and new together, that are compared one with each other."""
MOST_PAIRS = 250_000
"""Pairs of equal lines among them: comparing costs time for each pair, many times over (24 s at 1.3 million)."""
LONGEST_SEARCHED = 200_000
"""Characters of a file in which the nearest line is looked for: it took 9 s in 7 million."""


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit that applies. ``lines`` are the 1-based first lines of the replacements in the new text."""

    text: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An edit that does not apply; ``reason`` tells the model why and what would."""

    reason: str


def replace_text(text: str, old: str, new: str, every: bool = False) -> Edited | Refused:
    """Replace ``old`` by ``new``, once if it is unique, or every occurrence.

    A file with CRLF line ends keeps them, whatever the model wrote; where a file mixes them, ``old`` as it stands
    decides.
    """
    if not old:
        return Refused("old is empty: give the exact text to replace, or use write for a new file")
    if "\r\n" in text and (_to_crlf(old) in text or old not in text):
        old, new = _to_crlf(old), _to_crlf(new)
    if old == new:
        return Refused("old and new are the same")
    starts = _find_all(text, old)
    if not starts:
        return Refused(_explain_missing(text, old, new))
    if len(starts) > 1 and not every:
        places = ", ".join(str(text.count("\n", 0, start) + 1) for start in starts[:10])
        return Refused(f"old occurs {len(starts)} times (lines {places}): add a line around it, or set all to true")
    growth = new.count("\n") - old.count("\n")
    lines = tuple(text.count("\n", 0, start) + 1 + index * growth for index, start in enumerate(starts))
    return Edited(text.replace(old, new), lines)


def show_change(old: str, new: str, context: int = 0, limit: int = 40) -> str:
    """The change as ``-`` and ``+`` lines under ``line N`` headings, at most ``limit`` lines."""
    before, after = split_lines(old), split_lines(new)
    shown: list[str] = []
    for group in _group_changes(before, after, context):
        shown.append(f"line {group[0][3] + 1}:")
        for tag, low, high, new_low, new_high in group:
            if tag == "equal":
                shown += [f" {line}" for line in before[low:high]]
                continue
            shown += [f"-{line}" for line in before[low:high]]
            shown += [f"+{line}" for line in after[new_low:new_high]]
    if len(shown) > limit:
        shown = [*shown[:limit], f"[{len(shown) - limit} more lines]"]
    return "\n".join(shown)


def split_lines(text: str) -> list[str]:
    """The lines without their ends (LF or CRLF), numbered as editors and tools do.

    ``str.splitlines`` also breaks at form feeds and Unicode separators, which would shift every number after them.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _group_changes(before: list[str], after: list[str], context: int) -> Iterable[list[tuple[str, int, int, int, int]]]:
    if _comparable(before, after):
        yield from difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(context)
        return
    # Of a file that would take too long only what lies between the first and the last change counts.
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if not old and not new:
        return
    if not _comparable(old, new):
        yield [("replace", start, start + len(old), start, start + len(new))]
        return
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(context):
        yield [
            (tag, low + start, high + start, new_low + start, new_high + start)
            for tag, low, high, new_low, new_high in group
        ]


def _comparable(before: list[str], after: list[str]) -> bool:
    """Whether a comparison of all lines with all takes a moment and no more."""
    if len(before) + len(after) > MOST_COMPARED:
        return False
    counts = Counter(after)
    return sum(counts[line] for line in before) <= MOST_PAIRS


def _to_crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _find_all(text: str, part: str) -> list[int]:
    starts: list[int] = []
    start = text.find(part)
    while start >= 0:
        starts.append(start)
        start = text.find(part, start + len(part))
    return starts


def _explain_missing(text: str, old: str, new: str) -> str:
    if new and new in text:
        return "old is not in the file, new already is: the edit seems to be done"
    wanted = old.strip().splitlines()
    lines = split_lines(text)
    first = wanted[0].strip() if wanted else ""
    stripped = [line.strip() for line in lines] if first and len(text) <= LONGEST_SEARCHED else []
    nearest = difflib.get_close_matches(first, stripped, n=1, cutoff=0.6)
    if not nearest:
        return "old is not in the file; nothing was changed. Read the file again and copy the text exactly"
    number = next(index for index, line in enumerate(lines) if line.strip() == nearest[0])
    return f"old is not in the file; nothing was changed. The nearest text is line {number + 1}:\n{lines[number]}"
