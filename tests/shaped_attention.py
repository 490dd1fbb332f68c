"""Architectures whose every layer attends: of all heads or grouped, with a latent cache, with windows, with experts."""

from __future__ import annotations

from shaped_gguf import Kind, Shaped


def llama(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, width: int, **more: object
) -> Shaped:
    """Dense: every layer with attention and one feed forward. ``tied``, ``experts`` and ``used`` may be told."""
    tied, experts, used = bool(more.pop("tied", False)), int(str(more.pop("experts", 0))), int(str(more.pop("used", 2)))
    shaped = Shaped("llama", note, embedding, layers, vocabulary, **more)  # type: ignore[arg-type]  # kind, context
    length = embedding // heads
    shaped.heads(heads, kv_heads, length)
    shaped.say(feed_forward_length=width)
    if experts:
        shaped.say(expert_count=experts, expert_used_count=used)
    if not tied:
        shaped.untie()
    for index in range(layers):
        shaped.attention(f"blk.{index}", heads, kv_heads, length)
        if experts:
            shaped.experts(f"blk.{index}", experts, width)
        else:
            shaped.feed_forward(f"blk.{index}", width)
    return shaped


def qwen3moe(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, length: int, experts: int,
    used: int, width: int, kind: Kind = Kind.F16,
) -> Shaped:  # fmt: skip
    """Experts in every layer, heads whose length is not the embedding's share."""
    shaped = Shaped("qwen3moe", note, embedding, layers, vocabulary, kind)
    shaped.heads(heads, kv_heads, length)
    shaped.say(feed_forward_length=width * used, expert_feed_forward_length=width)
    shaped.say(expert_count=experts, expert_used_count=used)
    shaped.untie()
    for index in range(layers):
        shaped.attention(f"blk.{index}", heads, kv_heads, length, norms=True)
        shaped.experts(f"blk.{index}", experts, width)
    return shaped


def deepseek2(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, experts: int, used: int, width: int,
    kind: Kind = Kind.F16, *, latent: int = 512, rope: int = 64, query: int = 768, key: int = 192, value: int = 256,
    dense_width: int = 10_240, nextn: int = 0,
) -> Shaped:  # fmt: skip
    """A latent cache (MLA) and experts, the first layer dense: GLM-4.7-Flash is one."""
    shaped = Shaped("deepseek2", note, embedding, layers, vocabulary, kind)
    shaped.say(**{"attention.head_count": heads, "attention.head_count_kv": 1, "attention.q_lora_rank": query})
    shaped.say(**{"attention.kv_lora_rank": latent, "attention.key_length": latent + rope})
    shaped.say(**{"attention.value_length": latent, "attention.key_length_mla": key + rope})
    shaped.say(**{"attention.value_length_mla": value, "rope.dimension_count": rope})
    shaped.say(feed_forward_length=dense_width, expert_feed_forward_length=width, leading_dense_block_count=1)
    shaped.say(expert_count=experts, expert_used_count=used, expert_shared_count=1, expert_weights_scale=1.8)
    shaped.say(expert_weights_norm=True, expert_gating_func=2)
    shaped.untie()
    for index in range(layers):
        block = f"blk.{index}"
        shaped.vector(f"{block}.attn_norm", embedding)
        shaped.matrix(f"{block}.attn_q_a", query, embedding)
        shaped.vector(f"{block}.attn_q_a_norm", query)
        shaped.matrix(f"{block}.attn_q_b", heads * (key + rope), query)
        shaped.matrix(f"{block}.attn_kv_a_mqa", latent + rope, embedding)
        shaped.vector(f"{block}.attn_kv_a_norm", latent)
        # Its rows are too short for blocks of 256: real files keep it in blocks of 32.
        shaped.matrix(f"{block}.attn_k_b", heads, latent, key, kind=Kind.F16 if kind is Kind.F16 else Kind.Q8_0)
        shaped.matrix(f"{block}.attn_v_b", heads, value, latent)
        shaped.matrix(f"{block}.attn_output", embedding, heads * value)
        if index == 0:
            shaped.feed_forward(block, dense_width)
        else:
            shaped.experts(block, experts, width)
            shaped.vector(f"{block}.exp_probs_b", experts, end=".bias")
            shaped.shared_expert(block, width)
    return shaped


