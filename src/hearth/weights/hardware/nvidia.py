"""NVIDIA cards: asked by NVML where its Python package is installed, else read from what nvidia-smi prints."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from hearth.weights.hardware.bandwidth import known_bandwidth
from hearth.weights.hardware.gpu import MIB, Found, Gpu, GpuUser, plain_name
from hearth.weights.hardware.system_text import LIMIT_S, Run, read_file, whole

_TRACES = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvhost-gpu", "dev/nvgpu", "dev/dxg")
"""A driver leaves one of these; ``dev/dxg`` is that of WSL. Without them nothing is loaded or run."""

_VENDOR = "0x10de"
_NO_DRIVER = "there is an NVIDIA card, but not NVIDIA's driver: install it, then hearth can use the card"

_SHARING = re.compile(r"\b(GB10|N1X|Thor|Orin|Xavier|Tegra)\b", re.IGNORECASE)
"""Chips whose graphics use the RAM. Their drivers tell no memory of the card (GB10: "Not Supported")."""

QUERY_CARDS = "index,uuid,name,memory.total,memory.free,driver_version"
"""The columns that :func:`parse_smi` reads, in their order; ``mig.mode.current`` comes last where it is known."""

QUERY_USERS = "gpu_uuid,pid,process_name,used_memory"
_FORMAT = "--format=csv,noheader,nounits"


def find_nvidia(
    run: Run, root: Path = Path("/"), load: Callable[[], Any] | None = None, limit_s: float = LIMIT_S
) -> Found:
    """The cards and MIG instances of this machine. ``load`` returns the NVML module; raises ImportError without it."""
    if not any((root / trace).exists() for trace in _TRACES):
        vendors = {read_file(file).strip() for file in root.glob("sys/class/drm/card*/device/vendor")}
        return Found((), (_NO_DRIVER,) if _VENDOR in vendors else ())
    by_nvml = _ask_nvml(load or _load_nvml, limit_s)
    if by_nvml.gpus:
        return by_nvml
    by_tool = _ask_smi(run)
    if by_tool.gpus:
        return by_tool
    return Found((), tuple(dict.fromkeys((*by_nvml.notes, *by_tool.notes))))


def _load_nvml() -> Any:
    return import_module("pynvml")


def _ask_nvml(load: Callable[[], Any], limit_s: float) -> Found:
    """In a thread: a call into a broken driver may never come back, and cannot be ended."""
    found: list[Found] = []

    def ask() -> None:
        try:
            found.append(read_nvml(load()))
        except ImportError:
            found.append(Found())
        except Exception as error:
            found.append(Found((), (f"NVIDIA's driver does not answer: {error}",)))

    asking = threading.Thread(target=ask, daemon=True, name="nvml")
    asking.start()
    asking.join(limit_s)
    return found[0] if found else Found((), (f"NVIDIA's driver did not answer within {limit_s:g} s",))


def read_nvml(nvml: Any) -> Found:
    """What NVML tells, by the module ``pynvml`` or one like it. Raises its NVMLError when it cannot start."""
    nvml.nvmlInit()
    try:
        reading = _Reading(nvml)
        gpus: list[Gpu] = []
        notes: list[str] = []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                gpus += reading.card(nvml.nvmlDeviceGetHandleByIndex(index), notes)
            except nvml.NVMLError as error:
                notes.append(f"NVIDIA card {index} does not answer: {error}")
        return Found(_numbered(gpus), tuple(notes))
    finally:
        nvml.nvmlShutdown()


class _Reading:
    """One pass over the cards."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._driver = str(self._ask("nvmlSystemGetDriverVersion") or "")
        self._interface = cuda_version(self._ask("nvmlSystemGetCudaDriverVersion") or 0)

    def _ask(self, function: str, *arguments: Any) -> Any:
        """None where this card, this driver or this package does not know the question."""
        try:
            return getattr(self._nvml, function)(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None

    def card(self, handle: Any, notes: list[str]) -> list[Gpu]:
        """The card, or its MIG instances: in that mode nothing runs on the card itself."""
        if (self._ask("nvmlDeviceGetMigMode", handle) or [0])[0] == 0:
            return [self._device(handle)]
        name = self._name(handle)
        # In a container that was given one instance, the card itself may not be asked.
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        whole = int(memory.total) if memory else 0
        bandwidth = self._bandwidth(handle, name, whole)
        parts = []
        for position in range(self._ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
            if (instance := self._ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, position)) is not None:
                part = self._device(instance)
                share = bandwidth * part.total_bytes / whole if bandwidth and whole else None
                parts.append(replace(part, bandwidth=share))
        if not parts:
            notes.append(f"{name} is in MIG mode without an instance: nothing can run on it")
        return parts

    def _name(self, handle: Any) -> str:
        return str(self._ask("nvmlDeviceGetName", handle) or "NVIDIA card")

    def _device(self, handle: Any) -> Gpu:
        name = self._name(handle)
        memory = None if _SHARING.search(name) else self._memory(handle)
        total, free = (int(memory.total), int(memory.free)) if memory else (0, 0)
        return Gpu(
            index=0,
            name=name,
            vendor="nvidia",
            total_bytes=total,
            free_bytes=free,
            driver=self._driver,
            bandwidth=known_bandwidth(name) if memory is None else self._bandwidth(handle, name, total),
            users=self._users(handle),
            interface=self._interface,
            uuid=str(self._ask("nvmlDeviceGetUUID", handle) or ""),
            shared=memory is None,
        )

    def _memory(self, handle: Any) -> Any:
        """None for a chip that has no memory of its own. Raises NVMLError when the card is lost."""
        try:
            return self._nvml.nvmlDeviceGetMemoryInfo(handle)
        except self._nvml.NVMLError as error:
            if error.value == self._nvml.NVML_ERROR_NOT_SUPPORTED:
                return None
            raise

    def _bandwidth(self, handle: Any, name: str, total_bytes: int) -> float | None:
        """Twice the memory's clock times its width, as NVIDIA's own sample deviceQuery computes it; else by name."""
        width_bits = self._ask("nvmlDeviceGetMemoryBusWidth", handle)
        clock_mhz = self._ask("nvmlDeviceGetMaxClockInfo", handle, self._nvml.NVML_CLOCK_MEM)
        if width_bits and clock_mhz:
            return float(2 * clock_mhz * 10**6 * width_bits / 8)
        return known_bandwidth(name, total_bytes)

    def _users(self, handle: Any) -> tuple[GpuUser, ...]:
        users: dict[int, GpuUser] = {}
        for kind in ("Compute", "Graphics"):
            for process in self._ask(f"nvmlDeviceGet{kind}RunningProcesses", handle) or ():
                if process.pid != os.getpid():
                    name = program_name(str(self._ask("nvmlSystemGetProcessName", process.pid) or ""))
                    users.setdefault(process.pid, GpuUser(process.pid, name, process.usedGpuMemory))
        return tuple(users[pid] for pid in sorted(users))


def cuda_version(number: int) -> str:
    """``CUDA 12.8`` of NVML's 12080; empty for 0."""
    return f"CUDA {number // 1000}.{number % 1000 // 10}" if number else ""


def program_name(command: str) -> str:
    """The program of a process name that a driver tells, without folder and arguments; empty for its refusals."""
    words = command.split()
    if not words or words[0].startswith("["):
        return ""
    return plain_name(PurePosixPath(words[0]).name)


def _ask_smi(run: Run) -> Found:
    cards = run(("nvidia-smi", f"--query-gpu={QUERY_CARDS},mig.mode.current", _FORMAT))
    if cards.problem and "mig.mode" in cards.problem:
        # Drivers before 450 do not know the column.
        cards = run(("nvidia-smi", f"--query-gpu={QUERY_CARDS}", _FORMAT))
    if not cards.text:
        return Found((), (cards.problem,) if cards.problem else ())
    users = run(("nvidia-smi", f"--query-compute-apps={QUERY_USERS}", _FORMAT))
    table = run(("nvidia-smi",))
    with_mig = any(line.endswith("Enabled") for line in cards.text.splitlines())
    listed = run(("nvidia-smi", "-L")).text if with_mig else ""
    found = parse_smi(cards.text, users.text, table.text, listed)
    problems = tuple(text for text in (users.problem, table.problem) if text)
    return Found(found.gpus, (*found.notes, *problems))


def parse_smi(cards: str, users: str = "", table: str = "", listed: str = "") -> Found:
    """Cards from nvidia-smi's texts: ``--query-gpu``, ``--query-compute-apps``, the plain table and ``-L``.

    The plain table tells the CUDA version and the memory of MIG instances, ``-L`` their names.
    """
    gpus: list[Gpu] = []
    notes: list[str] = []
    version = re.search(r"CUDA (?:UMD )?Version\s*:\s*(\d[\d.]*)", table)
    on_card = _users_by_card(users)
    for line in cards.splitlines():
        columns = [column.strip() for column in line.split(",")]
        if len(columns) < 6 or whole(columns[0]) is None:
            continue
        index, uuid, name, total, free, driver = columns[:6]
        shared = bool(_SHARING.search(name))
        if not shared and _mib(total) is None:
            notes.append(f"nvidia-smi does not tell the memory of {name}: {total}")
            continue
        size, left = (0, 0) if shared else (_mib(total) or 0, _mib(free))
        if left is None:
            notes.append(f"nvidia-smi does not tell what is free on {name}: taken as all")
            left = size
        interface = f"CUDA {version[1]}" if version else ""
        bandwidth = known_bandwidth(name, size)
        card = Gpu(
            0, name, "nvidia", size, left, driver, bandwidth, on_card.get(uuid, ()), interface, uuid, shared=shared
        )
        if columns[6:7] != ["Enabled"]:
            gpus.append(card)
        elif parts := _mig_instances(card, int(index), table, listed):
            gpus += parts
        else:
            notes.append(f"{name} is in MIG mode without an instance: nothing can run on it")
    return Found(_numbered(gpus), tuple(notes))


def _users_by_card(text: str) -> Mapping[str, tuple[GpuUser, ...]]:
    users: dict[str, tuple[GpuUser, ...]] = {}
    for line in text.splitlines():
        columns = [column.strip() for column in line.split(",")]
        # The name may hold commas itself.
        if len(columns) >= 4 and (pid := whole(columns[1])) is not None and pid != os.getpid():
            user = GpuUser(pid, program_name(", ".join(columns[2:-1])), _mib(columns[-1]))
            users[columns[0]] = (*users.get(columns[0], ()), user)
    return users


@dataclass(frozen=True, slots=True)
class _Instance:
    card: int
    position: int
    used_bytes: int
    total_bytes: int


def _mig_instances(card: Gpu, index: int, table: str, listed: str) -> list[Gpu]:
    rows = re.findall(
        r"^\|\s+(\d{1,4})\s+\d+\s+\w+\s+(\d{1,4})\s+\|\s+(\d{1,9})MiB\s*/\s*(\d{1,9})MiB", table, re.MULTILINE
    )
    instances = [_Instance(int(row[0]), int(row[1]), int(row[2]) * MIB, int(row[3]) * MIB) for row in rows]
    names: dict[tuple[int, int], tuple[str, str]] = {}
    on = -1
    for line in listed.splitlines():
        if heading := re.match(r"GPU (\d{1,4}):", line):
            on = int(heading[1])
        elif named := re.match(r"\s+MIG (\S+)\s+Device\s+(\d{1,4}): \(UUID: (\S+)\)", line):
            names[on, int(named[2])] = named[1], named[3]
    parts = []
    for instance in instances:
        if instance.card == index:
            profile, uuid = names.get((index, instance.position), ("", ""))
            share = instance.total_bytes / card.total_bytes if card.total_bytes else 0.0
            part = replace(
                card,
                name=f"{card.name} MIG {profile}".strip(),
                total_bytes=instance.total_bytes,
                free_bytes=max(instance.total_bytes - instance.used_bytes, 0),
                bandwidth=card.bandwidth * share if card.bandwidth else None,
                users=(),
                uuid=uuid,
            )
            parts.append(part)
    return parts


def _mib(text: str) -> int | None:
    """Bytes of a column in MiB; None for ``[N/A]`` and other refusals."""
    number = whole(text.removesuffix("MiB"))
    return None if number is None else number * MIB


def _numbered(gpus: list[Gpu]) -> tuple[Gpu, ...]:
    return tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus))
