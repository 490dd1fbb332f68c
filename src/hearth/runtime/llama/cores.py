"""How many cores this process may really use."""

from __future__ import annotations

import os
from pathlib import Path

from hearth.weights.hardware.limits import read_limits


def allowed_cores() -> int:
    """Cores that affinity or a container's quota leaves us; 0 when neither limits us.

    llama.cpp counts the machine's physical cores and spins on them: with fewer cores allowed it would crawl.
    """
    everything = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everything
    allowed = min(allowed, quota_cores() or allowed)
    return allowed if allowed < everything else 0


def quota_cores(root: Path = Path("/")) -> int:
    """Whole cores that the control groups below ``root`` leave us, at least 1; 0 where none limits us."""
    cores = read_limits(root).cores
    return 0 if cores is None else max(int(cores), 1)
