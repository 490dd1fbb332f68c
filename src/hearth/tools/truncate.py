"""Cut long output so that it fits a small context, and say what was cut."""

from __future__ import annotations

import re

LONGEST_OUTPUT = 10_000
"""Characters of one tool result (the bound that made a 20B model finish, arXiv 2604.00362)."""
FULL_WINDOW = 16_384
"""Tokens of window from which on a result may have LONGEST_OUTPUT characters; below it, its share."""
SHORTEST_OUTPUT = 1_000
LONGEST_LINE = 1_000
"""Characters of one line: minified files and progress bars carry nothing beyond."""
USUAL_DENSITY = 1.25
"""Up to which a text counts by its characters: nine of ten source files are below it, by the measure of ``bulk``."""
_DIGITS = re.compile(r"[0-9]")
_MARKS = re.compile(r"[^\w\s]", re.ASCII)
_UNBROKEN = re.compile(r"[A-Za-z0-9+/=_-]{32,}")


def longest_output(window: int) -> int:
    """Characters of one tool result in a window of so many tokens; 0 for a window that nobody knows."""
    share = LONGEST_OUTPUT * window // FULL_WINDOW if window else LONGEST_OUTPUT
    return max(min(share, LONGEST_OUTPUT), SHORTEST_OUTPUT)


def bulk(text: str) -> int:
    """For how many characters a text counts. Prose and code count as they are; what tokenizers cut small counts more,
    or a page of figures or of Chinese would fill a window that ten of code fit into: digits, letters beyond ASCII (by
    their UTF-8 bytes), marks, long runs without a break."""
    whole = len(text) if text.isascii() else len(text.encode("utf-8", errors="replace"))
    small = 1.8 * len(_DIGITS.findall(text)) + len(_MARKS.findall(text)) / 2 + sum(map(len, _UNBROKEN.findall(text)))
    return max(len(text), int((whole + small) / USUAL_DENSITY))


def fitting(text: str, limit: int) -> int:
    """How many characters of a text like this one count for ``limit``."""
    counted = bulk(text)
    return limit if counted <= len(text) else limit * len(text) // counted


def readable(name: str) -> str:
    """A file name as text: bytes in it that are not UTF-8 become U+FFFD, because a message cannot carry them."""
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


def keep_ends(text: str, limit: int = LONGEST_OUTPUT) -> str:
    """Keep the first half and the last half: a command's cause is often at the start, its verdict at the end."""
    text = cut_lines(text)
    if len(text) <= limit:
        return text
    head_end = text.rfind("\n", 0, limit // 2) + 1 or limit // 2
    tail_start = text.find("\n", len(text) - limit // 2) + 1 or len(text) - limit // 2
    cut = text[head_end:tail_start]
    return f"{text[:head_end]}[{cut.count(chr(10))} lines, {len(cut):,} characters cut here]\n{text[tail_start:]}"


def keep_start(lines: list[str], limit: int = LONGEST_OUTPUT) -> tuple[list[str], int]:
    """The first lines that count for at most ``limit`` characters (``bulk``), and how many lines were left out."""
    used = 0
    for index, line in enumerate(lines):
        used += bulk(line) + 1
        if used > limit and index > 0:
            return lines[:index], len(lines) - index
    return lines, 0


def cut_lines(text: str, limit: int = LONGEST_LINE) -> str:
    """Shorten each line that is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    return "\n".join(cut_line(line, limit) for line in text.split("\n"))


def cut_line(line: str, limit: int = LONGEST_LINE) -> str:
    """Shorten one line and say by how much."""
    return line if len(line) <= limit else f"{line[:limit]} [{len(line) - limit:,} characters cut]"
