"""Cards that only Vulkan tells of, such as Intel's: what vulkaninfo prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hearth.weights.hardware.bandwidth import known_bandwidth
from hearth.weights.hardware.gpu import Found, Gpu
from hearth.weights.hardware.system_text import Run

_VENDORS = {"0x8086": "intel", "0x10de": "nvidia", "0x1002": "amd", "0x106b": "apple"}


@dataclass(frozen=True, slots=True)
class _Heap:
    size: int
    free: int | None
    local: bool


def find_vulkan(run: Run) -> Found:
    """The cards that vulkaninfo tells of. Its full text has the memory; where that fails, the summary has the names."""
    full = run(("vulkaninfo",))
    if full.text:
        return parse_vulkaninfo(full.text)
    if not full.problem:
        return Found()
    summary = run(("vulkaninfo", "--summary"))
    found = parse_vulkaninfo(summary.text)
    return Found(found.gpus, (full.problem, *found.notes))


def parse_vulkaninfo(text: str) -> Found:
    """Cards from the full text; drivers in software are left out.

    The memory is counted as llama.cpp does (``ggml_backend_vk_get_device_memory``): the heaps of the card itself, and
    of graphics inside a processor all heaps.
    """
    gpus: dict[str, Gpu] = {}
    notes: list[str] = []
    for block in _devices(text):
        kind = _value(block, "deviceType").removeprefix("VK_").removeprefix("PHYSICAL_DEVICE_TYPE_").split(" ")[0]
        name = _value(block, "deviceName")
        if kind in ("CPU", "OTHER", "") or not name:
            continue
        shared = kind == "INTEGRATED_GPU"
        heaps = [heap for heap in _heaps(block) if heap.local or shared]
        total = sum(heap.size for heap in heaps)
        if not total:
            notes.append(f"vulkaninfo does not tell the memory of {name}")
            continue
        if any(heap.free is None for heap in heaps):
            notes.append(f"Vulkan does not tell what is free on {name}: taken as all")
        version = re.search(r"\d+\.\d+\.\d+", _value(block, "apiVersion"))
        gpu = Gpu(
            index=0,
            name=name,
            vendor=_VENDORS.get(_value(block, "vendorID").lower(), "other"),
            total_bytes=total,
            free_bytes=sum(heap.size if heap.free is None else heap.free for heap in heaps),
            driver=" ".join(filter(None, (_value(block, "driverName"), _value(block, "driverInfo")))),
            bandwidth=known_bandwidth(name, total),
            interface=f"Vulkan {version[0]}" if version else "Vulkan",
            uuid=_value(block, "deviceUUID"),
            shared=shared,
        )
        # Two drivers of one card tell of it twice.
        gpus.setdefault(gpu.uuid or f"{name} {len(gpus)}", gpu)
    return Found(tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus.values())), tuple(notes))


def _devices(text: str) -> list[str]:
    """The text of each device; what stands before the first is about the instance."""
    return re.split(r"^GPU\d+:[ \t]*$", text, flags=re.MULTILINE)[1:]


def _value(block: str, field: str) -> str:
    found = re.search(rf"^[ \t]*{field}[ \t]*=(.*)$", block, re.MULTILINE)
    return found[1].strip() if found else ""


def _heaps(block: str) -> Iterator[_Heap]:
    memory = block.partition("memoryHeaps:")[2].partition("memoryTypes:")[0]
    for heap in re.split(r"memoryHeaps\[\d+\]:", memory)[1:]:
        size, budget, usage = (re.search(rf"{field}\s*=\s*(\d{{1,20}})", heap) for field in ("size", "budget", "usage"))
        if size is None:
            continue
        free = None
        if budget is not None:
            # A driver was seen to tell a budget beyond the heap (a negative number, wrapped).
            left = int(budget[1]) - (int(usage[1]) if usage else 0)
            free = max(left, 0) if int(budget[1]) <= int(size[1]) else 0
        yield _Heap(int(size[1]), free, "DEVICE_LOCAL" in heap)
