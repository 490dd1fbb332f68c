"""SEARCH/REPLACE text: blocks between conflict marks, each below the name of its file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hearth.workspace.edits.outcome import Refused

_SEARCH = re.compile(r"\s*(?:<{5,9}|-{5,9})\s*(?:SEARCH|ORIGINAL|HEAD)\b\s*>?\s*(.*)")
_DIVIDER = re.compile(r"\s*={5,9}\s*")
_REPLACE = re.compile(r"\s*(?:>{5,9}|\+{5,9})\s*(?:REPLACE|UPDATED?)\b\s*<?\s*")
_FENCE = re.compile(r"\s*(?:`{3,}|~{3,})\s*([\w+-]*)\s*(.*)")
_NAME = re.compile(
    r"(?:[#*>\-]+\s+)?(?:(?:file(?:name)?|path)\s*:\s*)?[`*\"']*([^`*\"'\n:]+?)[`*\"']*:?\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Block:
    """One replacement; an empty ``old`` is a new file with ``new`` as its text."""

    path: str
    old: str
    new: str


def parse_blocks(text: str, path: str = "") -> tuple[Block, ...] | Refused:
    """The blocks of a text, in order. ``path`` is the file of those without a name.

    A block that names none is in the file of the one above. An open block, or one with two dividers, refuses all.
    """
    lines = text.split("\n")
    blocks: list[Block] = []
    index = 0
    while index < len(lines):
        opened = _SEARCH.fullmatch(lines[index].rstrip("\r"))
        if not opened:
            index += 1
            continue
        path = opened[1].strip("`*\"' \t") or _find_name(lines, index) or path
        if not path:
            return Refused(f"block {len(blocks) + 1} names no file: write its path on the line above the block")
        end = _find_end(lines, index + 1)
        if end is None:
            return Refused(f"block {len(blocks) + 1} ({path}) has no end: close it with >>>>>>> REPLACE")
        body = lines[index + 1 : end]
        dividers = [place for place, line in enumerate(body) if _DIVIDER.fullmatch(line)]
        if len(dividers) != 1:
            problem = "has no ======= line" if not dividers else "has more than one ======= line: use edit"
            return Refused(f"block {len(blocks) + 1} ({path}) {problem}")
        old, new = body[: dividers[0]], body[dividers[0] + 1 :]
        blocks.append(Block(path, _end_lines(old), _end_lines(new)))
        index = end + 1
    if not blocks:
        return Refused(
            "there is no block: write <<<<<<< SEARCH, the old lines, =======, the new lines, >>>>>>> REPLACE"
        )
    return tuple(blocks)


def _end_lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _find_end(lines: list[str], start: int) -> int | None:
    for index in range(start, len(lines)):
        if _REPLACE.fullmatch(lines[index].rstrip("\r")):
            return index
        if _SEARCH.fullmatch(lines[index].rstrip("\r")):
            return None
    return None


def _find_name(lines: list[str], index: int) -> str:
    """The path on one of the two lines above a block, with or without a fence between them."""
    for line in reversed(lines[max(0, index - 2) : index]):
        fence = _FENCE.fullmatch(line)
        if fence:
            if fence[2] and " " not in fence[2]:
                return fence[2]
            continue
        if not line.strip():
            continue
        name = _NAME.fullmatch(line.strip())
        if name and _looks_like_path(name[1]):
            return name[1].strip()
        return ""
    return ""


def _looks_like_path(name: str) -> bool:
    return " " not in name.strip() and bool(re.search(r"[/.]|^[A-Z]\w*file$", name)) and not name.endswith(".")
