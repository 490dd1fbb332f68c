"""The closed form against the engine's own account, the verdicts, and the facts that everybody knows."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue_entries import one
from hearth.errors import UsageError
from hearth.paths import resolve_paths
from hearth.runtime.launch import Context, Slots
from hearth.runtime.llama.probe import Probe
from hearth.weights.catalogue import load_catalogue
from hearth.weights.fit import (
    Outcome,
    Placement,
    Request,
    Verdict,
    bytes_per_token,
    estimate,
    judge,
    largest_context,
    missing_bytes,
    usable_gpu_bytes,
    usable_ram_bytes,
)
from hearth.weights.fit_kv import MOST_SLOTS, MOST_TOKENS
from hearth.weights.gguf import read_gguf
from hearth.weights.hardware import Machine, describe_machine
from hearth.weights.hardware.gpu import Gpu
from hearth.weights.shape import KvGroup, ModelShape, Recurrent
from hearth.weights.shape_reader import shape_of
from shaped_models import write_small

MIB, GIB = 1 << 20, 1 << 30
DENSE = ModelShape("llama", 32, 4096, 128_256, 32, 131_072, (KvGroup(32, 8, 128, 128),), feed_forward=14_336)
MOE = ModelShape(
    "qwen3moe", 48, 2048, 151_936, 32, 262_144, (KvGroup(48, 4, 128, 128),), experts=128, experts_used=8,
    expert_bytes=15 * GIB, expert_feed_forward=768,
)  # fmt: skip
SLOTS = 2
"""What hearth's engine has unless its owner says otherwise."""


def shape_and_size(name: str, quant: str) -> tuple[ModelShape, int]:
    entry = one(load_catalogue(None), name)
    assert entry.shape is not None
    source = entry.source(quant)
    assert source is not None
    # The one size that is not in the catalogue's list: as its publisher rounds it.
    size = source.size_bytes or {"codellama:34b": 20_220_000_000}[entry.name]
    experts = entry.shape.expert_bytes or int(size * (entry.expert_b or 0) / (entry.total_b or 1))
    return replace(entry.shape, expert_bytes=experts, native_context=entry.native_context or 0), size


def told(verdict: Verdict, what: str) -> str:
    parts = [*verdict.breakdown.gpus, verdict.breakdown.host]
    rows = [
        f"{part.weights / GIB:6.2f} {part.kv / GIB:6.2f} {part.compute / GIB:6.2f} {part.total / GIB:6.2f}"
        for part in parts
    ]
    return f"{what:44} {' | '.join(rows)}  {verdict.outcome.value}: {verdict.why} {verdict.warning}"


@pytest.mark.parametrize("name", ["gqa-tied", "mla-moe", "swa-shared", "delta-net-moe", "mamba"])
async def test_the_engine_agrees(home: Path, name: str) -> None:
    model = write_small(home / "m.gguf", name, hollow=True)
    shape, probe = shape_of(read_gguf(model)), Probe(resolve_paths(os.environ))
    for request in (Request(4096), Request(32_768, "q8_0"), Request(8192, slots=4)):
        engine = (await probe.measure(model, request)).host
        closed = estimate(shape, model.stat().st_size, request, describe_machine((), 32 * GIB)).host
        limits = ((engine.model, closed.weights), (engine.context, closed.kv + closed.recurrent))
        for told_bytes, ours in (*limits, (engine.compute, closed.compute)):
            assert ours == pytest.approx(told_bytes, rel=0.05, abs=12 * MIB)


KIB_PER_TOKEN = {
    "nemotron-3-nano": 6, "qwen3.6:35b-a3b": 20, "gpt-oss:20b": 24, "qwen3-coder-next": 24, "qwen3.5:9b": 32,
    "gpt-oss:120b": 36, "qwen3.8:27b": 64, "qwen3-coder:30b": 96, "llama-3.1:8b": 128, "devstral-small-2": 160,
    "codellama:13b": 800, "glm-4.7-flash": 53,
}  # fmt: skip


