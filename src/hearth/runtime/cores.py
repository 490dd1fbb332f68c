"""How many cores this process may really use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def allowed_cores() -> int:
    """Cores that affinity or a container's quota leaves us; 0 when neither limits us.

    llama.cpp counts the machine's physical cores and spins on them: with fewer cores allowed it would crawl.
    """
    everything = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everything
    quota = quota_cores(_read(_CGROUP_QUOTA))
    allowed = min(allowed, quota or allowed)
    return allowed if allowed < everything else 0


def quota_cores(cpu_max: str) -> int:
    """Whole cores in a ``cpu.max`` text (``200000 100000`` is 2), at least 1; 0 for ``max`` or what is no such text."""
    try:
        quota, period = (int(part) for part in cpu_max.split())
        return max(quota // period, 1)
    except (ValueError, ZeroDivisionError):
        return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
