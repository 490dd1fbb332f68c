"""Architectures of which only some layers attend; the others keep a state of one size: gated delta net, Mamba, short
convolutions."""

from __future__ import annotations

from shaped_gguf import Kind, Shaped


def qwen35(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, length: int, width: int,
    kind: Kind = Kind.F16, *, state: int = 128, groups: int = 16, rank: int = 32, experts: int = 0, used: int = 8,
    shared_width: int = 0, nextn: int = 0,
) -> Shaped:  # fmt: skip
    """Three layers of gated delta net to one with attention; ``nextn`` blocks predict further tokens."""
    architecture = "qwen35moe" if experts else "qwen35"
    shaped = Shaped(architecture, note, embedding, layers + nextn, vocabulary, kind)
    shaped.heads(heads, kv_heads, length, rope=64)
    shaped.say(
        **{"ssm.conv_kernel": 4, "ssm.state_size": state, "ssm.group_count": groups, "full_attention_interval": 4}
    )
    shaped.say(
        **{"ssm.time_step_rank": rank, "ssm.inner_size": state * rank, "rope.dimension_sections": [11, 11, 10, 0]}
    )
    shaped.untie()
    if nextn:
        shaped.say(nextn_predict_layers=nextn)
    if experts:
        shaped.say(expert_count=experts, expert_used_count=used, expert_feed_forward_length=width)
        shaped.say(expert_shared_feed_forward_length=shared_width)
    else:
        shaped.say(feed_forward_length=width)
    for index in range(layers + nextn):
        block = f"blk.{index}"
        if index >= layers or index % 4 == 3:
            shaped.attention(block, heads, kv_heads, length, norms=True, gate=True)
        else:
            _delta_net(shaped, block, state, groups, rank)
        if experts:
            shaped.experts(block, experts, width, norm="post_attention_norm")
            shaped.vector(f"{block}.ffn_gate_inp_shexp", embedding)
            shaped.shared_expert(block, shared_width)
        else:
            shaped.feed_forward(block, width, norm="post_attention_norm")
        if index >= layers:
            shaped.matrix(f"{block}.nextn.eh_proj", embedding, 2 * embedding)
            shaped.vector(f"{block}.nextn.enorm", embedding)
            shaped.vector(f"{block}.nextn.hnorm", embedding)
    return shaped


def _delta_net(shaped: Shaped, block: str, state: int, groups: int, rank: int) -> None:
    inner, channels = state * rank, state * (2 * groups + rank)
    shaped.vector(f"{block}.attn_norm", shaped.embedding)
    shaped.matrix(f"{block}.attn_qkv", channels, shaped.embedding)
    shaped.matrix(f"{block}.attn_gate", inner, shaped.embedding)
    shaped.vector(f"{block}.ssm_conv1d", channels, 4)
    shaped.vector(f"{block}.ssm_dt", rank, end=".bias")
    shaped.vector(f"{block}.ssm_a", rank, end="")
    shaped.matrix(f"{block}.ssm_beta", rank, shaped.embedding)
    shaped.matrix(f"{block}.ssm_alpha", rank, shaped.embedding)
    shaped.vector(f"{block}.ssm_norm", state)
    shaped.matrix(f"{block}.ssm_out", shaped.embedding, inner)


def nemotron_h(
    note: str, embedding: int, pattern: str, vocabulary: int, heads: int, kv_heads: int, length: int, experts: int,
    used: int, width: int, shared_width: int, kind: Kind = Kind.F16, *, state: int = 128, groups: int = 8,
    inner: int = 4096, rank: int = 64,
) -> Shaped:  # fmt: skip
    """Each layer is one thing: Mamba (``M``), attention (``*``) or experts (``E``)."""
    shaped = Shaped("nemotron_h_moe", note, embedding, len(pattern), vocabulary, kind)
    shaped.heads(heads, [kv_heads * (letter == "*") for letter in pattern], length)
    shaped.say(feed_forward_length=[width * (letter == "E") for letter in pattern])
    shaped.say(**{"ssm.conv_kernel": 4, "ssm.state_size": state, "ssm.group_count": groups, "ssm.inner_size": inner})
    shaped.say(**{"ssm.time_step_rank": rank, "expert_count": experts, "expert_used_count": used})
    shaped.say(**{"attention.layer_norm_epsilon": 1e-5})
    shaped.say(expert_feed_forward_length=width, expert_shared_feed_forward_length=shared_width, expert_shared_count=1)
    shaped.say(expert_weights_norm=True, expert_weights_scale=2.5, expert_group_count=1, expert_group_used_count=1)
    shaped.untie()
    for index, letter in enumerate(pattern):
        block = f"blk.{index}"
        if letter == "*":
            shaped.attention(block, heads, kv_heads, length)
        elif letter == "M":
            _mamba(shaped, block, state, groups, inner, rank)
        else:
            shaped.experts(block, experts, width, norm="attn_norm", gate=False)
            shaped.vector(f"{block}.exp_probs_b", experts, end=".bias")
            shaped.shared_expert(block, shared_width, gate=False)
    return shaped


