"""A tiny GGUF with gpt-oss's special tokens and random weights: it answers nonsense, with a bias what is wanted."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

import gguf_models

SPECIALS = (
    "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
    "<|message|>", "<|call|>",
)  # fmt: skip
"""Their place is their token."""
WIDTH, HEADS, INNER, BLOCKS = 64, 4, 128, 2


def write_harmony(path: Path, *, template: str = "", context: int = 8192, seed: int = 0) -> Path:
    """A dense model whose other tokens are the 256 bytes; ``template`` is the chat template that it carries."""
    words = [*SPECIALS, *gguf_models.byte_letters()]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o")
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIALS) + [gguf.TokenType.NORMAL] * 256)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(1)
    writer.add_add_bos_token(False)
    if template:
        writer.add_chat_template(template)
    random = np.random.default_rng(seed)
    for name, rows, columns in _shapes(len(words)):
        writer.add_tensor(name, random.normal(0, 0.2, (rows, columns)).astype(np.float16))
    norms = [f"blk.{block}.{norm}.weight" for block in range(BLOCKS) for norm in ("attn_norm", "ffn_norm")]
    for name in ("output_norm.weight", *norms):
        writer.add_tensor(name, np.ones(WIDTH, dtype=np.float32))
    return gguf_models.finish(writer, path)


def _shapes(words: int) -> list[tuple[str, int, int]]:
    shapes = [("token_embd.weight", words, WIDTH)]
    for block in range(BLOCKS):
        shapes += [
            (f"blk.{block}.{part}.weight", WIDTH, WIDTH) for part in ("attn_q", "attn_k", "attn_v", "attn_output")
        ]
        shapes += [(f"blk.{block}.{part}.weight", INNER, WIDTH) for part in ("ffn_gate", "ffn_up")]
        shapes += [(f"blk.{block}.ffn_down.weight", WIDTH, INNER)]
    return shapes
