"""What is recommended for which machine: the whole list as it is now, and what must be true of any.

``recommended.json`` is what the catalogue and the rules give today. After a change of either, write it anew and read
the difference: ``python tests/weights/test_recommend.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from hearth.weights.catalogue import Entry, Purpose, QuantSource, load_catalogue
from hearth.weights.fit import Outcome, Request, estimate, judge
from hearth.weights.hardware import Machine, describe_machine
from hearth.weights.hardware.gpu import Gpu
from hearth.weights.recommend import NEEDS, Suggestion, recommend
from hearth.weights.shape import KvGroup, ModelShape
from hearth.weights.speed import expected_speed

GIB = 1 << 30
SNAPSHOT = Path(__file__).with_name("recommended.json")
MACHINES = {
    "8 GiB card, 16 GiB RAM": (8, 16),
    "8 GiB card, 32 GiB RAM": (8, 32),
    "12 GiB card, 32 GiB RAM": (12, 32),
    "16 GiB card, 16 GiB RAM": (16, 16),
    "16 GiB card, 32 GiB RAM": (16, 32),
    "24 GiB card, 64 GiB RAM": (24, 64),
    "32 GiB card, 64 GiB RAM": (32, 64),
    "48 GiB card, 64 GiB RAM": (48, 64),
    "64 GiB card, 128 GiB RAM": (64, 128),
    "80 GiB card, 128 GiB RAM": (80, 128),
    "no card, 16 GiB RAM": (0, 16),
    "no card, 64 GiB RAM": (0, 64),
}


def machine(name: str) -> Machine:
    card, ram = MACHINES[name]
    return describe_machine((card * GIB,) if card else (), ram * GIB)


def suggestions(name: str, purpose: Purpose = "agent") -> tuple[Suggestion, ...]:
    return recommend(load_catalogue(None).entries, machine(name), purpose)


def told(found: Suggestion) -> dict[str, Any]:
    return {
        "model": found.name,
        "quant": found.quant,
        "context": found.context,
        "kv": found.kv_type,
        "verdict": found.verdict.outcome.value,
        "decode": round(found.speed.decode),
        "prefill": round(found.speed.prefill),
        "why": found.why,
        "warning": found.warning,
    }


def everything() -> dict[str, Any]:
    return {name: [told(found) for found in suggestions(name)[:5]] for name in MACHINES}


def test_the_list_is_the_one_that_was_looked_at() -> None:
    assert everything() == json.loads(SNAPSHOT.read_text()), f"run: python {__file__}, and read the difference"


def test_it_is_stable() -> None:
    entries = load_catalogue(None).entries
    for name in ("16 GiB card, 32 GiB RAM", "no card, 64 GiB RAM"):
        names = [found.name for found in recommend(entries, machine(name))]
        assert names == [found.name for found in recommend(reversed(entries), machine(name))]


BEST = {
    "8 GiB card, 16 GiB RAM": {"qwen3.5:9b", "gpt-oss:20b", "qwen3.6:35b-a3b", "qwen3.5:4b"},
    "12 GiB card, 32 GiB RAM": {"qwen3.5:9b", "gemma-4:12b", "gpt-oss:20b", "qwen3.6:35b-a3b"},
    "16 GiB card, 16 GiB RAM": {"gpt-oss:20b", "qwen3.6:35b-a3b"},
    "16 GiB card, 32 GiB RAM": {"gpt-oss:20b", "qwen3.6:35b-a3b"},
    "24 GiB card, 64 GiB RAM": {"qwen3.8:27b"},
    "32 GiB card, 64 GiB RAM": {"qwen3.8:27b"},
    "48 GiB card, 64 GiB RAM": {"qwen3.8:27b"},
    "64 GiB card, 128 GiB RAM": {"qwen3.8:27b", "qwen3-coder-next"},
    "80 GiB card, 128 GiB RAM": {"qwen3.8:27b", "qwen3.5:122b-a10b"},
    "no card, 16 GiB RAM": {"qwen3.5:4b"},
    "no card, 64 GiB RAM": {"qwen3.6:35b-a3b", "qwen3-coder-next"},
}


@pytest.mark.parametrize("name", BEST)
def test_the_first_is_sensible(name: str) -> None:
    assert suggestions(name)[0].name in BEST[name]


def test_what_a_card_of_16_gib_is_known_for() -> None:
    found = next(one for one in suggestions("16 GiB card, 16 GiB RAM") if one.name == "gpt-oss:20b")
    assert found.context >= 65_536
    assert (found.kv_type, found.verdict.outcome) == ("f16", Outcome.FITS)


@pytest.mark.parametrize("purpose", get_args(Purpose))
@pytest.mark.parametrize("name", MACHINES)
def test_all_of_them_fit_and_serve(name: str, purpose: Purpose) -> None:
    catalogue = load_catalogue(None)
    found = suggestions(name, purpose)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({one.name for one in found}) == len(found)
    for one in found:
        entry = catalogue.find(one.name)
        assert entry is not None
        assert purpose in entry.good_for
        assert one.verdict.outcome.fits
        assert one.verdict.missing_bytes == 0
        assert one.context <= one.verdict.largest_context
        assert one.speed.assumed
        assert one.speed.decode >= NEEDS[purpose].least_decode
        assert one.why


def test_a_processor_alone_serves_agents_with_few_active_parameters_only() -> None:
    for name in ("no card, 16 GiB RAM", "no card, 64 GiB RAM"):
        catalogue = load_catalogue(None)
        for one in suggestions(name):
            entry = catalogue.find(one.name)
            assert entry is not None
            assert (entry.active_b or 99) <= 5
            assert one.warning


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_more_memory_of_the_same_speed_is_never_worse(purpose: Purpose) -> None:
    entries, best = load_catalogue(None).entries, -100.0
    for size in (8, 12, 16, 24, 32, 48, 64, 80):
        card = Gpu(0, "card", "nvidia", size * GIB, size * GIB - 1, bandwidth=900e9)
        found = recommend(entries, Machine((card,), 64 * GIB, 60 * GIB, 8, (), False, 50e9), purpose)
        assert found[0].score >= best
        best = found[0].score


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_a_card_is_never_worse_than_none(purpose: Purpose) -> None:
    """An old card beside a large RAM, or beside a large card."""
    entries = load_catalogue(None).entries

    def names(*cards: int) -> set[str]:
        found = recommend(entries, describe_machine(tuple(card * GIB for card in cards), 64 * GIB), purpose)
        return {one.name for one in found}

    for card in (1, 2, 3, 4):
        assert names() <= names(card)
        assert names(24) <= names(24, card)
        assert names(24) <= names(card, 24)


def test_a_context_that_is_asked_for_is_planned_with() -> None:
    entries = load_catalogue(None).entries
    card = describe_machine((24 * GIB,), 64 * GIB)
    for context in (20_000, 131_072, 262_144):
        found = recommend(entries, card, "agent", context)
        assert found
        assert {one.context for one in found} == {context}
        assert all(one.verdict.largest_context >= context for one in found)
    assert recommend(entries, card, "agent", 1 << 24) == ()
    assert recommend([entry()], card, "agent", 131_073) == ()


SHAPE = ModelShape("llama", 32, 4096, 128_256, 32, 131_072, (KvGroup(32, 8, 128, 128),), feed_forward=14_336)


def entry(name: str = "one", **changes: Any) -> Entry:
    source = QuantSource(quant="Q4_K_M", repo="a/b", pattern="m.gguf", size_bytes=5 * GIB)
    known: dict[str, Any] = {
        "good_for": ("agent",), "standing": 50, "total_b": 8.0, "active_b": 8.0, "native_context": 131_072,
        "shape": SHAPE, "sources": (source,),
    }  # fmt: skip
    return Entry(name=name, **{**known, **changes})


def test_nothing_is_guessed() -> None:
    card = describe_machine((24 * GIB,), 32 * GIB)
    unknown = (QuantSource(quant="Q4_K_M", repo="a/b", pattern="m.gguf"),)
    folder = (QuantSource(quant="BF16", repo="a/b", format="hf", size_bytes=5 * GIB),)
    assert [one.name for one in recommend([entry()], card)] == ["one"]
    for changes in ({"shape": None}, {"sources": unknown}, {"sources": folder}, {"good_for": ("fim",)}):
        assert recommend([entry(**changes)], card) == ()


def test_equals_are_ordered_by_name() -> None:
    card = describe_machine((24 * GIB,), 32 * GIB)
    assert [one.name for one in recommend([entry("b"), entry("a")], card)] == ["a", "b"]


def test_what_was_made_in_few_bits_loses_nothing_by_them() -> None:
    card = describe_machine((24 * GIB,), 32 * GIB)
    small = QuantSource(quant="MXFP4", repo="a/b", pattern="m.gguf", size_bytes=3 * GIB)
    cut = replace_source(small, "Q2_K")
    assert recommend([entry(sources=(small,))], card)[0].score == 50
    assert recommend([entry(sources=(cut,))], card)[0].score < 30


def replace_source(source: QuantSource, quant: str) -> QuantSource:
    return QuantSource(quant=quant, repo=source.repo, pattern=source.pattern, size_bytes=source.size_bytes)


def test_a_short_native_context_is_enough_for_what_needs_no_more() -> None:
    card = describe_machine((24 * GIB,), 32 * GIB)
    short = entry(good_for=("agent", "fim"), native_context=8192)
    assert recommend([short], card, "fim")[0].context == 8192
    assert recommend([short], card, "agent")[0].context == 8192
    assert recommend([short], card, "agent")[0].score < recommend([short], card, "fim")[0].score - 20


def test_speed_follows_the_bytes_that_are_read() -> None:
    request = Request(16_384)
    card = Machine(
        (Gpu(0, "card", "nvidia", 24 * GIB, 23 * GIB, bandwidth=936e9),), 64 * GIB, 60 * GIB, 8, (), False, 50e9
    )
    alone = replace(card, gpus=())
    moe = replace(SHAPE, experts=64, experts_used=4, expert_bytes=15 * GIB, expert_feed_forward=1024)

    def speed(shape: ModelShape, size: int, on: Machine) -> Any:
        verdict = judge(shape, size, request, on)
        return expected_speed(shape, verdict.breakdown, verdict.request, on)

    dense, half = speed(SHAPE, 16 * GIB, card), speed(SHAPE, 8 * GIB, card)
    # A dense model of 16 GiB on an RTX 3090: published 35 to 40 tokens a second, and about 1,000 of a prompt.
    assert 25 < dense.decode < 45
    assert 700 < dense.prefill < 1500
    assert half.decode > 1.6 * dense.decode
    assert speed(moe, 17 * GIB, card).decode > 2 * dense.decode
    assert speed(SHAPE, 16 * GIB, alone).decode < dense.decode / 10
    assert not dense.assumed
    assert speed(SHAPE, 16 * GIB, describe_machine((24 * GIB,), 64 * GIB)).assumed
    nothing = expected_speed(SHAPE, estimate(SHAPE, 0, request, alone), request, alone)
    assert nothing.decode >= 0


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(everything(), indent=1) + "\n")
