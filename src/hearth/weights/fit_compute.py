"""What the engine computes in: the buffer of its largest graph, and what a card needs besides.

The widths were found by measuring: 29 shapes, from 60 MiB to 34 billion parameters, in llama.cpp b11549 (docs/fit.md).
"""

from __future__ import annotations

from hearth.weights.fit_kv import Request
from hearth.weights.shape import ModelShape

MIB = 1 << 20

CARD_BYTES = 320 * MIB
"""A card's own context and matrix library (CUDA and cuBLAS), before anything is put on it."""

FURTHER_CARD_BYTES = 1024 * MIB
"""The same for each card after the first, with the copies that layers handed from card to card need."""

_FLOAT = 4
_INPUT_COPIES = 4
"""Of the attention mask, when layers are spread over several cards and work at the same time."""

_UNKNOWN_WIDTH = 4
"""A feed forward is seldom wider than so many embeddings."""


def compute_bytes(shape: ModelShape, request: Request, cards: int = 1) -> int:
    """The buffer of one device: the widest layer for a whole micro batch, the masks, the logits of each slot."""
    rows = min(request.micro_batch, request.cells)
    logits = request.slots * shape.vocabulary * _FLOAT
    masks = _mask_bytes(shape, request) * (_INPUT_COPIES if cards > 1 else 1)
    return max(_widest(shape) * rows * _FLOAT, logits) + masks


def host_compute_bytes(shape: ModelShape, request: Request) -> int:
    """The host's part when a card does the work: what goes in, the masks and two embeddings."""
    rows = min(request.micro_batch, request.cells)
    return 2 * shape.embedding * rows * _FLOAT + _mask_bytes(shape, request)


def workspace_bytes(shape: ModelShape, request: Request) -> int:
    """What a card unpacks a quantised cache into, outside the engine's own account. 0 for f16.

    2.25 bytes for each token, element of the embedding and 512 rows of a micro batch, 1.25 with a latent cache
    (figures of Unsloth Studio); windows are unpacked only as far as they reach.
    """
    if not request.quantised or not shape.kv:
        return 0
    is_latent = all(group.value_length == 0 for group in shape.kv)
    cells = max(request.window_cells(group.window) if group.window else request.cells for group in shape.kv)
    return int(cells * shape.embedding * (1.25 if is_latent else 2.25) * request.micro_batch / 512)


def _widest(shape: ModelShape) -> int:
    """Elements for each row that are alive at once in the widest place of a layer."""
    embedding = shape.embedding
    has_dense = not shape.experts or shape.feed_forward
    dense = (shape.feed_forward or _UNKNOWN_WIDTH * embedding) if has_dense else 0
    routed = shape.experts_used * (shape.expert_feed_forward or (embedding if shape.experts else 0))
    # Three short rows of a convolution are kept of each channel; four blocks as wide are alive.
    recurrent = 4 * shape.recurrent.conv_elements // 3 if shape.recurrent else 0
    return max(
        5 * embedding + 3 * dense,
        5 * embedding + 3 * routed,
        (3 + 2 * shape.experts_used) * embedding + routed,
        5 * embedding + recurrent,
    )


def _mask_bytes(shape: ModelShape, request: Request) -> int:
    """Two bytes for each token of a micro batch and each cell that it may look at."""
    rows = min(request.micro_batch, request.cells)
    windows = {group.window for group in shape.kv}
    cells = sum(request.window_cells(window) if window else request.cells for window in windows)
    return cells * rows * 2
