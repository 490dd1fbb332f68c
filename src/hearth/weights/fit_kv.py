"""What a model keeps of the past, in bytes: the caches of its attention, and the states of its recurrent layers.

As llama.cpp b11549 lays it out (``src/llama-kv-cache*.cpp``, ``llama-memory-recurrent.cpp``): these are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hearth.errors import UsageError
from hearth.weights.shape import KvGroup, ModelShape

KV_TYPES = {
    "f32": Fraction(4),
    "f16": Fraction(2),
    "bf16": Fraction(2),
    "q8_0": Fraction(34, 32),
    "q5_1": Fraction(24, 32),
    "q5_0": Fraction(22, 32),
    "q4_1": Fraction(20, 32),
    "q4_0": Fraction(18, 32),
    "iq4_nl": Fraction(18, 32),
}
"""Bytes of an element, by the engine's name for the type."""

CELLS_STEP = 256
"""Caches are made in multiples of so many tokens."""

MOST_TOKENS = 1 << 24
"""Tokens in all slots together that the engine is asked for at most."""

MOST_SLOTS = 64

MOST_CHECKPOINTS = 32
_CHECKPOINT_STEP = 8192


@dataclass(frozen=True, slots=True)
class Request:
    """How a model is to be served.

    ``context`` is tokens of each slot. ``unified`` slots share one pool of ``context * slots``, as hearth's engine does
    it. ``draft`` loads the blocks that predict further tokens (MTP). ``prompt_cache_bytes`` is what the host may hold
    of prompts that lost their slot; None takes what hearth's engine takes. ``projector_bytes`` is the file that reads
    images, 0 for none. Raises UsageError for a KV type that the engine does not have, numbers below one, or more than
    the engine takes.
    """

    context: int
    kv_type: str = "f16"
    slots: int = 1
    unified: bool = True
    micro_batch: int = 512
    draft: bool = False
    prompt_cache_bytes: int | None = None
    projector_bytes: int = 0

    def __post_init__(self) -> None:
        if self.kv_type not in KV_TYPES:
            raise UsageError(f"there is no KV type {self.kv_type!r}", f"one of {', '.join(KV_TYPES)}")
        if self.context < 1 or self.slots < 1 or self.micro_batch < 1:
            raise UsageError("context, slots and micro batch are at least 1", "for example --ctx 32768 --slots 2")
        if self.slots > MOST_SLOTS or self.context * self.slots > MOST_TOKENS:
            raise UsageError(
                f"the engine takes at most {MOST_SLOTS} slots, and {MOST_TOKENS:,} tokens in all of them together",
                "for example --ctx 32768 --slots 2",
            )

    @property
    def quantised(self) -> bool:
        """Whether the cache is kept in fewer bits than the model computes with."""
        return KV_TYPES[self.kv_type] < KV_TYPES["f16"]

    @property
    def streams(self) -> int:
        """Separate caches: one when slots share a pool."""
        return 1 if self.unified else self.slots

    @property
    def cells(self) -> int:
        """Tokens that one of these caches holds."""
        return padded(self.context * self.slots if self.unified else self.context)

    def window_cells(self, window: int) -> int:
        """Tokens that the cache of a layer with a window holds."""
        wanted = window * (self.slots if self.unified else 1) + self.micro_batch
        return padded(min(self.cells, wanted))


def padded(tokens: int) -> int:
    """Up to the next full step of a cache."""
    return -(-tokens // CELLS_STEP) * CELLS_STEP


def kv_bytes(shape: ModelShape, request: Request) -> int:
    """All attention caches of all slots."""
    total = sum(_group_bytes(group, request) for group in shape.kv)
    if request.draft and shape.nextn_layers and shape.kv:
        # A block that predicts further tokens looks back as the last full layer does.
        full = next((group for group in shape.kv if not group.window), shape.kv[-1])
        total += _group_bytes(KvGroup(shape.nextn_layers, full.kv_heads, full.key_length, full.value_length), request)
    return total


def _group_bytes(group: KvGroup, request: Request) -> int:
    cells = request.window_cells(group.window) if group.window else request.cells
    return int(group.layers * group.elements * cells * request.streams * KV_TYPES[request.kv_type])


def recurrent_bytes(shape: ModelShape, request: Request) -> int:
    """All states of all slots; a draft keeps one more for each token that it may have to take back (3)."""
    copies = 1 + (3 if request.draft and shape.nextn_layers else 0)
    return _state_bytes(shape) * request.slots * copies


def checkpoint_bytes(shape: ModelShape, request: Request) -> int:
    """What the host keeps at most to go back in a conversation: windows and states cannot be rewound.

    One for each 8,192 tokens of a slot, 32 at most (``ctx_checkpoints``, ``checkpoint_min_step``). 0 for a model that
    caches every token in every layer.
    """
    windowed = sum(
        group.layers * group.elements * min(group.window, request.context) for group in shape.kv if group.window
    )
    one = int(windowed * KV_TYPES[request.kv_type]) + _state_bytes(shape)
    return one * request.slots * min(MOST_CHECKPOINTS, -(-request.context // _CHECKPOINT_STEP))


def bytes_per_token(shape: ModelShape, kv_type: str = "f16") -> int:
    """What each further token of a conversation costs once it is longer than the windows."""
    return int(sum(group.layers * group.elements for group in shape.kv if not group.window) * KV_TYPES[kv_type])


def _state_bytes(shape: ModelShape) -> int:
    states = shape.recurrent
    return states.layers * (states.conv_elements + states.state_elements) * 4 if states else 0
