"""How a worker is told what to serve. Apart from the worker, so that the daemon need not load the engine's library."""

from __future__ import annotations

from typing import Annotated

import msgspec

# What is outside these ranges aborts the whole process in an assertion of llama.cpp (tried on build 11549:
# context 1, batch 0 and 1, threads 0; 1,024 threads hang at the end).
MOST_TOKENS = 1 << 24
"""Tokens in all slots together. The engine keeps some 50 bytes of books for each before it asks for the memory itself:
with a thousand million of them the machine was out of memory after a minute."""
Context = Annotated[int, msgspec.Meta(ge=256, le=MOST_TOKENS)]
Slots = Annotated[int, msgspec.Meta(ge=1, le=64)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=512)]
Batch = Annotated[int, msgspec.Meta(ge=64, le=1 << 16)]


class WorkerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model is served. ``context`` is tokens for each slot; ``threads`` 0 takes the physical cores."""

    model: str
    name: str
    socket: str
    api_key: Annotated[str, msgspec.Meta(min_length=16)]
    parent: int
    context: Context
    slots: Slots = 1
    threads: Threads = 0
    batch: Batch = 2048
    micro_batch: Batch = 512
    cache_ram_mib: Annotated[int, msgspec.Meta(ge=0)] = 0
    slot_folder: str = ""

    def __post_init__(self) -> None:
        if self.context * self.slots > MOST_TOKENS:
            raise ValueError(f"context times slots is above {MOST_TOKENS}")
