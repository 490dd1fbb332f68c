"""What an engine can do for whom it serves, declared by each engine class; docs/engines.md is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one kind of engine can do, whatever its model. What is False here is refused or left out, never faked."""

    own_process: bool
    """hearth starts and ends it; otherwise somebody else does, and it is only asked."""
    explicit_context: bool
    """hearth says how many tokens a request may hold; otherwise the engine's own figure counts."""
    saves_kv: bool
    """What conversations were read for outlives their slot and the engine."""
    progress: bool
    """The stream tells how much of the prompt is read."""
    activity: bool
    """It can be asked what it is doing, so that a stuck one is told from a slow one without waiting."""
    overflow_counts: bool
    """A prompt that is too long is refused with both numbers."""
    cached_tokens: bool
    """It tells how much of a prompt it had already."""
    speeds: bool
    """It tells how fast it read and wrote."""
    grammar: bool
    """GBNF grammars, and the samplers of llama.cpp alone."""
    json_schema: bool
    """Answers that must fit a JSON schema."""
    forced_tools: bool
    """``tool_choice`` other than ``auto`` and ``none``."""
    template_arguments: bool
    """``chat_template_kwargs`` beyond thinking."""
    logprobs: bool
    """``logprobs``, ``logit_bias`` and ``n``."""
    infill: bool
    """Fill-in-the-middle by a route of its own."""
    raw: bool
    """Prompts that are text, special tokens included, and answers that show them."""


LLAMA_CPP = Capabilities(
    own_process=True,
    explicit_context=True,
    saves_kv=True,
    progress=True,
    activity=True,
    overflow_counts=True,
    cached_tokens=True,
    speeds=True,
    grammar=True,
    json_schema=True,
    forced_tools=True,
    template_arguments=True,
    logprobs=True,
    infill=True,
    raw=True,
)
"""llama.cpp in a process of ours, in the package or as a llama-server that the owner has."""

LLAMA_ELSEWHERE = replace(LLAMA_CPP, own_process=False, explicit_context=False, saves_kv=False)
"""A llama-server that somebody else runs: its slots and its files are not ours."""
