"""SEARCH/REPLACE blocks as Cline, Roo and aider write them: pure, and strict. What is not certain is no block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """One replacement. ``path`` is what stands on the line above it, empty where none does."""

    path: str
    old: str
    new: str


def read_blocks(text: str) -> tuple[Block, ...]:
    """The blocks that a text consists of; none if there is anything else in it: words between them, a block that is
    open, one with a mark in its lines. Lines of fences around them count as blank."""
    blocks: list[Block] = []
    path, lines = "", _LINE.findall(text)
    at = 0
    while at < len(lines):
        bare = lines[at].strip()
        if _SEARCH.fullmatch(bare):
            ends = _find_ends(lines, at + 1)
            if ends is None:
                return ()
            divider, end = ends
            begin = _skip_place(lines, at + 1, divider)
            blocks.append(Block(path, "".join(lines[begin:divider]), "".join(lines[divider + 1 : end])))
            path, at = "", end + 1
            continue
        named = _PATH.fullmatch(bare)
        if bare and not _FENCE.fullmatch(bare):
            if path or not named:
                return ()
            path = named["path"]
        at += 1
    return () if path else tuple(blocks)


def _find_ends(lines: Sequence[str], start: int) -> tuple[int, int] | None:
    """The lines of the divider and of the end, if they are the only marks there."""
    divider = -1
    for at in range(start, len(lines)):
        bare = lines[at].rstrip()
        if _DIVIDER.fullmatch(bare):
            if divider >= 0:
                return None
            divider = at
        elif _REPLACE.fullmatch(bare):
            return (divider, at) if divider >= 0 else None
        elif _SEARCH.fullmatch(bare):
            return None
    return None


def _skip_place(lines: Sequence[str], start: int, divider: int) -> int:
    """Behind Roo's ``:start_line:`` and the dashes that follow it: the text alone says where it is."""
    at = start
    while at < divider and _PLACE.fullmatch(lines[at].strip()):
        at += 1
    return at + 1 if start < at < divider and _DASHES.fullmatch(lines[at].strip()) else at


_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SEARCH = re.compile(r"<{7} SEARCH>?|-{7} SEARCH>?")
_DIVIDER = re.compile(r"={7}")
_REPLACE = re.compile(r">{7} REPLACE|\+{7} REPLACE")
_PLACE = re.compile(r":(?:start|end)_line:\s*\[?[0-9]{1,9}\]?")
_DASHES = re.compile(r"-{7}")
_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w+-]{0,20}")
_NAME = r"[\w@~+/.-]{1,200}"
_PATH = re.compile(
    rf"[`*]{{0,3}}(?P<path>{_NAME}(?:\.\w{{1,12}}|/[\w.-]{{1,80}})|\w{{0,20}}[mM]akefile|Dockerfile)[`*:]{{0,4}}"
)
"""A line that is the name of a file: it has a folder or an ending, or is known."""
