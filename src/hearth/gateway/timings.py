"""What an engine says at the end of an answer: how much it read, reused and made, and how fast."""

from __future__ import annotations

import re
from dataclasses import dataclass

FEWEST_READ = 256
"""Prompt tokens below which a prefill says nothing of the speed: most of its time is overhead."""
FEWEST_MADE = 16
"""Generated tokens below which the decoding says nothing."""

_FIELD = re.compile(rb'"(cache_n|prompt_n|prompt_per_second|predicted_n|predicted_per_second)":\s*([0-9.eE+-]+)')


@dataclass(frozen=True, slots=True)
class Timings:
    """Tokens of the prompt that were there already, that were read, and of the answer; tokens a second of each."""

    reused: int
    read: int
    made: int
    prefill_per_s: float
    decode_per_s: float

    @property
    def speed(self) -> tuple[float, float] | None:
        """Prefill and decode in tokens a second; None when too few tokens were read or made to tell."""
        if self.read < FEWEST_READ or self.made < FEWEST_MADE or min(self.prefill_per_s, self.decode_per_s) <= 0:
            return None
        return self.prefill_per_s, self.decode_per_s


def read_timings(told: bytes) -> Timings | None:
    """llama.cpp's ``timings`` in this part of an answer, the last of several; None when there are none."""
    _, found, text = told.rpartition(b'"timings"')
    if not found:
        return None
    try:
        values = {name.decode(): float(value) for name, value in _FIELD.findall(text)}
        reused, read, made = (int(values.get(name, 0)) for name in ("cache_n", "prompt_n", "predicted_n"))
    except (ValueError, OverflowError):
        return None
    return Timings(reused, read, made, values.get("prompt_per_second", 0.0), values.get("predicted_per_second", 0.0))
