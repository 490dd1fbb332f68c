"""How fast a model will probably answer: an estimate from how fast memory is read, until it is measured. Pure.

A token is decoded by reading every weight that it uses once, and the conversation so far. How much of the memory's
speed comes through was taken from published measurements of an RTX 3090, a desktop's DDR4 and Apple's chips with
llama.cpp: they differ by a third from card to card, and so will these figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.weights.fit import Breakdown, Part, table_bytes
from hearth.weights.fit_kv import Request
from hearth.weights.hardware import Machine
from hearth.weights.hardware.gpu import Gpu
from hearth.weights.shape import ModelShape

GB = 10**9
READ_SO_FAR = 16_384
"""Tokens of conversation that are read for each new one: what an agent's sessions come to soon."""

_RAM_BANDWIDTH = 50 * GB
"""Two channels of DDR4-3200, when the machine's own is not known."""

_CARD_BANDWIDTH = ((8, 272), (12, 360), (16, 448), (24, 936), (32, 1792), (48, 864), (64, 1500))
_LARGEST_CARD_BANDWIDTH = 2000
"""GB/s of a usual card of so many GiB: RTX 4060, 3060, 5060 Ti, 3090, 5090, L40S, and A100 for more."""

_DENSE_SHARE, _EXPERTS_SHARE = 0.68, 0.35
_RAM_DENSE_SHARE, _RAM_EXPERTS_SHARE = 0.70, 0.50
_LINK = 12 * GB
"""Bytes/s from the RAM to a card (PCIe 4.0, 8 lanes): the engine has the card read long prompts with weights that lie
in the RAM, a micro batch at a time."""

_CARD_PREFILL, _UNIFIED_PREFILL, _RAM_PREFILL = 28.0, 9.0, 4.0
"""Tokens of a prompt that are read in the time of one that is written."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens in a second: ``decode`` of an answer, ``prefill`` of a prompt. ``assumed`` says that a card's or the
    RAM's own bandwidth was not known, and a usual one was taken."""

    decode: float
    prefill: float
    assumed: bool


def expected_speed(shape: ModelShape, breakdown: Breakdown, request: Request, machine: Machine) -> Speed:
    """The estimate for one conversation alone. Devices work one after the other."""
    decode_s = prefill_s = 0.0
    assumed = False
    read = min(1.0, READ_SO_FAR / request.context) / request.slots
    experts = breakdown.expert_bytes or (*(0 for _ in breakdown.gpus), shape.expert_bytes)
    for gpu, part, expert_bytes in zip(machine.gpus, breakdown.gpus, experts, strict=False):
        if part.weights:
            bandwidth = gpu.bandwidth or _usual_bandwidth(gpu)
            share = _EXPERTS_SHARE if shape.experts else _DENSE_SHARE
            weights = _active(shape, part, expert_bytes) / (bandwidth * share)
            decode_s += weights + part.kv * read / (bandwidth * _DENSE_SHARE)
            prefill_s += weights / (_UNIFIED_PREFILL if machine.unified else _CARD_PREFILL)
            assumed = assumed or gpu.bandwidth is None
    host = _host_active(shape, breakdown, experts[-1])
    if host:
        bandwidth = machine.memory_bandwidth or _RAM_BANDWIDTH
        weights = host / (bandwidth * (_RAM_EXPERTS_SHARE if shape.experts else _RAM_DENSE_SHARE))
        decode_s += weights + breakdown.host.kv * read / (bandwidth * _RAM_DENSE_SHARE)
        streamed = breakdown.host.weights / (_LINK * request.micro_batch)
        on_cards = any(part.weights for part in breakdown.gpus)
        prefill_s += min(weights / _RAM_PREFILL, streamed) if on_cards else weights / _RAM_PREFILL
        assumed = assumed or machine.memory_bandwidth is None
    return Speed(1 / decode_s, 1 / prefill_s, assumed) if decode_s and prefill_s else Speed(0.0, 0.0, True)


def _active(shape: ModelShape, part: Part, expert_bytes: int) -> int:
    """Bytes of weights that one token reads on a device."""
    used = expert_bytes * shape.experts_used // shape.experts if shape.experts else expert_bytes
    return part.weights - expert_bytes + used


def _host_active(shape: ModelShape, breakdown: Breakdown, expert_bytes: int) -> int:
    """The same in the RAM: of tables that are looked up a token reads next to nothing."""
    weights = sum(part.weights for part in breakdown.gpus) + breakdown.host.weights
    on_cards = any(part.weights for part in breakdown.gpus)
    table = 0 if shape.tied and not on_cards else table_bytes(shape, weights)
    return max(0, _active(shape, breakdown.host, expert_bytes) - table - shape.lookup_bytes)


def _usual_bandwidth(gpu: Gpu) -> float:
    size_gib = gpu.total_bytes / (1 << 30)
    return GB * next((speed for size, speed in _CARD_BANDWIDTH if size_gib <= size), _LARGEST_CARD_BANDWIDTH)
