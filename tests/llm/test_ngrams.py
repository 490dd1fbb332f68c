"""Loops in a text that is being written: found soon, and never seen where a person wants what repeats itself."""

import base64
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.ngrams import ANSWER, REASONING, WINDOW, Circling, Repetition, count_repeated, find_period

DICE = random.Random(7)
WORDS = ("stone", "river", "light", "bread", "wall", "sea")
LOG = "".join(f"2026-05-{day:02} 12:00:0{day % 10} INFO worker {day % 4} took job {day * 37}\n" for day in range(1, 29))


def rows_of_csv() -> str:
    return "".join(f"2026-05-{1 + n % 28:02},store {n % 7},{n},{n * 3 % 11},0.0,0.0,EUR,ok\n" for n in range(1_000))


def table_of_tests() -> str:
    lines = ["@pytest.mark.parametrize(", '    ("given", "expected"),', "    ["]
    lines += [f'        ("{n}", {n}),\n        ("-{n}", -{n}),\n        ("+{n}", {n}),' for n in range(400)]
    return "\n".join([*lines, "    ],", ")"])


def generated_code() -> str:
    head, check = "    def test_field_{0}(self):", "        self.assertEqual(self.row.field_{0}, None)"
    lines = (head, check, "        self.assertTrue(True)")
    return "".join("\n".join(lines).format(n) + "\n\n" for n in range(300))


def minified_code() -> str:
    names = "abcdefgh"
    calls = (
        f"function {names[n % 8]}{n}(e,t){{return void 0===e&&(e=0),void 0===t&&(t=0),e+t*{n}}}" for n in range(400)
    )
    return "!function(){" + "".join(calls) + "}();"


def maze() -> str:
    """A room of 64 by 64 of which nearly all rows are the same."""
    return "#" * 64 + "\n" + ("#" + "." * 62 + "#\n") * 62 + "#" * 64


def matrix_of_zeros() -> str:
    return "[" + ",\n ".join("[" + ", ".join(["0"] * 28) + "]" for _ in range(28)) + "]"


def prose_with_a_refrain() -> str:
    verse = "And so it went on, night after night, and nobody came to open the door.\n"
    lines = (f"Verse {n}: {' '.join(DICE.choices(WORDS, k=30))}\n" for n in range(30))
    return "".join(line + verse for line in lines)


WANTED = {
    "1,000 rows of CSV": rows_of_csv(),
    "1,000 rows of which only the number differs": "".join(f"item,{n},0,0,0,0,0,0\n" for n in range(1_000)),
    "500 equal rows": "0,0,0\n" * 500,
    "a table of tests": table_of_tests(),
    "generated code": generated_code(),
    "minified code": minified_code() * 2,
    "base64": base64.b64encode(DICE.randbytes(30_000)).decode(),
    "base64 of an empty picture": base64.b64encode(bytes(4_000)).decode(),
    "a maze": maze(),
    "a matrix of zeros": matrix_of_zeros(),
    "a wide matrix of zeros": ("0, " * 64 + "\n") * 50,
    "784 zeros": "0, " * 784,
    "numbers": ", ".join(map(str, range(8_000))),
    "a refrain": prose_with_a_refrain(),
    "a log": LOG,
    "rules": ("=" * 78 + "\n") * 20,
    "an empty table": "|   |   |   |   |\n" * 60,
    "spaces": " " * 4_000,
    "the same file twice": table_of_tests()[:7_000] * 2,
    "closing brackets": "}" * 500,
    "dots": "." * 2_000,
    "words of equal tests": "    assert is_even(2)\n" * 60,
    "a licence three times": "Permission is hereby granted, free of charge, to any person. " * 20 + "\n",
}


def pieces(text: str, most: int = 9) -> Iterator[str]:
    """The text as an engine streams it."""
    sizes, at = random.Random(len(text)), 0
    while at < len(text):
        size = sizes.randint(1, most)
        yield text[at : at + size]
        at += size


@pytest.mark.parametrize("name", WANTED)
def test_what_a_person_may_want_is_no_loop(name: str) -> None:
    watch = Repetition()
    assert not any(watch.add(piece) for piece in pieces(WANTED[name]))
    assert Repetition().add(WANTED[name]) is None


