"""Replace text in text: pure, exact, never by similarity."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


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

    A file with CRLF line ends keeps them, whatever the model wrote.
    """
    if not old:
        return Refused("old is empty: give the exact text to replace, or use write for a new file")
    if "\r\n" in text and "\r\n" not in old:
        old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
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
    before, after = old.splitlines(), new.splitlines()
    shown: list[str] = []
    for group in difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(context):
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
    lines = text.splitlines()
    first = wanted[0].strip() if wanted else ""
    nearest = difflib.get_close_matches(first, [line.strip() for line in lines], n=1, cutoff=0.6) if first else []
    if not nearest:
        return "old is not in the file; nothing was changed. Read the file again and copy the text exactly"
    number = next(index for index, line in enumerate(lines) if line.strip() == nearest[0])
    return f"old is not in the file; nothing was changed. The nearest text is line {number + 1}:\n{lines[number]}"
