"""Writes a model of random weights that is large enough to tell builds apart: what they do is the same work as that of
a model that knows something.

The shape is that of a dense model (``llama``) in Q4_K, the kind that most downloads are of.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

_ALIGNMENT = 32
_U32, _F32, _STRING, _ARRAY, _I32 = 4, 6, 8, 9, 5
_F32_TENSOR, _Q4_K = 0, 12
_ROW = 256
"""Elements of a block of Q4_K, 144 bytes: two half floats (scale and least of all), 12 bytes of scales, 128 of halves
of bytes."""
_SCALE_AND_LEAST = struct.pack("<2e", 1e-4, 7.5e-4)
_PATTERN_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """How large it is. ``width`` and ``inner`` must be multiples of 256; a head has 64 elements, two heads share keys
    and values."""

    width: int = 1024
    layers: int = 24
    inner: int = 4096
    vocabulary: int = 16_384

    @property
    def parameters(self) -> int:
        """Elements of all matrices."""
        return sum(prod(shape) for _, shape in self.tensors() if len(shape) == 2)

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of each, the elements of a row first."""
        keys = self.width // 2
        yield "token_embd", (self.width, self.vocabulary)
        yield "output_norm", (self.width,)
        for layer in range(self.layers):
            block = f"blk.{layer}"
            yield f"{block}.attn_norm", (self.width,)
            yield f"{block}.attn_q", (self.width, self.width)
            yield f"{block}.attn_k", (self.width, keys)
            yield f"{block}.attn_v", (self.width, keys)
            yield f"{block}.attn_output", (self.width, self.width)
            yield f"{block}.ffn_norm", (self.width,)
            yield f"{block}.ffn_gate", (self.width, self.inner)
            yield f"{block}.ffn_up", (self.width, self.inner)
            yield f"{block}.ffn_down", (self.inner, self.width)


def write_yardstick(path: Path, shape: Shape | None = None) -> Shape:
    """Write the file, always the same for a shape. Raises OSError."""
    shape = shape or Shape()
    tensors = [(f"{name}.weight", extent) for name, extent in shape.tensors()]
    pairs = list(_pairs(shape))
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(pairs)), *pairs]
    offset = 0
    for name, extent in tensors:
        kind = _Q4_K if len(extent) == 2 else _F32_TENSOR
        head.append(_text(name) + struct.pack(f"<I{len(extent)}QIQ", len(extent), *extent, kind, offset))
        offset += _padded(_size(extent))
    pattern = _pattern()
    with path.open("wb") as file:
        file.write(_pad(b"".join(head)))
        for _, extent in tensors:
            if len(extent) == 1:
                file.write(_pad(struct.pack(f"<{extent[0]}f", *[1.0] * extent[0])))
                continue
            left = _size(extent)
            while left:
                left -= file.write(pattern[:left])
            file.write(b"\0" * (_padded(_size(extent)) - _size(extent)))
    return shape


def _pairs(shape: Shape) -> Iterator[bytes]:
    numbers = {
        "context_length": 4096,
        "embedding_length": shape.width,
        "block_count": shape.layers,
        "feed_forward_length": shape.inner,
        "vocab_size": shape.vocabulary,
        "attention.head_count": shape.width // 64,
        "attention.head_count_kv": shape.width // 128,
        "rope.dimension_count": 64,
    }
    yield _pair("general.architecture", _STRING, _text("llama"))
    yield _pair("general.name", _STRING, _text("yardstick"))
    for name, number in numbers.items():
        yield _pair(f"llama.{name}", _U32, struct.pack("<I", number))
    yield _pair("llama.attention.layer_norm_rms_epsilon", _F32, struct.pack("<f", 1e-5))
    # The letters by which GPT-2 writes bytes come first, so that any text has tokens.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]
    tokens = [*letters, *(f"t{number}" for number in range(256, shape.vocabulary))]
    yield _pair("tokenizer.ggml.model", _STRING, _text("gpt2"))
    yield _pair("tokenizer.ggml.pre", _STRING, _text("gpt-2"))
    yield _pair("tokenizer.ggml.tokens", _ARRAY, _array(_STRING, [_text(token) for token in tokens]))
    yield _pair("tokenizer.ggml.token_type", _ARRAY, _array(_I32, [struct.pack("<i", 1)] * len(tokens)))
    yield _pair("tokenizer.ggml.merges", _ARRAY, _array(_STRING, [_text("a b")]))
    yield _pair("tokenizer.ggml.eos_token_id", _U32, struct.pack("<I", len(tokens) - 1))


def _pair(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _array(kind: int, values: list[bytes]) -> bytes:
    return struct.pack("<IQ", kind, len(values)) + b"".join(values)


def _size(extent: tuple[int, ...]) -> int:
    return prod(extent) * 4 if len(extent) == 1 else prod(extent) // _ROW * 144


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _pad(data: bytes) -> bytes:
    return data.ljust(_padded(len(data)), b"\0")


def _pattern() -> bytes:
    """Blocks with random content whose elements are small and, on the whole, nought."""
    chance = random.Random(0)
    return b"".join(_SCALE_AND_LEAST + chance.randbytes(140) for _ in range(_PATTERN_BLOCKS))
