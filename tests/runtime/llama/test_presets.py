"""How each kind of model is launched on each kind of machine: a pure function, as a table."""

from __future__ import annotations

import msgspec
import pytest

from hearth.errors import EngineFailed
from hearth.runtime.launch import Launch
from hearth.runtime.llama.presets import MOST_SPARE_BYTES, plain_launch, preset
from hearth.settings import EngineSettings
from hearth.weights.hardware import Machine, describe_machine
from hearth.weights.shape import KvGroup, ModelShape, Recurrent

GIB = 1 << 30
CARD = describe_machine((24 * GIB,), 64 * GIB)
HOST = describe_machine((), 32 * GIB)


def shape(*groups: KvGroup, size: int = 16 * GIB, recurrent: Recurrent | None = None, nextn: int = 0) -> ModelShape:
    return ModelShape(
        "any", 48, 4096, 150_000, 32, 262_144, groups, recurrent=recurrent, nextn_layers=nextn, tensor_bytes=size
    )


DENSE = shape(KvGroup(48, 8, 128, 128))
LATENT = shape(KvGroup(47, 1, 576, 0))
SMALL_WINDOW = shape(KvGroup(12, 8, 64, 64, window=128), KvGroup(12, 8, 64, 64))
LARGE_WINDOW = shape(KvGroup(50, 16, 256, 256, window=1024), KvGroup(10, 4, 512, 512))
HYBRID = shape(KvGroup(16, 4, 256, 256), recurrent=Recurrent(48, 30_720, 786_432), nextn=1)
RECURRENT = shape(recurrent=Recurrent(40, 10_000, 500_000))
TINY = shape(KvGroup(2, 4, 16, 16), size=2 << 20)
ALL = [DENSE, LATENT, SMALL_WINDOW, LARGE_WINDOW, HYBRID, RECURRENT, TINY]
LAUNCH = Launch(context=16_384, slots=2)


def test_on_the_processor_a_batch_is_short() -> None:
    assert preset(DENSE, LAUNCH, HOST).batch == 512
    assert preset(DENSE, LAUNCH, CARD).batch == 2048
    nothing_there = msgspec.structs.replace(LAUNCH, gpu_layers=0)
    assert preset(DENSE, nothing_there, CARD).batch == 512
    wide = msgspec.structs.replace(LAUNCH, micro_batch=1024)
    assert (preset(DENSE, wide, HOST).batch, preset(DENSE, wide, HOST).micro_batch) == (1024, 1024)


@pytest.mark.parametrize(
    ("kv_type", "flash"), [("f32", "auto"), ("f16", "auto"), ("bf16", "auto"), ("q8_0", "on"), ("q4_0", "on")]
)
def test_a_quantised_cache_needs_flash_attention(kv_type: str, flash: str) -> None:
    asked = msgspec.convert({"context": 16_384, "kv_type": kv_type}, Launch)
    assert preset(DENSE, asked, HOST).flash == flash


@pytest.mark.parametrize(
    ("model", "asked", "given"),
    [
        (DENSE, "none", "ngram-mod"),
        (DENSE, "draft-mtp", "ngram-mod"),
        (HYBRID, "none", "ngram-mod"),
        (HYBRID, "draft-mtp", "draft-mtp"),
        (LARGE_WINDOW, "none", "ngram-mod"),
        (TINY, "none", "none"),
    ],
)
def test_repeated_text_is_guessed_or_asked_of_blocks_that_predict(model: ModelShape, asked: str, given: str) -> None:
    launch = msgspec.convert({"context": 16_384, "speculation": asked}, Launch)
    assert preset(model, launch, CARD).speculation == given


def test_pieces_are_moved_only_when_asked_for_and_possible() -> None:
    assert {preset(model, LAUNCH, CARD).cache_reuse for model in ALL} == {0}
    asked = msgspec.structs.replace(LAUNCH, cache_reuse=256)
    moved = [preset(model, asked, CARD).cache_reuse for model in (DENSE, LATENT, SMALL_WINDOW, HYBRID, RECURRENT)]
    assert moved == [256, 256, 0, 0, 0]


@pytest.mark.parametrize(
    ("model", "context", "machine", "count", "step"),
    [
        (DENSE, 16_384, CARD, 0, 8192),
        (LATENT, 16_384, CARD, 0, 8192),
        # Three MiB each: as many as there may be.
        (SMALL_WINDOW, 16_384, CARD, 32, 512),
        (SMALL_WINDOW, 131_072, CARD, 32, 4096),
        (SMALL_WINDOW, 4096, CARD, 32, 256),
        # 150 MiB each: together no more than the cache of a full context, 1 GiB at this one.
        (HYBRID, 16_384, CARD, 6, 2816),
        (HYBRID, 131_072, CARD, 13, 10_240),
        (HYBRID, 131_072, HOST, 6, 22_016),
        (LARGE_WINDOW, 16_384, HOST, 4, 4096),
        (RECURRENT, 16_384, CARD, 4, 4096),
    ],
)
def test_checkpoints_are_what_the_memory_bears_spread_over_the_context(
    model: ModelShape, context: int, machine: Machine, count: int, step: int
) -> None:
    found = preset(model, Launch(context=context, slots=2), machine)
    assert (found.checkpoints, found.checkpoint_step) == (count, step)


def test_a_spare_slot_is_made_where_it_costs_little() -> None:
    assert [preset(model, LAUNCH, CARD).spare for model in ALL] == [True, True, True, False, True, True, True]
    # Counted in the type of the cache.
    window = MOST_SPARE_BYTES // (512 * 2 * 1024)
    edge = shape(KvGroup(1024, 1, 256, 256, window=window))
    assert preset(edge, LAUNCH, CARD).spare
    assert not preset(edge, msgspec.structs.replace(LAUNCH, kv_type="f32"), CARD).spare


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("machine", [CARD, HOST])
def test_what_was_decided_elsewhere_stays(model: ModelShape, machine: Machine) -> None:
    asked = Launch(
        context=8192, slots=3, kv_type="q8_0", threads=5, batch_threads=7, gpu_layers=9, host_expert_layers=2,
        tensor_split=(1.0, 2.0), cache_ram_mib=99,
    )  # fmt: skip
    found = preset(model, asked, machine)
    for field in (
        "context", "slots", "kv_type", "threads", "batch_threads", "gpu_layers", "host_expert_layers", "tensor_split",
        "cache_ram_mib", "micro_batch",
    ):  # fmt: skip
        assert getattr(found, field) == getattr(asked, field)
    assert preset(model, found, machine) == found


def test_a_plain_launch_is_what_the_owner_asks_for() -> None:
    launch = plain_launch(EngineSettings(slots=3, threads=4), 8192)
    assert (launch.context, launch.slots, launch.threads) == (8192, 3, 4)
    with pytest.raises(EngineFailed, match="more than an engine can hold"):
        plain_launch(EngineSettings(context=1 << 20, slots=64), 0)


@pytest.mark.parametrize(
    ("wished", "trained", "context"),
    [(0, 0, 16_384), (0, 131_072, 16_384), (0, 2_048, 2_048), (60_000, 131_072, 60_000), (60_000, 0, 60_000),
     # The engine gives a slot no more than this: what is beyond would only take memory.
     (60_000, 32_768, 32_768), (1_000, 100, 256)],
)  # fmt: skip
def test_nobody_gets_more_than_the_model_was_trained_for(wished: int, trained: int, context: int) -> None:
    assert plain_launch(EngineSettings(context=wished), trained).context == context
