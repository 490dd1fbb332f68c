"""The machine that models run on: its processor, memory and graphics cards; measured, or described by its owner."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hearth.errors import UsageError
from hearth.weights.hardware.amd import find_amd
from hearth.weights.hardware.apple import arm_features, find_apple, free_memory, intel_features, parse_sysctl
from hearth.weights.hardware.cpu import parse_features, parse_meminfo, physical_cores, relevant
from hearth.weights.hardware.gpu import Found, Gpu, GpuUser, chosen
from hearth.weights.hardware.limits import Limits, read_limits
from hearth.weights.hardware.nvidia import find_nvidia
from hearth.weights.hardware.system_text import Run, read_file, run_program, whole
from hearth.weights.hardware.vulkan import find_vulkan

__all__ = [
    "Gpu",
    "GpuUser",
    "Machine",
    "describe_machine",
    "free_disk",
    "measure_machine",
    "parse_gpu_memory",
    "parse_size",
]

CHOICES = {"nvidia": ("CUDA_VISIBLE_DEVICES",), "amd": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")}
"""The variables by which an owner keeps cards from programs, for each vendor; they apply one after the other."""

LEAST_CARD = 1 << 30
"""A card with fewer bytes is not planned with."""

_UNITS = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS |= {"tb": 10**12, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "b": 1, "": 1 << 30}
_SMALLEST = 1 << 20
_LARGEST = 1 << 50
_LARGEST_BARE = 4096.0
_SIZE_FIX = "write a size such as 16GiB, 24GB or 512MiB; a bare number is in GiB"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a model's fit and speed follow from.

    ``ram_bytes`` and ``ram_free_bytes`` are what this process may have: a container's limit counts. ``cores`` are
    physical cores that it may use, 0 when unknown. ``unified`` says that graphics use the same memory as the
    processor: then a ``Gpu`` that is ``shared`` has a part of ``ram_bytes``, not memory beside it.
    ``memory_bandwidth`` is of the RAM in bytes/s, None when unknown. ``notes`` say in plain words what could not be
    found out or was left out.
    """

    gpus: tuple[Gpu, ...]
    ram_bytes: int
    ram_free_bytes: int
    cores: int
    cpu_features: tuple[str, ...]
    unified: bool
    memory_bandwidth: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Host:
    """The machine without its cards."""

    ram_bytes: int
    ram_free_bytes: int
    cores: int
    features: tuple[str, ...]
    notes: tuple[str, ...] = ()


def measure_machine(
    *,
    root: Path = Path("/"),
    run: Run = run_program,
    environment: Mapping[str, str] = os.environ,
    system: str = sys.platform,
    allowed: Collection[int] | None = None,
    load_nvml: Callable[[], Any] | None = None,
) -> Machine:
    """This machine as it is now. Best effort: what cannot be found out is 0, None or left out, and is noted.

    Takes some milliseconds without graphics, a second or more where a vendor's program must be asked. ``root`` is where
    the system's files are, ``system`` its kind as in ``sys.platform``, ``allowed`` the processors that we may run on
    (None: ask the system), ``load_nvml`` returns NVIDIA's library (None: its package).
    """
    if system == "darwin":
        printed = run(("sysctl", "hw", "machdep.cpu"))
        sysctl = parse_sysctl(printed.text)
        host = _mac_host(run, sysctl)
        found = Found((), (printed.problem,)) if printed.problem else find_apple(run, sysctl, host.ram_free_bytes)
    else:
        host = _linux_host(root, _allowed() if allowed is None else allowed)
        found = _linux_gpus(run, root, environment, load_nvml)
    return _put_together(host, found)


def describe_machine(gpu_memory: tuple[int, ...], ram: int) -> Machine:
    """A machine that one does not have: cards with these bytes of memory, and RAM, all of it free.

    Its cores, instruction sets and speeds are unknown.
    """
    gpus = tuple(Gpu(index, "described card", "other", size, size) for index, size in enumerate(gpu_memory))
    return Machine(gpus, ram, ram, 0, (), False, None, ("described, not measured",))


def parse_size(text: str) -> int:
    """Bytes of a size that a person writes: ``16GiB`` and ``16G`` are 16 * 2^30, ``16GB`` is 16 * 10^9, ``16`` is GiB.

    The case of the unit does not matter, a space before it neither. Raises UsageError for anything else, for less than
    1 MiB, for more than 1 PiB, and for a bare number above 4096, which somebody meant in MiB.
    """
    written = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?) ?([kmgt]i?b|[kmgtb]|)", text.strip().lower(), re.ASCII)
    if written is None:
        raise UsageError(f"{text!r} is no size of memory", _SIZE_FIX)
    number, unit = float(written[1]), written[2]
    if not unit and number > _LARGEST_BARE:
        raise UsageError(f"{text} without a unit would be {text} GiB", f"write {text}MiB if you mean that")
    size = round(number * _UNITS[unit])
    if not _SMALLEST <= size <= _LARGEST:
        raise UsageError(f"{text!r} is no sensible size of memory", _SIZE_FIX)
    return size


