"""What holds of every edit: nothing but the match changes, a match equals old, and going back restores the bytes."""

import re
from itertools import pairwise

from hypothesis import assume, example, given
from hypothesis import strategies as st

from hearth.workspace.edits import Edited, Refused, replace_text
from hearth.workspace.edits.hashline import AnchoredEdit, replace_anchored, show_anchored
from hearth.workspace.edits.hunks import apply_hunks
from hearth.workspace.edits.lines import count_lines, find_difference, find_starts, split_lines, strip_numbers
from hearth.workspace.edits.patch import Hunk, Operation, parse_patch
from hearth.workspace.edits.span import replace_span
from hearth.workspace.encoding import decode, encode

SIGNS = ["a", "b", "  ", "\t", "é", "…", "\u2028", "\x0c", "x = 1", "# ...", "...", "}", "1| "]
lines = st.lists(st.sampled_from(SIGNS), max_size=4).map("".join)
line_ends = st.sampled_from(["\n", "\r\n"])


@st.composite
def texts(draw: st.DrawFn, ends: st.SearchStrategy[str] = line_ends) -> str:
    """A text of one kind of line ends, with or without the last."""
    end = draw(ends)
    return end.join(draw(st.lists(lines, max_size=8))) + draw(st.sampled_from(["", end]))


mixed = st.lists(st.tuples(lines, line_ends), max_size=8).map(lambda parts: "".join(a + b for a, b in parts))
anything = texts() | mixed


def bare(text: str) -> list[str]:
    """The lines of a text less what the rungs forgive: blanks at either end, line ends, blank lines around."""
    found = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    while found and not found[0]:
        found.pop(0)
    while found and not found[-1]:
        found.pop()
    return found


def check(text: str, old: str, new: str, outcome: Edited) -> None:
    place, rebuilt = 0, []
    for splice in outcome.splices:
        assert splice.start >= place
        rebuilt += [text[place : splice.start], splice.put]
        place = splice.end
        region = text[splice.start : splice.end]
        match outcome.rung:
            case "exact":
                assert region == old
                assert splice.put.replace("\r\n", "\n") == new.replace("\r\n", "\n")
            case "ends":
                assert [line.rstrip() for line in region.split("\n") if line.strip()] == [
                    line.rstrip() for line in old.split("\n") if line.strip()
                ]
                assert splice.put.replace("\r\n", "\n").rstrip("\n") == new.replace("\r\n", "\n").rstrip("\n")
            case "indent" | "blank":
                assert bare(region) == bare(old)
                assert bare(splice.put) == bare(new)
            case "numbers":
                plain = {tuple(bare(strip_numbers(old, tight) or "")) for tight in (False, True)}
                assert tuple(bare(region)) in plain
            case "elision":
                assert all(line in [one.strip() for one in old.split("\n")] for line in bare(region))
                assert all(line in [one.strip() for one in new.split("\n")] for line in bare(splice.put))
    assert outcome.text == "".join([*rebuilt, text[place:]])


@st.composite
def attempts(draw: st.DrawFn) -> tuple[str, str, str]:
    """A text, and some of its lines as a model may give them back, with what they are to become."""
    text = draw(anything)
    own = split_lines(text)
    low = draw(st.integers(0, max(len(own) - 1, 0)))
    high = draw(st.integers(low, len(own)))
    taken = own[low:high]
    ways = {
        "as they are": lambda given: given,
        "trailing": lambda given: [f"{line}  " for line in given],
        "left": lambda given: [line.strip() for line in given],
        "right": lambda given: [f"  {line}" if line.strip() else line for line in given],
        "blank": lambda given: ["", *given, ""],
        "numbers": lambda given: [f"{number}| {line}" for number, line in enumerate(given, low + 1)],
        "elision": lambda given: [*given[:1], "...", *given[-1:]],
        "wrong": lambda given: [line.replace("a", "c") for line in given],
    }
    old = "\n".join(ways[draw(st.sampled_from(sorted(ways)))](taken)) + draw(st.sampled_from(["", "\n"]))
    return text, old, draw(texts(st.just("\n")) | st.just(old.replace("b", "d")))


@given(attempts(), st.booleans())
@example(("    a\n", "  a\n", "  a\n  b\n"), False)
@example(("\ta\n\t\tb\n", "  a\n    b\n", "  a\n      b\n"), False)
def test_an_edit_changes_the_match_alone_and_a_match_is_no_likeness(attempt: tuple[str, str, str], every: bool) -> None:
    text, old, new = attempt
    outcome = replace_text(text, old, new, every)
    if isinstance(outcome, Edited):
        check(text, old, new, outcome)
        assert len(outcome.spans) == len(outcome.splices)
        assert every or outcome.rung == "elision" or len(outcome.splices) == 1