@pytest.mark.parametrize("name", KIB_PER_TOKEN)
def test_what_a_token_costs(name: str) -> None:
    entry = one(load_catalogue(None), name)
    assert entry.shape is not None
    assert round(bytes_per_token(entry.shape) / 1024) == KIB_PER_TOKEN[name]


def test_the_facts_that_everybody_knows() -> None:
    """Printed with ``pytest -s``: GiB of weights, KV, compute and in all; the card first, then the RAM."""
    rows: list[str] = []

    def verdict(name: str, quant: str, card: int, context: int, slots: int = SLOTS, kv_type: str = "f16") -> Verdict:
        shape, size = shape_and_size(name, quant)
        found = judge(shape, size, Request(context, kv_type, slots), describe_machine((card * GIB,), 32 * GIB))
        rows.append(told(found, f"{name} {quant}, {card} GiB, {slots} x {context:,} {kv_type}"))
        return found

    assert verdict("gpt-oss:20b", "MXFP4", 16, 65_536).outcome is Outcome.FITS
    assert verdict("gpt-oss:20b", "MXFP4", 16, 131_072, slots=1).outcome is Outcome.FITS
    assert not verdict("codellama:34b", "Q4_K_M", 16, 16_384).outcome.fits
    assert not verdict("codellama:34b", "Q4_K_M", 16, 2_048, slots=1).outcome.fits
    assert verdict("glm-4.7-flash", "UD-Q4_K_XL", 32, 65_536).outcome is Outcome.FITS
    tight = verdict("glm-4.7-flash", "UD-Q4_K_XL", 24, 65_536)
    assert tight.outcome is Outcome.QUANTISED
    assert tight.request.kv_type == "q8_0"
    less = verdict("glm-4.7-flash", "UD-Q4_K_XL", 24, 49_152)
    assert less.outcome is Outcome.FITS
    assert less.largest_context < 65_536
    assert verdict("qwen3.8:27b", "UD-Q4_K_XL", 24, 131_072, slots=1, kv_type="q8_0").outcome is Outcome.FITS
    assert not verdict("qwen3.8:27b", "UD-Q4_K_XL", 24, 262_144, slots=1, kv_type="q8_0").outcome.fits
    print("\n" + "\n".join(rows))


def test_the_caches_of_each_kind() -> None:
    window = replace(DENSE, kv=(KvGroup(10, 1, 256, 256, 1024), KvGroup(2, 1, 256, 256)))
    latent = replace(DENSE, kv=(KvGroup(47, 1, 576, 0),))
    machine = describe_machine((), 64 * GIB)

    def kv(shape: ModelShape, request: Request) -> int:
        return estimate(shape, 5 * GIB, request, machine).host.kv

    assert kv(DENSE, Request(8192)) == 1 * GIB
    assert kv(DENSE, Request(8192, "q8_0")) == GIB * 34 // 64
    assert kv(DENSE, Request(8192, "q4_0")) == GIB * 18 // 64
    assert kv(DENSE, Request(2048, slots=4)) == kv(DENSE, Request(2048, slots=4, unified=False)) == GIB
    assert kv(DENSE, Request(300)) == kv(DENSE, Request(512))
    assert kv(latent, Request(16_384)) == 846 * MIB
    # Measured: 1,536 cells with a window for one slot, 4,608 for four in a pool, 1,536 for each of four apart.
    for request, cells in ((Request(8192), 1536), (Request(8192, slots=4), 4608)):
        assert kv(window, request) == (10 * cells + 2 * request.cells) * 1024
    assert kv(window, Request(8192, slots=4, unified=False)) == (10 * 1536 + 2 * 8192) * 4 * 1024
    assert kv(window, Request(512)) == 12 * 512 * 1024


def test_states_are_kept_for_each_slot() -> None:
    shape = replace(DENSE, recurrent=Recurrent(48, 30_720, 786_432), nextn_layers=1, nextn_bytes=300 * MIB)
    machine = describe_machine((), 64 * GIB)
    one = estimate(shape, 5 * GIB, Request(8192), machine).host
    four = estimate(shape, 5 * GIB, Request(8192, slots=4), machine).host
    assert (one.recurrent, four.recurrent) == (48 * 817_152 * 4, 4 * 48 * 817_152 * 4)
    draft = estimate(shape, 5 * GIB, Request(8192, draft=True), machine).host
    assert draft.weights - one.weights == 300 * MIB
    assert draft.kv == one.kv * 33 // 32
    assert draft.overhead - one.overhead == 224 * MIB


