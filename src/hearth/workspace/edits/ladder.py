"""Where old is in a text: as it is, or by rungs that forgive one certain thing each. Never by similarity.

A rung is tried only when those before it found nothing. What it forgives is said in ``Rung``; the text that it finds
equals old but for that, line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from hearth.workspace.edits.indentation import find_shift, indentation
from hearth.workspace.edits.lines import BLANKS, find_starts, fit_ends, split_lines, strip_numbers, to_lf
from hearth.workspace.edits.outcome import Rung, Splice

_ELISION = re.compile(r"\s*(?:(?:#|//|--|/\*|<!--|;|%)\s*(?:\.\.\.|…).*|\.\.\.|…)\s*")
_NUMBER = re.compile(r"\s*\d+\|")
MOST_CHAINS = 1_000
"""Places of one piece of an elided text that are followed; more of them are ambiguous anyway."""


@dataclass(frozen=True, slots=True)
class Found:
    """The places where a rung found old, each with what is put there; several are several matches.

    Of an elided text, ``splices`` are the parts of one match, and ``together`` is set.
    """

    rung: Rung
    splices: tuple[Splice, ...]
    note: str = ""
    together: bool = False


class Page:
    """A text with its lines, counted once."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return split_lines(self.text)

    @cached_property
    def starts(self) -> list[int]:
        """Where each line starts, and where the last one ends."""
        return find_starts(self.text)

    @cached_property
    def trimmed(self) -> str:
        """The lines without trailing blanks, each between two newlines."""
        return _join([line.rstrip(BLANKS) for line in self.lines])

    @cached_property
    def bare(self) -> str:
        """The lines without blanks at either end, each between two newlines."""
        return _join([line.strip(BLANKS) for line in self.lines])

    def region(self, first: int, count: int, ended: bool) -> tuple[int, int]:
        """Characters of ``count`` lines from index ``first``; with the last line's end if ``ended``."""
        start, end = self.starts[first], self.starts[first + count]
        if not ended and end > start and self.text[end - 1] == "\n":
            end -= 2 if self.text[end - 2 : end] == "\r\n" else 1
        return start, end

    def replace_lines(self, first: int, count: int, old: str, new: str) -> Splice:
        """``new`` in place of whole lines that are ``old``; the end of the file keeps having a newline or none."""
        start, end = self.region(first, count, old.endswith("\n"))
        put = fit_ends(new, self.text, start, end, always=True)
        if old.endswith("\n") and self.text[end - 1 : end] != "\n":
            put = put.removesuffix("\n").removesuffix("\r")
        return Splice(start, end, put)


def climb(text: str, old: str, new: str) -> Found | None:
    """The places of ``old`` by the first rung that has any. ``old`` is not empty."""
    page = Page(text)
    exact = _find_exact(page, old, new)
    if exact:
        within = "\n" in new and _is_within_indentation(text, old, exact)
        moved = _find_indent(page, old, new) if within else None
        return moved if moved and len(moved.splices) == len(exact.splices) else exact
    for find in (_find_ends, _find_indent, _find_blank, _find_elision, _find_numbers):
        if found := find(page, old, new):
            return found
    return None


def find_lines(hay: str, wanted: list[str]) -> list[int]:
    """The indexes of the lines from which on they are ``wanted``, overlapping ones too; ``hay`` is as in ``Page``."""
    needle = _join(wanted)
    found, line, place = [], 0, 0
    start = hay.find(needle)
    while start >= 0:
        line += hay.count("\n", place, start)
        place = start
        found.append(line)
        start = hay.find(needle, start + 1)
    return found


def _join(lines: list[str]) -> str:
    return "\n" + "\n".join(lines) + "\n"


def _find_exact(page: Page, old: str, new: str) -> Found | None:
    text = page.text
    starts = [start for start in _find_all(text, old) if not _splits_crlf(text, start, start + len(old))]
    if not starts:
        return None
    splices = (Splice(start, start + len(old), fit_ends(new, text, start, start + len(old))) for start in starts)
    return Found("exact", tuple(splices))


def _splits_crlf(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start + 1] == "\r\n" or text[end - 1 : end + 1] == "\r\n"


