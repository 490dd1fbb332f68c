"""Finds the loops of a text that is still being written: pure, in linear time, in bounded memory.

What a person may want is no loop: lines of a table that are alike, long lists of numbers, a picture of letters. So in
an answer only exact repetition counts, and much of it. In reasoning, which nobody asked for, less is enough, and the
same words in nearly the same order count too.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW = 32_768
"""Characters that are remembered: four copies of the longest stretch."""
LONGEST_STRETCH = 8_000
STRIDE = 512
"""New characters after which is looked again: each look costs what the window holds, so the whole stays linear."""
ANCHOR = 64
"""Characters at the end that must have been there before for a look to go on."""
MOST_CANDIDATES = 8
SHORTEST_PROSE = 3
"""Words that a stretch has at least to be prose: data and pictures repeat themselves rightfully, sentences do not."""


@dataclass(frozen=True, slots=True)
class Row:
    """A loop of a stretch shorter than ``below``: so many ``copies``, and so many ``characters`` in all; ``prose``
    characters are enough for one of words."""

    below: int
    copies: int
    characters: int
    prose: int


ANSWER = (Row(16, 1, 8_000, 8_000), Row(200, 16, 12_000, 3_000), Row(1_000, 6, 6_000, 3_000), Row(8_001, 4, 0, 0))
"""Measured against tables, minified code, base64 and mazes (``tests/llm/test_ngrams.py``): none of them comes near.
At four characters a token a loop costs 750 to 3,000 tokens before it is cut, not the 8,192 of a whole answer."""
REASONING = (Row(16, 1, 3_000, 3_000), Row(200, 8, 2_000, 1_000), Row(1_000, 4, 2_000, 1_500), Row(8_001, 3, 0, 0))
CALL = (
    Row(16, 1, 12_000, 12_000),
    Row(200, 16, 16_000, 8_000),
    Row(1_000, 8, 16_000, 8_000),
    Row(8_001, 4, 12_000, 12_000),
)
"""For the arguments of calls: files are written there, which may hold the same line a hundred times over."""

GRAM = 6
"""Words of one n-gram."""
GRAMS = 1_200
"""N-grams that are compared with each other: about 6,500 characters of English."""
FEWEST_SHARE = 0.2
"""Share of different n-grams among these below which reasoning only goes round: five times the same, nearly."""
LONGEST_WORD = 32
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Loop:
    """A stretch that comes again and again; ``start`` is where its second copy begins, in characters of the whole."""

    stretch: str
    start: int


class Repetition:
    """Watches for one stretch that is repeated exactly, without anything between."""

    def __init__(self, rows: Sequence[Row] = ANSWER) -> None:
        self._rows = rows
        self._tail = ""
        self._new: list[str] = []
        self._fresh = 0
        self._dropped = 0

    def add(self, piece: str) -> Loop | None:
        """Take the next piece; the loop that the text is in, if it is."""
        for start in range(0, len(piece), STRIDE):
            part = piece[start : start + STRIDE]
            self._new.append(part)
            self._fresh += len(part)
            if self._fresh >= STRIDE and (loop := self._look()):
                return loop
        return None

    def _look(self) -> Loop | None:
        whole = self._tail + "".join(self._new)
        self._new.clear()
        self._fresh = 0
        self._tail = whole[-WINDOW:]
        self._dropped += len(whole) - len(self._tail)
        period = find_period(self._tail, self._rows)
        if not period:
            return None
        start = self._dropped + len(self._tail) - count_repeated(self._tail, period)
        return Loop(self._tail[-period:], start)


def find_period(tail: str, rows: Sequence[Row] = ANSWER) -> int:
    """The length of the stretch that the text ends in copies of, 0 when these are too few to count."""
    needle = tail[-ANCHOR:]
    end = len(tail) - 1
    for _ in range(MOST_CANDIDATES):
        at = tail.rfind(needle, 0, end)
        if at < 0:
            return 0
        period = len(tail) - len(needle) - at
        if period > LONGEST_STRETCH:
            return 0
        stretch = tail[-period:]
        needed = needed_characters(stretch, rows)
        repeated = needed <= len(tail) and tail[len(tail) - needed + period :] == tail[-needed : len(tail) - period]
        # What is copies itself is judged by the shortest: six short rows are no long one.
        if repeated and (stretch + stretch).find(stretch, 1) == period:
            return period
        end = at + len(needle) - 1
    return 0


def needed_characters(stretch: str, rows: Sequence[Row] = ANSWER) -> int:
    """How long a text of copies of this stretch must be for it to be a loop."""
    row = next(row for row in rows if len(stretch) < row.below)
    characters = row.prose if len(_WORD.findall(stretch)) >= SHORTEST_PROSE else row.characters
    return max(row.copies * len(stretch), characters)


def count_repeated(text: str, period: int) -> int:
    """How many characters at the end repeat those ``period`` before them: all copies but the first."""
    low, high = 0, max(0, len(text) - period)
    while low < high:
        middle = (low + high + 1) // 2
        if text[len(text) - middle :] == text[len(text) - period - middle : len(text) - period]:
            low = middle
        else:
            high = middle - 1
    return low


class Circling:
    """Watches for the same words in nearly the same order: reasoning that gets nowhere is seldom quite the same."""

    def __init__(self) -> None:
        self._word = ""
        self._words: deque[str] = deque(maxlen=GRAM)
        self._grams: deque[tuple[int, int]] = deque()
        self._counts: Counter[int] = Counter()
        self._position = 0

    def add(self, piece: str) -> Loop | None:
        """Take the next piece; the loop that the text is in, if it is. ``start`` is where words came again."""
        *words, self._word = re.split(r"\s+", self._word + piece)
        while len(self._word) > LONGEST_WORD:
            words.append(self._word[:LONGEST_WORD])
            self._word = self._word[LONGEST_WORD:]
        start = self._position
        self._position += len(piece)
        for word in words:
            self._words.append(word)
            if len(self._words) == GRAM:
                self._count(hash(tuple(self._words)), start)
                if len(self._grams) == GRAMS and len(self._counts) < GRAMS * FEWEST_SHARE:
                    return Loop(" ".join(self._words), self._find_start())
        return None

    def _find_start(self) -> int:
        seen: set[int] = set()
        for gram, position in self._grams:
            if gram in seen:
                return position
            seen.add(gram)
        return self._position

    def _count(self, gram: int, position: int) -> None:
        if len(self._grams) == GRAMS:
            oldest, _ = self._grams.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        self._grams.append((gram, position))
        self._counts[gram] += 1