def granite_hybrid(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, length: int, width: int,
    kind: Kind = Kind.F16, *, state: int = 128, groups: int = 1, inner: int = 3072, rank: int = 48,
) -> Shaped:  # fmt: skip
    """Mamba in all layers but each tenth; tied."""
    shaped = Shaped("granitehybrid", note, embedding, layers, vocabulary, kind)
    is_attention = [index % 10 == 5 for index in range(layers)]
    shaped.heads(heads, [kv_heads * one for one in is_attention], length)
    shaped.say(**{"ssm.conv_kernel": 4, "ssm.state_size": state, "ssm.group_count": groups, "ssm.inner_size": inner})
    shaped.say(**{"ssm.time_step_rank": rank, "feed_forward_length": width, "logit_scale": 1.0})
    shaped.say(embedding_scale=12.0, residual_scale=0.2, **{"attention.scale": 0.01})
    for index, one in enumerate(is_attention):
        block = f"blk.{index}"
        if one:
            shaped.attention(block, heads, kv_heads, length)
        else:
            _mamba(shaped, block, state, groups, inner, rank)
        shaped.feed_forward(block, width)
    return shaped


def _mamba(shaped: Shaped, block: str, state: int, groups: int, inner: int, rank: int) -> None:
    channels = inner + 2 * groups * state
    shaped.vector(f"{block}.attn_norm", shaped.embedding)
    shaped.matrix(f"{block}.ssm_in", 2 * inner + 2 * groups * state + rank, shaped.embedding)
    shaped.vector(f"{block}.ssm_conv1d", channels, 4)
    shaped.vector(f"{block}.ssm_conv1d", channels, end=".bias")
    shaped.vector(f"{block}.ssm_dt", rank, end=".bias")
    shaped.vector(f"{block}.ssm_a", rank, 1, end="")
    shaped.vector(f"{block}.ssm_d", rank, 1, end="")
    shaped.vector(f"{block}.ssm_norm", groups, inner // groups)
    shaped.matrix(f"{block}.ssm_out", shaped.embedding, inner)


def lfm2(
    note: str, embedding: int, layers: int, vocabulary: int, heads: int, kv_heads: int, width: int,
    kind: Kind = Kind.F16,
) -> Shaped:  # fmt: skip
    """Short convolutions, and attention in each third layer; tied. The pilot is one."""
    shaped = Shaped("lfm2", note, embedding, layers, vocabulary, kind)
    length = embedding // heads
    shaped.heads(heads, [kv_heads * (index % 3 == 2) for index in range(layers)], length)
    shaped.say(**{"shortconv.l_cache": 3, "feed_forward_length": width})
    shaped.vector("token_embd_norm", embedding)
    shaped.tensors = [one for one in shaped.tensors if one[0] != "output_norm.weight"]
    for index in range(layers):
        block = f"blk.{index}"
        if index % 3 == 2:
            shaped.attention(block, heads, kv_heads, length, norms=True)
        else:
            shaped.vector(f"{block}.attn_norm", embedding)
            shaped.matrix(f"{block}.shortconv.in_proj", 3 * embedding, embedding)
            shaped.vector(f"{block}.shortconv.conv", embedding, 3)
            shaped.matrix(f"{block}.shortconv.out_proj", embedding, embedding)
        shaped.feed_forward(block, width)
    return shaped