def test_an_image_reader_and_kept_prompts_count() -> None:
    machine = describe_machine((16 * GIB,), 32 * GIB)
    plain = estimate(DENSE, 5 * GIB, Request(8192), machine)
    seeing = estimate(DENSE, 5 * GIB, Request(8192, projector_bytes=1000 * MIB), machine)
    assert seeing.gpus[0].overhead - plain.gpus[0].overhead == 1350 * MIB
    assert plain.host.cache == 4 * GIB
    assert estimate(DENSE, 5 * GIB, Request(8192, prompt_cache_bytes=0), machine).host.cache == 0


def test_a_quantised_cache_costs_a_card_room_to_unpack_it() -> None:
    machine = describe_machine((24 * GIB,), 32 * GIB)
    plain = estimate(DENSE, 5 * GIB, Request(65_536), machine).gpus[0]
    small = estimate(DENSE, 5 * GIB, Request(65_536, "q8_0"), machine).gpus[0]
    assert small.overhead - plain.overhead == int(65_536 * 4096 * 2.25)
    assert small.total < plain.total


def test_nothing_is_counted_on_two_devices() -> None:
    machine = describe_machine((16 * GIB, 16 * GIB, 8 * GIB), 64 * GIB)
    for shape in (DENSE, MOE):
        for placement in (Placement(), Placement(None, 20), Placement(17), Placement(0)):
            breakdown = estimate(shape, 18 * GIB, Request(16_384), machine, placement)
            parts = [*breakdown.gpus, breakdown.host]
            assert sum(part.weights for part in parts) == 18 * GIB
            assert (
                sum(part.kv for part in parts)
                == estimate(shape, 18 * GIB, Request(16_384), describe_machine((), GIB)).host.kv
            )
            assert sum(breakdown.expert_bytes) == shape.expert_bytes
    tied = replace(DENSE, tied=True, embedding_bytes=500 * MIB)
    split = estimate(tied, 5 * GIB, Request(16_384), machine)
    assert sum(part.weights for part in (*split.gpus, split.host)) == 5 * GIB + 500 * MIB


def test_cards_share_layers_by_their_room() -> None:
    parts = estimate(DENSE, 20 * GIB, Request(16_384), describe_machine((24 * GIB, 12 * GIB), 64 * GIB)).gpus
    assert parts[0].weights == pytest.approx(2 * parts[1].weights, rel=0.2)
    alone = estimate(DENSE, 20 * GIB, Request(16_384), describe_machine((36 * GIB,), 64 * GIB)).gpus[0]
    assert sum(part.total for part in parts) > alone.total + GIB


@pytest.mark.parametrize("cards", [(24, 2), (2, 24), (24, 1), (24, 2, 2), (1, 24, 2)])
def test_a_small_card_beside_a_large_one_does_no_harm(cards: tuple[int, ...]) -> None:
    machine = describe_machine(tuple(card * GIB for card in cards), 32 * GIB)
    verdict = judge(DENSE, 17 * GIB, Request(16_384), machine)
    assert verdict.outcome is Outcome.FITS
    assert "on 1 of" in verdict.why
    alone = judge(DENSE, 17 * GIB, Request(16_384), describe_machine((24 * GIB,), 32 * GIB))
    assert max(verdict.breakdown.gpus, key=lambda part: part.total) == alone.breakdown.gpus[0]
    assert verdict.largest_context == alone.largest_context


def test_two_alike_cards_are_filled_alike() -> None:
    """What a further card costs is known before the layers are shared out."""
    machine = describe_machine((8 * GIB, 8 * GIB), 32 * GIB)
    first, second = judge(DENSE, 10 * GIB, Request(8192), machine).breakdown.gpus
    assert abs(first.total - second.total) < 640 * MIB


