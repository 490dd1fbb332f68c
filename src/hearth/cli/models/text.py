"""How figures of models are written for a person."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def size_text(size: int) -> str:
    """Bytes in decimal units, as model pages use them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def memory_text(size: int) -> str:
    """Bytes in binary units, as cards and engines count them."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def count_text(number: int, what: str) -> str:
    """So many of something: ``1 slot``, ``2 slots``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span_text(seconds: float) -> str:
    """A span as one looks at it while waiting."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese and its like take two, marks on a letter none."""
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines with aligned columns, two blanks apart; the columns in ``right`` end together."""
    widths = [max(columns(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        "  ".join(
            " " * (width - columns(cell)) + cell if column in right else cell + " " * (width - columns(cell))
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