def gpt_oss(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, experts: int, width: int,
    kind: Kind = Kind.F16, *, length: int = 64, window: int = 128,
) -> Shaped:  # fmt: skip
    """A window in every other layer, experts in all."""
    shaped = Shaped("gpt-oss", note, embedding, layers, vocabulary, kind)
    shaped.heads(heads, kv_heads, length)
    shaped.say(**{"attention.sliding_window": window, "expert_feed_forward_length": width})
    shaped.say(feed_forward_length=width, expert_count=experts, expert_used_count=4)
    shaped.untie()
    for index in range(layers):
        block = f"blk.{index}"
        shaped.attention(block, heads, kv_heads, length)
        shaped.vector(f"{block}.attn_sinks", heads)
        for part, size in (("q", heads * length), ("k", kv_heads * length), ("v", kv_heads * length)):
            shaped.vector(f"{block}.attn_{part}", size, end=".bias")
        shaped.vector(f"{block}.attn_output", embedding, end=".bias")
        shaped.experts(block, experts, width, norm="post_attention_norm")
        shaped.vector(f"{block}.ffn_gate_inp", experts, end=".bias")
        shaped.vector(f"{block}.ffn_gate_exps", experts, width, end=".bias")
        shaped.vector(f"{block}.ffn_up_exps", experts, width, end=".bias")
        shaped.vector(f"{block}.ffn_down_exps", experts, embedding, end=".bias")
    return shaped


def gemma3(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, length: int, width: int,
    kind: Kind = Kind.F16, *, window: int = 1024,
) -> Shaped:  # fmt: skip
    """Five layers with a window to one without; tied."""
    shaped = Shaped("gemma3", note, embedding, layers, vocabulary, kind)
    shaped.heads(heads, kv_heads, length)
    shaped.say(**{"attention.sliding_window": window, "feed_forward_length": width})
    for index in range(layers):
        block = f"blk.{index}"
        shaped.attention(block, heads, kv_heads, length, norms=True)
        shaped.vector(f"{block}.post_attention_norm", embedding)
        shaped.feed_forward(block, width)
        shaped.vector(f"{block}.post_ffw_norm", embedding)
    return shaped


def gemma4(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: tuple[int, int],
    lengths: tuple[int, int], width: int, kind: Kind = Kind.F16, *, window: int = 1024, shared: int = 0,
) -> Shaped:  # fmt: skip
    """Heads of one length in layers with a window and of another in the sixth; the last may share a cache."""
    shaped = Shaped("gemma4", note, embedding, layers, vocabulary, kind)
    windowed = [index % 6 != 5 for index in range(layers)]
    shaped.heads(heads, [kv_heads[0] if is_windowed else kv_heads[1] for is_windowed in windowed], lengths[1])
    shaped.say(**{"attention.key_length_swa": lengths[0], "attention.value_length_swa": lengths[0]})
    shaped.say(**{"attention.sliding_window": window, "attention.sliding_window_pattern": windowed})
    shaped.say(
        **{"feed_forward_length": width, "embedding_length_per_layer_input": 0, "rope.dimension_count_swa": lengths[0]}
    )
    shaped.say(**{"attention.shared_kv_layers": shared, "rope.freq_base_swa": 1e4})
    shaped.vector("rope_freqs", lengths[1] // 2)
    for index, is_windowed in enumerate(windowed):
        block = f"blk.{index}"
        which = 0 if is_windowed else 1
        shaped.attention(block, heads, kv_heads[which], lengths[which], norms=True)
        shaped.vector(f"{block}.post_attention_norm", embedding)
        shaped.feed_forward(block, width)
        shaped.vector(f"{block}.post_ffw_norm", embedding)
    return shaped