def test_a_card_without_room_for_a_layer_costs_no_cache() -> None:
    machine = describe_machine((GIB,), 64 * GIB)
    verdict = judge(DENSE, 17 * GIB, Request(16_384), machine)
    alone = judge(DENSE, 17 * GIB, Request(16_384), describe_machine((), 64 * GIB))
    assert verdict.outcome is Outcome.LAYERS_ON_CPU
    assert (verdict.request, verdict.breakdown.host) == (alone.request, alone.breakdown.host)
    assert "no card has room for a layer" in verdict.warning


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([DENSE, MOE]),
    st.integers(16, 60),
    st.integers(1, 96),
    st.integers(1, 96),
    st.booleans(),
    st.integers(8, 256),
)
def test_a_second_card_is_never_worse(
    shape: ModelShape, size: int, card: int, second: int, first: bool, ram: int
) -> None:
    best_first = list(Outcome)
    cards = (second * GIB, card * GIB) if first else (card * GIB, second * GIB)
    one_card = judge(shape, size * GIB, Request(8192), describe_machine((card * GIB,), ram * GIB))
    two_cards = judge(shape, size * GIB, Request(8192), describe_machine(cards, ram * GIB))
    assert best_first.index(two_cards.outcome) <= best_first.index(one_card.outcome)


def test_more_context_than_the_model_was_trained_for_is_said() -> None:
    machine = describe_machine((80 * GIB,), 64 * GIB)
    beyond = judge(DENSE, 5 * GIB, Request(200_000), machine)
    assert "trained for 131,072 tokens" in beyond.warning
    assert beyond.largest_context == 131_072
    assert "trained" not in judge(DENSE, 5 * GIB, Request(131_072), machine).warning
    assert "trained" not in judge(replace(DENSE, native_context=0), 5 * GIB, Request(200_000), machine).warning


def test_no_context_is_promised_that_the_engine_does_not_take() -> None:
    endless = replace(DENSE, native_context=(1 << 32) - 1, kv=(), recurrent=Recurrent(32, 1000, 1000))
    machine = describe_machine((1 << 50,), 1 << 50)
    for slots in (1, 3, 64):
        assert largest_context(endless, 5 * GIB, Request(4096, slots=slots), machine) * slots <= MOST_TOKENS
    assert get_args(Context)[1].le == MOST_TOKENS
    assert get_args(Slots)[1].le == MOST_SLOTS
    for numbers in ({"context": MOST_TOKENS + 1}, {"context": MOST_TOKENS, "slots": 2}, {"context": 256, "slots": 65}):
        with pytest.raises(UsageError, match="at most"):
            Request(**numbers)


@pytest.mark.parametrize(
    ("shape", "size", "cards", "ram", "outcome"),
    [
        (DENSE, 5 * GIB, (8,), 16, Outcome.FITS),
        (DENSE, 5 * GIB, (), 16, Outcome.FITS),
        (DENSE, 10 * GIB, (16,), 16, Outcome.QUANTISED),
        (MOE, 17 * GIB, (12,), 32, Outcome.EXPERTS_ON_CPU),
        (DENSE, 17 * GIB, (12,), 64, Outcome.LAYERS_ON_CPU),
        (DENSE, 17 * GIB, (12,), 8, Outcome.DOES_NOT_FIT),
        (DENSE, 17 * GIB, (), 16, Outcome.DOES_NOT_FIT),
        (MOE, 17 * GIB, (12,), 8, Outcome.DOES_NOT_FIT),
        (DENSE, 17 * GIB, (16, 16), 32, Outcome.FITS),
    ],
)
def test_each_verdict(shape: ModelShape, size: int, cards: tuple[int, ...], ram: int, outcome: Outcome) -> None:
    machine = describe_machine(tuple(card * GIB for card in cards), ram * GIB)
    context = 36_864 if outcome is Outcome.QUANTISED else 8192
    verdict = judge(shape, size, Request(context), machine)
    assert verdict.outcome is outcome
    assert verdict.why
    assert bool(verdict.missing_bytes) == (outcome is Outcome.DOES_NOT_FIT)
    if outcome is not Outcome.DOES_NOT_FIT:
        assert missing_bytes(verdict.breakdown, machine) == 0
        assert verdict.largest_context >= context
    if outcome in (Outcome.EXPERTS_ON_CPU, Outcome.LAYERS_ON_CPU):
        assert "RAM" in verdict.why
        assert verdict.warning


