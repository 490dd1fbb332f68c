"""Apply the hunks of a patch to a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hearth.workspace.edits.indentation import Shift, find_shift, indentation
from hearth.workspace.edits.ladder import Page, find_lines
from hearth.workspace.edits.lines import BLANKS
from hearth.workspace.edits.outcome import Edited, Refused, Rung, Splice, splice_text
from hearth.workspace.edits.patch import Hunk
from hearth.workspace.edits.replace import find_done
from hearth.workspace.edits.span import splice_lines

MOST_PLACES = 10


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hunk is: the index of its first line there, and how its lines are moved."""

    first: int
    hunk: Hunk
    rung: Rung = "exact"
    shift: Shift | None = None


def apply_hunks(text: str, hunks: Sequence[Hunk], where: Callable[[int], str] | None = None) -> Edited | Refused:
    """All hunks or none, each looked for in the text as it was before all of them.

    Refused (kind missing) has the lines of the hunk that was not found as ``detail``.
    """
    page = Page(text)
    splices: list[Splice] = []
    rungs: list[Rung] = []
    notes: list[str] = []
    cursor = 0
    for number, hunk in enumerate(hunks, 1):
        name = f"hunk {number}" if len(hunks) > 1 else "the hunk"
        if not any(sign != "+" for sign, _ in hunk.lines):
            found = _place_added(page, hunk, name)
            if isinstance(found, Refused):
                return found
            splices.append(found)
            continue
        place = _locate(page, hunk, cursor, name, where)
        if isinstance(place, Refused):
            return place
        made = _splice(page, place)
        if made is None:
            return Refused(f"{name} has other indentation than the file, and not uniformly", "missing", _old_text(hunk))
        splices += made
        rungs.append(place.rung)
        if place.shift:
            notes.append(place.shift.note)
        cursor = place.first + sum(sign != "+" for sign, _ in place.hunk.lines)
    splices.sort(key=lambda splice: (splice.start, splice.end))
    if any(later.start < sooner.end for sooner, later in pairwise(splices)):
        return Refused("two hunks change the same lines: make one of them")
    rung: Rung = next((one for one in rungs if one != "exact"), "exact")
    edited = splice_text(text, splices, rung, "; ".join(dict.fromkeys(notes)))
    return Refused("the file is already so", "done") if edited.text == text else edited


def _old_text(hunk: Hunk) -> str:
    return "\n".join(line for sign, line in hunk.lines if sign != "+")


def _locate(page: Page, hunk: Hunk, cursor: int, name: str, where: Callable[[int], str] | None) -> _Place | Refused:
    """The one place of a hunk; of several the one that its anchors or its order leave."""
    places: list[_Place] = []
    for tried in _variants(hunk):
        if places := _find(page, tried):
            break
    if hunk.at_end:
        last = len(page.lines)
        places = [one for one in places if one.first + _count_old(one.hunk) == last] or places
    if places and hunk.anchors:
        inside = _within(page, places, hunk.anchors)
        if not inside and hunk.strict and _opens(page, hunk.anchors[-1]):
            return _refuse_elsewhere(page, places[0], hunk, name, where)
        places = inside or places
    if len(places) > 1 and cursor:
        later = [one for one in places if one.first >= cursor]
        places = later if len(later) == 1 else places
    if len(places) == 1:
        return places[0]
    if not places:
        new = "\n".join(line for sign, line in hunk.lines if sign != "-").strip("\n")
        done = any(sign == "+" for sign, _ in hunk.lines) and find_done(page.text, _old_text(hunk), new)
        reason = "is not in the file, its new lines already are: it seems to be done" if done else "is not in the file"
        return Refused(f"{name} {reason}", "done" if done else "missing", _old_text(hunk))
    numbers = [one.first + 1 for one in places[:MOST_PLACES]]
    detail = []
    for number in numbers:
        around = where(number) if where else ""
        detail.append(f"line {number}{f' in {around}' if around else ''}: {page.lines[number - 1].strip()[:80]}")
    shown = ", ".join(str(number) for number in numbers)
    advice = "add context lines, or name the function after @@"
    return Refused(f"{name} fits {len(places)} places (lines {shown}): {advice}", "many", "\n".join(detail))


def _opens(page: Page, anchor: str) -> bool:
    """Whether the anchor is a line of the file with others indented below it: a function, a class."""
    for index, line in enumerate(page.lines):
        if line.strip() == anchor.strip():
            below = next((other for other in page.lines[index + 1 :] if other.strip()), "")
            return len(indentation(below)) > len(indentation(line))
    return False


def _refuse_elsewhere(page: Page, place: _Place, hunk: Hunk, name: str, where: Callable[[int], str] | None) -> Refused:
    line = place.first + 1
    around = where(line) if where else ""
    shown = f"line {line}{f' in {around}' if around else ''}: {page.lines[place.first].strip()[:80]}"
    reason = f"{name} fits line {line}, which is not in {hunk.anchors[-1]!r}"
    return Refused(reason, "bad", f"{shown}\nnext: the same with @@ and the line of the function that is meant")