@given(texts(), st.data())
def test_going_back_restores_the_bytes(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    old, new = text[start:end], data.draw(texts(st.just("\r\n" if "\r\n" in text else "\n")))
    assume(old and new and not old.endswith("\r") and not text[end:].startswith("\n"))
    assume(not (old.startswith("\n") and text[:start].endswith("\r")))
    outcome = replace_text(text, old, new)
    if isinstance(outcome, Edited) and outcome.rung == "exact":
        back = replace_text(outcome.text, new, old)
        if isinstance(back, Refused):
            assert back.kind == "many" or "not certain where" in back.reason or "would be joined" in back.reason
        elif back.rung != "indent":  # there new was moved along: it began within the indentation of a line
            assert back.text.encode() == text.encode()


@given(mixed, st.data())
def test_going_back_restores_mixed_line_ends_outside_of_the_match(text: str, data: st.DataObject) -> None:
    own = split_lines(text)
    assume(own)
    old = data.draw(st.sampled_from(own))
    outcome = replace_text(text, old, f"{old}new") if old else None
    if isinstance(outcome, Edited):
        back = replace_text(outcome.text, f"{old}new", old)
        assert isinstance(back, Edited)
        assert back.text == text


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: b"\xef\xbb\xbf" + text.encode()))
@example("\ufeffa\r\nb".encode("utf-16-le"))
@example("\ufeffa".encode("utf-16-be"))
@example("café\n".encode("latin-1"))
@example(b"\xff\xfe\x00\xd8")
@example("\ufeff\ufeffa".encode())
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    document = decode(data)
    if document is not None:
        assert encode("f", document.text, document) == data


@given(texts(), st.data())
def test_lines_are_replaced_by_number_and_back(text: str, data: st.DataObject) -> None:
    own = split_lines(text)
    first = data.draw(st.integers(1, len(own) + 1))
    last = data.draw(st.integers(first - 1, len(own)))
    new = data.draw(st.lists(st.sampled_from(["n", "  m", "é"]), max_size=3))
    outcome = replace_span(text, first, last, "".join(f"{line}\n" for line in new))
    if isinstance(outcome, Edited):
        assert split_lines(outcome.text) == [*own[: first - 1], *new, *own[last:]]
        left = split_lines(outcome.text)
        if own and left and (new or left[-1]):
            assert outcome.text.endswith("\n") == text.endswith("\n")


@given(texts(), st.data())
def test_anchors_name_the_line_that_was_shown_or_none(text: str, data: st.DataObject) -> None:
    own = split_lines(text)
    assume(own)
    number = data.draw(st.integers(1, len(own)))
    anchor = show_anchored(number, own[number - 1]).split("|")[0]
    outcome = replace_anchored(text, [AnchoredEdit(anchor, "replaced")])
    assert isinstance(outcome, Edited)
    assert split_lines(outcome.text) == [*own[: number - 1], "replaced", *own[number:]]
    moved = "inserted\n" + text
    if split_lines(moved)[number - 1] != own[number - 1]:
        assert isinstance(replace_anchored(moved, [AnchoredEdit(anchor, "replaced")]), Refused)
    twice = [AnchoredEdit(anchor, "replaced"), AnchoredEdit(anchor, "other")]
    assert isinstance(replace_anchored(text, twice), Refused)


@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(["*** Update File: f\n", "@@ a\n", "+a\n", "-b\n", " c\n", "\n", "*** End Patch\n"])
    ).map("".join)
)
def test_no_patch_raises(text: str) -> None:
    parsed = parse_patch(text)
    if isinstance(parsed, tuple):
        for operation in parsed:
            apply_hunks("a\nb\nc\n", operation.hunks)


@given(texts(st.just("\n")), st.data())
def test_a_patch_of_the_whole_text_makes_the_other_text(text: str, data: st.DataObject) -> None:
    before = split_lines(text)
    assume(any(line.strip() for line in before))
    low = data.draw(st.integers(0, len(before) - 1))
    high = data.draw(st.integers(low, len(before)))
    put = data.draw(st.lists(st.sampled_from(["new", "  two"]), min_size=1, max_size=3))
    body = [(" ", line) for line in before[:low]]
    body += [("-", line) for line in before[low:high]] + [("+", line) for line in put]
    body += [(" ", line) for line in before[high:]]
    outcome = apply_hunks(text, [Hunk(lines=body)])
    assert isinstance(outcome, Edited)
    assert split_lines(outcome.text) == [*before[:low], *put, *before[high:]]
    written = "\n".join(
        ["*** Begin Patch", "*** Update File: f", "@@", *(sign + line for sign, line in body), "*** End Patch"]
    )
    parsed = parse_patch(written)
    if not any(re.search("[\n\r]|^[*]", line) for _, line in body):
        assert parsed == (Operation("update", "f", hunks=[Hunk(lines=body)]),)


@given(texts(), texts())
@example("a\nb", "b")
@example("xb\n", "b\n")
@example("a\na\n", "a\n")
def test_what_differs_lies_between_whole_lines(before: str, after: str) -> None:
    head, tail = find_difference(before, after)
    assert before[:head] == after[:head]
    assert before[len(before) - tail :] == after[len(after) - tail :]
    assert head + tail <= min(len(before), len(after))
    for text in (before, after):
        assert not head or text[head - 1] == "\n"
        start = len(text) - tail
        assert not tail or start == 0 or text[start - 1] == "\n"


@given(texts())
def test_lines_are_counted_as_they_are_split(text: str) -> None:
    assert count_lines(text) == len(split_lines(text))


@given(texts())
def test_line_starts_are_where_lines_start(text: str) -> None:
    starts = find_starts(text)
    assert "".join(text[low:high] for low, high in pairwise(starts)) == text
    assert len(starts) == len(split_lines(text)) + 1
