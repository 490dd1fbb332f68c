"""Why old is not in a text, and what is there instead. Likeness serves to write the error, and nothing else."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass

from hearth.workspace.edits.lines import number_line, split_lines, to_lf

LONGEST_SEARCHED = 200_000
"""Characters of a file in which the nearest line is looked for by ``difflib`` alone: it took 9 s in 7 million."""
MOST_LINES = 60
"""Lines of old that are compared with the file; of a longer one the first count."""
COMMON = 50
"""A line that the file has more often says nothing about the place."""
MOST_LIKELY = 30
LIKE = 0.5
"""Least likeness of one line by which a place is named at all."""
LONGEST_SHOWN = 300

_WORD = re.compile(r"\w+")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "\u00a0": " "})
_ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\'": "'"}
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}


@dataclass(frozen=True, slots=True)
class Nearest:
    """The part of a text that is most like old: 1-based lines, and both as a diff with line numbers."""

    first: int
    last: int
    diff: str


def explain_tersely(text: str, old: str) -> str:
    """What the pilot is told; its model was trained on these very words."""
    wanted = old.strip().splitlines()
    lines = split_lines(text)
    first = wanted[0].strip() if wanted else ""
    stripped = [line.strip() for line in lines] if first and len(text) <= LONGEST_SEARCHED else []
    nearest = difflib.get_close_matches(first, stripped, n=1, cutoff=0.6)
    if not nearest:
        return "old is not in the file; nothing was changed. Read the file again and copy the text exactly"
    number = next(index for index, line in enumerate(lines) if line.strip() == nearest[0])
    return f"old is not in the file; nothing was changed. The nearest text is line {number + 1}:\n{lines[number]}"


def find_nearest(text: str, old: str) -> Nearest | None:
    """The lines that old seems to mean; None if no line of the file is like one of old."""
    lines, wanted = split_lines(text), split_lines(old)[:MOST_LINES]
    place = _vote(lines, wanted)
    if place is None:
        place = _likeliest(lines, wanted)
    if place is None:
        return None
    first = max(0, min(place, len(lines) - 1))
    last = max(first + 1, min(len(lines), place + len(wanted)))
    return Nearest(first + 1, last, _diff(wanted, lines[first:last], first + 1))


def find_hint(text: str, old: str) -> str:
    """The one thing that keeps old from being in the text, where it is a known slip; else empty."""
    text, old = to_lf(text), to_lf(old)
    if old.translate(_QUOTES) != old and old.translate(_QUOTES) in text:
        return "old has typographic quotes, dashes or blanks where the file has plain ones"
    if text.translate(_QUOTES) != text and old.translate(_QUOTES) in text.translate(_QUOTES):
        return "the file has typographic quotes, dashes or blanks where old has others"
    plain = _replace(old, _ESCAPES)
    if plain != old and plain in text:
        return "old has backslash escapes where the file has the characters themselves"
    plain = _replace(old, _ENTITIES)
    if plain != old and plain in text:
        return "old has HTML entities where the file has the characters themselves"
    composed = unicodedata.normalize("NFC", old)
    if composed and composed in unicodedata.normalize("NFC", text):
        return "the file has the same letters in another Unicode form"
    if old.strip() and old.lower() in text.lower():
        return "only upper and lower case differ"
    if len(old.split()) > 1 and " ".join(old.split()) in " ".join(text.split()):
        return "only blanks and line ends differ, but not uniformly"
    return ""


def show_lines(text: str, first: int, last: int) -> str:
    """Lines of the text with their numbers."""
    lines = split_lines(text)[first - 1 : last]
    return "\n".join(number_line(number, line[:LONGEST_SHOWN]) for number, line in enumerate(lines, first))


def _replace(text: str, signs: dict[str, str]) -> str:
    for sign, meant in signs.items():
        text = text.replace(sign, meant)
    return text


def _vote(lines: list[str], wanted: list[str]) -> int | None:
    """Where most of old's lines are, less blanks at either end: each votes for the line that old would begin at."""
    votes: Counter[int] = Counter()
    sought = {line.strip() for line in wanted} - {""}
    places: defaultdict[str, list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        if (bare := line.strip()) in sought:
            places[bare].append(index)
    for offset, line in enumerate(wanted):
        found = places.get(line.strip(), [])
        if len(found) <= COMMON:
            for index in found:
                votes[index - offset] += len(line.strip())
    if not votes:
        return None
    return min(votes, key=lambda place: (-votes[place], place))


def _likeliest(lines: list[str], wanted: list[str]) -> int | None:
    """Where the line is that is most like old's longest one: those that share the most words are compared."""
    offset = max(range(len(wanted)), key=lambda index: len(wanted[index].strip()), default=-1)
    line = wanted[offset].strip()[:LONGEST_SHOWN] if offset >= 0 else ""
    words = {word.lower() for word in _WORD.findall(line)}
    if not line:
        return None
    if len(lines) <= COMMON * MOST_LIKELY:
        likely = list(range(len(lines)))
    else:
        lowered = [other.lower() for other in lines]
        shared = Counter[int]()
        for word in words:
            shared.update(index for index, other in enumerate(lowered) if word in other)
        likely = [index for index, _ in shared.most_common(MOST_LIKELY)]
    matcher = difflib.SequenceMatcher(None, "", line)
    best, place = LIKE, None
    for index in sorted(likely):
        matcher.set_seq1(lines[index].strip()[:LONGEST_SHOWN])
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and (ratio := matcher.ratio()) > best:
            best, place = ratio, index - offset
    return place


def _diff(wanted: list[str], there: list[str], first: int) -> str:
    """Old against the file: lines of the file have numbers, those of old alone a minus in front."""
    shown: list[str] = []
    matcher = difflib.SequenceMatcher(None, wanted, there, autojunk=False)
    for tag, low, high, there_low, there_high in matcher.get_opcodes():
        if tag != "equal":
            shown += [f"-old: {line[:LONGEST_SHOWN]}" for line in wanted[low:high]]
        sign = " " if tag == "equal" else "+"
        shown += [
            sign + number_line(first + index, there[index][:LONGEST_SHOWN]) for index in range(there_low, there_high)
        ]
    return "\n".join(shown)
