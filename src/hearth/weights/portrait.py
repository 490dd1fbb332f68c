"""What one model on this disk is, as far as its header, its manifest and the catalogue tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hearth.errors import CorruptModel
from hearth.weights.card import ModelCard
from hearth.weights.catalogue import Entry
from hearth.weights.fit_kv import bytes_per_token
from hearth.weights.gguf import Gguf, Value
from hearth.weights.shape_reader import shape_of

KINDS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0",
    35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
"""Names of the tensor types (``ggml_type`` in ggml.h)."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One model. ``kinds`` are its tensors' types, the one with the most bytes first; ``tools`` says what its template
    does with tools: ``yes``, ``no``, or ``no template``. ``kv_bytes`` is what a token costs at f16, 0 when it keeps
    none. ``sampling`` is what its maker recommends. Empty texts and zeros are unknown."""

    name: str
    architecture: str
    parameters: int
    kinds: tuple[str, ...]
    native_context: int
    kv_bytes: int
    tools: str
    sampling: Mapping[str, float]
    licence: str


def portray(card: ModelCard, gguf: Gguf, entry: Entry | None, *more_parts: Gguf) -> Portrait:
    """The portrait of a model with this header; ``entry`` is what the catalogue knows of it. Raises CorruptModel."""
    metadata = gguf.metadata
    weights: dict[str, int] = {}
    parameters = 0
    for part in (gguf, *more_parts):
        for tensor in part.tensors:
            kind = KINDS.get(tensor.kind, f"type {tensor.kind}")
            weights[kind] = weights.get(kind, 0) + tensor.size_bytes
            elements = 1
            for length in tensor.shape:
                elements *= length
            parameters += elements
    if not weights:
        raise CorruptModel(
            f"{card.path} holds no weights: it is one part of {gguf.part_count}",
            f"name it NAME-00001-of-{gguf.part_count:05}.gguf, with all others beside it",
        )
    # Norms and biases are F32 in every file; they say nothing of it.
    told = {kind: size for kind, size in weights.items() if size * 100 >= sum(weights.values())}
    return Portrait(
        card.name,
        gguf.architecture,
        parameters,
        tuple(sorted(told, key=lambda kind: -told[kind])),
        gguf.context_length,
        bytes_per_token(shape_of(gguf, *more_parts)),
        tool_support(metadata.get("tokenizer.chat_template")),
        {str(knob): value for knob, value in entry.sampling.items()}
        if entry and entry.sampling
        else _sampling(metadata),
        _text(metadata.get("general.license")) or (entry.licence if entry else ""),
    )


def tool_support(template: object) -> str:
    """Whether a chat template does anything with tools."""
    if not isinstance(template, str) or not template:
        return "no template"
    return "yes" if "tools" in template or "tool_call" in template else "no"


def _sampling(metadata: Mapping[str, Value]) -> dict[str, float]:
    """What the file itself recommends (``general.sampling.*``, written by newer converters)."""
    prefix = "general.sampling."
    return {
        key.removeprefix(prefix): float(value)
        for key, value in metadata.items()
        if key.startswith(prefix) and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
