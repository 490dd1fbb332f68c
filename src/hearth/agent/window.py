"""How much of a model's window a session may hold, when it is masked and when it is compacted: pure, all in shares.

The shares are of the window that one request really has (a slot's, never what the model was trained with). The caps are
tokens: a weak model gets worse long before a large window is full (working set 16-24k, compacted by 40k).
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.llm.profile import Profile, limits

SMALLEST_ANSWER = 256
"""Tokens that an answer may always have: a call with a short edit in it."""
USUAL = Profile("usual", "", ())
"""The shares of who says nothing of them."""
MOST_LEFT = 0.6
"""Of the mark for compactions, what one may leave at most."""
RESULT = 0.3
"""Of the window, what one result may have at most."""
MUST_SHRINK = 0.3
"""Part by which a compaction makes the conversation shorter, or says that it did not."""


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


def set_limits(window: int, max_tokens: int, profile: Profile) -> Limits:
    """The limits for a window whose answers have at most ``max_tokens``: the profile's, and room for an answer."""
    reserve = min(max_tokens, max(window // 8, min(SMALLEST_ANSWER, window // 2)))
    margin = window // 64 + 8
    hard = max(window - reserve - margin, 1)
    wanted = limits(profile, window)
    compact = min(wanted.compact, hard)
    mask = min(wanted.mask, int(compact * profile.mask / profile.compact))
    return Limits(window, reserve, margin, hard, mask, compact, min(wanted.work, int(compact * MOST_LEFT)))


def fit_answer(limits: Limits, used: int, max_tokens: int) -> int:
    """Tokens that the next answer may have: what the frame allows, less what the window no longer holds."""
    return max(min(max_tokens, limits.window - used - limits.margin), min(max_tokens, 16))


def must_compact(limits: Limits, used: int, floor: int) -> bool:
    """Whether to compact now. ``floor`` is what the last compaction left: before there is enough above it that another
    one can shrink it by its part, only the end of the window asks for one."""
    return used > limits.hard or (used > limits.compact and used * (1 - MUST_SHRINK) > floor)


def goal_of(limits: Limits, base: int) -> int:
    """Tokens that a compaction should leave, of which ``base`` stand before the messages."""
    return max(limits.work, base + limits.window // 5)


def largest_result(limits: Limits, base: int) -> int:
    """Tokens that one result may have: after a compaction there must be room for one before the next."""
    room = limits.compact - goal_of(limits, base)
    return max(min(int(limits.window * RESULT), room), limits.window // 16)


def has_shrunk(before: int, after: int) -> bool:
    """Whether a compaction has done its part."""
    return after <= before * (1 - MUST_SHRINK)


def pays_to_mask(limits: Limits, used: int, saved: int) -> bool:
    """Whether masking is worth reading the conversation again: a batch that brings it well below the mark at once."""
    return used > limits.mask and saved >= used // 5 and used - saved <= limits.mask * 0.85
