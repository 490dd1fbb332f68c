"""Output as plain text, whole and in pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.sandbox.plain import Cleaner, clean_output


@pytest.mark.parametrize(
    ("output", "cleaned"),
    [
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;link\x1b\\text\x1b]8;;\x1b\\", "text"),
        ("\x1b[2K\x1b[1;32mok\x1b[m", "ok"),
        ("\x1b(B\x1b[mok\x1bc\x1b7", "ok"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\rb\rc", "c"),
        ("a\r\r\nb", "a\nb"),
        ("\r", ""),
        ("no codes", "no codes"),
    ],
)
def test_terminal_codes_are_dropped(output: str, cleaned: str) -> None:
    assert clean_output(output) == cleaned


def test_cleaning_takes_linear_time() -> None:
    assert clean_output("\x1b]" * 300_000) == ""
    assert clean_output("\r" * 1_000_000) == ""


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([b"plain\n", b"text"], "plain\ntext"),
        ([b"caf\xc3", b"\xa9"], "café"),
        ([b"\x1b[3", b"1mred\x1b[", b"0m"], "red"),
        ([b"\x1b]0;ti", b"tle\x07text"], "text"),
        ([b"a\r", b"\nb"], "a\nb"),
        ([b"10%\r", b"20%\r", b"30%\n"], "10%\n20%\n30%\n"),
        ([b"10%\r20%\r30%\n"], "30%\n"),
        ([b"bell\x07 and \x00zero\x9b"], "bell and zero\ufffd"),
        ([b"\xff"], "\ufffd"),
        ([b"ends in \x1b["], "ends in ["),
    ],
)
def test_pieces_are_cleaned_wherever_they_are_cut(pieces: list[bytes], told: str) -> None:
    cleaner = Cleaner()
    assert "".join(map(cleaner.add, pieces)) + cleaner.add(b"", last=True) == told


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\x1b", b"\x1b[", b"\r", b"\n", b"31m", b"x" * 300])))
def test_nothing_that_a_terminal_obeys_is_told(pieces: list[bytes]) -> None:
    cleaner = Cleaner()
    told = "".join(map(cleaner.add, pieces)) + cleaner.add(b"", last=True)
    assert not [sign for sign in told if sign not in "\n\t" and (sign < " " or "\x7f" <= sign < "\xa0")]


@given(st.text(alphabet="abc \n", max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_plain_text_comes_through_whole(text: str, cuts: list[int]) -> None:
    cleaner = Cleaner()
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end].encode() for start, end in itertools.pairwise(edges)]
    assert "".join(map(cleaner.add, pieces)) + cleaner.add(b"", last=True) == text
