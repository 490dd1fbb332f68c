"""Which processors of a machine are its fast ones, where a maker has put two kinds onto one chip."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from hearth.runtime.speed.grid import Cores
from hearth.weights.hardware.cpu import physical_cores
from hearth.weights.hardware.system_text import read_file, whole

_NEARLY = 0.9
"""Processors within so much of the fastest one's capacity count as fast: makers bin single cores a little higher."""


def find_cores(physical: int, root: Path = Path("/"), allowed: Collection[int] | None = None) -> Cores:
    """The cores that we may use. ``physical`` is what the machine's measure says, 0 when unknown; ``root`` is where the
    system's files are, ``allowed`` the processors that we may run on (None: ask the system)."""
    numbers = _allowed() if allowed is None else set(allowed)
    physical = physical or len(numbers)
    fast = _fast(root, numbers)
    count = physical_cores(root, "", fast) if fast and fast != numbers else physical
    # A quota may leave fewer than there are processors.
    return Cores(physical, min(count, physical), max(physical, _within_quota(physical, root, numbers)))


def _within_quota(physical: int, root: Path, numbers: Collection[int]) -> int:
    """Hardware threads, unless something leaves us fewer cores than the processors have."""
    there = physical_cores(root, read_file(root / "proc/cpuinfo"), numbers)
    return len(numbers) if physical >= there else physical


def _fast(root: Path, numbers: set[int]) -> set[int]:
    """By Intel's list of performance cores, or by Linux's capacities as Arm's chips have them; empty where all are
    alike."""
    devices = root / "sys/devices"
    if listed := parse_list(read_file(devices / "cpu_core/cpus")):
        return numbers & listed
    capacity = {
        number: told
        for number in numbers
        if (told := whole(read_file(devices / f"system/cpu/cpu{number}/cpu_capacity"))) is not None
    }
    most = max(capacity.values(), default=0)
    return {number for number, told in capacity.items() if told >= _NEARLY * most}


def parse_list(text: str) -> set[int]:
    """The numbers of a list as Linux writes it, ``0-3,8``; empty when it is none."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        low, high = whole(first), whole(last or first)
        if low is None or high is None or not low <= high < 1 << 16:
            return set()
        numbers |= set(range(low, high + 1))
    return numbers


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))
