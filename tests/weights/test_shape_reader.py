"""The shape that is read from a header, for every kind of memory that a model can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.errors import CorruptModel
from hearth.weights.gguf import Gguf, TensorInfo, read_gguf
from hearth.weights.shape import KvGroup, ModelShape, Recurrent
from hearth.weights.shape_reader import shape_of
from hearth.weights.store import PILOT_FILE
from shaped_models import small_models, write_small

KV: dict[str, tuple[KvGroup, ...]] = {
    "mha-untied": (KvGroup(6, 8, 64, 64),),
    "mha-tied": (KvGroup(6, 8, 64, 64),),
    "gqa-untied": (KvGroup(4, 4, 64, 64),),
    "gqa-tied": (KvGroup(4, 2, 64, 64),),
    "mqa-q4": (KvGroup(4, 1, 64, 64),),
    "moe": (KvGroup(6, 2, 128, 128),),
    "moe-mixtral": (KvGroup(4, 2, 64, 64),),
    "mla-moe": (KvGroup(6, 1, 256 + 64, 0),),
    "swa-moe": (KvGroup(4, 4, 64, 64, 128), KvGroup(4, 4, 64, 64)),
    "swa": (KvGroup(10, 1, 256, 256, 1024), KvGroup(2, 1, 256, 256)),
    "swa-two-lengths": (KvGroup(10, 4, 128, 128, 1024), KvGroup(2, 1, 256, 256)),
    "swa-shared": (KvGroup(5, 4, 128, 128, 1024), KvGroup(1, 1, 256, 256)),
    "delta-net": (KvGroup(2, 2, 128, 128),),
    "delta-net-moe": (KvGroup(2, 2, 128, 128),),
    "mamba-moe": (KvGroup(2, 2, 64, 64),),
    "mamba": (KvGroup(1, 2, 64, 64),),
    "short-convolution": (KvGroup(3, 2, 64, 64),),
}
RECURRENT = {
    "delta-net": Recurrent(6, 3 * 64 * (16 + 2 * 8), 64 * 1024),
    "delta-net-moe": Recurrent(6, 3 * 64 * (16 + 2 * 8), 64 * 1024),
    "mamba-moe": Recurrent(4, 3 * (1024 + 2 * 8 * 128), 128 * 1024),
    "mamba": Recurrent(11, 3 * (1024 + 2 * 128), 128 * 1024),
    "short-convolution": Recurrent(6, 2 * 512, 0),
}
TIED = {"mha-tied", "gqa-tied", "swa", "swa-two-lengths", "swa-shared", "mamba", "short-convolution"}


def shape_in(folder: Path, name: str) -> ModelShape:
    model = write_small(folder / f"{name}.gguf", name, hollow=True)
    return shape_of(read_gguf(model))


def header(architecture: str, tensors: tuple[TensorInfo, ...] = (), **keys: Any) -> Gguf:
    entries: dict[str, Any] = {"general.architecture": architecture}
    entries |= {f"{architecture}.{key.replace('__', '.')}": value for key, value in keys.items()}
    return Gguf(3, 32, entries, tensors, 1024, 4096)


@pytest.mark.parametrize("name", sorted(small_models()))
def test_each_kind_of_memory(tmp_path: Path, name: str) -> None:
    shape = shape_in(tmp_path, name)
    assert sorted(shape.kv, key=repr) == sorted(KV[name], key=repr)
    assert shape.recurrent == RECURRENT.get(name)
    assert shape.tied == (name in TIED)
    assert (shape.vocabulary, shape.native_context) == (8192, 131_072)


def test_experts_and_blocks_that_predict_ahead(tmp_path: Path) -> None:
    shape = shape_in(tmp_path, "delta-net-moe")
    assert (shape.layers, shape.nextn_layers, shape.experts, shape.experts_used) == (8, 1, 8, 2)
    assert shape.expert_bytes == 8 * 3 * 8 * 128 * 512 * 2
    assert shape.expert_feed_forward == 128
    assert 0 < shape.nextn_bytes < shape.tensor_bytes // 5
    assert shape.embedding_bytes == 8192 * 512 * 2


def test_the_packaged_model() -> None:
    shape = shape_of(read_gguf(PILOT_FILE))
    assert shape.architecture == "lfm2"
    assert shape.tied
    assert shape.kv == (KvGroup(shape.layers // 2, 6, 32, 32),)
    assert shape.recurrent == Recurrent(shape.layers // 2, 2 * shape.embedding, 0)
    assert shape.tensor_bytes < PILOT_FILE.stat().st_size


def test_parts_are_read_together(tmp_path: Path) -> None:
    whole = read_gguf(write_small(tmp_path / "m.gguf", "moe", hollow=True))
    first = Gguf(3, 32, whole.metadata, (), 1024, 1024)
    second = Gguf(3, 32, {}, whole.tensors, 1024, whole.size_bytes)
    assert shape_of(first, second) == shape_of(whole)
    # Of the first part alone the layers are known, but not the bytes.
    alone = shape_of(first)
    assert alone.kv == KV["moe"]
    assert (alone.tensor_bytes, alone.expert_bytes, alone.tied) == (0, 0, False)


def test_without_tensors_the_keys_tell_which_layers_keep_what() -> None:
    common: dict[str, Any] = {"embedding_length": 512, "attention__head_count": 8}
    ssm: dict[str, Any] = {"ssm__conv_kernel": 4, "ssm__state_size": 64, "ssm__inner_size": 1024}
    net = header("qwen35", block_count=8, full_attention_interval=4, attention__head_count_kv=2, **common, **ssm)
    assert shape_of(net).kv == (KvGroup(2, 2, 64, 64),)
    assert shape_of(net).recurrent == Recurrent(6, 3 * 1024, 64 * 1024)
    pattern: dict[str, Any] = {"attention__head_count_kv": (0, 2, 0), "feed_forward_length": (0, 0, 256)}
    mamba = header("nemotron_h_moe", block_count=3, **pattern, **common, **ssm)
    assert shape_of(mamba).kv == (KvGroup(1, 2, 64, 64),)
    assert shape_of(mamba).recurrent == Recurrent(1, 3 * 1024, 64 * 1024)


def test_windows_that_only_the_architecture_tells() -> None:
    known = header(
        "gemma2", block_count=4, embedding_length=512, attention__head_count=8, attention__sliding_window=512
    )
    assert [(group.layers, group.window) for group in shape_of(known).kv] == [(2, 512), (2, 0)]
    period: dict[str, Any] = {"attention__sliding_window": 512, "attention__sliding_window_pattern": 3}
    told = header("new", block_count=6, embedding_length=512, attention__head_count=8, **period)
    assert [(group.layers, group.window) for group in shape_of(told).kv] == [(4, 512), (2, 0)]
    silent = header("new", block_count=6, embedding_length=512, attention__head_count=8, attention__sliding_window=512)
    assert [(group.layers, group.window) for group in shape_of(silent).kv] == [(6, 0)]


def test_an_old_file_keeps_every_head_of_a_latent_cache() -> None:
    keys: dict[str, Any] = {
        "embedding_length": 512, "attention__head_count": 8, "attention__kv_lora_rank": 64, "block_count": 1,
        "attention__key_length": 96, "attention__value_length": 64, "rope__dimension_count": 32,
    }  # fmt: skip
    old = header("deepseek2", (TensorInfo("blk.0.attn_kv_b.weight", (64, 1024), 1, 0, 4096),), **keys)
    new = header("deepseek2", (TensorInfo("blk.0.attn_k_b.weight", (64, 1024), 1, 0, 4096),), **keys)
    assert shape_of(old).kv == (KvGroup(1, 8, 96, 64),)
    assert shape_of(new).kv == (KvGroup(1, 1, 96, 0),)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"block_count": 2},
        {"embedding_length": 64},
        {"block_count": 1 << 40, "embedding_length": 64},
        {"block_count": 2, "nextn_predict_layers": 2, "embedding_length": 64},
        {"block_count": "two", "embedding_length": 64},
        {"block_count": 2, "embedding_length": -1},
    ],
)
def test_a_header_without_layers_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(CorruptModel, match="does not tell its layers"):
        shape_of(header("llama", **keys))


@pytest.mark.parametrize(
    ("architecture", "kind", "said"),
    [("clip", "mmproj", "reads images"), ("clip", "", "reads images"), ("llama", "adapter", "adapter")],
)
def test_a_file_beside_a_model_is_not_called_damaged(architecture: str, kind: str, said: str) -> None:
    with pytest.raises(CorruptModel, match=said) as caught:
        shape_of(Gguf(3, 32, {"general.architecture": architecture, "general.type": kind}, (), 1024, 4096))
    assert "name the model's own file" in (caught.value.fix or "")


NUMBERS = st.one_of(
    st.integers(-5, 70_000), st.floats(), st.booleans(), st.text(max_size=3), st.tuples(st.integers(-2, 9)), st.just(())
)
KEYS = (
    "block_count", "embedding_length", "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.sliding_window", "attention.sliding_window_pattern", "attention.kv_lora_rank", "vocab_size",
    "attention.shared_kv_layers", "ssm.conv_kernel", "ssm.state_size", "full_attention_interval", "expert_count",
    "feed_forward_length", "nextn_predict_layers", "shortconv.l_cache", "wkv.head_size", "kda.head_dim",
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), NUMBERS, max_size=12), st.integers(1, 60))
def test_whatever_the_keys_say_it_is_a_shape_or_a_refusal(keys: dict[str, Any], layers: int) -> None:
    entries = {"general.architecture": "x", "x.block_count": layers, "x.embedding_length": 64}
    entries |= {f"x.{key}": value for key, value in keys.items()}
    tensors = (
        TensorInfo("blk.0.attn_k.weight", (64, 64), 1, 0, 8192),
        TensorInfo("token_embd.weight", (64, 9), 1, 0, 9),
    )
    try:
        shape = shape_of(Gguf(3, 32, entries, tensors, 1024, 4096))
    except CorruptModel:
        return
    assert 0 < shape.layers <= 4096
    assert sum(group.layers for group in shape.kv) <= shape.layers
    assert all(group.elements >= 0 and group.window >= 0 for group in shape.kv)
