"""Lines, their ends and their places in a text."""

from __future__ import annotations

import re
from collections.abc import Callable

BLANKS = " \t\r"
_NUMBERED = re.compile(r"[ \t]*(?:[Ll](?:ine )?)?(\d+)[ ]?(?:[|│:→]|\t)(.*)", re.DOTALL)

_SHOWN = re.compile(r"[ \t]*\d+\|")


def split_lines(text: str) -> list[str]:
    """The lines without their ends (LF or CRLF), numbered as editors and tools do.

    ``str.splitlines`` also breaks at form feeds and Unicode separators, which would shift every number after them.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def count_lines(text: str) -> int:
    """How many lines ``split_lines`` gives."""
    return text.count("\n") + (1 if text and not text.endswith("\n") else 0)


def find_difference(before: str, after: str) -> tuple[int, int]:
    """How many characters are alike at the start and at the end of two texts, whole lines only."""
    most = min(len(before), len(after))
    head = _longest(most, lambda count: before.startswith(after[:count]))
    head = before.rfind("\n", 0, head) + 1
    tail = _longest(most - head, lambda count: before.endswith(after[len(after) - count :]))
    # The first line that is alike must be one in both texts.
    start = len(before) - tail
    if (tail and not (start == 0 or before[start - 1] == "\n")) or (
        tail and not (len(after) == tail or after[len(after) - tail - 1] == "\n")
    ):
        newline = before.find("\n", start)
        tail = 0 if newline < 0 else len(before) - newline - 1
    return head, tail


def _longest(most: int, alike: Callable[[int], bool]) -> int:
    """The largest count up to ``most`` that is alike, where all smaller ones are; by halving, each step one compare."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if alike(middle) else (low, middle - 1)
    return low


def find_starts(text: str) -> list[int]:
    """Where each line starts, in characters, and last where the text ends."""
    starts, place = [0], 0
    for line in text.split("\n")[:-1]:
        place += len(line) + 1
        starts.append(place)
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts


def to_lf(text: str) -> str:
    """The text with LF for each CRLF."""
    return text.replace("\r\n", "\n")


def has_crlf(text: str, start: int, end: int) -> bool:
    """Whether the lines in a place of the text end with CRLF; where none ends there, the line that it is in decides."""
    place = text.find("\n", start, end)
    if place < 0:
        place = text.find("\n", end)
    if place < 0:
        place = text.rfind("\n", 0, start)
    return place > 0 and text[place - 1] == "\r"


def fit_ends(new: str, text: str, start: int, end: int, always: bool = False) -> str:
    """``new`` with the line ends of the place that it is put to.

    Ends that ``new`` says itself (a CRLF in it) are kept, unless ``always``: then they say no more than that the model
    does not know the file's.
    """
    if "\r\n" in new and not always:
        return new
    new = to_lf(new)
    return new.replace("\n", "\r\n") if "\n" in new and has_crlf(text, start, end) else new


def number_line(number: int, line: str) -> str:
    """A line as our results show it: its number, a bar, a blank, the line."""
    return f"{number}| {line}" if line else f"{number}|"


def strip_numbers(text: str, tight: bool = False) -> str | None:
    """The text without the line numbers in front of each line; None if not each has one, in a row.

    ``tight``: what follows the sign after the number is the line's, a blank too.
    """
    ended = text.endswith("\n")
    found: list[str] = []
    number = -1
    for line in (text[:-1] if ended else text).split("\n"):
        match = _NUMBERED.fullmatch(line)
        if not match or (number >= 0 and int(match[1]) != number + 1):
            return None
        number = int(match[1])
        found.append(match[2] if tight else match[2].removeprefix(" "))
    return "\n".join(found) + ("\n" if ended else "")


def strip_shown(text: str) -> str:
    """The text without the numbers of our own results, if each of its lines has one; else the text."""
    lines = split_lines(text)
    if not lines or not all(_SHOWN.match(line) for line in lines):
        return text
    plain = strip_numbers(text)
    return text if plain is None else plain
