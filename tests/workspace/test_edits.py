"""Exact replacement and the shown change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.workspace.edits import Edited, Refused, replace_text, show_change, split_lines
from hearth.workspace.edits.explain import explain_tersely

texts = st.text(alphabet="ab\n", max_size=40)
parts = st.text(alphabet="ab\n", min_size=1, max_size=4)


def _overlapping(text: str, part: str) -> int:
    return sum(text.startswith(part, start) for start in range(len(text)))


@given(texts, parts, parts, st.booleans())
def test_it_replaces_like_str_replace_or_refuses(text: str, old: str, new: str, every: bool) -> None:
    outcome = replace_text(text, old, new, every)
    count = text.count(old)
    if old == new or (_overlapping(text, old) > 1 and not every):
        assert isinstance(outcome, Refused)
    elif count and isinstance(outcome, Edited) and outcome.rung == "exact":
        assert isinstance(outcome, Edited)
        assert outcome.text == text.replace(old, new)
        assert len(outcome.lines) == count


@given(texts, parts, parts)
def test_lines_name_where_the_new_text_begins(text: str, old: str, new: str) -> None:
    outcome = replace_text(text, old, new, every=True)
    if isinstance(outcome, Edited):
        for line in outcome.lines:
            rest = "\n".join(outcome.text.split("\n")[line - 1 :])
            assert new.strip("\n") in rest


@given(texts, parts, parts)
def test_a_crlf_file_is_edited_like_its_lf_form(text: str, old: str, new: str) -> None:
    plain = replace_text(text, old, new, every=True)
    outcome = replace_text(text.replace("\n", "\r\n"), old, new, every=True)
    if "\n" in text and isinstance(plain, Edited):
        assert isinstance(outcome, Edited)
        assert outcome.text == plain.text.replace("\n", "\r\n")


def test_a_crlf_file_keeps_its_ends_when_only_the_old_text_has_them() -> None:
    outcome = replace_text("a\r\nb\r\n", "a\r\nb", "a\nc\nd")
    assert isinstance(outcome, Edited)
    assert (outcome.text, outcome.lines) == ("a\r\nc\r\nd\r\n", (1,))


def test_mixed_line_ends_are_edited_as_they_stand() -> None:
    for text, old, new, after in (
        ("a\nb\r\nc\n", "a\nb", "x\nb", "x\nb\r\nc\n"),
        ("a\r\nb\nc\n", "a\nb", "x\ny", "x\r\ny\nc\n"),
    ):
        outcome = replace_text(text, old, new)
        assert isinstance(outcome, Edited)
        assert (outcome.text, outcome.lines) == (after, (1,))


@pytest.mark.parametrize(
    ("text", "old", "new", "reason"),
    [
        ("a", "", "b", "old is empty"),
        ("a", "a", "a", "the same"),
        ("a\nb\na\n", "a", "c", "2 times (lines 1, 3)"),
        ("def f():\n    return 1\n", "return  1", "return 2", "nearest text is line 2:\n    return 1"),
        ("x = 2\n", "x = 1", "x = 2", "the edit seems to be done"),
        ("something else entirely\n", "qqq", "zzz", "Read the file again"),
        ("", "a", "b", "nothing was changed"),
        ("a", "\n \n", "b", "nothing was changed"),
    ],
)
def test_a_refusal_says_why(text: str, old: str, new: str, reason: str) -> None:
    outcome = replace_text(text, old, new)
    assert isinstance(outcome, Refused)
    told = explain_tersely(text, old) if outcome.kind == "missing" else outcome.reason
    assert reason in told


def test_a_change_is_shown_by_lines() -> None:
    assert show_change("a\nb\nc\n", "a\nB\nc\n") == "line 2:\n-b\n+B"
    assert show_change("a\nb\nc\n", "a\nB\nc\n", context=1) == "line 1:\n a\n-b\n+B\n c"
    assert show_change("", "x\ny\n") == "line 1:\n+x\n+y"
    assert show_change("a\n", "a\n") == ""


def test_a_long_change_is_cut_and_says_so() -> None:
    shown = show_change("", "x\n" * 100).split("\n")
    assert len(shown) == 41
    assert shown[-1] == "[61 more lines]"


@given(st.text(alphabet="ab\n", max_size=30), st.text(alphabet="ab\n", max_size=30))
def test_a_shown_change_can_be_applied(old: str, new: str) -> None:
    shown = show_change(old, new, limit=1000).split("\n")
    removed = [line[1:] for line in shown if line.startswith("-")]
    added = [line[1:] for line in shown if line.startswith("+")]
    before, after = split_lines(old), split_lines(new)
    assert len(before) - len(removed) == len(after) - len(added)


def test_large_files_are_compared_by_what_changed() -> None:
    # Every line the same but one: comparing all with all would take minutes.
    lines = [""] * 100_000
    changed = [*lines]
    changed[70_000] = "x = 1"
    assert show_change("\n".join(lines), "\n".join(changed)) == "line 70001:\n-\n+x = 1"
    everywhere = show_change("a\n" * 100_000, "b\n" * 100_000).split("\n")
    assert everywhere[:2] == ["line 1:", "-a"]
    assert everywhere[-1] == "[199961 more lines]"
    assert show_change("a\n" * 5_000, "a\n" * 5_000) == ""
    assert show_change("a\n" * 5_000, "a\n" * 5_001) == "line 5001:\n+a"


def test_few_lines_that_are_all_alike_are_compared_by_what_changed() -> None:
    # Comparing all with all took 24 s.
    shown = show_change("x\ny\n" * 1000, "y\nx\nz\n" * 650).split("\n")
    assert (shown[:2], shown[-1]) == (["line 1:", "-x"], "[3911 more lines]")
    assert show_change("x\n" * 1999 + "y\n", "x\n" * 1999 + "z\n") == "line 2000:\n-y\n+z"


def test_the_pilot_is_not_told_the_nearest_line_of_a_large_file() -> None:
    line = "    value = compute(1)\n"
    large = "".join(f"    value_{number} = compute({number})\n" for number in range(10_000))
    assert "The nearest text is line 1" in explain_tersely(line, "    valve = compute(1)\n")
    assert "Read the file again" in explain_tersely(large, "    valve = compute(1)\n")


@given(st.lists(st.text(alphabet="ab\f\v\x1c\u2028", max_size=5)))
def test_lines_are_what_ends_with_a_newline(lines: list[str]) -> None:
    assert split_lines("".join(f"{line}\n" for line in lines)) == lines
    assert split_lines("".join(f"{line}\r\n" for line in lines)) == lines
