"""Text as it may stand on a terminal. Loaded with every command: no expression is compiled for it."""

from __future__ import annotations

# Beside what drives the terminal, what turns the order of letters round: "rm x" must not look like "x mr".
_RANGES = ((0, 8), (0x0B, 0x1F), (0x7F, 0x9F), (0x061C, 0x061C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069))
_DROPPED = dict.fromkeys(code for first, last in _RANGES for code in range(first, last + 1))


def printable(text: str) -> str:
    """Text without control characters: what a model or a file says must not drive the terminal."""
    return text.translate(_DROPPED)
