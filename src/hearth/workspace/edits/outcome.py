"""What comes of an edit: the new text and where it was put, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Rung = Literal["exact", "ends", "indent", "blank", "elision", "numbers"]
"""How old was found: as it is; but for line ends and trailing blanks; but for one uniform indentation; but for blank
lines at its ends; with ``...`` for lines that both sides leave out; without line numbers that it carried."""

Reason = Literal["bad", "same", "many", "missing", "done", "stale", "unseen", "syntax", "drops", "lazy", "file"]
"""Why an edit is refused: the call is wrong in itself, changes nothing, fits several places, fits none, seems to be
done; the file is not what the model saw, or was never seen; it breaks the syntax, drops definitions, leaves out text;
or the file cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Splice:
    """``put`` takes the place of the characters from ``start`` to ``end`` of the text before."""

    start: int
    end: int
    put: str


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit that applies: the new text, and the splices that make it, in order and apart from each other."""

    text: str
    splices: tuple[Splice, ...]
    rung: Rung = "exact"
    note: str = ""

    @property
    def lines(self) -> tuple[int, ...]:
        """The 1-based first lines of what was put, in the new text."""
        return tuple(first for first, _ in self.spans)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The 1-based first and last lines of what was put, in the new text."""
        found, line, place, shift = [], 1, 0, 0
        for splice in self.splices:
            start = splice.start + shift
            line += self.text.count("\n", place, start)
            inner = splice.put.count("\n")
            # A line end that closes what was put begins no line of it.
            last = line + inner - (1 if splice.put.endswith("\n") else 0)
            found.append((line, max(line, last)))
            line, place = line + inner, start + len(splice.put)
            shift += len(splice.put) - (splice.end - splice.start)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Refused:
    """An edit that does not apply; ``reason`` tells the model why and what would.

    ``detail`` is what helps further, below it: the places, the nearest text. ``region`` is the first and last line of
    the file that the model seems to have meant, (0, 0) when none is like it.
    """

    reason: str
    kind: Reason = "bad"
    detail: str = ""
    region: tuple[int, int] = (0, 0)


def splice_text(text: str, splices: Sequence[Splice], rung: Rung = "exact", note: str = "") -> Edited:
    """The text with the splices, which are in order and do not overlap."""
    parts, place = [], 0
    for splice in splices:
        parts += [text[place : splice.start], splice.put]
        place = splice.end
    parts.append(text[place:])
    return Edited("".join(parts), tuple(splices), rung, note)
