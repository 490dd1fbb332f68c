"""What of a machine a model may be planned with: memory is never filled to the last byte. Pure."""

from __future__ import annotations

from hearth.weights.fit_compute import CARD_BYTES, FURTHER_CARD_BYTES, MIB
from hearth.weights.hardware import Machine
from hearth.weights.hardware.gpu import Gpu

GPU_RESERVE_BYTES = 1024 * MIB
"""Left free on each card, as llama.cpp's own fitting leaves it (``--fit-target``)."""

NOMINAL_SHARE = 0.97
"""Of a card's nominal size, what a driver gives to programs: a card of 16 GiB shows 15.5 to 15.9 GiB. Applied when all
of a card's memory is said to be free, which no measured card is."""

RAM_RESERVE_BYTES = 1024 * MIB
"""Left free of the RAM, as llama.cpp's own fitting leaves it."""

SYSTEM_BYTES = 2048 * MIB
"""What a system and a desktop hold of the RAM, for a machine that is described and not measured."""


def usable_gpu_bytes(gpu: Gpu) -> int:
    """What may be put on a card: what is free, or is likely to be on one that is only described, less the reserve."""
    free = gpu.free_bytes if gpu.free_bytes < gpu.total_bytes else int(gpu.total_bytes * NOMINAL_SHARE)
    return max(0, free - GPU_RESERVE_BYTES)


def usable_ram_bytes(machine: Machine) -> int:
    """What may be put into the RAM."""
    free = machine.ram_free_bytes
    if free >= machine.ram_bytes:
        free = machine.ram_bytes - SYSTEM_BYTES
    return max(0, free - RAM_RESERVE_BYTES)


def rooms_for_layers(machine: Machine, cards: int | None) -> list[int]:
    """What each card has for layers, less what a card costs before any when several are used; 0 for those beyond the
    ``cards`` with the most room, None for all."""
    usable = [usable_gpu_bytes(gpu) for gpu in machine.gpus]
    used = sorted(sorted(range(len(usable)), key=lambda index: -usable[index])[:cards])
    if len(used) > 1:
        usable = [max(0, room - (CARD_BYTES if i == used[0] else FURTHER_CARD_BYTES)) for i, room in enumerate(usable)]
    return [room if index in used else 0 for index, room in enumerate(usable)]
