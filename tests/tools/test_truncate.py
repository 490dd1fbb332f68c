"""Bounds of what a model is shown."""

import re

from hypothesis import given
from hypothesis import strategies as st

from hearth.tools.truncate import (
    LONGEST_LINE,
    LONGEST_OUTPUT,
    bulk,
    cut_line,
    cut_lines,
    fitting,
    keep_ends,
    keep_start,
    readable,
)

NOTE = len("[9,999,999 lines, 99,999,999 characters cut here]\n")

long_texts = st.lists(
    st.tuples(st.text(alphabet="ab \né", max_size=20), st.integers(1, 2_000)), min_size=1, max_size=12
).map(lambda pieces: "".join(piece * times for piece, times in pieces))


@given(long_texts)
def test_both_ends_are_kept_and_the_bound_holds(text: str) -> None:
    kept = keep_ends(text)
    assert len(kept) <= LONGEST_OUTPUT + NOTE
    assert all(len(line) <= LONGEST_LINE + 40 for line in kept.split("\n"))
    if len(text) <= LONGEST_LINE:
        assert kept == text
    whole = cut_lines(text)
    if len(whole) > LONGEST_OUTPUT:
        head, _, rest = kept.partition("[")
        assert whole.startswith(head)
        assert whole.endswith(kept[-1000:])
        assert "characters cut" in rest


def test_what_was_cut_is_counted() -> None:
    text = "".join(f"line {number}\n" for number in range(10_000))
    kept = keep_ends(text)
    note = re.search(r"\[(\d+) lines, ([\d,]+) characters cut here\]\n", kept)
    assert note
    head, tail = kept[: note.start()], kept[note.end() :]
    assert head.count("\n") + int(note[1]) + tail.count("\n") == 10_000
    assert len(head) + int(note[2].replace(",", "")) + len(tail) == len(text)


@given(st.lists(st.text(max_size=30)), st.integers(1, 100))
def test_the_first_lines_that_fit_are_kept(lines: list[str], limit: int) -> None:
    kept, left_out = keep_start(lines, limit)
    assert kept == lines[: len(kept)]
    assert len(kept) + left_out == len(lines)
    assert len(kept) <= 1 or sum(len(line) + 1 for line in kept) <= limit
    assert kept or not lines


@given(st.text(alphabet="ab", max_size=50), st.integers(1, 50))
def test_a_cut_line_says_by_how_much(line: str, limit: int) -> None:
    cut = cut_line(line, limit)
    assert cut == line if len(line) <= limit else cut == f"{line[:limit]} [{len(line) - limit:,} characters cut]"


def test_names_that_are_not_utf8_become_readable() -> None:
    assert readable("src/é.py") == "src/é.py"
    assert readable("a\udcff.py") == "a\ufffd.py"


CODE = "def add(first: int, second: int) -> int:\n    return first + second\n\n\n"


def test_code_and_prose_count_by_their_characters() -> None:
    assert bulk(CODE) == len(CODE)
    assert fitting(CODE * 900, 10_000) == 10_000
    assert bulk("The invoice was sent, and paid in full.\n") == 40


def test_what_tokenizers_cut_small_counts_more() -> None:
    for dense in (
        "0.1234567,0.7654321\n" * 50,
        "\u6587\u5b57\u5217\n" * 50,
        "dGhpcyBpcyBub3QgYSBzZWNyZXQgYXQgYWxs" * 20,
        "\U0001f525" * 50,
    ):
        assert bulk(dense) > 1.4 * len(dense)
        assert fitting(dense * 100, 10_000) < 7_000
        kept, left_out = keep_start([dense] * 100, 10_000)
        assert left_out
        assert sum(map(bulk, kept)) <= 10_000


@given(st.text(max_size=60))
def test_a_text_never_counts_for_less_than_its_characters(text: str) -> None:
    assert bulk(text) >= len(text)
    assert fitting(text, 1_000) <= 1_000