def _find_all(text: str, part: str) -> list[int]:
    """Where the part is, overlapping places too: of "aa" in "aaa" nobody knows which is meant."""
    starts: list[int] = []
    start = text.find(part)
    while start >= 0:
        starts.append(start)
        start = text.find(part, start + 1)
    return starts


def _is_within_indentation(text: str, old: str, found: Found) -> bool:
    """Whether old's own indentation is but the end of a deeper one: then new, taken as it is, would stand too far left.

    For a file with CRLF nothing changes: a line starts after its LF.
    """
    if old[0] not in " \t" or not old.split("\n", 1)[0].strip():
        return False
    heads = (text[text.rfind("\n", 0, splice.start) + 1 : splice.start] for splice in found.splices)
    return all(head and not head.strip(" \t") for head in heads)


def _find_ends(page: Page, old: str, new: str) -> Found | None:
    return _find_other_ends(page, old, new) or _find_trimmed(page, old, new)


def _find_other_ends(page: Page, old: str, new: str) -> Found | None:
    """Old with CRLF for LF or the other way: it may begin and end within a line."""
    if "\r\n" not in page.text and "\r\n" not in old:
        return None
    plain, wanted = to_lf(page.text), to_lf(old)
    starts = _find_all(plain, wanted)
    if not starts:
        return None
    places = [place for start in starts for place in (start, start + len(wanted))]
    where = dict(zip(sorted(places), _map_places(page.text, sorted(places)), strict=True))
    splices = []
    for start in starts:
        low, high = where[start], where[start + len(wanted)]
        splices.append(Splice(low, high, fit_ends(new, page.text, low, high, always=True)))
    return Found("ends", tuple(splices), "line ends differed; the file's were kept")


def _map_places(text: str, places: list[int]) -> Iterator[int]:
    """Places of the text with LF only as places of the text itself; ``places`` are in order."""
    plain, real = 0, 0
    for place in places:
        while True:
            newline = text.find("\r\n", real)
            if newline < 0 or plain + (newline - real) >= place:
                real, plain = real + (place - plain), place
                break
            plain, real = plain + (newline - real) + 1, newline + 2
        yield real


def _find_trimmed(page: Page, old: str, new: str) -> Found | None:
    wanted = [line.rstrip(BLANKS) for line in split_lines(old)]
    if not any(wanted):
        return None
    found = find_lines(page.trimmed, wanted)
    splices = tuple(page.replace_lines(index, len(wanted), old, new) for index in found)
    return Found("ends", splices, "blanks or line ends differed") if splices else None


def _find_indent(page: Page, old: str, new: str) -> Found | None:
    lines = split_lines(old)
    wanted = [line.strip(BLANKS) for line in lines]
    if not any(wanted):
        return None
    splices: list[Splice] = []
    note = ""
    for index in find_lines(page.bare, wanted):
        shift = find_shift(lines, page.lines[index : index + len(lines)])
        if shift is None:
            continue
        moved = shift.move(new)
        if moved is None:  # old is there, but what new means there is not certain
            return None
        splices.append(page.replace_lines(index, len(lines), old, moved))
        note = shift.note
    return Found("indent", tuple(splices), note) if splices else None


def _find_blank(page: Page, old: str, new: str) -> Found | None:
    """Without the blank lines at old's ends; new loses as many of its own."""
    head, tail = _count_blank(old), _count_blank(old, last=True)
    if not (head or tail) or not old.strip():
        return None
    old = _drop_blank(old, head, tail)
    new = _drop_blank(new, min(head, _count_blank(new)), min(tail, _count_blank(new, last=True))) if new.strip() else ""
    found = _find_trimmed(page, old, new) or _find_indent(page, old, new)
    return found and Found("blank", found.splices, "blank lines at the ends of old were left out")


def _count_blank(text: str, last: bool = False) -> int:
    count = 0
    for line in reversed(split_lines(text)) if last else split_lines(text):
        if line.strip(BLANKS):
            break
        count += 1
    return count


