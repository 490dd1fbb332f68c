"""How one model is run by llama.cpp: all that is decided before its process starts. Pure data.

``worker`` hands it to the embedded engine, ``llama_server`` makes flags of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# What is outside these ranges aborts the whole process in an assertion of llama.cpp (tried on build 11549:
# context 1, batch 0 and 1, threads 0; 1,024 threads hang at the end).
MOST_TOKENS = 1 << 24
"""Tokens in all slots together. The engine keeps some 50 bytes of books for each before it asks for the memory itself:
with a thousand million of them the machine was out of memory after a minute."""
SMALLEST_CONTEXT = 256

SPARE_TOKENS = 256
"""Tokens that a spare slot adds to the pool: the smallest step of a cache."""

Context = Annotated[int, msgspec.Meta(ge=SMALLEST_CONTEXT, le=MOST_TOKENS)]
Slots = Annotated[int, msgspec.Meta(ge=1, le=64)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=512)]
Batch = Annotated[int, msgspec.Meta(ge=64, le=1 << 16)]
Count = Annotated[int, msgspec.Meta(ge=0)]

KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
Flash = Literal["auto", "on", "off"]
Speculation = Literal["none", "ngram-mod", "draft-mtp"]


class Launch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one engine process."""

    context: Context
    """Tokens of each slot."""
    slots: Slots = 1
    kv_type: KvType = "f16"
    """Of keys and values alike."""
    threads: Threads = 0
    """For decoding; 0 leaves it to the engine, which takes the physical cores."""
    batch_threads: Threads = 0
    """For reading prompts; 0 takes ``threads``."""
    batch: Batch = 2048
    micro_batch: Batch = 512
    flash: Flash = "auto"
    gpu_layers: Annotated[int, msgspec.Meta(ge=-1)] = -1
    """Layers on the cards; -1 all of them, 0 none."""
    host_expert_layers: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    """Of those, the first so many leave their experts in the RAM."""
    tensor_split: Annotated[tuple[Annotated[float, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=16)] = ()
    """Shares of the cards in the engine's order; empty leaves it to the engine."""
    checkpoints: Count = 32
    """States to go back to that each slot keeps in the RAM, for models that cannot go back in their own."""
    checkpoint_step: Count = 8192
    """Tokens between two of them at least."""
    cache_reuse: Count = 0
    """Shortest piece in tokens that is moved in the cache instead of being read anew; 0 moves none."""
    speculation: Speculation = "none"
    cache_ram_mib: Count = 0
    """Host memory for prompts that lost their slot."""
    spare: bool = False
    """Whether the engine makes one slot more, the last, which no conversation goes to: for its own tokens. It costs
    ``SPARE_TOKENS`` of the pool and, where layers keep a window or a state, one more of these."""

    def __post_init__(self) -> None:
        if self.context * self.slots > MOST_TOKENS:
            raise ValueError(f"context times slots is above {MOST_TOKENS}")

    @property
    def all_slots(self) -> int:
        """Slots with the spare one."""
        return self.slots + self.spare

    @property
    def pool(self) -> int:
        """Tokens that all slots share."""
        return self.context * self.slots + (SPARE_TOKENS if self.spare else 0)


def host_experts(layers: int) -> str:
    """The engine's rule that keeps the experts of the first so many layers in the RAM, as its ``--n-cpu-moe`` writes it
    (llama.cpp ``common/common.h``); empty for none."""
    return ",".join(rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU" for layer in range(layers))
