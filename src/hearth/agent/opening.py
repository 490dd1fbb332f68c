"""The first message of a session: the project's map before the task, frozen there for good: pure but for the drawing.

What is attached to a message stands in tags, so that it can be told from the words of the person, counted, and left out
when the conversation is shortened. It is the project's text: data, never an instruction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice

FEW_FILES = 6
"""Files up to which a project needs no map: the model sees them all in one look."""
MAP_SHARE = 1 / 16
"""Of the window."""
LARGEST_MAP = 2_048
SMALLEST_MAP = 160
"""Tokens below which a map says nothing."""
ASSUMED_WINDOW = 16_384
Draw = Callable[[int, str], str]
"""Draws the map: tokens that it may have, the prompt that says what matters; an empty one when there is none."""
_ATTACHED = re.compile(r"<(map|file|folder)(?: [^\n<>]*)?>\n")
_TOLD = re.compile(r"<(guide|skills)(?: [^\n<>]*)?>\n")
_TAG = re.compile(r"</?(?=(map|file|folder|guide|skills)\b)")


def map_budget(window: int) -> int:
    """Tokens of a map in a window, 0 for none; 0 is a window that nobody has told."""
    budget = min(int((window or ASSUMED_WINDOW) * MAP_SHARE), LARGEST_MAP)
    return budget if budget >= SMALLEST_MAP else 0


def with_map(prompt: str, draw: Draw, window: int, files: Iterable[str]) -> str:
    """The prompt of a session's first turn after the map of the project; alone where there is little to draw.

    ``files`` are the project's, of which only a few are looked at.
    """
    budget = map_budget(window)
    if not budget or sum(1 for _ in islice(files, FEW_FILES + 1)) <= FEW_FILES:
        return prompt
    drawn = draw(budget, prompt).strip("\n")
    return f"{wrap('map', drawn)}\n\n{prompt}" if drawn.strip() else prompt


def wrap(tag: str, text: str, attributes: str = "") -> str:
    """Text of the project in a tag that nothing in it can close."""
    # A file's name may hold what ends a tag.
    head = " ".join([tag, *attributes.replace("<", "‹").replace(">", "›").split()])
    return f"<{head}>\n{_TAG.sub(lambda found: found[0].replace('<', '‹'), text)}\n</{tag}>"


def find_attachments(text: str) -> list[tuple[str, str]]:
    """What is attached to a message: the tag, and the whole of it."""
    return [(tag, text[start:end]) for tag, start, end in _find(text, _ATTACHED)]


def strip_attachments(text: str) -> str:
    """A message without what is attached to it."""
    return _without(text, _ATTACHED).strip("\n") or text


def find_told(system: str) -> list[tuple[str, str]]:
    """The guides and skills in a system text: the tag, and the whole of it."""
    return [(tag, system[start:end]) for tag, start, end in _find(system, _TOLD)]


def strip_told(system: str) -> str:
    """A system text without guides and skills."""
    return _without(system, _TOLD)


def _find(text: str, opening: re.Pattern[str]) -> list[tuple[str, int, int]]:
    """The tag, start and end of each part. Looked for step by step: an expression for the whole of one takes a time
    that grows with the square of a prompt full of tags that nothing closes."""
    found: list[tuple[str, int, int]] = []
    unclosed: set[str] = set()
    place = 0
    while begun := opening.search(text, place):
        tag, place = begun[1], begun.end()
        last = -1 if tag in unclosed else text.find(f"\n</{tag}>", place)
        if last < 0:
            unclosed.add(tag)
            continue
        place = last + len(f"\n</{tag}>")
        while text.startswith("\n", place):
            place += 1
        found.append((tag, begun.start(), place))
    return found


def _without(text: str, opening: re.Pattern[str]) -> str:
    kept, place = [], 0
    for _, start, end in _find(text, opening):
        kept.append(text[place:start])
        place = end
    return "".join([*kept, text[place:]])
