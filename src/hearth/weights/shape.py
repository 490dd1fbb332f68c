"""The numbers of a model that its memory follows from: read from a GGUF's header, or written in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

MOST_LAYERS = 4096
"""More than any model has; what is planned layer by layer stays small."""


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers whose attention caches alike. Lengths are elements of one head; ``window`` is in tokens, 0 for all."""

    layers: int
    kv_heads: int
    key_length: int
    value_length: int
    window: int = 0

    @property
    def elements(self) -> int:
        """Elements that one layer keeps of one token."""
        return self.kv_heads * (self.key_length + self.value_length)


@dataclass(frozen=True, slots=True)
class Recurrent:
    """Layers that keep a state of fixed size for each sequence instead of a cache (Mamba, gated delta net).

    Elements of float32 for each layer and sequence: ``conv_elements`` and ``state_elements``.
    """

    layers: int
    conv_elements: int
    state_elements: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What fit needs to know. A latent cache (MLA) is a group of one head with ``value_length`` 0.

    ``layers`` are all blocks of the model, without those that only predict further tokens (``nextn_layers``); ``kv``
    leaves those out too, and layers that use another's cache. ``experts`` is 0 for a dense model. ``tied`` says that
    the output matrix is the embedding.

    Of the file, 0 when unknown: ``tensor_bytes`` are weights; of them ``expert_bytes`` matrices of experts,
    ``embedding_bytes`` the token embedding, ``lookup_bytes`` further tables that are only looked up and therefore stay
    in the RAM (Gemma's embeddings for each layer), ``nextn_bytes`` the blocks that predict further tokens.
    ``embedding_kind`` is the embedding's tensor type, -1 when unknown. ``feed_forward`` and ``expert_feed_forward``
    are the inner widths, 0 when unknown.
    """

    architecture: str
    layers: int
    embedding: int
    vocabulary: int
    heads: int
    native_context: int
    kv: tuple[KvGroup, ...]
    recurrent: Recurrent | None = None
    experts: int = 0
    experts_used: int = 0
    nextn_layers: int = 0
    tied: bool = False
    expert_bytes: int = 0
    embedding_bytes: int = 0
    tensor_bytes: int = 0
    lookup_bytes: int = 0
    nextn_bytes: int = 0
    embedding_kind: int = -1
    feed_forward: int = 0
    expert_feed_forward: int = 0
