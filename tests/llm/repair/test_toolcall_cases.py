"""The contract: every recorded answer has the right reaction, refusals name the right kind, nothing quoted runs."""

from pathlib import Path

import pytest

from hearth.llm.repair.cases import TOOLS, BadCase, Case, is_right, react, read_cases
from hearth.llm.repair.judge import judge
from hearth.llm.repair.verdict import Said

FILE = Path(__file__).parents[2] / "data" / "toolcalls.jsonl"
CASES = tuple(read_cases(FILE.read_bytes()))


def test_all_of_them_are_there() -> None:
    assert len(CASES) == 150


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_answer_has_its_one_right_reaction(case: Case) -> None:
    result = react(case)
    assert is_right(case, result), result
    if case.expect.outcome == "reject":
        assert result.note.split(":")[0] == case.expect.note.split(":")[0]
        assert len(result.note) > len(result.note.split(":")[0]) + 20  # and then says what to do


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_nothing_runs_of_an_answer_that_was_cut(case: Case) -> None:
    cut = Case(case.id, case.expect, "length", case.content, case.reasoning, case.tool_calls)
    assert react(cut).outcome != "calls"


@pytest.mark.parametrize("case", [case for case in CASES if not case.tool_calls], ids=lambda case: case.id)
def test_nothing_runs_of_an_answer_in_a_fence_with_words_around(case: Case) -> None:
    # A longer fence than any in the text, so that none within closes it.
    quoted = f"An example:\n\n``````text\n{case.content}\n``````\n\nThat is how it looks."
    assert type(judge(Said(quoted), TOOLS)).__name__ == "Answer"


def test_a_line_that_is_no_case_is_named() -> None:
    first = FILE.read_bytes().split(b"\n")[0]
    with pytest.raises(BadCase) as caught:
        list(read_cases(first + b"\n\n" + first.replace(b'"outcome"', b'"result"')))
    assert caught.value.line == 3
