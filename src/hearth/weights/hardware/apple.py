"""Apple's chips: processor and graphics share one memory, of which the system lends the graphics a part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from hearth.weights.hardware.bandwidth import known_bandwidth
from hearth.weights.hardware.gpu import MIB, Found, Gpu
from hearth.weights.hardware.system_text import Run, whole

GIB = 1 << 30

FEATURES = {"FEAT_DotProd": "asimddp", "FEAT_I8MM": "i8mm", "FEAT_BF16": "bf16", "FEAT_FP16": "asimdhp"}
FEATURES |= {"FEAT_SME": "sme", "FEAT_SME2": "sme2", "AdvSIMD": "asimd"}
"""Below ``hw.optional.arm``: Apple's names of the instruction sets that matter here, and Linux's."""


def parse_sysctl(text: str) -> dict[str, str]:
    """What ``sysctl`` prints, as names and values."""
    return {name: value.strip() for name, mark, value in (line.partition(":") for line in text.splitlines()) if mark}


def working_set(ram_bytes: int, wired_limit_mib: int) -> int:
    """How many bytes of the RAM Metal may use: the owner's limit, or the part that macOS takes by itself.

    Without a limit it is two thirds of up to 32 GiB and three quarters of more, as Metal told llama.cpp
    (recommendedMaxWorkingSetSize): 10,923 MiB of 16 GiB, 21,845 of 32 (ollama issue 434), 49,152 of 64 (llama.cpp issue
    1870), 73,728 of 96 (issue 3213). macOS 26 lends more of much (107.5 GiB of 128); the smaller figure is taken.
    """
    if wired_limit_mib > 0:
        return min(wired_limit_mib * MIB, ram_bytes)
    return ram_bytes * 2 // 3 if ram_bytes <= 32 * GIB else ram_bytes * 3 // 4


def free_memory(vm_stat: str) -> int | None:
    """Bytes that programs may still have, of what ``vm_stat`` prints: free, speculative and inactive pages."""
    page = re.search(r"page size of (\d{1,9}) bytes", vm_stat)
    pages = dict(re.findall(r"^Pages ([a-z ]+):\s+(\d{1,15})\.", vm_stat, re.MULTILINE))
    if page is None or "free" not in pages:
        return None
    return int(page[1]) * sum(int(pages.get(kind, "0")) for kind in ("free", "speculative", "inactive"))


def arm_features(sysctl: Mapping[str, str]) -> tuple[str, ...]:
    """The instruction sets that matter, named as Linux names them."""
    return tuple(sorted(name for ours, name in FEATURES.items() if sysctl.get(f"hw.optional.arm.{ours}") == "1"))


def intel_features(sysctl: Mapping[str, str]) -> frozenset[str]:
    """All instruction sets of an Intel Mac, in Linux's spelling."""
    told = f"{sysctl.get('machdep.cpu.features', '')} {sysctl.get('machdep.cpu.leaf7_features', '')}".lower()
    renamed = {"avx1.0": "avx", "sse4.1": "sse4_1", "sse4.2": "sse4_2"}
    return frozenset(renamed.get(word, word) for word in told.split())


def parse_displays(text: str) -> tuple[int, str]:
    """Graphics cores and the version of Metal, of ``system_profiler SPDisplaysDataType -json``; 0 and "Metal" else."""
    try:
        rows = json.loads(text)["SPDisplaysDataType"]
        row = next(row for row in rows if row.get("sppci_device_type") == "spdisplays_gpu")
        cores, family = str(row.get("sppci_cores", "")), str(row.get("spdisplays_mtlgpufamilysupport", ""))
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
        return 0, "Metal"
    version = re.fullmatch(r"spdisplays_metal(\d{1,3})", family)
    return whole(cores) or 0, f"Metal {version[1]}" if version else "Metal"


def find_apple(run: Run, sysctl: Mapping[str, str], ram_free_bytes: int) -> Found:
    """The graphics of an Apple chip; none on an Intel Mac. ``sysctl`` holds ``hw`` and ``machdep.cpu``."""
    chip = sysctl.get("machdep.cpu.brand_string", "")
    ram = whole(sysctl.get("hw.memsize", "")) or 0
    if not chip.startswith("Apple"):
        return Found((), ("Metal on an Intel Mac is not counted: the processor runs the model",))
    # Absent before macOS 14: then it is the default.
    limits = parse_sysctl(run(("sysctl", "iogpu")).text)
    total = working_set(ram, whole(limits.get("iogpu.wired_limit_mb", "")) or 0)
    displays = run(("system_profiler", "SPDisplaysDataType", "-json"))
    cores, metal = parse_displays(displays.text)
    name = f"{chip} ({cores} cores)" if cores else chip
    gpu = Gpu(
        index=0,
        name=name,
        vendor="apple",
        total_bytes=total,
        free_bytes=min(total, ram_free_bytes),
        bandwidth=known_bandwidth(chip, graphics_cores=cores),
        interface=metal,
        shared=True,
    )
    return Found((gpu,), (displays.problem,) if displays.problem else ())
