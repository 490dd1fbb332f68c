"""How deep a value nests: Python 3.12 and later read JSON that the next one to write or to walk it cannot. Pure."""

from __future__ import annotations

from typing import Any

DEEPEST = 500
"""Lists and objects in each other; Python's own limit was about 990."""


def is_deep(value: Any) -> bool:
    """Whether a value as JSON has it nests deeper than any call means."""
    level = [value]
    for _ in range(DEEPEST):
        insides = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [child for inside in insides for child in inside]
        if not level:
            return False
    return True
