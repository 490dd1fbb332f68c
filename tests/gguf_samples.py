"""GGUFs for the reader's tests, written by the gguf package or byte by byte; and a source that counts what is asked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

import gguf_models
from hearth.weights.gguf import Gguf, read_gguf_from

TEXT, ARRAY = 8, 9
LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class CountingSource:
    """Bytes in memory, and zeros after them up to ``size_bytes``: a file whose weights take no room."""

    def __init__(self, content: bytes, size_bytes: int = 0) -> None:
        self.size_bytes = max(size_bytes, len(content))
        self.reads: list[tuple[int, int]] = []
        self._content = content

    def read(self, offset: int, size: int) -> bytes:
        assert size > 0, "nothing is asked for"
        self.reads.append((offset, size))
        data = self._content[offset : offset + size]
        return data + bytes(min(size, self.size_bytes - offset) - len(data))

    @property
    def asked(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.reads)

    def moved_forward_only(self) -> bool:
        """Whether no byte was asked for twice."""
        ends = [0, *(offset + size for offset, size in self.reads)]
        return all(offset >= end for (offset, _), end in zip(self.reads, ends, strict=False))


def read(content: bytes, size_bytes: int = 0) -> Gguf:
    """What the reader makes of these bytes, and of zeros after them up to ``size_bytes``."""
    return read_gguf_from(CountingSource(content, size_bytes), "m.gguf")


def text(content: str | bytes) -> bytes:
    """Length and content."""
    data = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(data)) + data


def pair(key: str | bytes, kind: int, payload: bytes) -> bytes:
    """An entry of the metadata."""
    return text(key) + struct.pack("<I", kind) + payload


def number(key: str, kind: int, value: float) -> bytes:
    """An entry that is a number."""
    return pair(key, kind, struct.pack("<" + LETTERS[kind], value))


def array(key: str, kind: int, values: Sequence[float | str | bytes]) -> bytes:
    """An entry that is a list."""
    if kind == TEXT:
        payload = b"".join(text(value) for value in values if isinstance(value, str | bytes))
    else:
        payload = struct.pack(f"<{len(values)}{LETTERS[kind]}", *values)
    return pair(key, ARRAY, struct.pack("<IQ", kind, len(values)) + payload)


def row(name: str | bytes, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    """A row of the table of tensors."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


LLAMA = pair("general.architecture", TEXT, text("llama"))


def header(pairs: Sequence[bytes], rows: Sequence[bytes], version: int = 3) -> bytes:
    """A whole header, without padding and weights."""
    return b"GGUF" + struct.pack("<IQQ", version, len(rows), len(pairs)) + b"".join(pairs) + b"".join(rows)


def whole(pairs: Sequence[bytes], rows: Sequence[bytes] = (row("a", (8,)),), data: int = 32, version: int = 3) -> bytes:
    """A header, padding to 32 and ``data`` bytes of weights."""
    head = header(pairs, rows, version)
    return head + bytes(-len(head) % 32 + data)


def write_all_kinds(path: Path, *, alignment: int = 64) -> Path:
    """Every kind of value, list and tensor that the gguf package knows, at an alignment of its own."""
    writer = gguf.GGUFWriter(path, "deepseek2")
    writer.add_custom_alignment(alignment)
    writer.add_context_length(4096)
    writer.add_array("deepseek2.feed_forward_length", [7, 8, 9])
    kinds = gguf.GGUFValueType
    for kind in LETTERS:
        for index, value in enumerate(_extremes(kind)):
            writer.add_key_value(f"scalar.{kind}.{index}", value, kinds(kind))
        writer.add_key_value(f"list.{kind}", _extremes(kind), kinds.ARRAY, sub_type=kinds(kind))
    writer.add_array("list.longest", list(range(4096)))
    writer.add_array("list.too_long", list(range(4097)))
    writer.add_array("general.tags", ["one", "", "drei mit Umlaut: ä", "\N{HUNDRED POINTS SYMBOL}"])
    writer.add_string("empty", "")
    writer.add_string("lines", "a\nb\t\0c")
    random = np.random.default_rng(1)
    for kind, (per_block, block_bytes) in gguf.GGML_QUANT_SIZES.items():
        data = random.integers(0, 100, (3, 2, 512 // per_block * block_bytes), dtype=np.uint8)
        writer.add_tensor(f"of_type_{kind.name}", data, raw_dtype=kind)
    writer.add_tensor("four", np.zeros((2, 3, 4, 5), dtype=np.float32))
    return gguf_models.finish(writer, path)


def write_experts(path: Path) -> Path:
    """A mixture of experts with a quarter of a vocabulary, its tensors quantised."""
    writer = gguf.GGUFWriter(path, "qwen3moe")
    writer.add_context_length(262_144)
    writer.add_block_count(2)
    writer.add_embedding_length(256)
    writer.add_expert_count(4)
    writer.add_token_list(gguf_models.vocabulary()[:70])
    writer.add_token_scores([float(index) for index in range(70)])
    writer.add_chat_template(gguf_models.CHATML)
    random = np.random.default_rng(2)
    for block in range(2):
        for part in ("gate", "up", "down"):
            values = random.normal(0, 1, (4, 8, 256)).astype(np.float32)
            quantised = gguf.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            name = f"blk.{block}.ffn_{part}_exps.weight"
            writer.add_tensor(name, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(f"blk.{block}.ffn_norm.weight", np.ones(256, dtype=np.float32))
    return gguf_models.finish(writer, path)


def write_samples(folder: Path) -> list[Path]:
    """Small files of several architectures, among them the parts of a split model."""
    gguf_models.write_llama(folder / "split.gguf", tensors_a_part=8)
    return [
        gguf_models.write_llama(folder / "dense.gguf"),
        gguf_models.write_lfm2(folder / "hybrid.gguf"),
        gguf_models.write_llama(folder / "unheard.gguf", architecture="unheard-of"),
        write_experts(folder / "experts.gguf"),
        write_all_kinds(folder / "kinds.gguf"),
        *sorted(folder.glob("split-*.gguf")),
    ]


def _extremes(kind: int) -> list[float]:
    if kind == 7:
        return [True, False]
    if kind in (6, 12):
        return [0.0, -1.5, float("inf"), 3.0e38]
    bits = struct.calcsize(LETTERS[kind]) * 8
    return [0, 1, (1 << bits) - 1] if LETTERS[kind].isupper() else [0, -(1 << bits - 1), (1 << bits - 1) - 1]
