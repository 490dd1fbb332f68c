"""A change of a text as a person and a model read it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable

from hearth.workspace.edits.lines import count_lines, find_difference, split_lines

MOST_COMPARED = 4_000
"""Lines, old and new together, that are compared one with each other."""
MOST_PAIRS = 250_000
"""Pairs of equal lines among them: comparing costs time for each pair, many times over (24 s at 1.3 million)."""


def show_change(old: str, new: str, context: int = 0, limit: int = 40) -> str:
    """The change as ``-`` and ``+`` lines under ``line N`` headings, at most ``limit`` lines."""
    shown: list[str] = []
    above, before, after = _find_differing(old, new)
    for group in _group_changes(before, after, context):
        shown.append(f"line {group[0][3] + above + 1}:")
        for tag, low, high, new_low, new_high in group:
            if tag == "equal":
                shown += [f" {line}" for line in before[low:high]]
                continue
            shown += [f"-{line}" for line in before[low:high]]
            shown += [f"+{line}" for line in after[new_low:new_high]]
    if len(shown) > limit:
        shown = [*shown[:limit], f"[{len(shown) - limit} more lines]"]
    return "\n".join(shown)


def _find_differing(old: str, new: str) -> tuple[int, list[str], list[str]]:
    """The lines of both, and how many alike are left out above them: of a text that would take too long to compare
    only what lies between the first and the last change counts."""
    if count_lines(old) + count_lines(new) <= MOST_COMPARED:
        before, after = split_lines(old), split_lines(new)
        if _comparable(before, after):
            return 0, before, after
    head, tail = find_difference(old, new)
    above = old.count("\n", 0, head)
    return above, split_lines(old[head : len(old) - tail]), split_lines(new[head : len(new) - tail])


def _group_changes(before: list[str], after: list[str], context: int) -> Iterable[list[tuple[str, int, int, int, int]]]:
    if _comparable(before, after):
        return difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(context)
    return [[("replace", 0, len(before), 0, len(after))]]


def _comparable(before: list[str], after: list[str]) -> bool:
    """Whether a comparison of all lines with all takes a moment and no more."""
    if len(before) + len(after) > MOST_COMPARED:
        return False
    counts = Counter(after)
    return sum(counts[line] for line in before) <= MOST_PAIRS
