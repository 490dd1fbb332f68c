"""How much of a model's window a session may hold, when it is masked and when it is compacted: pure, all in shares.

The shares are of the window that one request really has (a slot's, never what the model was trained with). The caps are
tokens: a weak model gets worse long before a large window is full (working set 16-24k, compacted by 40k).
"""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_ANSWER = 256
"""Tokens that an answer may always have: a call with a short edit in it."""
MUST_SHRINK = 0.3
"""Part by which a compaction makes the conversation shorter, or says that it did not."""


@dataclass(frozen=True, slots=True)
class Shares:
    """``work``, ``mask`` and ``compact`` are shares of the window: what a shortened session should hold, where old
    observations are masked, where it is compacted. ``work_most`` and ``compact_most`` are tokens, 0 for no cap."""

    work: float = 0.35
    mask: float = 0.6
    compact: float = 0.75
    work_most: int = 24_000
    compact_most: int = 40_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens of one window. Above ``hard`` a request is never sent; what is left above it is the answer's."""

    window: int
    reserve: int
    margin: int
    hard: int
    mask: int
    compact: int
    work: int


def set_limits(window: int, max_tokens: int, shares: Shares) -> Limits:
    """The limits for a window whose answers have at most ``max_tokens``."""
    reserve = min(max_tokens, max(window // 8, min(SMALLEST_ANSWER, window // 2)))
    margin = window // 64 + 8
    hard = max(window - reserve - margin, 1)
    compact = min(int(shares.compact * window), shares.compact_most or window, hard)
    mask = min(int(shares.mask * window), int(compact * shares.mask / shares.compact))
    work = min(int(shares.work * window), shares.work_most or window, int(compact * 0.6))
    return Limits(window, reserve, margin, hard, mask, compact, work)


def fit_answer(limits: Limits, used: int, max_tokens: int) -> int:
    """Tokens that the next answer may have: what the frame allows, less what the window no longer holds."""
    return max(min(max_tokens, limits.window - used - limits.margin), min(max_tokens, 16))


def must_compact(limits: Limits, used: int, floor: int) -> bool:
    """Whether to compact now. ``floor`` is what the last compaction left: before there is enough above it that another
    one can shrink it by its part, only the end of the window asks for one."""
    return used > limits.hard or (used > limits.compact and used * (1 - MUST_SHRINK) > floor)


def has_shrunk(before: int, after: int) -> bool:
    """Whether a compaction has done its part."""
    return after <= before * (1 - MUST_SHRINK)


def pays_to_mask(limits: Limits, used: int, saved: int) -> bool:
    """Whether masking is worth reading the conversation again: a batch that brings it well below the mark at once."""
    return used > limits.mask and saved >= used // 5 and used - saved <= limits.mask * 0.85
