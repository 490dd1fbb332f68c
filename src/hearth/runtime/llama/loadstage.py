"""Reads from an engine's log what a load is at, and what it took. Pure: lines in."""

from __future__ import annotations

from collections.abc import Sequence

from hearth.runtime.llama.probe import read_load

_GIB = 1 << 30
_STAGES = (
    ("load_tensors: loading model tensors", "reading weights"),
    ("warming up the model", "warming up"),
    ("model loaded", "making the first token"),
)
"""What llama.cpp says (builds 9000 to 11549), and what that means. It counts no percent."""
_HOSTS = frozenset({"CPU", "CUDA", "ROCm", "Vulkan", "SYCL", "CANN", "Host"})
"""Of a buffer's name, what comes before its first underscore: memory of the host, pinned for a card or not."""


def load_stage(lines: Sequence[str], file_bytes: int, resident: int | None) -> str:
    """What a load is at, in words; the log's last line when it says nothing that we know.

    ``resident`` is what the process holds in RAM, None when unknown: while weights are read that grows up to
    ``file_bytes``, mapped or not.
    """
    for line in reversed(lines):
        for said, stage in _STAGES:
            if said not in line:
                continue
            if stage == "reading weights" and resident is not None and file_bytes:
                return f"{stage}, {min(resident, file_bytes) / _GIB:.1f} of {file_bytes / _GIB:.1f} GiB"
            return stage
    return lines[-1] if lines else ""


def held_bytes(lines: Sequence[str]) -> dict[str, int]:
    """What a load took on each device, in bytes, from an engine's log: ``CPU``, ``CUDA0``, ...; empty when it does not
    tell."""
    held: dict[str, int] = {}
    for name, memory in read_load(lines).items():
        device = "CPU" if name in _HOSTS else name
        held[device] = held.get(device, 0) + memory.model + memory.context + memory.compute
    return {device: size for device, size in held.items() if size}
