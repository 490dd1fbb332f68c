"""Words and functions that the pilot's sessions are made of."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.pilot.functions import COMPARISONS, GUESSES, make_function
from hearth.pilot.oracle import list_guesses
from hearth.pilot.words import Words, harvest_lexicon, is_held_out


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_side_draws_only_its_own_words(seed: int, held_out: bool) -> None:
    words = Words(random.Random(seed), held_out)
    drawn = [words.word() for _ in range(50)]
    assert all(is_held_out(word) == held_out for word in drawn)


def test_both_sides_are_rich() -> None:
    lexicon = harvest_lexicon()
    held_out = [word for word in lexicon if is_held_out(word)]
    assert len(lexicon) > 3000
    assert 0.05 < len(held_out) / len(lexicon) < 0.2


@given(st.integers(0, 10_000), st.sampled_from((0.0, 0.5)))
@settings(max_examples=30, deadline=None)
def test_fresh_names_do_not_meet(seed: int, kin_share: float) -> None:
    words, taken = Words(random.Random(seed), kin_share=kin_share), set()
    names = [words.fresh_name(taken) for _ in range(30)]
    assert not [(a, b) for a in names for b in names if a is not b and a in b]


def draw_parts(seed: int, held_out: bool, kin_share: float) -> list[str]:
    """The words of thirty names."""
    words, taken = Words(random.Random(seed), held_out, kin_share=kin_share), set[str]()
    return [part for _ in range(30) for part in words.fresh_name(taken).split("_")]


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_kin_stay_on_their_side(seed: int, held_out: bool) -> None:
    assert all(is_held_out(part) == held_out for part in draw_parts(seed, held_out, 0.9))


@pytest.mark.parametrize("held_out", [False, True])
def test_kin_share_words_and_beginnings(held_out: bool) -> None:
    def shared(kin_share: float) -> int:
        drawn = [draw_parts(seed, held_out, kin_share) for seed in range(20)]
        return sum(len(parts) - len({part[:4] for part in parts}) for parts in drawn)

    assert shared(0.9) > 1.5 * shared(0.0)


@given(st.integers(0, 100_000), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_bug_shows_for_some_arguments_and_the_right_code_runs(seed: int, typed: bool) -> None:
    rng = random.Random(seed)
    function = make_function(rng, Words(rng), set(), typed)
    for bug, (index, line) in function.wrong.items():
        assert function.body[index] != line, bug
        arguments = function.telling_arguments(rng, bug)
        if arguments is not None:
            assert function.evaluate(arguments) != function.evaluate(arguments, bug)


def test_guesses_end_with_the_right_line() -> None:
    assert list_guesses("return a - b", "return a * b") == ["return a + b", "return a * b"]
    assert list_guesses("total -= x", "total += x") == ["total += x"]
    guesses = list_guesses("return a < b", "return a >= b")
    assert guesses[-1] == "return a >= b"
    assert len(guesses) < len(COMPARISONS)
    assert list_guesses("return a[:2]", "return a[:1]") == ["return a[:1]"]
    assert len(GUESSES) == 4
