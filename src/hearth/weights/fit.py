"""Does a model fit a machine, how, and with how much context: closed form, no file or engine needed. Pure.

What each device must hold is counted; a card is never filled to the last byte. See docs/fit.md for how near it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hearth.weights.fit_compute import (
    CARD_BYTES,
    FURTHER_CARD_BYTES,
    MIB,
    compute_bytes,
    host_compute_bytes,
    workspace_bytes,
)
from hearth.weights.fit_kv import (
    CELLS_STEP,
    MOST_TOKENS,
    Request,
    bytes_per_token,
    checkpoint_bytes,
    kv_bytes,
    recurrent_bytes,
)
from hearth.weights.fit_room import rooms_for_layers, usable_gpu_bytes, usable_ram_bytes
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape

__all__ = [
    "Breakdown", "Outcome", "Part", "Placement", "Request", "Verdict", "bytes_per_token", "estimate", "judge",
    "keeps_twice", "largest_context", "missing_bytes", "table_bytes", "usable_gpu_bytes", "usable_ram_bytes",
]  # fmt: skip

LARGEST_PROMPT_CACHE = 8192 * MIB
_PROJECTOR_GROWTH = 1.35
_DRAFT_BYTES = 224 * MIB
_LARGEST_CONTEXT = 1 << 20
_REPACKED = frozenset({2, 12, 20, 39})
"""Tensor types (Q4_0, Q4_K, IQ4_NL, MXFP4) that a processor keeps a second time, rearranged, when the embedding is also
the output; measured with AVX2."""


class Outcome(StrEnum):
    """How a model goes onto a machine, best first."""

    FITS = "fits"
    QUANTISED = "fits with q8_0 KV"
    EXPERTS_ON_CPU = "fits with experts on CPU"
    LAYERS_ON_CPU = "runs with layers on CPU"
    DOES_NOT_FIT = "does not fit"

    @property
    def fits(self) -> bool:
        """Whether it runs at a speed that is worth it: layers on the CPU are not."""
        return self in (Outcome.FITS, Outcome.QUANTISED, Outcome.EXPERTS_ON_CPU)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where layers and experts go: ``gpu_layers`` None puts all of them on the cards; of those,
    ``host_expert_layers`` leave their experts in the RAM. Only the ``cards`` with the most room are used, None for
    all: what a further card costs may be more than it has."""

    gpu_layers: int | None = None
    host_expert_layers: int = 0
    cards: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one device holds, in bytes. ``cache`` is prompts and checkpoints that the host keeps for later;
    ``overhead`` what is outside the engine's own account."""

    weights: int = 0
    kv: int = 0
    recurrent: int = 0
    compute: int = 0
    overhead: int = 0
    cache: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.recurrent + self.compute + self.overhead + self.cache


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What each card and the host hold. Of the weights, ``expert_bytes`` are experts on each card, then the host."""

    gpus: tuple[Part, ...]
    host: Part
    expert_bytes: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """Bytes on all devices together."""
        return sum(part.total for part in self.gpus) + self.host.total


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. ``request`` and ``placement`` are how it fits, or nearly would; ``missing_bytes`` is what the
    tightest device lacks when it does not. ``warning`` is empty when there is nothing to be warned of."""

    outcome: Outcome
    request: Request
    placement: Placement
    breakdown: Breakdown
    largest_context: int
    missing_bytes: int
    why: str
    warning: str = ""


def estimate(
    shape: ModelShape, file_bytes: int, request: Request, machine: Machine, placement: Placement | None = None
) -> Breakdown:
    """What each device would hold. ``file_bytes`` counts when the shape does not know its tensors' bytes.

    Without cards, or with no layer on them, the host holds all.
    """
    return _Estimate(shape, file_bytes, request, machine, placement or Placement()).breakdown()