LOOPS = {
    "one letter": "!",
    "a token": "ab",
    "a word": "the ",
    "a line": "I will now look at the file again.\n",
    "a paragraph": "Wait. Maybe the parser drops the last line, because the loop ends too early. Let me look at it "
    "again. It goes from 0 to len(lines) - 1, so the last line is never read. But the test says otherwise, hmm.\n\n",
    "a page": " ".join(f"Step {n}: read line {n} and compare it with what was written before." for n in range(60)),
    "data": "0x00, 0x00, 0x00, 0xff,\n",
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("rows", [ANSWER, REASONING])
def test_a_loop_is_found_and_where_it_began(name: str, rows: tuple[object, ...]) -> None:
    before, stretch = "I looked at the parser.\n", LOOPS[name]
    watch, seen = Repetition(rows), ""  # type: ignore[arg-type]  # the rows above
    for piece in pieces(before + stretch * (1 + 40_000 // len(stretch))):
        seen += piece
        if loop := watch.add(piece):
            break
    else:
        raise AssertionError("the loop was not found")
    assert len(seen) <= max(13_000, 5 * len(stretch))
    assert sorted(loop.stretch) == sorted(stretch * (len(loop.stretch) // len(stretch)))
    # Up to what came before its second copy: the first one counts as said.
    assert seen[: loop.start].startswith(before)
    assert len(before) + len(stretch) - 2 <= loop.start <= len(before) + 2 * len(loop.stretch)


def test_a_loop_in_one_piece_is_found() -> None:
    assert Repetition().add("so ".join(["", *["I look once more at it. "] * 2_000])) is not None


def test_a_long_text_before_it_hides_no_loop() -> None:
    watch = Repetition()
    assert watch.add(rows_of_csv() * 2) is None
    loop = watch.add("I am sure that this is it now.\n" * 1_000)
    assert loop
    assert abs(loop.start - 2 * len(rows_of_csv()) - 31) <= 31


def test_thoughts_that_are_nearly_the_same_are_a_loop() -> None:
    circling, dice = Circling(), random.Random(3)
    opening = "The function reads the file and splits it into lines, which are then joined again by the caller. "
    assert circling.add(opening) is None
    seen = opening
    for _ in range(200):
        word = dice.choice(["Wait", "Hmm", "Actually", "But"])
        thought = (
            f"{word}, maybe the index is off by one, because the range ends before the last line of the file. Let me "
            f"check this again with the example that the test gives: three lines, so the range has two numbers, and "
            f"the last line is never read. So the index is off by one. But then the test would fail for two lines too. "
        )
        seen += thought
        if loop := next((found for piece in pieces(thought) if (found := circling.add(piece))), None):
            break
    else:
        raise AssertionError("the loop was not found")
    assert len(opening) <= loop.start < len(seen)
    assert len(seen) < 10_000


@pytest.mark.parametrize("name", ["1,000 rows of CSV", "a table of tests", "numbers", "a refrain", "a log"])
def test_thoughts_that_get_on_are_no_loop(name: str) -> None:
    circling = Circling()
    assert not any(circling.add(piece) for piece in pieces(WANTED[name]))


def test_real_prose_is_no_loop() -> None:
    text = (re.__doc__ or "") + (random.__doc__ or "") + (base64.__doc__ or "") + (DICE.__class__.__doc__ or "")
    circling, repetition = Circling(), Repetition(REASONING)
    assert not any(circling.add(piece) or repetition.add(piece) for piece in pieces(text))


@given(st.text(max_size=300), st.integers(1, 50))
def test_the_repeated_end_is_counted_exactly(text: str, period: int) -> None:
    count = count_repeated(text, period)
    whole = len(text)
    assert all(text[n] == text[n - period] for n in range(whole - count, whole))
    assert count == max(0, whole - period) or text[whole - count - 1] != text[whole - count - 1 - period]


@given(st.text(max_size=400), st.integers(1, 20))
def test_whatever_comes_nothing_is_raised_and_little_is_kept(text: str, times: int) -> None:
    for watch in (Repetition(), Repetition(REASONING), Circling()):
        for piece in pieces(text * times):
            watch.add(piece)
        if isinstance(watch, Repetition):
            assert len(watch._tail) <= WINDOW
    assert find_period(text) == 0


def test_how_a_text_is_cut_into_pieces_does_not_matter_much() -> None:
    text = "abc" + "I will look at this once more, then decide. " * 400
    for most in (1, 9, 600, 20_000):
        watch = Repetition()
        loop = next((found for piece in pieces(text, most) if (found := watch.add(piece))), None)
        assert loop
        assert loop.start == 3 + 44
