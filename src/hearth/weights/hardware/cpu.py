"""The processor and the RAM: what Linux's files tell of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from hearth.weights.hardware.system_text import read_file

_X86 = "ssse3 sse4_2 avx f16c fma bmi2 avx2 avx_vnni avx_vnni_int8 avx512f avx512bw avx512dq avx512vl avx512vbmi"
_X86_WIDE = "avx512_vnni avx512_bf16 avx512_fp16 avx10_1 avx10_2 amx_tile amx_int8 amx_bf16 amx_fp16"
_ARM = "neon asimd fphp asimdhp asimddp i8mm bf16 sve sve2 svei8mm svebf16 sme sme2"
_RISCV = "v zfh zvfh zvfbfwma zicbop zihintpause"

FEATURES = frozenset(f"{_X86} {_X86_WIDE} {_ARM}".split())
"""The instruction sets that llama.cpp's code for processors asks for, in Linux's spelling."""


def parse_features(cpuinfo: str) -> tuple[str, ...]:
    """Those of the instruction sets that matter which ``/proc/cpuinfo`` tells of, sorted."""
    told = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    if told is not None:
        return relevant(told[1].split())
    isa = re.search(r"^isa\s*:\s*rv64(\w*)$", cpuinfo, re.MULTILINE)
    if isa is None:
        return ()
    letters, *longer = isa[1].split("_")
    return tuple(sorted({*letters, *longer} & set(_RISCV.split())))


def relevant(features: Collection[str]) -> tuple[str, ...]:
    """Those of the instruction sets that matter, sorted."""
    return tuple(sorted(FEATURES & set(features)))


def parse_cores(cpuinfo: str, allowed: Collection[int]) -> int:
    """Physical cores among the processors with these numbers; 0 where the text does not tell cores apart."""
    cores = set()
    for block in re.split(r"\n\s*\n", cpuinfo):
        told = dict(re.findall(r"^(processor|physical id|core id)\s*:\s*(\d{1,9})$", block, re.MULTILINE))
        if "core id" in told and int(told.get("processor", "-1")) in allowed:
            cores.add((told.get("physical id", "0"), told["core id"]))
    return len(cores)


def parse_meminfo(meminfo: str) -> tuple[int, int]:
    """Bytes of RAM, and those that programs may still have, of ``/proc/meminfo``; 0 where it does not tell."""
    told = {name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s+(\d{1,15}) kB$", meminfo, re.MULTILINE)}
    # Kernels before 3.14 have no estimate of their own.
    estimate = sum(told.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
    return told.get("MemTotal", 0), told.get("MemAvailable", estimate)


def physical_cores(root: Path, cpuinfo: str, allowed: Collection[int]) -> int:
    """Physical cores among the processors with these numbers: two threads of one core count once."""
    cores = {text for number in allowed if (text := _siblings(root, number))}
    return len(cores) or parse_cores(cpuinfo, allowed) or len(allowed)


def _siblings(root: Path, number: int) -> str:
    topology = root / f"sys/devices/system/cpu/cpu{number}/topology"
    return (read_file(topology / "core_cpus_list") or read_file(topology / "thread_siblings_list")).strip()
