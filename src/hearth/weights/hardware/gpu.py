"""What is known of a graphics card, whoever made it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

MIB = 1 << 20
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class GpuUser:
    """A process that holds memory of a card; ``used_bytes`` is None where the driver does not tell it (WSL)."""

    pid: int
    name: str
    used_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device that a model's layers can be put on: a card, a MIG instance of one, or a chip that shares the RAM.

    ``vendor`` is ``nvidia``, ``amd``, ``apple``, ``intel`` or ``other``. ``total_bytes`` is what programs may use of
    it: for ``shared`` memory the part of the RAM that the system lends to graphics. ``bandwidth`` is bytes/s, None when
    it is not known. ``interface`` is what reaches it, with its version (``CUDA 12.8``); ``uuid`` is the vendor's own
    name of the device, for CUDA_VISIBLE_DEVICES; both are empty when not told. ``users`` are other processes on it.
    """

    index: int
    name: str
    vendor: str
    total_bytes: int
    free_bytes: int
    driver: str = ""
    bandwidth: float | None = None
    users: tuple[GpuUser, ...] = ()
    interface: str = ""
    uuid: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The devices that one source tells of, and what it could not tell, in plain words."""

    gpus: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()


def plain_name(name: str) -> str:
    """The name of a program without what a terminal would obey: any user may have chosen it."""
    return "".join(filter(str.isprintable, name))[:_LONGEST_NAME]


def chosen(gpus: Sequence[Gpu], variable: str, value: str | None) -> Found:
    """The cards that a variable such as CUDA_VISIBLE_DEVICES leaves, in its order; all when it is not set (None).

    As the drivers do, the list ends at the first entry that names no card, so that ``""`` and ``-1`` leave none. An
    entry is an index or the beginning of a UUID that fits one card only.
    """
    if value is None:
        return Found(tuple(gpus))
    kept: list[Gpu] = []
    for entry in value.replace(" ", "").split(","):
        by_uuid = [gpu for gpu in gpus if entry and gpu.uuid.lower().startswith(entry.lower())]
        by_index = [gpu for gpu in gpus if re.fullmatch(r"\d{1,4}", entry) and gpu.index == int(entry)]
        if len(named := by_index or by_uuid) != 1 or named[0] in kept:
            break
        kept.append(named[0])
    kept = [replace(gpu, index=index) for index, gpu in enumerate(kept)]
    same = len(kept) == len(gpus)
    return Found(tuple(kept), () if same else (f"{variable}={value} leaves {len(kept)} of {len(gpus)} cards",))
