"""Rows of what was measured, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``limit`` is what it must not pass, None when there is none; ``note`` says where it is from."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the figure is within its limit."""
        return self.limit is None or self.value <= self.limit

    def texts(self) -> tuple[str, str, str]:
        """What, how much, and the limit, for a person."""
        limit = "" if self.limit is None else f"{_number(self.limit)} {self.unit}"
        return self.what, f"{_number(self.value)} {self.unit}", f"{limit} {self.note}".strip()


def show(rows: Sequence[Row]) -> int:
    """Print the rows; the exit code: 1 when one is beyond its limit."""
    for row in rows:
        what, value, limit = row.texts()
        print(
            f"{what:<46} {value:>14}" + (f"   at most {limit}" if limit else "") + ("" if row.passed else "   BEYOND")
        )
    return 0 if all(row.passed for row in rows) else 1


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    lines = [f"| {what} | {value} | {limit} |" for what, value, limit in (row.texts() for row in rows)]
    return "\n".join(["| what | measured | at most |", "|---|---|---|", *lines, ""])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
