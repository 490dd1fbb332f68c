"""The quick look: what it takes for words the judge would take for the same words."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.llm.repair.cases import TOOLS, Case, read_cases
from hearth.llm.repair.judge import judge
from hearth.llm.repair.plain import MARKS, is_plain
from hearth.llm.repair.verdict import Answer, Said

DATA = Path(__file__).parents[2] / "data"
CASES = tuple(
    case for name in ("toolcalls", "hostile_turns") for case in read_cases((DATA / f"{name}.jsonl").read_bytes())
)

NEAR = (
    *("bash", "read", "edit", "todo", "functools", "functions.bash", "to", "to=", "call:read", "print", "json", "ARGS"),
    *("assistant", "commentary", "analysis", "think", "/think", "tool_call", "tool_response", "user", "end_of_turn"),
    *(
        "}",
        "]",
        ")",
        ">",
        "|",
        "｜",
        "▁",
        "▷",
        '"',
        "'",
        ":",
        ",",
        ";",
        "\\",
        "#",
        "/",
        "-",
        "_",
        ".",
        "*** Begin Patch\n",
    ),
    *("\n", "\n\n", "\r\n", " ", "\t", "\x0b", "\x1c", "\x85", "\u00a0", "\u2028", "\ufeff", "\x00", "‹", "＜", "｛"),
)
"""What stands in calls, less the marks themselves; blanks of all kinds."""
WORDS = st.lists(st.one_of(st.sampled_from(NEAR), st.text(max_size=8)), max_size=12).map("".join)
REASONING = st.sampled_from(("", " ", "Hm.", '<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>'))


def check(text: str, reasoning: str, cut: bool) -> None:
    """A text that is plain is an answer, word for word; its reasoning is not looked into."""
    if is_plain(text):
        assert judge(Said(text, reasoning, (), cut), TOOLS) == Answer(text, reasoning if reasoning.strip() else "")


@settings(max_examples=500)
@given(WORDS, REASONING, st.booleans())
def test_the_judge_says_the_same(text: str, reasoning: str, cut: bool) -> None:
    check(text, reasoning, cut)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_judge_says_the_same_of_what_was_recorded(case: Case) -> None:
    whole = case.content or ""
    without = "".join(char for char in whole if char not in MARKS)
    for text in (whole, without, *whole.splitlines(keepends=True), *whole.split()):
        for cut in (False, True):
            check(text, case.reasoning or "", cut)


@pytest.mark.parametrize("text", ["Hello.", " It is done:\n\n- a\n- b\n> as you said", "x"])
def test_words_are_plain(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize("text", ["", " \n", "a `b`", "f(x)", "<think>", "~~~", "[1]", "{}", "to=functions.bash"])
def test_what_may_be_more_and_what_is_nothing_is_left_to_the_judge(text: str) -> None:
    assert not is_plain(text)
