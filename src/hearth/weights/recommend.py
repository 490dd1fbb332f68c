"""Which models are worth having on a machine, best first, with the quantisation, context and cache to run them. Pure.

A model's standing is the catalogue's. It loses for hard quantisation, a short context and slowness; a model that is too
slow for its purpose is not named at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import log2

from hearth.weights.catalogue import Entry, Purpose, QuantSource
from hearth.weights.fit import Outcome, Request, Verdict, judge
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape
from hearth.weights.speed import Speed, expected_speed


@dataclass(frozen=True, slots=True)
class Need:
    """What a purpose asks of a model. ``contexts`` are tried in turn, the first is enough and the last the least;
    speeds are tokens in a second: below ``least`` it is of no use, below ``good`` it loses points."""

    contexts: tuple[int, ...]
    good_decode: float
    least_decode: float
    good_prefill: float
    least_prefill: float


NEEDS: dict[Purpose, Need] = {
    "agent": Need((131_072, 65_536, 32_768), 30, 6, 600, 30),
    "quick": Need((32_768, 16_384, 8_192), 60, 10, 600, 30),
    "fim": Need((8_192, 4_096), 60, 15, 600, 60),
    "plan": Need((65_536, 32_768), 15, 3, 300, 20),
    "prose": Need((32_768, 16_384), 12, 3, 150, 10),
}

CPU_ACTIVE_B = 5.0
"""Billions of parameters for each token that a processor without a card can bear in an agent's long prompts."""

PATIENCE_S = 1800
"""A context that takes longer to be read from its start is not proposed, but for the smallest."""

# Points that are lost: for each halving of context and speed, for each bit of a weight below eight. They grow with the
# square where it hurts: the second halving of a context, and weights below four and a half bits, where models begin to
# make mistakes in code.
_CONTEXT_STEP = 3.5
_DECODE_STEP = 8.0
_PREFILL_STEP = 5.0
_BIT_STEP = 1.0
_FEW_BITS, _FEW_BITS_STEP = 4.5, 7.0
_QUANTISED_KV = 1.0
_EXPERTS_ON_CPU = 4.0
_MADE_SMALL = ("MXFP4", "QAT", "NVFP4")
"""Quantisations that a model was trained in: nothing is lost by them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One model and how to run it. ``speed`` is an estimate; ``score`` orders, and says nothing else."""

    name: str
    quant: str
    repo: str
    size_bytes: int
    context: int
    kv_type: str
    verdict: Verdict
    speed: Speed
    score: float
    why: str
    warning: str


def recommend(
    entries: Iterable[Entry], machine: Machine, purpose: Purpose = "agent", context: int = 0
) -> tuple[Suggestion, ...]:
    """Every model that serves the purpose on this machine, best first; the same for the same arguments. ``context`` are
    the tokens that must fit, 0 for those of the purpose.

    Models whose shape or size nobody told are left out: nothing is guessed. Those that would need layers on the
    processor beside a card are left out too, unless the processor alone is fast enough: a poor card is as none.
    """
    without = replace(machine, gpus=()) if machine.gpus and not machine.unified else None
    best = [
        max(found, key=lambda one: (one.score, one.size_bytes, one.context))
        for entry in entries
        if purpose in entry.good_for
        and (
            found := list(_ways(entry, machine, purpose, context))
            or [_beside(one) for one in (_ways(entry, without, purpose, context) if without else ())]
        )
    ]
    return tuple(sorted(best, key=lambda one: (-one.score, one.name)))


def _beside(suggestion: Suggestion) -> Suggestion:
    """What the processor does alone, said on a machine that has a card."""
    small = "the card has too little room: counted is the processor alone"
    return replace(suggestion, warning="; ".join(filter(None, (small, suggestion.warning))))


