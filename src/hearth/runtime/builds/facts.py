"""What decides which builds of the engine can run on this machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hearth.weights.hardware import Machine, measure_machine
from hearth.weights.hardware.system_text import Run, read_file, run_program

_LIBRARY_FOLDERS = ("usr/lib", "usr/lib64", "usr/local/lib", "lib", "lib64", "usr/lib/*-linux-gnu", "lib/*-linux-gnu")
_TOOLS = (("cmake",), ("c++", "g++", "clang++"), ("cc", "gcc", "clang"), ("make", "ninja"))
"""What a build from source calls; of each row one."""

JOB_BYTES = 2 << 30
"""Memory that one compiler may take, with room: 0.6 GiB was seen."""


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card. ``cuda`` is the newest CUDA that the driver can run, ``capability`` NVIDIA's compute capability,
    ``rocm`` the version of ROCm; None where it is not told."""

    vendor: str
    name: str
    cuda: tuple[int, int] | None = None
    capability: tuple[int, int] | None = None
    rocm: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine as builds see it.

    ``system`` as ``sys.platform``, ``processor`` as ``platform.machine()``, ``features`` its instruction sets.
    ``glibc`` is None where the system has another C library. ``gfx`` are the kinds of AMD's chips (``gfx1100``);
    ``vulkan`` says whether its loader is there; ``missing_tools`` are those that a build from source lacks, ``jobs``
    how many compilers there are cores and memory for.
    """

    system: str
    processor: str
    features: tuple[str, ...] = ()
    glibc: tuple[int, int] | None = None
    cards: tuple[Card, ...] = ()
    gfx: tuple[str, ...] = ()
    vulkan: bool = False
    missing_tools: tuple[str, ...] = ()
    jobs: int = 1


def read_facts(
    *,
    root: Path = Path("/"),
    run: Run = run_program,
    environment: Mapping[str, str] = os.environ,
    machine: Callable[[], Machine] = measure_machine,
) -> Facts:
    """This machine as it is now; ``root``, ``run``, ``environment`` and ``machine`` as for ``measure_machine``. Never
    raises."""
    found = machine()
    capabilities = _capabilities(run) if any(gpu.vendor == "nvidia" for gpu in found.gpus) else {}
    # A MIG instance has a uuid of its own: then the card's is taken if all are the same.
    common = next(iter(capabilities.values())) if len(set(capabilities.values())) == 1 else None
    cards = tuple(
        Card(
            gpu.vendor,
            gpu.name,
            _version(gpu.interface, "CUDA"),
            capabilities.get(gpu.uuid, common) if gpu.vendor == "nvidia" else None,
            _version(gpu.interface, "ROCm"),
        )
        for gpu in found.gpus
    )
    return Facts(
        sys.platform,
        platform.machine(),
        found.cpu_features,
        glibc_version(),
        cards,
        _gfx(root),
        any(any(root.glob(f"{folder}/libvulkan.so.1")) for folder in _LIBRARY_FOLDERS),
        missing_tools(environment),
        max(1, min(found.cores, found.ram_free_bytes // JOB_BYTES)),
    )


def missing_tools(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Programs that a build from source lacks, by the usual name of each."""
    path = environment.get("PATH")
    return tuple(names[0] for names in _TOOLS if not any(shutil.which(name, path=path) for name in names))


def glibc_version() -> tuple[int, int] | None:
    """Of the C library of this process; None when it is another."""
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION") if hasattr(os, "confstr") else None
    except (ValueError, OSError):
        return None
    return _version(told or "", "glibc")


def _version(text: str, name: str) -> tuple[int, int] | None:
    """``(12, 8)`` of ``CUDA 12.8``; None for another name."""
    found = re.fullmatch(rf"{name} (\d{{1,4}})\.(\d{{1,4}})\S*", text)
    return (int(found[1]), int(found[2])) if found else None


def _capabilities(run: Run) -> dict[str, tuple[int, int]]:
    """The compute capability of each NVIDIA card by its uuid. Drivers before 510 do not know the column."""
    printed = run(("nvidia-smi", "--query-gpu=uuid,compute_cap", "--format=csv,noheader"))
    rows = re.findall(r"^(\S+), *(\d{1,2})\.(\d{1,2})\s*$", printed.text, re.MULTILINE)
    return {uuid: (int(major), int(minor)) for uuid, major, minor in rows}


def _gfx(root: Path) -> tuple[str, ...]:
    """The kinds of AMD's chips as the kernel tells them: 110000 is gfx1100, 90010 gfx90a; 0 is the processor."""
    kinds = set()
    for file in root.glob("sys/class/kfd/kfd/topology/nodes/*/properties"):
        told = re.search(r"^gfx_target_version (\d{5,6})$", read_file(file), re.MULTILINE)
        if told is not None:
            number = int(told[1])
            kinds.add(f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}")
    return tuple(sorted(kinds))