def _drop_blank(text: str, head: int, tail: int) -> str:
    lines = text.split("\n")
    ended = text.endswith("\n")
    lines = lines[: len(lines) - ended]
    return "\n".join(lines[head : len(lines) - tail]) + ("\n" if ended else "")


def _find_elision(page: Page, old: str, new: str) -> Found | None:
    """Pieces of old with ``...`` between them, the same signs in new; what they stand for stays."""
    olds, signs = _split_elided(old)
    news, signs_too = _split_elided(new)
    if not signs or signs != signs_too or not any(line.strip() for piece in olds for line in piece):
        return None
    for place, (before, after) in enumerate(zip(olds, news, strict=True)):
        inner = 0 < place < len(olds) - 1
        if not any(line.strip() for line in before) and (inner or any(line.strip() for line in after)):
            return None
    wanted = [place for place, piece in enumerate(olds) if any(line.strip() for line in piece)]
    chains = _chain(page, [olds[place] for place in wanted])
    if not chains:
        return None
    matches: list[list[Splice]] = []
    for chain in chains:
        splices = []
        for place, index in zip(wanted, chain, strict=True):
            before, after = olds[place], news[place]
            end = "" if after else "\n"
            if [line.rstrip(BLANKS) for line in before] != [line.rstrip(BLANKS) for line in after]:
                splices.append(page.replace_lines(index, len(before), "\n".join(before) + end, "\n".join(after)))
        matches.append(splices)
    if len(matches) > 1:
        # Several ways to read it: each is shown by its first piece.
        firsts = [Splice(*page.region(chain[0], len(olds[wanted[0]]), ended=False), "") for chain in chains]
        return Found("elision", tuple(firsts))
    return Found("elision", tuple(matches[0]), "the lines that ... stands for were kept", together=True)


def _split_elided(text: str) -> tuple[list[list[str]], list[str]]:
    """The pieces between the signs of elision, and the signs."""
    pieces: list[list[str]] = [[]]
    signs: list[str] = []
    for line in split_lines(text):
        if _ELISION.fullmatch(line):
            signs.append(line.strip())
            pieces.append([])
        else:
            pieces[-1].append(line)
    return pieces, signs


def _chain(page: Page, pieces: list[list[str]]) -> list[list[int]]:
    """The ways to find all pieces one after the other; at most two, more are no better."""
    chains: list[list[int]] = [[]]
    for number, piece in enumerate(pieces):
        found = find_lines(page.trimmed, [line.rstrip(BLANKS) for line in piece])
        if len(found) > MOST_CHAINS:
            return []
        longer = []
        for chain in chains:
            least = chain[-1] + len(pieces[number - 1]) if chain else 0
            longer += [
                [*chain, index] for index in found if index >= least and not (chain and _leaves(page, least, index))
            ]
            if len(longer) > MOST_CHAINS:
                return []
        chains = longer
    return chains[:2]


def _leaves(page: Page, start: int, end: int) -> bool:
    """Whether the lines from ``start`` to before ``end`` leave what the lines around them are in: then it is another
    function's end that was found. Closing brackets, and what stands at the left edge by its nature, leave nothing."""
    around = [line for line in (*page.lines[:start][-1:], *page.lines[end : end + 1]) if line.strip(BLANKS)]
    if len(around) < 2:
        return False
    above, below = (len(indentation(line)) for line in around)
    least = below if below <= above else above + 1
    return any(
        len(indentation(line)) < least and line.strip(BLANKS)[:1] not in ("", ")", "]", "}", "#")
        for line in page.lines[start:end]
    )


def _find_numbers(page: Page, old: str, new: str) -> Found | None:
    """Old as it was shown, with line numbers; new with or without."""
    for tight in (False, True):
        plain = strip_numbers(old, tight)
        if plain is None or not plain.strip():
            return None
        put = strip_numbers(new, tight) if new else new
        if put is None:
            if any(_NUMBER.match(line) for line in split_lines(new)):
                return None  # some lines of new have a number and some have none
            put = new
        for find in (_find_trimmed, _find_indent):
            if found := find(page, plain, put):
                return Found("numbers", found.splices, "line numbers in the call were left out")
    return None