def _ways(entry: Entry, machine: Machine, purpose: Purpose, asked: int) -> Iterator[Suggestion]:
    """One model in each quantisation and context that fits."""
    if entry.shape is None or _too_heavy(entry, machine, purpose):
        return
    wishes = (asked,) if asked else NEEDS[purpose].contexts
    native = entry.native_context or entry.shape.native_context or wishes[0]
    if asked > native:
        return
    for source in entry.sources:
        if source.format != "gguf" or not source.size_bytes:
            continue
        shape = replace(entry.shape, expert_bytes=_expert_bytes(entry, source.size_bytes), native_context=native)
        contexts = sorted({min(wanted, native) for wanted in wishes}, reverse=True)
        for context in contexts:
            verdict = judge(shape, source.size_bytes, Request(context), machine)
            if not verdict.outcome.fits:
                continue
            speed = expected_speed(shape, verdict.breakdown, verdict.request, machine)
            if _fast_enough(speed, purpose) and (context == contexts[-1] or context / speed.prefill <= PATIENCE_S):
                yield _suggestion(entry, source, shape, verdict, speed, purpose)


def _suggestion(
    entry: Entry, source: QuantSource, shape: ModelShape, verdict: Verdict, speed: Speed, purpose: Purpose
) -> Suggestion:
    need, request = NEEDS[purpose], verdict.request
    size = source.size_bytes or 0
    score = entry.standing - _losses(entry, source, verdict, speed, need)
    why = f"{_kind(entry, shape)}; {verdict.outcome.value}: {verdict.why}"
    slow = (
        "slow for this purpose" if speed.decode < need.good_decode / 2 or speed.prefill < need.good_prefill / 4 else ""
    )
    warning = "; ".join(filter(None, (verdict.warning, slow)))
    return Suggestion(
        entry.name, source.quant, source.repo, size, request.context, request.kv_type, verdict, speed,
        round(score, 2), why, warning,
    )  # fmt: skip


def _kind(entry: Entry, shape: ModelShape) -> str:
    """How large it is and how much of it works on a token, as far as the catalogue tells."""
    total = f"{entry.total_b:g}B " if entry.total_b else ""
    if not shape.experts:
        return f"{total}dense"
    return f"{entry.active_b:g}B of {total}active" if entry.active_b and total else f"{total}with experts"


def _losses(entry: Entry, source: QuantSource, verdict: Verdict, speed: Speed, need: Need) -> float:
    """Points that a way of running costs."""
    # Where nobody says how many parameters there are, nothing is held against it.
    bits = (source.size_bytes or 0) * 8 / (entry.total_b * 1e9) if entry.total_b else 8.0
    made_small = source.quant.upper().startswith(_MADE_SMALL) or entry.family == "gpt-oss"
    few = max(0.0, _FEW_BITS - bits)
    lost = 0.0 if made_small else _BIT_STEP * max(0.0, 8 - bits) + _FEW_BITS_STEP * (few + few * few)
    halvings = log2(max(1.0, need.contexts[0] / verdict.request.context))
    lost += _CONTEXT_STEP * (halvings + halvings * halvings)
    lost += _DECODE_STEP * log2(max(1.0, need.good_decode / speed.decode))
    lost += _PREFILL_STEP * log2(max(1.0, need.good_prefill / speed.prefill))
    lost += _EXPERTS_ON_CPU if verdict.outcome is Outcome.EXPERTS_ON_CPU else 0.0
    return lost + (_QUANTISED_KV if verdict.outcome is Outcome.QUANTISED else 0.0)


def _too_heavy(entry: Entry, machine: Machine, purpose: Purpose) -> bool:
    """A processor alone reads an agent's long prompts with small models, or with few active experts."""
    active = entry.active_b or entry.total_b or 0.0
    return purpose == "agent" and not machine.gpus and active > CPU_ACTIVE_B


def _fast_enough(speed: Speed, purpose: Purpose) -> bool:
    need = NEEDS[purpose]
    return speed.decode >= need.least_decode and speed.prefill >= need.least_prefill


def _expert_bytes(entry: Entry, size_bytes: int) -> int:
    """Of a file of this size; by the share of the parameters when the catalogue does not say."""
    known = entry.shape.expert_bytes if entry.shape else 0
    if 0 < known < size_bytes:
        return known
    return int(size_bytes * entry.expert_b / entry.total_b) if entry.expert_b and entry.total_b else 0
