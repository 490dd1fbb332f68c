"""The numbers of a model that its memory follows from: read from a GGUF's header, or written in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers whose attention caches alike. Lengths are elements of one head; ``window`` is in tokens, 0 for all."""

    layers: int
    kv_heads: int
    key_length: int
    value_length: int
    window: int = 0


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

    ``layers`` are all blocks of the model, without those that only predict further tokens (``nextn_layers``).
    ``experts`` is 0 for a dense model. ``tied`` says that the output matrix is the embedding.
    ``expert_bytes`` of the file are matrices of experts, ``embedding_bytes`` the token embedding; 0 when unknown.
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
