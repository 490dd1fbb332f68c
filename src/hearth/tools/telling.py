"""What a model and a person are told of an edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hearth.tools.tool import ToolResult
from hearth.tools.truncate import cut_line, cut_lines
from hearth.workspace.editor import AROUND, Draft
from hearth.workspace.edits import Refused, show_change, split_lines
from hearth.workspace.edits.lines import count_lines, number_line

Report = Literal["terse", "full"]
"""``terse``: the words that the pilot was trained on. ``full``: the lines as they are now, and what to do next."""

CHANGED = "the file was changed since you saw it, by a command or by somebody else"
MOST_LINES = 60
"""Lines of one result that are shown as they are now."""
LONGEST_PART = 24
"""Lines of one part of it; of a longer one the middle is left out."""


def tell_refusal(refused: Refused, paths: Sequence[str], done: str = "edited") -> ToolResult:
    """A failed result: why, what is there, what to do, and that nothing was changed."""
    unchanged = "no file was changed" if len(paths) != 1 else f"{paths[0]} is unchanged"
    detail = f"\n{cut_lines(refused.detail)}" if refused.detail else ""
    return ToolResult(f"not {done}: {refused.reason} ({unchanged}){detail}", for_person=refused.reason, failed=True)


def tell_change(drafts: Sequence[Draft], head: str = "") -> ToolResult:
    """The result of drafts that were saved: each file, and its changed lines with their numbers."""
    changed = tuple(draft.path for draft in drafts)
    shown = [_tell_draft(draft, drafts) for draft in drafts if not _is_left(draft, drafts)]
    text = "\n".join([head, *shown] if head else shown)
    return ToolResult(text, for_person=show_person(drafts), changed=changed)


def show_person(drafts: Sequence[Draft]) -> str:
    """The change as a person reads it."""
    parts = []
    for draft in drafts:
        change = cut_lines(show_change(draft.before.text if draft.before else "", draft.text or ""))
        parts.append(change if len(drafts) == 1 else f"{draft.path}\n{change}")
    return "\n".join(parts)


def say_lines(text: str) -> str:
    """The number of lines in words."""
    lines = count_lines(text)
    return f"{lines} line" if lines == 1 else f"{lines} lines"


def _is_left(draft: Draft, drafts: Sequence[Draft]) -> bool:
    """Whether the file was only moved away: it is told with its new name."""
    return draft.text is None and any(other.like == draft.path for other in drafts)


def _tell_draft(draft: Draft, drafts: Sequence[Draft]) -> str:
    if draft.text is None:
        return f"deleted {draft.path}"
    if draft.like:
        head = _with_notes(f"moved {draft.like} to {draft.path}", draft)
        return f"{head}\n{show_spans(draft.text, draft.spans, MOST_LINES // len(drafts))}" if draft.spans else head
    if draft.whole:
        return _with_notes(f"wrote {draft.path} ({say_lines(draft.text)})", draft)
    head = _with_notes(f"edited {draft.path}", draft)
    return f"{head}\n{show_spans(draft.text, draft.spans, MOST_LINES // len(drafts))}"


def _with_notes(head: str, draft: Draft) -> str:
    notes = list(draft.notes)
    if draft.stale:
        notes.append(CHANGED)
    return f"{head} ({'; '.join(notes)})" if notes else head


def show_spans(text: str, spans: Sequence[tuple[int, int]], most: int = MOST_LINES) -> str:
    """The lines of the spans and those around them, with their numbers."""
    lines = split_lines(text)
    if not lines:
        return "the file is empty now"
    parts: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        low, high = max(1, min(first, len(lines)) - AROUND), min(len(lines), last + AROUND)
        if parts and low <= parts[-1][1] + 1:
            parts[-1] = (parts[-1][0], max(parts[-1][1], high))
        else:
            parts.append((low, high))
    shown: list[str] = []
    for index, (low, high) in enumerate(parts):
        if len(shown) >= most:
            left = ", ".join(str(first) for first, _ in parts[index : index + 10])
            shown.append(f"[{len(parts) - index} more places: lines {left}{', …' if len(parts) - index > 10 else ''}]")
            break
        shown.append(f"lines {low}-{high} now:" if low < high else f"line {low} now:")
        shown += _show_part(lines, low, high)
    return "\n".join(shown)


def _show_part(lines: Sequence[str], low: int, high: int) -> list[str]:
    def show(first: int, last: int) -> list[str]:
        return [number_line(number, cut_line(lines[number - 1])) for number in range(first, last + 1)]

    if high - low < LONGEST_PART:
        return show(low, high)
    half = LONGEST_PART // 2
    return [*show(low, low + half - 1), f"[{high - low + 1 - 2 * half} lines]", *show(high - half + 1, high)]
