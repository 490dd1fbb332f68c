"""What is quoted in a text: code fences, inline code; pure, in linear time."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fence:
    """A code fence from ``start`` to ``end``; ``info`` is the word behind its opening, ``inner`` what it holds."""

    start: int
    end: int
    info: str
    inner: str
    closed: bool


class Quotes:
    """The backticks and fences of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._fences = list(FENCE.finditer(text)) if "```" in text or "~~~" in text else []
        self._starts = [match.start() for match in self._fences]
        self._runs: dict[int, list[int]] = {}
        if "`" in text:
            for run in _TICKS.finditer(text):
                self._runs.setdefault(len(run[0]), []).append(run.start())

    def fence_at(self, at: int) -> Fence | None:
        """The fence that opens with the line at ``at``. One that is never closed goes on to the end, but not beyond the
        end of the reasoning in which it stands."""
        index = bisect_right(self._starts, at) - 1
        if index < 0 or self._fences[index].start() != at:
            return None
        opening = self._fences[index]
        mark, info = opening["mark"], opening["info"].strip()
        if mark[0] == "`" and "`" in info:
            return None
        begin = min(opening.end() + 1, len(self._text))
        for later in range(index + 1, len(self._fences)):
            closing = self._fences[later]
            ticks = closing["mark"]
            if ticks[0] == mark[0] and len(ticks) >= len(mark) and not closing["info"].strip():
                return Fence(at, closing.end(), info, self._text[begin : closing.start()], True)
        thought = self._text.find("</think>", begin)
        end = thought if thought >= 0 else len(self._text)
        return Fence(at, end, info, self._text[begin:end], False)

    def fences(self) -> Iterator[Fence]:
        """The fences in their order; what looks like one within another is a part of it."""
        end = 0
        for start in self._starts:
            if start >= end and (fence := self.fence_at(start)):
                end = fence.end
                yield fence

    def inline_end(self, at: int, length: int, marked: re.Pattern[str]) -> int:
        """Where the inline code ends whose backticks begin at ``at``; 0 if they begin none.

        Over line breaks only where a marker stands in the opening line: a stray backtick in prose quotes nothing.
        """
        runs = self._runs.get(length, [])
        index = bisect_right(runs, at)
        if index == len(runs):
            return 0
        close = runs[index]
        line = self._text.find("\n", at)
        if line < 0 or close < line:
            return close + length
        if _BLANK.search(self._text, at, close) or not marked.search(self._text, at, line):
            return 0
        return close + length


FENCE = re.compile(r"^[ \t>]*(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)", re.MULTILINE)
_TICKS = re.compile(r"`+")
_BLANK = re.compile(r"\n[ \t]*\n")
