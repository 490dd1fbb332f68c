"""Answers made to be misread: code about calls, calls that are only spoken of, imagined results, and much of each."""

import json
from pathlib import Path

import pytest

from hearth.llm.repair.cases import TOOLS, Case, is_right, react, read_cases
from hearth.llm.repair.judge import judge
from hearth.llm.repair.screen import Screen
from hearth.llm.repair.verdict import Calls, Said
from hearth.messages import ToolCall

FILE = Path(__file__).parents[2] / "data" / "hostile_turns.jsonl"
CASES = tuple(read_cases(FILE.read_bytes()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_has_its_one_right_reaction(case: Case) -> None:
    result = react(case)
    assert is_right(case, result), result
    if case.expect.outcome == "reject":
        assert result.note.split(":")[0] == case.expect.note.split(":")[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_nothing_of_it_runs_when_it_was_cut(case: Case) -> None:
    cut = Case(case.id, case.expect, "length", case.content, case.reasoning, case.tool_calls)
    assert react(cut).outcome != "calls"


BIG = "".join(f'line {number}: "quoted" \\ back\\slash\tтаб {number}\n' for number in range(4_000))


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{json.dumps({'name': 'write', 'arguments': {'path': 'a', 'content': BIG}})}\n</tool_call>",
        f"<tool_call>\n<function=write>\n<parameter=path>\na\n</parameter>\n<parameter=content>\n{BIG}\n</parameter>\n"
        "</function>\n</tool_call>",
        f"<tool_call>write\n<arg_key>path</arg_key>\n<arg_value>a</arg_value>\n<arg_key>content</arg_key>\n"
        f"<arg_value>{BIG}</arg_value>\n</tool_call>",
        f"[TOOL_CALLS]write[ARGS]{json.dumps({'path': 'a', 'content': BIG}, ensure_ascii=False)}",
    ],
    ids=["hermes", "qwen3-coder", "glm", "mistral"],
)
def test_a_long_file_comes_through_to_the_byte(text: str) -> None:
    verdict = judge(Said(text), TOOLS)
    assert isinstance(verdict, Calls)
    assert json.loads(verdict.calls[0].arguments) == {"path": "a", "content": BIG}


@pytest.mark.parametrize(
    "piece", ["`", "\t`\n", " ", "> ", "<parameter=command>x</parameter>\n", "<|message|>", "{", "<"]
)
@pytest.mark.parametrize("before", ["", "x\n", "a\n> ", "<tool_call>\n<function=write>\n<parameter=content>\n"])
def test_no_text_takes_for_ever(before: str, piece: str) -> None:
    # Each of these took minutes once: a model that writes one thing for ever must not stop the session.
    text = before + piece * (40_000 // len(piece))
    screen = Screen(tool.name for tool in TOOLS)
    for at in range(0, len(text), 8):
        screen.feed(text[at : at + 8])
    assert not isinstance(judge(Said(text), TOOLS), Calls)
    assert not isinstance(judge(Said("", "", (ToolCall("i", text, text),)), TOOLS), Calls)
