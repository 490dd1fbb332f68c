"""How fast an engine was, read from the end of its answer."""

from __future__ import annotations

import re

FEWEST_READ = 256
"""Prompt tokens below which a prefill says nothing of the speed: most of its time is overhead."""
FEWEST_MADE = 16
"""Generated tokens below which the decoding says nothing."""

_FIELD = re.compile(rb'"(prompt_n|prompt_per_second|predicted_n|predicted_per_second)":\s*([0-9.eE+-]+)')


def read_speed(told: bytes) -> tuple[float, float] | None:
    """Prefill and decode speed in tokens a second from llama.cpp's ``timings`` in this part of an answer.

    None when there are none, or too few tokens were read or made to tell.
    """
    _, found, timings = told.rpartition(b'"timings"')
    if not found:
        return None
    try:
        values = {name.decode(): float(value) for name, value in _FIELD.findall(timings)}
    except ValueError:
        return None
    if values.get("prompt_n", 0) < FEWEST_READ or values.get("predicted_n", 0) < FEWEST_MADE:
        return None
    prefill, decode = values.get("prompt_per_second", 0.0), values.get("predicted_per_second", 0.0)
    return (prefill, decode) if prefill > 0 and decode > 0 else None