def _variants(hunk: Hunk) -> list[Hunk]:
    """The hunk; without blank context lines at its ends, which models add; with the blank of indented context lines
    taken as theirs, because the sign was left out."""
    lines = list(hunk.lines)
    while lines and lines[0][0] == " " and not lines[0][1].strip():
        lines.pop(0)
    while lines and lines[-1][0] == " " and not lines[-1][1].strip():
        lines.pop()
    trimmed = replace(hunk, lines=lines)
    found = [hunk, trimmed] if lines != hunk.lines and any(sign != "+" for sign, _ in lines) else [hunk]
    unsigned = [(sign, f" {line}" if sign == " " and line[:1] in (" ", "\t") else line) for sign, line in hunk.lines]
    return found if unsigned == hunk.lines else [*found, replace(hunk, lines=unsigned)]


def _count_old(hunk: Hunk) -> int:
    return sum(sign != "+" for sign, _ in hunk.lines)


def _find(page: Page, hunk: Hunk) -> list[_Place]:
    wanted = [line for sign, line in hunk.lines if sign != "+"]
    if not any(line.strip() for line in wanted):
        return []
    found = find_lines(page.trimmed, [line.rstrip(BLANKS) for line in wanted])
    if found:
        exact = [index for index in found if page.lines[index : index + len(wanted)] == wanted]
        return [_Place(index, hunk, "exact" if exact else "ends") for index in (exact or found)]
    places = []
    for index in find_lines(page.bare, [line.strip(BLANKS) for line in wanted]):
        if shift := find_shift(wanted, page.lines[index : index + len(wanted)]):
            places.append(_Place(index, hunk, "indent", shift))
    return places


def _within(page: Page, places: list[_Place], anchors: list[str]) -> list[_Place]:
    """The places inside what the anchors name: at or below its line, and not beyond what is indented below it."""
    wanted = anchors[-1].strip()
    lines = page.lines
    starts = [index for index, line in enumerate(lines) if line.strip() == wanted] or [
        index for index, line in enumerate(lines) if line.strip().startswith(wanted)
    ]
    for outer in reversed(anchors[:-1]):
        inside = [index for index in starts if _has_outer(lines, index, outer.strip())]
        starts = inside or starts
    return [one for one in places if any(_is_inside(lines, start, one) for start in starts)]


def _has_outer(lines: list[str], index: int, outer: str) -> bool:
    """Whether a line that begins like ``outer`` stands above, less indented, with nothing like it in between."""
    depth = len(indentation(lines[index]))
    for above in range(index - 1, -1, -1):
        line = lines[above]
        if line.strip() and len(indentation(line)) < depth:
            depth = len(indentation(line))
            if line.strip().startswith(outer):
                return True
    return False


def _is_inside(lines: list[str], start: int, place: _Place) -> bool:
    last = place.first + _count_old(place.hunk) - 1
    if start > last:
        return False
    depth = len(indentation(lines[start]))
    between = lines[start + 1 : place.first + 1]
    return all(len(indentation(line)) > depth or line.strip()[:1] in ("", ")", "]", "}", "{", "#") for line in between)


def _splice(page: Page, place: _Place) -> list[Splice] | None:
    """The splices of a hunk: lines of context stay as the file has them."""
    splices: list[Splice] = []
    put: list[str] = []
    index, low = place.first, -1

    def close(beyond: int) -> None:
        nonlocal low
        if low >= 0:
            splices.append(_put_lines(page, low, beyond, put))
            put.clear()
            low = -1

    for sign, line in place.hunk.lines:
        if sign == " ":
            close(index)
            index += 1
            continue
        low = index if low < 0 else low
        if sign == "-":
            index += 1
            continue
        moved = place.shift.move_line(line) if place.shift and line.strip() else line
        if moved is None:
            return None
        put.append(moved)
    close(index)
    return splices


def _put_lines(page: Page, low: int, beyond: int, lines: list[str]) -> Splice:
    return splice_lines(page.text, page.starts, low, beyond, "".join(f"{line}\n" for line in lines), always=True)


def _place_added(page: Page, hunk: Hunk, name: str) -> Splice | Refused:
    """Where lines go that come without context: below their anchor, at the end, or into an empty file."""
    added = [line for _, line in hunk.lines]
    if hunk.at_end or not page.lines:
        return _put_lines(page, len(page.lines), len(page.lines), added)
    if hunk.anchors:
        wanted = hunk.anchors[-1].strip()
        found = [index for index, line in enumerate(page.lines) if line.strip() == wanted]
        if len(found) == 1:
            return _put_lines(page, found[0] + 1, found[0] + 1, added)
        count = f"{len(found)} times" if found else "nowhere"
        return Refused(f"{name} has no context, and the line after @@ is in the file {count}: add lines around it")
    return Refused(f"{name} has no context: add some lines above or below as they are in the file")
