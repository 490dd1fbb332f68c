"""Replace text in text."""

from __future__ import annotations

from collections.abc import Callable

from hearth.workspace.edits.ladder import Found, climb
from hearth.workspace.edits.lines import split_lines, to_lf
from hearth.workspace.edits.outcome import Edited, Refused, Splice, splice_text

MOST_PLACES = 10
LONGEST_PLACE = 80
LEAST_DONE = 4
"""Characters of a new text whose presence says that the edit was made before: fewer are anywhere."""


def replace_text(
    text: str, old: str, new: str, every: bool = False, where: Callable[[int], str] | None = None
) -> Edited | Refused:
    """Replace ``old`` by ``new``, once if it is unique, or every occurrence.

    Line ends are the file's, whatever the model wrote. ``where`` names the definition around a line, for the error
    that lists several places.
    """
    if not old:
        return Refused("old is empty: give the exact text to replace, or use write for a new file")
    if old == new:
        return Refused("old and new are the same", "same")
    found = climb(text, old, new)
    if not found:
        if len(new.strip()) >= LEAST_DONE and to_lf(new) in to_lf(text):
            return Refused("old is not in the file, new already is: the edit seems to be done", "done")
        return Refused("old is not in the file", "missing")
    if len(found.splices) > 1 and not every and not found.together:
        return _refuse_several(text, found, where)
    splices = _apart(found.splices)
    notes = [found.note] if found.note else []
    if old.endswith("\n") and any(_joins(text, splice) for splice in splices):
        notes.append("new has no line end where old has one: two lines were joined")
    edited = splice_text(text, splices, found.rung, "; ".join(notes))
    if edited.text == text:
        return Refused("old and new are the same", "same")
    return edited


def _joins(text: str, splice: Splice) -> bool:
    """Whether what is put runs on into the line below."""
    return bool(splice.put) and splice.put[-1] != "\n" and splice.end < len(text)


def _apart(splices: tuple[Splice, ...]) -> list[Splice]:
    """The splices that begin where none before them reaches, as str.replace takes them."""
    kept: list[Splice] = []
    for splice in splices:
        if not kept or splice.start >= kept[-1].end:
            kept.append(splice)
    return kept


def _refuse_several(text: str, found: Found, where: Callable[[int], str] | None) -> Refused:
    numbers, line, place = [], 1, 0
    for splice in found.splices[:MOST_PLACES]:
        line += text.count("\n", place, splice.start)
        place = splice.start
        numbers.append(line)
    places = ", ".join(str(number) for number in numbers)
    count = len(found.splices)
    lines = split_lines(text)
    details = []
    for number in numbers:
        around = where(number) if where else ""
        shown = lines[number - 1].strip()[:LONGEST_PLACE] if number <= len(lines) else ""
        details.append(f"line {number}{f' in {around}' if around else ''}: {shown}")
    if count > MOST_PLACES:
        details.append(f"[{count - MOST_PLACES} more]")
    return Refused(
        f"old occurs {count} times (lines {places}): add a line around it, or set all to true",
        "many",
        "\n".join(details),
    )
