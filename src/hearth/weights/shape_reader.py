"""Reads a model's shape from its header: what each layer keeps of the past, and how the file's bytes divide.

The keys are those of the GGUF specification; what an architecture does not write down is known from llama.cpp b11549,
``src/models``. Where a layer's kind can be seen from its tensors, they decide.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from math import prod

from hearth.errors import CorruptModel
from hearth.weights.gguf import Gguf, TensorInfo
from hearth.weights.shape import MOST_LAYERS, KvGroup, ModelShape, Recurrent

_WINDOW_PERIODS = {
    "cohere2": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6, "gemma3n": 5, "gemma-embedding": 6, "gpt-oss": 2, "olmo3": 4,
}  # fmt: skip
"""Of so many layers the last one has no window, where the file does not tell. Others that name a window and not its
layers are taken to have none: more memory rather than less."""

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")
_KEYS = ("attn_k.weight", "attn_k_b.weight", "attn_kv_a_mqa.weight", "attn_kv_b.weight", "attn_qkv.weight")
_RECURRENT = ("ssm_", "shortconv.", "time_mix_")
_BESIDE = {
    "mmproj": "reads images for a model",
    "adapter": "is an adapter (LoRA) of a model",
    "imatrix": "tells how to quantise a model",
}
"""What files are good for that lie beside a model, by ``general.type``."""


def shape_of(gguf: Gguf, *more_parts: Gguf) -> ModelShape:
    """The shape of a model whose first part is ``gguf``.

    Raises CorruptModel when its header does not say how many layers it has, or how wide they are.
    """
    return _Header(gguf, more_parts).shape()


class _Header:
    """One model's header, parts joined."""

    def __init__(self, gguf: Gguf, more_parts: tuple[Gguf, ...]) -> None:
        self._metadata: Mapping[str, object] = gguf.metadata
        self._architecture = str(gguf.metadata.get("general.architecture") or "")
        self._tensors = [tensor for part in (gguf, *more_parts) for tensor in part.tensors]
        self._blocks: dict[int, list[TensorInfo]] = defaultdict(list)
        for tensor in self._tensors:
            if found := _BLOCK.fullmatch(tensor.name):
                self._blocks[int(found[1])].append(tensor)
        self._nextn = self._number("nextn_predict_layers", 0)
        self._layers = self._number("block_count", 0) - self._nextn
        self._embedding = self._number("embedding_length", 0)
        if not 0 < self._layers <= MOST_LAYERS or self._embedding <= 0:
            kind = str(gguf.metadata.get("general.type") or "")
            if beside := _BESIDE.get("mmproj" if self._architecture == "clip" else kind):
                raise CorruptModel(f"this file is no model by itself: it {beside}", "name the model's own file")
            raise CorruptModel(
                f"the header of this {self._architecture or 'nameless'} model does not tell its layers and their width",
                "fetch or copy the file again",
            )

    def shape(self) -> ModelShape:
        embedding = self._bytes_of("token_embd.weight")
        table = next((tensor for tensor in self._tensors if tensor.name == "token_embd.weight"), None)
        vocabulary = prod(table.shape) // self._embedding if table else self._number("vocab_size", 0)
        return ModelShape(
            architecture=self._architecture,
            layers=self._layers,
            embedding=self._embedding,
            vocabulary=vocabulary,
            heads=max(self._each("attention.head_count", 1)),
            native_context=self._number("context_length", 0),
            kv=self._groups(),
            recurrent=self._recurrent(),
            experts=self._number("expert_count", 0),
            experts_used=self._number("expert_used_count", 0),
            nextn_layers=self._nextn,
            tied=bool(table) and not self._bytes_of("output.weight"),
            expert_bytes=sum(
                tensor.size_bytes
                for index, tensors in self._blocks.items()
                for tensor in tensors
                if "_exps." in tensor.name and index < self._layers
            ),
            embedding_bytes=embedding,
            tensor_bytes=sum(tensor.size_bytes for tensor in self._tensors),
            lookup_bytes=self._bytes_of("per_layer_token_embd.weight"),
            nextn_bytes=sum(
                tensor.size_bytes for index in self._blocks if index >= self._layers for tensor in self._blocks[index]
            ),
            embedding_kind=table.kind if table else -1,
            feed_forward=max(self._each("feed_forward_length", 0)),
            expert_feed_forward=self._number("expert_feed_forward_length", 0) or self._expert_width(),
        )

    def _groups(self) -> tuple[KvGroup, ...]:
        """Layers that keep a cache, by what they keep; in the order in which each kind appears."""
        own_cache = self._layers - self._shared()
        found: Counter[tuple[int, int, int, int]] = Counter()
        windows = self._windows()
        kv_heads = self._each("attention.head_count_kv", max(self._each("attention.head_count", 1)))
        for index in range(own_cache):
            if self._has_cache(index, kv_heads[index]):
                found[self._cache(kv_heads[index], windows[index])] += 1
        return tuple(KvGroup(layers, *kind) for kind, layers in found.items())

    def _cache(self, kv_heads: int, window: int) -> tuple[int, int, int, int]:
        latent = self._number("attention.kv_lora_rank", 0)
        if latent and not self._is_old_latent():
            return 1, latent + self._number("rope.dimension_count", 64), 0, window
        head = self._embedding // max(1, *self._each("attention.head_count", 1))
        key = self._number("attention.key_length", head)
        value = self._number("attention.value_length", head)
        if window:
            key = self._number("attention.key_length_swa", key)
            value = self._number("attention.value_length_swa", value)
        return kv_heads, key, value, window

    def _is_old_latent(self) -> bool:
        """Files from before the latent cache keep every head's keys and values."""
        names = {tensor.name.split(".", 2)[-1] for tensor in self._blocks.get(0, ())}
        return bool(names) and not names & {"attn_k_b.weight", "attn_v_b.weight"}

    def _has_cache(self, index: int, kv_heads: int) -> bool:
        if kv_heads == 0:
            return False
        names = self._names(index)
        if not names:
            return not self._is_recurrent_by_keys(index)
        if "attn_qkv.weight" in names and any(name.startswith(_RECURRENT) for name in names):
            return False
        return any(key in names for key in _KEYS)

    def _recurrent(self) -> Recurrent | None:
        layers = sum(
            any(name.startswith(_RECURRENT) for name in self._names(index))
            if self._names(index)
            else self._is_recurrent_by_keys(index)
            for index in range(self._layers)
        )
        if not layers:
            return None
        if short := self._number("shortconv.l_cache", 0):
            return Recurrent(layers, (short - 1) * self._embedding, 0)
        if head := self._number("wkv.head_size", 0):
            shifts = self._number("token_shift_count", 2)
            return Recurrent(layers, shifts * self._embedding, self._embedding * head)
        kernel, inner = self._number("ssm.conv_kernel", 0), self._number("ssm.inner_size", 0)
        if head := self._number("kda.head_dim", 0):
            heads = max(self._each("attention.head_count", 1))
            return Recurrent(layers, 3 * (kernel - 1) * heads * head, heads * head * head)
        state, groups = self._number("ssm.state_size", 0), self._number("ssm.group_count", 0)
        return Recurrent(layers, max(kernel - 1, 0) * (inner + 2 * groups * state), state * inner)

    def _is_recurrent_by_keys(self, index: int) -> bool:
        """For a first part that holds no tensors."""
        interval = self._number("full_attention_interval", 0)
        has_state = bool(self._number("ssm.conv_kernel", 0) or self._number("shortconv.l_cache", 0))
        if interval:
            return has_state and (index + 1) % interval != 0
        kv_heads = self._each("attention.head_count_kv", 1)[index]
        return has_state and kv_heads == 0 and self._each("feed_forward_length", 0)[index] == 0

    def _windows(self) -> list[int]:
        """The window of each layer in tokens, 0 for none."""
        window = self._number("attention.sliding_window", 0)
        pattern = self._value("attention.sliding_window_pattern")
        if isinstance(pattern, tuple) and len(pattern) >= self._layers:
            return [window * bool(one) for one in pattern]
        period = _integer(pattern) or _WINDOW_PERIODS.get(self._architecture, 1)
        return [window * (index % period < period - 1) for index in range(self._layers)]

    def _shared(self) -> int:
        """The last layers, which use the cache of earlier ones."""
        shared = self._number("attention.shared_kv_layers", -1)
        if shared < 0:
            shared = self._layers - 20 if self._architecture == "gemma3n" else 0
        return min(max(shared, 0), self._layers)

    def _expert_width(self) -> int:
        """From the matrices, for architectures that call it the feed forward's width."""
        if not self._number("expert_count", 0):
            return 0
        return max(self._each("feed_forward_length", 0))

    def _names(self, index: int) -> set[str]:
        return {tensor.name.split(".", 2)[-1] for tensor in self._blocks.get(index, ())}

    def _bytes_of(self, name: str) -> int:
        return sum(tensor.size_bytes for tensor in self._tensors if tensor.name == name)

    def _each(self, key: str, default: int) -> list[int]:
        """A key that is one number or one for each layer; always one for each."""
        value = self._value(key)
        if isinstance(value, tuple) and value:
            numbers = [_integer(one) for one in value]
            return (numbers + [numbers[-1]] * self._layers)[: self._layers]
        return [self._number(key, default)] * self._layers

    def _number(self, key: str, default: int) -> int:
        value = self._value(key)
        if isinstance(value, tuple) and value:
            return max(_integer(one) for one in value)
        return _integer(value) if isinstance(value, int | float) else default

    def _value(self, key: str) -> object:
        return self._metadata.get(f"{self._architecture}.{key}")


def _integer(value: object) -> int:
    """A count; 0 for what is none."""
    return int(value) if isinstance(value, int | float) and 0 <= value < 1 << 53 else 0
