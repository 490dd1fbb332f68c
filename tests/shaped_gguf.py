"""A GGUF of a chosen shape: its keys and tensors told one by one, then written whole with random weights, or with a
hole where the weights are.

One with a hole takes no disk and no time, whatever its size says; the engine can measure it, but not answer with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

import gguf_models


@dataclass
class Shaped:
    """A model to be written. ``note`` names what it is there for; tensors are rows first, as numpy has them."""

    architecture: str
    note: str
    embedding: int
    layers: int
    vocabulary: int
    kind: Kind = Kind.F16
    context: int = 131_072
    keys: dict[str, object] = field(default_factory=dict)
    tensors: list[tuple[str, tuple[int, ...], Kind]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.say(
            context_length=self.context,
            embedding_length=self.embedding,
            block_count=self.layers,
            vocab_size=self.vocabulary,
        )
        self.say(**{"attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 1e6})
        self.matrix("token_embd", self.vocabulary, self.embedding)
        self.vector("output_norm", self.embedding)

    def say(self, **keys: object) -> None:
        self.keys.update({f"{self.architecture}.{key}": value for key, value in keys.items()})

    def matrix(self, name: str, *shape: int, kind: Kind | None = None) -> None:
        self.tensors.append((f"{name}.weight", shape, kind or self.kind))

    def vector(self, name: str, *shape: int, end: str = ".weight") -> None:
        self.tensors.append((f"{name}{end}", shape, Kind.F32))

    def untie(self) -> None:
        self.matrix("output", self.vocabulary, self.embedding)

    def heads(self, heads: int, kv_heads: int | list[int], length: int, rope: int | None = None) -> None:
        self.say(**{"attention.head_count": heads, "attention.head_count_kv": kv_heads})
        self.say(**{"attention.key_length": length, "attention.value_length": length})
        self.say(**{"rope.dimension_count": rope or length})

    def attention(
        self, block: str, heads: int, kv_heads: int, length: int, *, norms: bool = False, gate: bool = False
    ) -> None:
        self.vector(f"{block}.attn_norm", self.embedding)
        self.matrix(f"{block}.attn_q", heads * length * (2 if gate else 1), self.embedding)
        self.matrix(f"{block}.attn_k", kv_heads * length, self.embedding)
        self.matrix(f"{block}.attn_v", kv_heads * length, self.embedding)
        self.matrix(f"{block}.attn_output", self.embedding, heads * length)
        if norms:
            self.vector(f"{block}.attn_q_norm", length)
            self.vector(f"{block}.attn_k_norm", length)

    def feed_forward(self, block: str, width: int, *, norm: str = "ffn_norm", gate: bool = True) -> None:
        if norm:
            self.vector(f"{block}.{norm}", self.embedding)
        for part in ("ffn_gate", "ffn_up") if gate else ("ffn_up",):
            self.matrix(f"{block}.{part}", width, self.embedding)
        self.matrix(f"{block}.ffn_down", self.embedding, width)

    def experts(self, block: str, count: int, width: int, *, norm: str = "ffn_norm", gate: bool = True) -> None:
        if norm:
            self.vector(f"{block}.{norm}", self.embedding)
        self.matrix(f"{block}.ffn_gate_inp", count, self.embedding, kind=Kind.F32)
        for part in ("ffn_gate_exps", "ffn_up_exps") if gate else ("ffn_up_exps",):
            self.matrix(f"{block}.{part}", count, width, self.embedding)
        self.matrix(f"{block}.ffn_down_exps", count, self.embedding, width)

    def shared_expert(self, block: str, width: int, *, gate: bool = True) -> None:
        for part in ("ffn_gate_shexp", "ffn_up_shexp") if gate else ("ffn_up_shexp",):
            self.matrix(f"{block}.{part}", width, self.embedding)
        self.matrix(f"{block}.ffn_down_shexp", self.embedding, width)


def write(path: Path, shaped: Shaped, *, hollow: bool = False, seed: int = 0) -> Path:
    """Write the GGUF: random weights, or a hole of the right size when ``hollow``."""
    writer = gguf.GGUFWriter(path, shaped.architecture)
    writer.add_name(path.stem)
    gguf_models.add_tokenizer(writer, shaped.vocabulary)
    writer.add_chat_template(gguf_models.CHATML)
    for key, value in shaped.keys.items():
        _add(writer, key, value)
    random = np.random.default_rng(seed)
    for name, shape, kind in shaped.tensors:
        if hollow:
            writer.add_tensor_info(
                name, _raw_shape(shape, kind), np.dtype(np.uint8), _size(shape, kind), raw_dtype=kind
            )
            continue
        values = random.normal(0, 0.05, shape).astype(np.float32)
        data = values if kind is Kind.F32 else gguf.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=None if kind in (Kind.F32, Kind.F16) else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    if hollow:
        writer.write_ti_data_to_file()
        writer.close()
        alignment = gguf.GGUF_DEFAULT_ALIGNMENT
        data = -(-path.stat().st_size // alignment) * alignment
        padded = sum(-(-_size(shape, kind) // alignment) * alignment for _, shape, kind in shaped.tensors)
        with path.open("r+b") as file:
            file.truncate(data + padded)
    else:
        writer.write_tensors_to_file()
        writer.close()
    return path


def _size(shape: tuple[int, ...], kind: Kind) -> int:
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return prod(shape) // per_block * block_bytes


def _raw_shape(shape: tuple[int, ...], kind: Kind) -> tuple[int, ...]:
    """The shape in bytes, as the writer wants it of what is quantised."""
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return (*shape[:-1], shape[-1] // per_block * block_bytes)


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    adders: dict[type, Callable[[str, object], None]] = {
        bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, list: writer.add_array
    }  # type: ignore[dict-item]  # fmt: skip
    adders[type(value)](key, value)
