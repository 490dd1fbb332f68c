"""Which settings are tried, one factor after the other. Pure.

Not the full product: a factor is settled before the next is looked at. What is likely to gain most comes first, so that
a slow model, of which little can be tried, loses least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from hearth.runtime.launch import KvType, Launch
from hearth.runtime.speed.tuning import FULL_PRECISION
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape

Judged: TypeAlias = Literal["prefill", "decode", "both", "text"]
"""By what a factor is judged: reading a prompt, making tokens, both of them as in a step of the agent, or making tokens
of two kinds of text, one that repeats its prompt and one that does not."""

KV_TYPE = "kv_type"
_ON_PROCESSOR = (256, 1024, 128)
_ON_CARDS = (1024, 2048, 256)
"""Sizes of a micro batch. Cards are fed better by larger ones, a processor's caches hold the smaller."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One setting and the values that are tried for it, in their order."""

    name: str
    judged: Judged
    values: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Cores:
    """Processors of this machine that we may use: physical cores, those of them that are fast (as many where all are
    alike), and hardware threads."""

    physical: int
    fast: int
    threads: int


def grid(
    launch: Launch,
    machine: Machine,
    shape: ModelShape,
    cores: Cores,
    *,
    threads_are_set: bool = False,
    kv_types: tuple[KvType, ...] = (),
) -> tuple[Factor, ...]:
    """What is tried beside what the launch has. ``threads_are_set`` says that the owner has chosen them; ``kv_types``
    are those that somebody asks about."""
    on_processor = not machine.gpus or launch.gpu_layers >= 0 or launch.host_expert_layers > 0
    factors = [
        Factor("flash", "both", _flash(launch)),
        Factor("speculation", "text", _speculation(launch, shape)),
        Factor("micro_batch", "prefill", _micro_batches(launch, machine)),
    ]
    if on_processor and not threads_are_set:
        factors += [
            Factor("batch_threads", "prefill", _batch_threads(launch, cores)),
            Factor("threads", "decode", _threads(launch, cores)),
        ]
    factors.append(Factor(KV_TYPE, "both", tuple(kind for kind in kv_types if kind != launch.kv_type)))
    return tuple(factor for factor in factors if factor.values)


def change(launch: Launch, factor: str, value: int | str, cores: Cores) -> Launch:
    """The launch with another value of one factor, all else as it is, said or unsaid."""
    fields: dict[str, int | str] = {factor: value}
    if factor == "micro_batch":
        fields["batch"] = max(launch.batch, int(value))
    elif factor == KV_TYPE and value not in FULL_PRECISION and launch.flash == "off":
        fields["flash"] = "auto"
    elif factor == "threads" and not launch.batch_threads:
        # Unsaid, they would follow.
        fields["batch_threads"] = _own_threads(launch, cores)
    return msgspec.convert({**msgspec.to_builtins(launch), **fields}, Launch)


def value_of(launch: Launch, factor: str, cores: Cores) -> int | str:
    """What the launch has for a factor; of threads that it leaves to the engine how many that will be."""
    if factor == "threads":
        return _own_threads(launch, cores)
    if factor == "batch_threads":
        return launch.batch_threads or _own_threads(launch, cores)
    value: int | str = getattr(launch, factor)
    return value


def _own_threads(launch: Launch, cores: Cores) -> int:
    """llama.cpp takes the physical cores, and where some are slow the fast ones alone."""
    return launch.threads or cores.fast or 1


def _flash(launch: Launch) -> tuple[int | str, ...]:
    if launch.flash == "off":
        return ("on",)
    return ("off",) if launch.kv_type in FULL_PRECISION else ()


def _speculation(launch: Launch, shape: ModelShape) -> tuple[int | str, ...]:
    known = ("none", "ngram-mod", "draft-mtp") if shape.nextn_layers else ("none", "ngram-mod")
    return tuple(kind for kind in known if kind != launch.speculation)


def _micro_batches(launch: Launch, machine: Machine) -> tuple[int | str, ...]:
    sizes = _ON_CARDS if machine.gpus and launch.gpu_layers else _ON_PROCESSOR
    return tuple(size for size in sizes if size != launch.micro_batch and size <= launch.context)


def _batch_threads(launch: Launch, cores: Cores) -> tuple[int | str, ...]:
    """Reading is bound by arithmetic: slow cores and second threads of a core may help."""
    own = launch.batch_threads or _own_threads(launch, cores)
    return _others((cores.physical, cores.threads, cores.physical - 1, cores.fast), own)


def _threads(launch: Launch, cores: Cores) -> tuple[int | str, ...]:
    """Making tokens is bound by the memory: fewer threads may do as well, and leave a core to others."""
    return _others((cores.fast, cores.physical - 1, cores.physical // 2), _own_threads(launch, cores))


def _others(counts: tuple[int, ...], own: int) -> tuple[int | str, ...]:
    return tuple(dict.fromkeys(count for count in counts if 0 < count <= 512 and count != own))