class _Estimate:
    """One count, step by step."""

    def __init__(
        self, shape: ModelShape, file_bytes: int, request: Request, machine: Machine, placement: Placement
    ) -> None:
        self._shape, self._request, self._machine = shape, request, machine
        self._layers = shape.layers
        on_cards = self._layers if placement.gpu_layers is None else min(placement.gpu_layers, self._layers)
        self._on_cards = on_cards if machine.gpus else 0
        self._weights = (shape.tensor_bytes or file_bytes) - (0 if request.draft else shape.nextn_bytes)
        self._table = table_bytes(shape, self._weights)
        self._experts = min(shape.expert_bytes, max(0, self._weights - 2 * self._table - shape.lookup_bytes))
        self._host_expert_layers = min(placement.host_expert_layers, self._on_cards)
        self._split = _split(self._on_cards, rooms_for_layers(machine, placement.cards))

    def breakdown(self) -> Breakdown:
        shape, request = self._shape, self._request
        kv, states = kv_bytes(shape, request), recurrent_bytes(shape, request)
        if not self._on_cards:
            twice = self._table if keeps_twice(shape) else 0
            cards = tuple(Part() for _ in self._machine.gpus)
            host = Part(
                self._weights + twice, kv, states, self._host_compute(), self._extras(), cache=self._host_cache()
            )
            return Breakdown(cards, host, (*(0 for _ in cards), self._experts))
        parts, experts = [], []
        used = [index for index, layers in enumerate(self._split) if layers]
        first, last = used[0], used[-1]
        for index, layers in enumerate(self._split):
            share = layers / self._layers
            expert_bytes = int(self._experts * share * (1 - self._host_expert_layers / self._on_cards))
            weights = int(self._layer_weights() * share) + expert_bytes
            if index == last and self._on_cards == self._layers:
                weights += self._output_bytes()
            overhead = self._card_overhead(layers, index == first) + (self._extras() if index == first else 0)
            compute = compute_bytes(shape, request, len(used)) if layers else 0
            parts.append(Part(weights, int(kv * share), int(states * share), compute, overhead))
            experts.append(expert_bytes)
        on_card_weights = sum(part.weights for part in parts) - self._copied()
        host = Part(
            self._weights - on_card_weights,
            kv - sum(part.kv for part in parts),
            states - sum(part.recurrent for part in parts),
            self._host_compute(),
            cache=self._host_cache(),
        )
        return Breakdown(tuple(parts), host, (*experts, self._experts - sum(experts)))

    def _layer_weights(self) -> int:
        """Of all layers, without experts: neither tables that are looked up nor the output."""
        output = 0 if self._shape.tied else self._table
        return max(0, self._weights - self._table - self._shape.lookup_bytes - output - self._experts)

    def _output_bytes(self) -> int:
        return 0 if self._machine.unified and self._shape.tied else self._table

    def _copied(self) -> int:
        """What is on a card and on the host: the embedding, when it is the output too."""
        return self._output_bytes() if self._shape.tied and self._on_cards == self._layers else 0

    def _card_overhead(self, layers: int, is_first: bool) -> int:
        if not layers or self._machine.unified:
            return 0
        base = CARD_BYTES if is_first else FURTHER_CARD_BYTES
        return base + workspace_bytes(self._shape, self._request)

    def _extras(self) -> int:
        """A reader of images and the graph of a draft."""
        draft = _DRAFT_BYTES if self._request.draft and self._shape.nextn_layers else 0
        return int(self._request.projector_bytes * _PROJECTOR_GROWTH) + draft

    def _host_compute(self) -> int:
        if self._on_cards == self._layers and not self._host_expert_layers:
            return host_compute_bytes(self._shape, self._request)
        return compute_bytes(self._shape, self._request)

    def _host_cache(self) -> int:
        prompts = self._request.prompt_cache_bytes
        if prompts is None:
            prompts = min(LARGEST_PROMPT_CACHE, self._machine.ram_bytes // 8)
        return prompts + (checkpoint_bytes(self._shape, self._request) if prompts else 0)


def keeps_twice(shape: ModelShape) -> bool:
    """Whether a processor alone keeps the embedding twice: as it is, and rearranged for the output."""
    return shape.tied and shape.embedding_kind in (*_REPACKED, -1)


def table_bytes(shape: ModelShape, weights: int) -> int:
    """The token embedding, of a file with ``weights`` bytes; when unknown, at five and a half bits an element."""
    guess = shape.vocabulary * shape.embedding * 11 // 16
    return shape.embedding_bytes or min(guess, weights // 4)


def _split(layers: int, budgets: list[int]) -> list[int]:
    """Layers for each card, in proportion to what may be put there; what is left over goes where most room is left."""
    total = sum(budgets)
    if not total:
        return [layers, *(0 for _ in budgets[1:])] if budgets else []
    shares = [layers * budget / total for budget in budgets]
    split = [int(share) for share in shares]
    for index in sorted(range(len(budgets)), key=lambda one: split[one] - shares[one])[: layers - sum(split)]:
        split[index] += 1
    return split


def judge(shape: ModelShape, file_bytes: int, request: Request, machine: Machine) -> Verdict:
    """Whether and how it fits: as asked; with a q8_0 cache; with experts in the RAM; with whole layers there."""
    for outcome, asked, placement in _ways(shape, file_bytes, request, machine):
        breakdown = estimate(shape, file_bytes, asked, machine, placement)
        if missing_bytes(breakdown, machine) == 0:
            largest = largest_context(shape, file_bytes, asked, machine, placement)
            why, warning = _reasons(outcome, shape, asked, machine, placement, breakdown)
            warning = "; ".join(filter(None, (warning, _beyond(shape, asked))))
            return Verdict(outcome, asked, placement, breakdown, largest, 0, why, warning)
    tried = [Placement(cards=cards) for cards in _fewer(machine)]
    found = [(largest_context(shape, file_bytes, request, machine, placement), placement) for placement in tried]
    largest, placement = max(found, key=lambda pair: pair[0])
    breakdown = estimate(shape, file_bytes, request, machine, placement)
    missing = missing_bytes(breakdown, machine)
    why = f"{_gib(missing)} too little for {request.context:,} tokens in {_slots(request)} with {request.kv_type} KV"
    warning = f"it would fit with {largest:,} tokens" if largest >= 1024 else ""
    return Verdict(Outcome.DOES_NOT_FIT, request, placement, breakdown, largest, missing, why, warning)


def _ways(
    shape: ModelShape, file_bytes: int, request: Request, machine: Machine
) -> Iterator[tuple[Outcome, Request, Placement]]:
    """What is tried, best first."""
    smaller = replace(request, kv_type="q8_0") if not request.quantised and shape.kv else None
    requests = [request, smaller] if smaller else [request]
    fewer = _fewer(machine)
    for outcome, asked in zip((Outcome.FITS, Outcome.QUANTISED), requests, strict=False):
        for cards in fewer:
            yield outcome, asked, Placement(cards=cards)
    if not machine.gpus or machine.unified:
        return

    def fewest(asked: Request, placements: Sequence[Placement]) -> Placement:
        """The first after which the cards have room: each needs less of them than the one before."""
        low, high = 0, len(placements) - 1
        while low < high:
            middle = (low + high) // 2
            breakdown = estimate(shape, file_bytes, asked, machine, placements[middle])
            low, high = (middle + 1, high) if _missing_on_cards(breakdown, machine) else (low, middle)
        return placements[low]

    for asked in requests if shape.expert_bytes else ():
        for cards in fewer:
            counts = [Placement(None, count, cards) for count in range(1, shape.layers + 1)]
            yield Outcome.EXPERTS_ON_CPU, asked, fewest(asked, counts)
    for cards in fewer:
        layers = [Placement(count, cards=cards) for count in range(shape.layers - 1, 0, -1)]
        if layers:
            yield Outcome.LAYERS_ON_CPU, requests[-1], fewest(requests[-1], layers)
    # No card takes a layer: then nothing is won by a smaller cache.
    for asked in requests:
        yield Outcome.LAYERS_ON_CPU, asked, Placement(0)


def _fewer(machine: Machine) -> tuple[int | None, ...]:
    """All cards, then without the one that has least room, and so on."""
    return None, *range(len(machine.gpus) - 1, 0, -1)


def missing_bytes(breakdown: Breakdown, machine: Machine) -> int:
    """What the tightest device lacks; 0 when all have room. Unified memory counts as one."""
    needed = breakdown.total if machine.unified else breakdown.host.total
    return max(_missing_on_cards(breakdown, machine), needed - usable_ram_bytes(machine))


def _missing_on_cards(breakdown: Breakdown, machine: Machine) -> int:
    parts = zip(breakdown.gpus, machine.gpus, strict=True)
    return max([0, *(part.total - usable_gpu_bytes(gpu) for part, gpu in parts if part.total)])


def largest_context(
    shape: ModelShape, file_bytes: int, request: Request, machine: Machine, placement: Placement | None = None
) -> int:
    """Tokens for each slot that fit with this placement, a multiple of 256, at most what the model was trained for;
    0 when not even 256 fit."""
    most = min(shape.native_context or _LARGEST_CONTEXT, MOST_TOKENS // request.slots) // CELLS_STEP
    fitting, failing = 0, most + 1
    while failing - fitting > 1:
        middle = (fitting + failing) // 2
        breakdown = estimate(shape, file_bytes, replace(request, context=middle * CELLS_STEP), machine, placement)
        fitting, failing = (middle, failing) if missing_bytes(breakdown, machine) == 0 else (fitting, middle)
    return fitting * CELLS_STEP


def _beyond(shape: ModelShape, request: Request) -> str:
    """The engine cuts a slot to what the model was trained for."""
    if not 0 < shape.native_context < request.context:
        return ""
    return f"the model was trained for {shape.native_context:,} tokens: no request gets more"


def _reasons(
    outcome: Outcome, shape: ModelShape, request: Request, machine: Machine, placement: Placement, breakdown: Breakdown
) -> tuple[str, str]:
    """Why, and what to be warned of."""
    count, used_cards = len(machine.gpus), sum(bool(part.total) for part in breakdown.gpus)
    several = f"{used_cards} of {count} cards" if used_cards < count else f"the {count} cards"
    where = "the unified memory" if machine.unified else several if count > 1 else "the card"
    used = sum(part.total for part in breakdown.gpus)
    base = f"{request.context:,} tokens in {_slots(request)} with {request.kv_type} KV"
    if not machine.gpus:
        slow = "" if shape.experts else "no graphics card: every token reads the whole model from the RAM"
        return f"{base}: {_gib(breakdown.host.total)} of RAM", slow
    if placement.gpu_layers == 0:
        warning = "no card has room for a layer: the processor runs the model"
        return f"{base}: {_gib(breakdown.host.total)} of RAM", warning
    if outcome is Outcome.EXPERTS_ON_CPU:
        count = placement.host_expert_layers
        return (
            f"{base}: {_gib(used)} on {where}, experts of {count} of {shape.layers} layers in the RAM",
            "experts in the RAM are read at the RAM's speed: expect a half to a fifth of the card's",
        )
    if outcome is Outcome.LAYERS_ON_CPU:
        count = shape.layers - (placement.gpu_layers or 0)
        return (
            f"{base}: {_gib(used)} on {where}, {count} of {shape.layers} layers in the RAM",
            f"{count} layers run on the processor: expect a fifth of the card's speed or less; take a smaller model",
        )
    return f"{base}: {_gib(used)} on {where}", ""


def _slots(request: Request) -> str:
    return f"each of {request.slots} slots" if request.slots > 1 else "one slot"


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