def test_no_more_leaves_the_card_than_must() -> None:
    machine = describe_machine((12 * GIB,), 64 * GIB)
    verdict = judge(MOE, 17 * GIB, Request(8192), machine)
    fewer = Placement(None, verdict.placement.host_expert_layers - 1)
    assert missing_bytes(estimate(MOE, 17 * GIB, verdict.request, machine, fewer), machine) > 0
    layers = judge(DENSE, 17 * GIB, Request(8192), machine)
    assert layers.placement.gpu_layers is not None
    more = Placement(layers.placement.gpu_layers + 1)
    assert missing_bytes(estimate(DENSE, 17 * GIB, layers.request, machine, more), machine) > 0


def test_unified_memory_is_one() -> None:
    chip = Gpu(0, "Apple M4 Max", "apple", 27 * GIB, 26 * GIB, shared=True)
    machine = Machine((chip,), 36 * GIB, 30 * GIB, 12, (), True, None)
    assert judge(DENSE, 17 * GIB, Request(16_384), machine).outcome is Outcome.FITS
    big = judge(DENSE, 28 * GIB, Request(16_384), machine)
    # Nothing is won by moving layers within one memory.
    assert big.outcome is Outcome.DOES_NOT_FIT
    # Room on the chip does not help when programs hold the memory.
    assert (
        judge(DENSE, 17 * GIB, Request(16_384), replace(machine, ram_free_bytes=18 * GIB)).outcome
        is Outcome.DOES_NOT_FIT
    )


def test_what_is_kept_free() -> None:
    described = describe_machine((16 * GIB,), 32 * GIB)
    assert usable_gpu_bytes(described.gpus[0]) == int(16 * GIB * 0.97) - GIB
    assert usable_gpu_bytes(replace(described.gpus[0], free_bytes=10 * GIB)) == 9 * GIB
    assert usable_gpu_bytes(replace(described.gpus[0], free_bytes=MIB)) == 0
    assert usable_ram_bytes(described) == 29 * GIB
    assert usable_ram_bytes(replace(described, ram_free_bytes=20 * GIB)) == 19 * GIB


def test_a_wrong_request_is_refused() -> None:
    with pytest.raises(UsageError, match="no KV type 'q9'"):
        Request(4096, "q9")
    for numbers in ({"context": 0}, {"context": 4096, "slots": 0}, {"context": 4096, "micro_batch": -1}):
        with pytest.raises(UsageError, match="at least 1"):
            Request(**numbers)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([DENSE, MOE, replace(DENSE, kv=(KvGroup(16, 8, 128, 128, 512), KvGroup(16, 8, 128, 128)))]),
    st.integers(2, 60).map(lambda size: size * GIB),
    st.lists(st.integers(4, 96).map(lambda size: size * GIB), max_size=4),
    st.integers(8, 256).map(lambda size: size * GIB),
    st.sampled_from(["f16", "q8_0", "q4_0"]),
    st.integers(1, 8),
)
def test_the_largest_context_is_the_largest(
    shape: ModelShape, size: int, cards: list[int], ram: int, kv_type: str, slots: int
) -> None:
    machine = describe_machine(tuple(cards), ram)
    request = Request(4096, kv_type, slots)
    largest = largest_context(shape, size, request, machine)
    assert largest % 256 == 0
    assert largest <= shape.native_context

    def lacks(context: int) -> int:
        return missing_bytes(estimate(shape, size, replace(request, context=context), machine), machine)

    assert largest == 0 or lacks(largest) == 0
    assert largest + 256 > shape.native_context or lacks(largest + 256) > 0
    verdict = judge(shape, size, request, machine)
    # It may fit fewer cards than all.
    assert verdict.outcome is Outcome.FITS or largest < 4096
    assert verdict.outcome is not Outcome.FITS or verdict.largest_context >= 4096
    assert all(
        value >= 0 for part in (*verdict.breakdown.gpus, verdict.breakdown.host) for value in (part.weights, part.kv)
    )
