"""Replace text in text."""

from __future__ import annotations

from collections.abc import Callable

from hearth.workspace.edits.explain import find_nearest
from hearth.workspace.edits.ladder import Found, climb
from hearth.workspace.edits.lines import BLANKS, split_lines, to_lf
from hearth.workspace.edits.outcome import Edited, Refused, Splice, splice_text

MOST_PLACES = 10
LONGEST_PLACE = 80
LONGEST_BELOW = 1_000
LEAST_DONE = 4
"""Characters of a new text whose presence may say that the edit was made before: fewer are anywhere."""


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
        if place := find_done(text, old, new):
            where_now = f"new is at lines {place[0]}-{place[1]}"
            return Refused(
                "old is not in the file, new already is: the edit seems to be done", "done", where_now, place
            )
        return Refused("old is not in the file", "missing")
    if len(found.splices) > 1 and not every and not found.together:
        return _refuse_several(text, found, where)
    splices = _apart(found.splices)
    if _joins_lines(text, old, new, splices):
        reason = "old ends with a line end and new does not, so two lines would be joined"
        return Refused(reason, "bad", "next: the same with a line end at the end of new too, or of neither")
    if found.rung == "exact" and (ragged := _find_ragged(text, old, new, splices)):
        return ragged
    notes = [found.note] if found.note else []
    notes += _find_doubled(text, old, splices)
    edited = splice_text(text, splices, found.rung, "; ".join(notes))
    if edited.text == text:
        return Refused("old and new are the same", "same")
    return edited


def find_done(text: str, old: str, new: str) -> tuple[int, int] | None:
    """The first and last line of new where old seems to have been: nobody else's line is taken for it."""
    text, new = to_lf(text), to_lf(new)
    if len(new.strip()) < LEAST_DONE or new not in text:
        return None
    nearest = find_nearest(text, old)
    start = text.find(new)
    while nearest and start >= 0:
        body = start + len(new) - len(new.lstrip("\n"))
        first = text.count("\n", 0, body) + 1
        last = first + new.strip("\n").count("\n")
        if first <= nearest.last and nearest.first <= last:
            return first, last
        start = text.find(new, start + 1)
    return None


def _joins_lines(text: str, old: str, new: str, splices: list[Splice]) -> bool:
    """Whether old are whole lines and new only lacks the end of its last one. Who wants to join two lines says so by
    an old that begins within a line, has both of them, or ends with a backslash."""
    if not old.endswith("\n") or not old.strip() or not new or new.endswith("\n"):
        return False
    if old.rstrip().endswith("\\") or to_lf(old) == f"{to_lf(new)}\n":  # there nothing else can be meant
        return False
    return any(not _head_of(text, one.start).strip(" \t") and one.end < len(text) for one in splices)


def _find_doubled(text: str, old: str, splices: list[Splice]) -> list[str]:
    """What to say where new brings a line along that stands beside old already: models write a little too much."""
    wanted = split_lines(old)
    for splice in splices[:MOST_PLACES]:
        put = split_lines(splice.put)
        above, below = _line_above(text, splice.start), _line_below(text, splice.end)
        for which, mine, there, old_line in (
            ("first", put[:1], above, wanted[0]),
            ("last", put[-1:], below, wanted[-1]),
        ):
            line = mine[0].strip() if len(put) > 1 else ""
            if _says_much(line) and line == there.strip() != old_line.strip():
                return [f"the {which} line of new is there twice now: {line[:LONGEST_PLACE]}"]
    return []


def _line_above(text: str, place: int) -> str:
    """The line above the one that begins at a place or just before it; empty if there is none."""
    low = text.rfind("\n", 0, place) + 1
    if not low or text[low:place].strip():
        return ""
    return text[text.rfind("\n", 0, low - 1) + 1 : low - 1]


def _line_below(text: str, place: int) -> str:
    """The line below the one that ends at a place or just after it; empty if there is none."""
    if text[place - 1 : place] != "\n":
        high = text.find("\n", place)
        if high < 0 or text[place:high].strip():
            return ""
        place = high + 1
    return text[place : place + LONGEST_BELOW].partition("\n")[0]


def _says_much(line: str) -> bool:
    return sum(character.isalnum() for character in line) >= LEAST_DONE


def _head_of(text: str, place: int) -> str:
    """What its line has before a place."""
    return text[text.rfind("\n", 0, place) + 1 : place]


def _find_ragged(text: str, old: str, new: str, splices: list[Splice]) -> Refused | None:
    """Whether new goes on further left than the one line that old begins in, without its indentation: then nobody
    knows whether its other lines are meant to be moved along, and where indentation has a meaning it would be another.
    """
    if old[0] in BLANKS or "\n" in old.rstrip("\n") or "\n" not in new.rstrip("\n"):
        return None
    for splice in splices:
        head = _head_of(text, splice.start)
        if not head or head.strip(" \t"):
            continue
        for number, line in enumerate(to_lf(new).split("\n")[1:], 2):
            if line.strip() and not line.startswith(head):
                at = text.count("\n", 0, splice.start) + 1
                return Refused(
                    f"line {at} of the file is indented and old leaves that out, so it is not certain where line "
                    f"{number} of new belongs",
                    "bad",
                    "next: the same with whole lines: old and new with the indentation of the file in front of each "
                    f"line, old beginning with {head!r}",
                )
    return None


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
