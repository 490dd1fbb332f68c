"""Writes tiny GGUFs with random weights: real files for the real engine, which answer nonsense.

The vocabulary is byte-level BPE with a few merges; the template is ChatML.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

WIDTH = 64
HEADS = 4
FEED_FORWARD = 128
BLOCKS = 2
KERNEL = 3

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_MERGES = ("t h", "th e", "i n", "Ġ the", "e r", "r e")


def byte_letters() -> list[str]:
    """The 256 letters by which GPT-2 writes bytes, in the order of the bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = (byte for byte in range(256) if byte not in printable)
    letters = {byte: chr(byte) for byte in printable}
    letters.update({byte: chr(256 + index) for index, byte in enumerate(rest)})
    return [letters[byte] for byte in range(256)]


def vocabulary() -> list[str]:
    """Every token: specials, bytes, merged pairs."""
    return [*SPECIAL, *byte_letters(), *(merge.replace(" ", "") for merge in _MERGES)]


@dataclass(frozen=True)
class Words:
    """A vocabulary: every token, the specials first, and the merges that make them."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]


FEW = Words(tuple(vocabulary()), _MERGES)


def write_lfm2(
    path: Path, *, context: int = 2048, seed: int = 0, blocks: int = BLOCKS, width: int = WIDTH,
    kv_heads: int = HEADS, inner: int = FEED_FORWARD, endless: bool = False, template: str = CHATML,
    words: Words = FEW,
) -> Path:  # fmt: skip
    """A hybrid: gated short convolution and attention in turn, as the pilot is built. An ``endless`` one never ends its
    answer; others do by chance, after some 130 tokens."""
    kinds = [index % 2 for index in range(blocks)]
    writer = _writer(path, "lfm2", context, blocks, width, inner, template=template, words=words)
    writer.add_array("lfm2.attention.head_count_kv", [kv_heads * kind for kind in kinds])
    writer.add_uint32("lfm2.shortconv.l_cache", KERNEL)
    weights = _Weights(writer, seed)
    weights.embedding(width, endless, words)
    weights.ones("token_embd_norm.weight", width)
    for index, is_attention in enumerate(kinds):
        block = f"blk.{index}"
        weights.ones(f"{block}.attn_norm.weight", width)
        if is_attention:
            weights.attention(block, width, kv_heads)
            weights.ones(f"{block}.attn_q_norm.weight", width // HEADS)
            weights.ones(f"{block}.attn_k_norm.weight", width // HEADS)
        else:
            weights.matrix(f"{block}.shortconv.in_proj.weight", 3 * width, width)
            weights.vector_rows(f"{block}.shortconv.conv.weight", width, KERNEL)
            weights.matrix(f"{block}.shortconv.out_proj.weight", width, width)
        weights.feed_forward(block, width, inner)
    return finish(writer, path)


def write_llama(
    path: Path,
    *,
    context: int = 2048,
    seed: int = 0,
    blocks: int = BLOCKS,
    width: int = WIDTH,
    kv_heads: int = HEADS,
    inner: int = FEED_FORWARD,
    architecture: str = "llama",
    tensors_a_part: int = 0,
    template: str = CHATML,
    words: Words = FEW,
) -> Path:
    """A dense model. Another ``architecture`` gives a file that the engine does not know; ``tensors_a_part`` splits it
    into ``NAME-00001-of-…``, the first of which holds no tensors."""
    writer = _writer(path, architecture, context, blocks, width, inner, tensors_a_part, template, words)
    writer.add_uint32(f"{architecture}.attention.head_count_kv", kv_heads)
    weights = _Weights(writer, seed)
    weights.matrix("token_embd.weight", len(words.tokens), width)
    weights.ones("output_norm.weight", width)
    for index in range(blocks):
        block = f"blk.{index}"
        weights.ones(f"{block}.attn_norm.weight", width)
        weights.attention(block, width, kv_heads)
        weights.feed_forward(block, width, inner)
    return finish(writer, path)


def write_gemma3(
    path: Path, *, context: int = 8192, seed: int = 0, window: int = 256, blocks: int = 6, width: int = WIDTH,
    kv_heads: int = HEADS, inner: int = FEED_FORWARD, template: str = CHATML, words: Words = FEW,
) -> Path:  # fmt: skip
    """A model with a sliding window in five of each six blocks."""
    writer = _writer(path, "gemma3", context, blocks, width, inner, template=template, words=words)
    writer.add_uint32("gemma3.attention.head_count_kv", kv_heads)
    writer.add_uint32("gemma3.attention.key_length", width // HEADS)
    writer.add_uint32("gemma3.attention.value_length", width // HEADS)
    writer.add_uint32("gemma3.attention.sliding_window", window)
    weights = _Weights(writer, seed)
    weights.embedding(width, endless=False, words=words)
    weights.ones("output_norm.weight", width)
    for index in range(blocks):
        block = f"blk.{index}"
        weights.ones(f"{block}.attn_norm.weight", width)
        weights.attention(block, width, kv_heads)
        for norm in ("attn_q_norm", "attn_k_norm"):
            weights.ones(f"{block}.{norm}.weight", width // HEADS)
        weights.ones(f"{block}.post_attention_norm.weight", width)
        weights.feed_forward(block, width, inner)
        weights.ones(f"{block}.post_ffw_norm.weight", width)
    return finish(writer, path)


class _Weights:
    """Random tensors, added in the order in which they are asked for."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int) -> None:
        self._writer = writer
        self._random = np.random.default_rng(seed)

    def matrix(self, name: str, rows: int, columns: int) -> None:
        values = self._random.normal(0, 0.2, (rows, columns))
        self._writer.add_tensor(name, values.astype(np.float16))

    def embedding(self, width: int, endless: bool, words: Words) -> None:
        values = self._random.normal(0, 0.2, (len(words.tokens), width))
        if endless:
            # One dimension that says "no special token": the rows are the output's too.
            values[:, 0] = 30.0
            values[: len(SPECIAL), 0] = -30.0
        self._writer.add_tensor("token_embd.weight", values.astype(np.float16))

    def vector_rows(self, name: str, rows: int, columns: int) -> None:
        self._writer.add_tensor(name, self._random.normal(0, 0.5, (rows, columns)).astype(np.float32))

    def ones(self, name: str, size: int) -> None:
        self._writer.add_tensor(name, np.ones(size, dtype=np.float32))

    def attention(self, block: str, width: int, kv_heads: int = HEADS) -> None:
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            rows = width // HEADS * kv_heads if part in ("attn_k", "attn_v") else width
            self.matrix(f"{block}.{part}.weight", rows, width)

    def feed_forward(self, block: str, width: int, inner: int = FEED_FORWARD) -> None:
        self.ones(f"{block}.ffn_norm.weight", width)
        self.matrix(f"{block}.ffn_gate.weight", inner, width)
        self.matrix(f"{block}.ffn_up.weight", inner, width)
        self.matrix(f"{block}.ffn_down.weight", width, inner)


def _writer(
    path: Path, architecture: str, context: int, blocks: int, width: int, inner: int, tensors_a_part: int = 0,
    template: str = CHATML, words: Words = FEW,
) -> gguf.GGUFWriter:  # fmt: skip
    writer = gguf.GGUFWriter(
        path, architecture, split_max_tensors=tensors_a_part, small_first_shard=bool(tensors_a_part)
    )
    writer.add_name(path.stem)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(blocks)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_vocab_size(len(words.tokens))
    add_tokenizer(writer, words=words)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    return writer


def add_tokenizer(writer: gguf.GGUFWriter, size: int = 0, words: Words = FEW) -> None:
    """The vocabulary, filled up to ``size`` with tokens that nobody uses."""
    known = list(words.tokens)
    unused = size - len(known)
    special = len(SPECIAL)
    kinds = [gguf.TokenType.CONTROL] * special + [gguf.TokenType.NORMAL] * (len(known) - special)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(known + [f"<unused{index}>" for index in range(unused)])
    writer.add_token_types(kinds + [gguf.TokenType.UNUSED] * unused)
    writer.add_token_merges(list(words.merges))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)


def finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    """Write what the writer holds, and close it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
