"""What processor this machine has. Best effort; never raises. The rest is told by ``weights.hardware``."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

WANTED_FEATURES = ("avx2", "fma", "f16c", "bmi2")
"""What the engine's x86-64 wheel is built with: without them it dies of an illegal instruction."""


def processor() -> str:
    """Its name and the cores that this process may use."""
    name = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    else:
        name = _output("sysctl", "-n", "machdep.cpu.brand_string").strip() or name
    return f"{name}, {usable_cores()} cores"


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else os.cpu_count() or 1


def missing_features(features: Collection[str]) -> list[str]:
    """Wanted instruction sets that an x86-64 processor with these ``features`` (``weights.hardware``) lacks; empty on
    other processors or when none are told."""
    if platform.machine() not in ("x86_64", "AMD64") or not features:
        return []
    return [feature for feature in WANTED_FEATURES if feature not in features]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _output(*command: str) -> str:
    """What a command prints; empty when it is not there, fails or takes more than 5 s."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
