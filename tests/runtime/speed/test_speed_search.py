"""The grid and the search over it, with speeds that are made up: the best is found, noise is not taken for it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.runtime.launch import Launch
from hearth.runtime.speed.grid import Cores, Factor, change, grid, value_of
from hearth.runtime.speed.search import Fate, Found, Pair, Rounds, loses, search, wins
from hearth.runtime.speed.sizes import Sizes, cut, merge
from hearth.runtime.speed.tuning import FIELDS
from hearth.weights.hardware import describe_machine
from hearth.weights.shape import ModelShape

SHAPE = ModelShape("llama", 4, 64, 256, 4, 8192, ())
PROCESSOR = describe_machine((), 16 << 30)
CARD = describe_machine((16 << 30,), 16 << 30)
CORES = Cores(physical=8, fast=8, threads=16)
LAUNCH = Launch(context=8192, slots=2)

Speed = Callable[[Launch], float]


def replace_launch(**fields: Any) -> Launch:
    return msgspec.structs.replace(LAUNCH, **fields)


def drive(
    factors: Sequence[Factor], seconds: Speed, noise: float = 0.0, seed: int = 0, launch: Launch = LAUNCH
) -> tuple[Found, list[Pair]]:
    """A whole search; each round is off by at most this share, evenly."""
    random = Random(seed)
    found = Found(launch)
    pairs = []
    generator = search(found, factors, CORES)

    def measure(launch: Launch) -> tuple[float, ...]:
        return tuple(seconds(launch) * (1 + random.uniform(-noise, noise)) for _ in range(3))

    try:
        pair = next(generator)
        while True:
            pairs.append(pair)
            pair = generator.send(Rounds(measure(pair.base), measure(pair.candidate)))
    except StopIteration:
        return found, pairs


def by_table(table: dict[str, dict[int | str, float]]) -> Speed:
    """Seconds as a product over the factors; what is not in the table costs nothing."""

    def seconds(launch: Launch) -> float:
        product = 1.0
        for factor, costs in table.items():
            product *= costs.get(value_of(launch, factor, CORES), 1.0)
        return product

    return seconds


def names(factors: Sequence[Factor]) -> dict[str, tuple[int | str, ...]]:
    return {factor.name: factor.values for factor in factors}


def test_the_grid_of_a_processor() -> None:
    assert names(grid(LAUNCH, PROCESSOR, SHAPE, CORES)) == {
        "flash": ("off",),
        "speculation": ("ngram-mod",),
        "micro_batch": (256, 1024, 128),
        "batch_threads": (16, 7),
        "threads": (7, 4),
    }


def test_a_hybrid_tries_slow_cores_for_reading_and_fast_ones_for_making() -> None:
    found = names(grid(LAUNCH, PROCESSOR, SHAPE, Cores(physical=14, fast=6, threads=20)))
    assert found["batch_threads"] == (14, 20, 13)
    assert found["threads"] == (13, 7)
    assert names(grid(LAUNCH, PROCESSOR, SHAPE, Cores(1, 1, 1))).keys() == {"flash", "speculation", "micro_batch"}


def test_a_card_needs_no_threads_unless_the_processor_helps() -> None:
    alone = names(grid(LAUNCH, CARD, SHAPE, CORES))
    assert alone["micro_batch"] == (1024, 2048, 256)
    assert "threads" not in alone
    helped = replace_launch(host_expert_layers=2)
    assert "threads" in names(grid(helped, CARD, SHAPE, CORES))


def test_what_the_owner_or_the_cache_has_decided_is_not_tried() -> None:
    assert "threads" not in names(grid(LAUNCH, PROCESSOR, SHAPE, CORES, threads_are_set=True))
    assert "flash" not in names(grid(replace_launch(kv_type="q8_0"), PROCESSOR, SHAPE, CORES))
    small = names(grid(replace_launch(context=512, micro_batch=256), PROCESSOR, SHAPE, CORES))
    assert small["micro_batch"] == (128,)
    assert "kv_type" not in names(grid(LAUNCH, PROCESSOR, SHAPE, CORES))
    assert names(grid(LAUNCH, PROCESSOR, SHAPE, CORES, kv_types=("f16", "q8_0")))["kv_type"] == ("q8_0",)


def test_a_model_that_predicts_further_tokens_is_tried_with_them() -> None:
    nextn = replace(SHAPE, nextn_layers=1)
    assert names(grid(LAUNCH, PROCESSOR, nextn, CORES))["speculation"] == ("ngram-mod", "draft-mtp")
    guessing = replace_launch(speculation="ngram-mod")
    assert names(grid(guessing, PROCESSOR, nextn, CORES))["speculation"] == ("none", "draft-mtp")


def test_fewer_threads_for_making_leave_those_for_reading_alone() -> None:
    fewer = change(LAUNCH, "threads", 4, CORES)
    assert (fewer.threads, fewer.batch_threads) == (4, 8)
    told = replace_launch(threads=6, batch_threads=16)
    assert change(told, "threads", 4, CORES).batch_threads == 16


def test_a_larger_micro_batch_has_room_in_its_batch() -> None:
    larger = change(replace_launch(batch=512), "micro_batch", 1024, CORES)
    assert (larger.micro_batch, larger.batch) == (1024, 1024)


def test_each_factor_is_settled_before_the_next_is_tried() -> None:
    factors = grid(LAUNCH, PROCESSOR, SHAPE, CORES)
    found, pairs = drive(factors, by_table({"flash": {"off": 0.5}, "micro_batch": {256: 0.9, 128: 0.8}}))
    assert (found.best.flash, found.best.micro_batch) == ("off", 128)
    assert all(pair.base.flash == "off" for pair in pairs[1:])
    assert [one.fate for one in found.tried if one.factor == "micro_batch"] == [Fate.KEPT, Fate.NO_BETTER, Fate.KEPT]
    assert found.tried[0].gain == pytest.approx(1.0)


def test_what_was_not_measured_is_left_out_with_the_reason() -> None:
    found = Found(LAUNCH)
    pairs = search(found, (Factor("flash", "both", ("off",)),), CORES)
    next(pairs)
    with pytest.raises(StopIteration):
        pairs.send(Rounds(why_not="not enough memory"))
    (tried,) = found.tried
    assert (tried.fate, tried.why, tried.gain, found.best) == (Fate.LEFT_OUT, "not enough memory", 0.0, LAUNCH)


def test_a_gain_that_noise_explains_is_told_as_noise() -> None:
    found = Found(LAUNCH)
    pairs = search(found, (Factor("flash", "both", ("off",)),), CORES)
    next(pairs)
    with pytest.raises(StopIteration):
        pairs.send(Rounds((1.0, 3.0, 3.0), (2.0, 1.0, 2.0)))
    assert (found.tried[0].fate, found.tried[0].why) == (Fate.NO_BETTER, "within the noise: its rounds differ more")


def test_a_type_of_the_cache_is_only_told() -> None:
    factors = (Factor("kv_type", "both", ("q8_0",)),)
    found, _ = drive(factors, lambda launch: 0.5 if launch.kv_type == "q8_0" else 1.0)
    assert (found.best, found.tried[0].fate) == (LAUNCH, Fate.TOLD)
    assert change(replace_launch(flash="off"), "kv_type", "q8_0", CORES).flash == "auto"


costs = st.fixed_dictionaries(
    {
        "flash": st.fixed_dictionaries({"auto": st.just(1.0), "off": st.sampled_from([0.7, 0.9, 1.1, 1.5])}),
        "micro_batch": st.fixed_dictionaries(
            {size: st.sampled_from([0.5, 0.6, 0.8, 1.0, 1.3]) for size in (128, 256, 512, 1024)}
        ),
        "threads": st.fixed_dictionaries({count: st.sampled_from([0.6, 0.8, 1.0, 2.0]) for count in (4, 7, 8)}),
    }
)


@given(costs, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_best_is_found_through_a_little_noise(table: dict[str, dict[int | str, float]], seed: int) -> None:
    found, pairs = drive(grid(LAUNCH, PROCESSOR, SHAPE, CORES), by_table(table), 0.01, seed)
    assert len(pairs) <= 9
    for factor, values in table.items():
        assert values[value_of(found.best, factor, CORES)] == min(values.values())


@given(st.integers(0, 10_000), st.floats(0.0, 0.029))
@settings(max_examples=60, deadline=None)
def test_noise_alone_moves_nothing(seed: int, noise: float) -> None:
    # The best rounds of two differ by less than the margin only where each is off by less than half of it.
    found, _ = drive(grid(LAUNCH, PROCESSOR, SHAPE, CORES), lambda launch: 1.0, noise / 2, seed)
    assert found.best == LAUNCH
    assert {one.fate for one in found.tried} == {Fate.NO_BETTER}


@given(costs, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_only_what_may_be_tuned_is_changed(table: dict[str, dict[int | str, float]], seed: int) -> None:
    found, _ = drive(grid(LAUNCH, PROCESSOR, SHAPE, CORES), by_table(table), 0.1, seed)
    fixed = set(Launch.__struct_fields__) - set(FIELDS)
    assert all(getattr(found.best, field) == getattr(LAUNCH, field) for field in fixed)


def test_one_lucky_round_is_no_win_and_one_bad_one_no_loss() -> None:
    assert wins([1.0, 1.0, 1.0], [0.9, 0.9, 0.9])
    assert not wins([1.0, 1.0, 1.0], [0.5, 1.0, 1.0])
    # All rounds but its best were disturbed: the base may be as fast.
    assert not wins([0.9, 1.2, 1.2], [0.89, 0.89, 0.89])
    assert not wins([1.0, 1.0, 1.0], [0.98, 0.98, 0.98])
    assert loses([1.0, 1.0], [1.1, 1.1])
    assert not loses([1.0], [2.0])
    assert not loses([1.0, 1.0], [2.0, 1.0])


def test_with_little_time_the_first_value_of_each_factor_comes_first() -> None:
    factors = grid(LAUNCH, PROCESSOR, SHAPE, CORES)
    kept, left = cut(factors, Sizes(read=2048, make=32, copied=160, candidates=6))
    assert names(kept) == {
        "flash": ("off",),
        "speculation": ("ngram-mod",),
        "micro_batch": (256, 1024),
        "batch_threads": (16,),
        "threads": (7,),
    }
    assert {why for _, why in left} == {"no time for it"}
    assert names(merge(factor for factor, _ in left)) == {"micro_batch": (128,), "batch_threads": (7,), "threads": (4,)}
    nothing, all_left = cut(factors, Sizes(0, 0, 0, 0))
    assert (nothing, sum(len(factor.values) for factor, _ in all_left)) == ((), 9)


def test_what_a_short_prompt_cannot_show_is_left_out_with_the_reason() -> None:
    kept, left = cut(grid(LAUNCH, PROCESSOR, SHAPE, CORES), Sizes(read=512, make=16, copied=0, candidates=9))
    assert names(kept)["micro_batch"] == (256, 128)
    assert [(factor.name, factor.values, why) for factor, why in left] == [
        ("speculation", ("ngram-mod",), "an answer of 160 tokens takes too long, or has no room in the context"),
        ("micro_batch", (1024,), "a prompt of 1,024 tokens takes too long, or has no room in the context"),
    ]
