"""What an engine tells of its work, as llama-server's ``timings`` and ``usage``. What it does not tell is left out:
a figure is never made up."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

FINISHES = {
    "function_call": "tool_calls",
    "tool_call": "tool_calls",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_length": "length",
}
"""Other servers' words for why an answer ended."""


def finish_reason(told: object, calls: int) -> object:
    """llama-server's word for it: with calls in it, an answer that ended by itself ended in ``tool_calls``."""
    reason = FINISHES.get(told, told) if isinstance(told, str) else told
    return "tool_calls" if reason == "stop" and calls else reason


def timings_of(usage: Json) -> Json:
    """What ``usage`` holds of ``timings``, marked as such: no speeds, and no cached tokens unless they are told."""
    prompt, made = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = usage.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    known = {} if cached is None else {"cache_n": cached}
    return {**known, "prompt_n": max((prompt or 0) - (cached or 0), 0), "predicted_n": made or 0, "source": "usage"}


def count(value: object) -> int | None:
    """A number of tokens, None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def speed(name: str, tokens: int, nanoseconds: object) -> Json:
    """llama-server's three figures of a speed; empty when the time is not known."""
    if not isinstance(nanoseconds, int | float) or isinstance(nanoseconds, bool) or not 0 < nanoseconds < 1e18:
        return {}
    each = {f"{name}_per_token_ms": nanoseconds / 1e6 / tokens} if tokens else {}
    return {f"{name}_ms": nanoseconds / 1e6, **each, f"{name}_per_second": tokens * 1e9 / nanoseconds}
