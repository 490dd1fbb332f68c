"""Replace whole lines by their numbers."""

from __future__ import annotations

from hearth.workspace.edits.lines import find_starts, fit_ends, strip_shown
from hearth.workspace.edits.outcome import Edited, Refused, Splice, splice_text


def replace_span(text: str, first: int, last: int, new: str) -> Edited | Refused:
    """``new`` in place of lines ``first`` to ``last``, counted from 1; with ``last = first - 1`` it is put before them.

    An empty ``new`` removes the lines. Numbers that each line of ``new`` carries from our results are left out.
    """
    starts = find_starts(text)
    count = len(starts) - 1
    if not 1 <= first <= count + 1 or not first - 1 <= last <= count:
        return Refused(f"there are no lines {first}-{last}: the file has {count}")
    if not new and last < first:
        return Refused("new is empty and no line is named", "same")
    plain = strip_shown(new)
    note = "line numbers in new were left out" if plain != new else ""
    edited = splice_text(text, [splice_lines(text, starts, first - 1, last, plain)], "exact", note)
    return Refused("the lines are already so", "same") if edited.text == text else edited


def splice_lines(text: str, starts: list[int], first: int, beyond: int, new: str, always: bool = False) -> Splice:
    """``new`` as whole lines in place of those from index ``first`` to before ``beyond``; ``always``: see ``fit_ends``.

    The end of the file keeps its newline, or its lack of one.
    """
    start, end = starts[first], starts[beyond]
    put = fit_ends(new if not new or new.endswith("\n") else new + "\n", text, start, end, always)
    if end == len(text) and text and not text.endswith("\n"):
        put = put.removesuffix("\n").removesuffix("\r")
        if start == end and put:  # behind a last line that has no end
            put = fit_ends("\n", text, start, end, always) + put
        elif not put and start > 0:  # the last lines go: the one above becomes the last, unless it would vanish
            above = start - (2 if text[start - 2 : start] == "\r\n" else 1)
            start = above if above > 0 and text[above - 1] != "\n" else start
    return Splice(start, end, put)
