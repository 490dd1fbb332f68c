"""Models of every kind of memory: GGUFs of chosen shapes, whole with random weights, or with a hole where weights are.

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


def write(path: Path, shaped: Shaped, *, hollow: bool = False, seed: int = 0) -> Path:
    """Write the GGUF: random weights, or a hole of the right size when ``hollow``."""
    writer = gguf.GGUFWriter(path, shaped.architecture)
    writer.add_name(path.stem)
    _add_vocabulary(writer, shaped.vocabulary)
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


def _add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    known = gguf_models.vocabulary()
    tokens = known + [f"<unused{index}>" for index in range(size - len(known))]
    special = len(gguf_models.SPECIAL)
    kinds = [gguf.TokenType.CONTROL] * special + [gguf.TokenType.NORMAL] * (len(known) - special)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds + [gguf.TokenType.UNUSED] * (size - len(known)))
    writer.add_token_merges(["t h", "th e", "i n", "Ġ the", "e r", "r e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_chat_template(gguf_models.CHATML)


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    adders: dict[type, Callable[[str, object], None]] = {
        bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, list: writer.add_array
    }  # type: ignore[dict-item]  # fmt: skip
    adders[type(value)](key, value)


def small_models() -> dict[str, Callable[[], Shaped]]:
    """Small enough to be loaded in a test (30 to 140 MB), one of each kind of memory."""
    words = 8192
    lengths = {"heads": 8, "kv_heads": (4, 1), "lengths": (128, 256), "width": 1536}
    net = {"rank": 16, "groups": 8, "state": 64}
    mamba = {"inner": 1024, "rank": 16}
    return {
        "mha-untied": lambda: llama("attention of all heads", 512, 6, words, 8, 8, 1408),
        "mha-tied": lambda: llama("the embedding is the output", 512, 6, words, 8, 8, 1408, tied=True),
        "gqa-untied": lambda: llama("grouped heads", 1024, 4, words, 16, 4, 2816, kind=Kind.Q8_0),
        "gqa-tied": lambda: llama("grouped heads, tied", 1024, 4, words, 16, 2, 2816, kind=Kind.Q8_0, tied=True),
        "mqa-q4": lambda: llama("one key head; four-bit weights", 1024, 4, words, 16, 1, 2816, kind=Kind.Q4_0),
        "moe": lambda: qwen3moe("experts", 512, 6, words, 8, 2, 128, 16, 4, 256),
        "moe-mixtral": lambda: llama("few, large experts", 512, 4, words, 8, 2, 1024, experts=4),
        "mla-moe": lambda: deepseek2("latent cache", 512, 6, words, 8, 8, 2, 256, dense_width=2048, latent=256),
        "swa-moe": lambda: gpt_oss("a window in half of the layers", 512, 8, words, 16, 4, 8, 256),
        "swa": lambda: gemma3("a window in five of six layers, tied", 640, 12, words, 4, 1, 256, 2048),
        "swa-two-lengths": lambda: gemma4("heads of two lengths, tied", 512, 12, words, **lengths),
        "swa-shared": lambda: gemma4("the last layers share a cache", 512, 12, words, **lengths, shared=6),
        "delta-net": lambda: qwen35("gated delta net", 512, 8, words, 8, 2, 128, 1408, **net),
        "delta-net-moe": lambda: qwen35(
            "the same with experts, and a block that predicts ahead", 512, 8, words, 8, 2, 128, 128,
            experts=8, used=2, shared_width=128, nextn=1, **net),
        "mamba-moe": lambda: nemotron_h(
            "Mamba, attention, experts", 512, "MEM*EMEM*E", words, 8, 2, 64, 8, 2, 256, 512, **mamba),
        "mamba": lambda: granite_hybrid("Mamba and dense, tied", 512, 12, words, 8, 2, 64, 1024, **mamba),
        "short-convolution": lambda: lfm2("short convolutions, tied", 512, 9, words, 8, 2, 1408),
    }  # fmt: skip


def real_shapes() -> dict[str, Callable[[], Shaped]]:
    """Shapes of well-known models, to be written hollow."""
    q4 = Kind.Q4_K
    nemotron = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
    return {
        "codellama-34b": lambda: llama("GQA", 8192, 48, 32_000, 64, 8, 22_016, kind=q4),
        "codellama-13b": lambda: llama("MHA", 5120, 40, 32_016, 40, 40, 13_824, kind=q4),
        "llama-3.1-8b": lambda: llama("GQA, large vocabulary", 4096, 32, 128_256, 32, 8, 14_336, kind=q4),
        "qwen3-coder-30b": lambda: qwen3moe("MoE", 2048, 48, 151_936, 32, 4, 128, 128, 8, 768, q4),
        "glm-4.7-flash": lambda: deepseek2("MLA, MoE", 2048, 47, 154_880, 20, 64, 4, 1536, q4),
        "gpt-oss-20b": lambda: gpt_oss("SWA, MoE", 2880, 24, 201_088, 64, 8, 32, 2880, Kind.MXFP4),
        "gemma3-12b": lambda: gemma3("SWA, tied", 3840, 48, 262_208, 16, 8, 256, 15_360, q4),
        "gemma4-31b": lambda: gemma4(
            "SWA, two lengths, tied", 5376, 60, 262_144, 32, (16, 4), (256, 512), 21_504, q4),
        "qwen3.6-27b": lambda: qwen35("delta net", 5120, 64, 248_320, 24, 4, 256, 17_408, q4, rank=48),
        "qwen3.6-35b-a3b": lambda: qwen35(
            "delta net, MoE", 2048, 40, 248_320, 16, 2, 256, 512, q4, experts=256, shared_width=512),
        "nemotron-3-nano": lambda: nemotron_h(
            "Mamba, MoE", 2688, nemotron, 131_072, 32, 2, 128, 128, 6, 1856, 3712, Kind.Q8_0),
        "lfm2-1.2b": lambda: lfm2("short convolutions, tied", 2048, 16, 65_536, 32, 8, 8192, q4),
    }  # fmt: skip