def parse_gpu_memory(text: str) -> tuple[int, ...]:
    """Bytes of each card in ``16GiB,16GiB``; no card for ``none`` or ``0``. Raises UsageError for nonsense."""
    if text.strip().lower() in ("none", "0"):
        return ()
    return tuple(parse_size(part) for part in text.split(","))


def free_disk(folder: Path) -> int:
    """Bytes that this user may still write where this folder is or would be made; 0 when that cannot be told."""
    for existing in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(existing).free
        except FileNotFoundError:
            continue
        except OSError:
            return 0
    return 0


def _allowed() -> Collection[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _linux_host(root: Path, allowed: Collection[int]) -> _Host:
    cpuinfo = read_file(root / "proc/cpuinfo")
    total, free = parse_meminfo(read_file(root / "proc/meminfo"))
    limits = read_limits(root)
    cores = physical_cores(root, cpuinfo, allowed)
    return _Host(*_limited(total, free, limits), _quota(cores, limits), parse_features(cpuinfo))


def _limited(total: int, free: int, limits: Limits) -> tuple[int, int]:
    """Of the machine's memory and a container's limit the smaller: each of them can run out first."""
    if limits.memory_bytes is None or limits.memory_free_bytes is None:
        return total, free
    if not total:
        return limits.memory_bytes, limits.memory_free_bytes
    return min(total, limits.memory_bytes), min(free, limits.memory_free_bytes)


def _quota(cores: int, limits: Limits) -> int:
    """Whole cores: half a core of a quota makes the threads wait for one another."""
    return cores if limits.cores is None else max(min(cores, int(limits.cores)), 1)


def _mac_host(run: Run, sysctl: Mapping[str, str]) -> _Host:
    total = whole(sysctl.get("hw.memsize", "")) or 0
    free = free_memory(run(("vm_stat",)).text)
    features = arm_features(sysctl) or relevant(intel_features(sysctl))
    cores = whole(sysctl.get("hw.physicalcpu", "")) or os.cpu_count() or 1
    if free is None:
        return _Host(total, total, cores, features, ("vm_stat does not tell what of the RAM is free: taken as all",))
    return _Host(total, min(free, total), cores, features)


def _linux_gpus(run: Run, root: Path, environment: Mapping[str, str], load_nvml: Callable[[], Any] | None) -> Found:
    """Cards of the vendors' own sources, as the owner's variables leave them; of Vulkan where those have none."""
    gpus: list[Gpu] = []
    notes: list[str] = []
    hidden = False
    for vendor, found in (("nvidia", find_nvidia(run, root, load_nvml)), ("amd", find_amd(run, root))):
        left = found.gpus
        notes += found.notes
        for variable in CHOICES[vendor]:
            choice = chosen(left, variable, environment.get(variable))
            left = choice.gpus
            notes += choice.notes
        hidden = hidden or len(left) < len(found.gpus)
        gpus += left
    if gpus or hidden:
        return Found(tuple(gpus), tuple(notes))
    by_vulkan = find_vulkan(run)
    return Found(by_vulkan.gpus, (*notes, *by_vulkan.notes))


def _put_together(host: _Host, found: Found) -> Machine:
    """Cards beside a processor's own graphics come alone: engines do not spread a model over such a pair."""
    notes = [*host.notes, *found.notes]
    cards = [gpu for gpu in found.gpus if not gpu.shared and gpu.total_bytes >= LEAST_CARD]
    beside = [gpu for gpu in found.gpus if gpu not in cards and (cards or not gpu.shared)]
    notes += [f"{gpu.name} is left out: {_why_left(gpu)}" for gpu in beside]
    kept = cards or [_lent(gpu, host) for gpu in found.gpus if gpu.shared]
    if not host.ram_bytes:
        notes.append("the size of the RAM could not be found out")
    unified = any(gpu.shared for gpu in kept)
    bandwidth = next((gpu.bandwidth for gpu in kept if gpu.shared), None)
    gpus = tuple(replace(gpu, index=index) for index, gpu in enumerate(kept))
    return Machine(
        gpus,
        host.ram_bytes,
        host.ram_free_bytes,
        host.cores,
        host.features,
        unified,
        bandwidth,
        tuple(dict.fromkeys(notes)),
    )


def _why_left(gpu: Gpu) -> str:
    return "it uses the RAM, and there is a card" if gpu.shared else "it has less than 1 GiB"


def _lent(gpu: Gpu, host: _Host) -> Gpu:
    """Shared memory is no more than the RAM, and no more of it is free; a chip that tells no size may use all."""
    total = min(gpu.total_bytes or host.ram_bytes, host.ram_bytes)
    free = min(gpu.free_bytes if gpu.total_bytes else total, host.ram_free_bytes, total)
    return replace(gpu, total_bytes=total, free_bytes=free)
