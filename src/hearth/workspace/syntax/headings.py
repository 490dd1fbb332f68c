"""The headings of a Markdown text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_TITLE = re.compile(r"\s*$|\s*([-*+>|#]|\d+[.)])\s|\s{4}|\s*(`{3}|~{3}|<|---)")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading with what is below it, up to the next of the same or a higher level; 1-based lines, inclusive."""

    title: str
    path: str
    level: int
    first_line: int
    last_line: int


def list_headings(text: str) -> tuple[Heading, ...]:
    """The headings in order; those inside fenced code and front matter are none, nor are empty ones."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    found: list[Heading] = []
    open_ones: list[int] = []
    for number, level, title in _scan(lines):
        if not title:
            continue
        while open_ones and found[open_ones[-1]].level >= level:
            closed = open_ones.pop()
            found[closed] = replace(found[closed], last_line=number - 1)
        outer = found[open_ones[-1]].path if open_ones else ""
        open_ones.append(len(found))
        found.append(Heading(title, f"{outer} > {title}" if outer else title, level, number, len(lines)))
    return tuple(found)


def _scan(lines: list[str]) -> list[tuple[int, int, str]]:
    """Line, level and title of each heading."""
    headings: list[tuple[int, int, str]] = []
    fence = ""
    start = 0
    if lines and lines[0] == "---":
        # Front matter: not Markdown yet.
        start = next((index + 1 for index in range(1, len(lines)) if lines[index] in ("---", "...")), 0)
    for index in range(start, len(lines)):
        line = lines[index]
        mark = _FENCE.match(line)
        if fence:
            if mark and mark.group(1).startswith(fence) and not line.strip("`~ \t"):
                fence = ""
            continue
        if mark:
            fence = mark.group(1)
        elif heading := _HEADING.match(line):
            headings.append((index + 1, len(heading.group(1)), _clean(line[heading.end() :])))
        elif index > start and (under := _UNDERLINE.match(line)) and not _NO_TITLE.match(lines[index - 1]):
            headings.append((index, 1 if under.group(1)[0] == "=" else 2, lines[index - 1].strip()))
    return headings


def _clean(title: str) -> str:
    """The title without the hashes that may close it."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title
