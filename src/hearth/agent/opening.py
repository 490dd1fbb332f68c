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
_ATTACHED = re.compile(r"<(map|file|folder)( [^\n>]*)?>\n.*?\n</\1>\n*", re.DOTALL)
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
    return [(found[1], found[0]) for found in _ATTACHED.finditer(text)]


def strip_attachments(text: str) -> str:
    """A message without what is attached to it."""
    return _ATTACHED.sub("", text).strip("\n") or text
