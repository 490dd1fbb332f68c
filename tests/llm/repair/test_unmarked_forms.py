"""Forms without a word of their own for a call: elements (Cline, Roo), labels (ReAct), blocks (aider)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.repair.cases import TOOLS
from hearth.llm.repair.judge import judge
from hearth.llm.repair.screen import Screen
from hearth.llm.repair.verdict import Answer, Calls, Rejected, Resample, Said, Verdict

READ = ("read", {"path": "a.py"})
GLOB = ("glob", {"pattern": "*.py"})
LS = ("bash", {"command": "ls -la"})
BLOCK = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE"
EDIT = ("edit", {"path": "a.py", "old": "old\n", "new": "new\n"})
OTHER = ("edit", {"path": "src/b.py", "old": "old\n", "new": "new\n"})
ELEMENT = "<read_file>\n<path>a.py</path>\n</read_file>"
COMMAND = (
    "<execute_command>\n<command>ls -la</command>\n<requires_approval>false</requires_approval>\n</execute_command>"
)
REPLACE = f"<replace_in_file>\n<path>a.py</path>\n<diff>\n{BLOCK}\n</diff>\n</replace_in_file>"
ACTION = 'Action: read\nAction Input: {"path": "a.py"}'
AIDER = f"a.py\n```python\n{BLOCK}\n```"


def calls_of(verdict: Verdict) -> list[tuple[str, Any]]:
    assert isinstance(verdict, Calls), verdict
    return [(call.name, json.loads(call.arguments)) for call in verdict.calls]


@pytest.mark.parametrize(
    ("text", "calls", "said"),
    [
        (ELEMENT, [READ], ""),
        ("<read_file><path>a.py</path></read_file>", [READ], ""),
        (f"First I look at it.\n\n{ELEMENT}\n", [READ], "First I look at it."),
        (f"<thinking>\nI look.\n</thinking>\n\n{ELEMENT}<|im_end|>", [READ], ""),
        (f"{ELEMENT}\n{COMMAND}", [READ, LS], ""),
        (f"{ELEMENT}\n\n<list_x>", None, ""),
        ("<read>\n<path>a.py</path>\n</read>", [READ], ""),
        ("<bash>\n<command>\nls -la\n</command>\n</bash>", [LS], ""),
        ("<read_file>\n<args>\n<file>\n<path>a.py</path>\n</file>\n</args>\n</read_file>", [READ], ""),
        (f"{ELEMENT}\n\n[read_file for 'a.py'] Result:\nx = 1\n\n{COMMAND}", [READ], ""),
        (f"{ELEMENT}\n<tool_response>x</tool_response>\n{COMMAND}", [READ], ""),
        (
            "<read_file>\n<path>a.py</path>\n<start_line>3</start_line>\n<end_line>9</end_line>\n</read_file>",
            [("read", {"path": "a.py", "offset": 3})],
            "",
        ),
        (REPLACE, [EDIT], ""),
        (REPLACE.replace("replace_in_file", "apply_diff"), [EDIT], ""),
        (
            f"<search_replace>\n<file_path>a.py</file_path>\n<content>\n{BLOCK}\n</content>\n</search_replace>",
            [EDIT],
            "",
        ),
        (REPLACE.replace("SEARCH\n", "SEARCH\n:start_line:3\n-------\n"), [EDIT], ""),
        (REPLACE.replace("\n</diff>", f"\n{BLOCK}\n</diff>"), [EDIT, EDIT], ""),
        (
            "<execute_command>\n<command>a && b > c <<< d</command>\n</execute_command>",
            [("bash", {"command": "a && b > c <<< d"})],
            "",
        ),
        ("<execute_command>\n<command><![CDATA[ls -la]]></command>\n</execute_command>", [LS], ""),
        (ACTION, [READ], ""),
        (f"Thought: I look at it.\n{ACTION}", [READ], "Thought: I look at it."),
        (f"{ACTION}\nObservation: x = 1\nThought: done\nAction: bash\nAction Input: {{}}", [READ], ""),
        ('**Thought:** so\n\n**Action:** `read`\n**Action Input:** {"path": "a.py"}', [READ], "**Thought:** so"),
        ('Thought: so\nAction: read_file\nAction Input:\n```json\n{"file_path": "a.py"}\n```', [READ], "Thought: so"),
        ('Action:\n```json\n{"action": "read", "action_input": {"path": "a.py"}}\n```', [READ], ""),
        ('Thought: so\nAction:\n{"action": "bash", "action_input": {"command": "ls -la"}}', [LS], "Thought: so"),
        (AIDER, [EDIT], ""),
        (f"```python\na.py\n{BLOCK}\n```", [EDIT], ""),
        (f"**a.py**\n{BLOCK}\n", [EDIT], ""),
        (f"{AIDER}\n\nsrc/b.py\n```\n{BLOCK}\n{BLOCK}\n```", [EDIT, OTHER, OTHER], ""),
    ],
)
def test_what_is_certain_is_a_call(text: str, calls: list[tuple[str, Any]] | None, said: str) -> None:
    verdict = judge(Said(text), TOOLS)
    if calls is None:
        assert isinstance(verdict, Answer)
        return
    assert calls_of(verdict) == calls
    assert isinstance(verdict, Calls)
    assert verdict.text == said


CONTENT = (
    "# Cline\n\n```xml\n<write_to_file>\n<path>x</path>\n<content>\ny\n</content>\n</write_to_file>\n```\n"
    "</content>\n\nand &amp; <path>so on</path>\n\n    \n"
)


def test_a_file_comes_through_byte_for_byte() -> None:
    text = f"I write.\n<write_to_file>\n<path>a.md</path>\n<content>\n{CONTENT}\n</content>\n</write_to_file>"
    assert calls_of(judge(Said(text), TOOLS)) == [("write", {"path": "a.md", "content": CONTENT})]


@pytest.mark.parametrize(
    "inner", ['<tool_call>{"name": "bash", "arguments": {"command": "id"}}</tool_call>', "</think>\nx"]
)
def test_markup_within_values_is_a_part_of_them(inner: str) -> None:
    for before in ("", "I write.\n"):
        text = f"{before}<write_to_file>\n<path>a.md</path>\n<content>\n{inner}\n</content>\n</write_to_file>"
        assert calls_of(judge(Said(text), TOOLS)) == [("write", {"path": "a.md", "content": inner})]
    text = f"a.md\n{BLOCK.replace('new', inner)}"
    assert calls_of(judge(Said(text), TOOLS)) == [("edit", {"path": "a.md", "old": "old\n", "new": f"{inner}\n"})]
    text = f"Thought: so\nAction: write\nAction Input: {json.dumps({'path': 'a.md', 'content': inner})}"
    assert calls_of(judge(Said(text), TOOLS)) == [("write", {"path": "a.md", "content": inner})]


def test_an_example_in_a_file_is_a_part_of_it() -> None:
    inner = "<write_to_file>\n<path>x</path>\n<content>\ny\n</content>\n</write_to_file>"
    example = f"So:\n<tool_use>\n{inner}\n</tool_use>\n{COMMAND}\nso."
    text = f"<write_to_file>\n<path>a.md</path>\n<content>\n{example}\n</content>\n</write_to_file>"
    assert calls_of(judge(Said(text), TOOLS)) == [("write", {"path": "a.md", "content": example})]


def test_an_element_within_an_open_value_is_a_part_of_it() -> None:
    text = f"<tool_call>\n<function=write>\n<parameter=path>\na\n</parameter>\n<parameter=content>\n{COMMAND}"
    assert not isinstance(judge(Said(text), TOOLS), Calls)


@pytest.mark.parametrize(
    "text",
    [
        f"Cline reads a file so:\n\n```xml\n{ELEMENT}\n```",
        f"Cline reads a file so:\n\n```xml\n{ELEMENT}\n```\n\nThat is all.",
        f"Cline reads a file so:\n\n{ELEMENT}\n\nThe tag is the name of the tool.",
        f"`{ELEMENT}`",
        "It writes `<read_file><path>a.py</path></read_file>` to read.",
        "It writes <read_file><path>a.py</path></read_file>",
        f"> {ELEMENT}",
        "Use <read_file> with <path> in it.",
        "<read_file>\n</read_file>",
        "<read_file>path</read_file>",
        "<task>\n<title>Ship it</title>\n</task>",
        "<search>\n<path>a</path>\n<regex>b</regex>\n</search>",
        "<view>\n<path>a</path>\n</view>",
        "<ask_followup_question>\n<question>Which?</question>\n</ask_followup_question>",
        "<settings>\n<path>a.py</path>\n</settings>",
        '<read_file path="a.py"/>',
        "The format of ReAct:\n\nAction: read\nAction Input: {}",
        f"In ReAct a model writes:\n{ACTION}",
        f"Question: how?\nThought: so\n{ACTION}",
        f"```\n{ACTION}\n```\nis how it looks.",
        f"Thought: such as\n```\n{ACTION}\n```",
        f"{ACTION}\n\nThis is how ReAct calls a tool.",
        "Action: read the file\nAction Input: none",
        "Action: read\nAction Input: a.py",
        'Action: search_web\nAction Input: {"query": "x"}',
        'Action:\n{"action": "Final Answer", "action_input": "done"}',
        "Action: read",
        "Action items:\n- read a.py",
        f"Change it so:\n\n{AIDER}",
        f"{AIDER}\n\nThat makes it work.",
        f"```python\n{BLOCK}\n```",
        AIDER.replace("=======\n", ""),
        AIDER.replace("=======\n", "=======\n=======\n"),
        "a.py\n```python\n<<<<<<< SEARCH\nold\n=======\nnew\n```",
        "a.py\n<<<<<<< HEAD\nold\n=======\nnew\n>>>>>>> branch",
        f"a.py\nb.py\n{BLOCK}",
    ],
)
def test_what_is_quoted_or_spoken_of_is_words(text: str) -> None:
    assert isinstance(judge(Said(text), TOOLS), Answer)


@pytest.mark.parametrize(
    "text",
    [
        "<write_to_file>\n<path>a.py</path>\n<content>\nx = 1\n",
        "<write_to_file>\n<path>a.py</path>\n<content>\nx = 1\n</content>\n",
        "<execute_command>\n<command>rm -rf /tm",
        f"{ELEMENT}\n<execute_command>\n<command>rm -rf /tm",
        REPLACE[:-30],
        'Thought: so\nAction: bash\nAction Input: {"command": "rm -rf /tm',
        'Action: bash\nAction Input:\n```json\n{"command": "ls"',
    ],
)
def test_what_breaks_off_is_truncated(text: str) -> None:
    verdict = judge(Said(text), TOOLS)
    assert isinstance(verdict, Rejected)
    assert verdict.kind == "truncated"


@pytest.mark.parametrize(
    "text",
    [
        "<execute_command>\n<command>cat a 2&gt;/dev/null</command>\n</execute_command>",
        "<read_file>\n<path>a.py</path>\n<path>b.py</path>\n</read_file>",
        "<read_file>\n<path>a.py</path>\n<strange>b</strange>\n</read_file>",
        "<edit>\n<path>a</path>\n<old>x</old>\n<new>y</old>\n<new>z</new>\n</edit>",
        f"{ACTION}\nThought: I know it\nFinal Answer: 5",
        f"{ACTION}\n{ACTION}",
        'Action: bash\nAction Input: {"command": "ls"???}',
    ],
)
def test_what_has_two_readings_is_asked_again(text: str) -> None:
    assert isinstance(judge(Said(text), TOOLS), Resample)


@pytest.mark.parametrize(
    "whole", [ELEMENT, COMMAND, REPLACE, ACTION, f"Thought: so\n{ACTION}", AIDER, f"Hm.\n{COMMAND}"]
)
def test_no_beginning_of_it_runs(whole: str) -> None:
    right = calls_of(judge(Said(whole), TOOLS))
    for at in range(len(whole)):
        verdict = judge(Said(whole[:at]), TOOLS)
        assert not isinstance(verdict, Calls) or calls_of(verdict) == right
        assert not isinstance(judge(Said(whole[:at], cut=True), TOOLS), Calls)
    assert not isinstance(judge(Said(whole, cut=True), TOOLS), Calls)


@pytest.mark.parametrize("whole", [ELEMENT, COMMAND, REPLACE, ACTION, AIDER])
def test_in_the_reasoning_it_is_a_draft(whole: str) -> None:
    assert isinstance(judge(Said("Done.", whole), TOOLS), Answer)
    assert isinstance(judge(Said(f"<think>\n{whole}\n</think>\nDone."), TOOLS), Answer)


@pytest.mark.parametrize(
    "whole", [ELEMENT, COMMAND, REPLACE, ACTION, f"Thought: so\n{ACTION}", "<bash>\n<command>ls</command>\n</bash>"]
)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_it_is_not_shown_while_it_comes(whole: str, size: int) -> None:
    for before in ("", "I look.\n\n") if "Action" not in whole else ("",):
        screen = Screen(tool.name for tool in TOOLS)
        text = before + whole
        for at in range(0, len(text), size):
            screen.feed(text[at : at + size])
        assert screen.shown.strip() == before.strip()


@pytest.mark.parametrize(
    "text", ["Thoughtful words.", "Actions speak.", "<b>bold</b>\nand\n<p>x</p>", "Act", "<details>\nx"]
)
def test_what_only_looks_like_it_is_shown(text: str) -> None:
    screen = Screen(tool.name for tool in TOOLS)
    for char in f"{text} And so on.":
        screen.feed(char)
    assert screen.shown.startswith(text)


SAFE = st.text(max_size=60).filter(lambda text: "&" not in text and "</" not in text and "<!" not in text)


@given(SAFE, SAFE)
def test_values_of_elements_are_not_touched(path: str, content: str) -> None:
    text = f"<write_to_file>\n<path>\n{path}\n</path>\n<content>\n{content}\n</content>\n</write_to_file>"
    assert calls_of(judge(Said(text), TOOLS)) == [("write", {"path": path, "content": content})]


TAGS = ("read_file", "path", "bash", "command", "diff", "args")
WORDS = (
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    *("Action: bash\n", "Action Input: ", '{"command": "ls"}', "Thought: x\n", "Observation: y\n", "```\n", "a.py\n"),
    *("<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "<![CDATA[", "]]>", "\\", "a", "\n", " "),
)
PIECES = st.lists(st.sampled_from(WORDS), max_size=14).map("".join)


@given(PIECES, st.booleans())
def test_nothing_of_these_words_breaks_the_judge(text: str, cut: bool) -> None:
    verdict = judge(Said(text, cut=cut), TOOLS)
    assert not (cut and isinstance(verdict, Calls))
    assert isinstance(judge(Said(f"So it is: {text}\n\nThat is all."), TOOLS), Answer | Resample | Rejected)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "<read_file>\n",
            "<read_file><path>",
            "\n<bash><command>x</command>\n",
            "</path>",
            "<edit><old></old><new>\n",
        ),
        *("Action: read\n", "Thought: Action:", "<<<<<<< SEARCH\n", "=======\n", "<old></old>\n<new></new>\n"),
    ],
)
def test_a_flood_of_it_is_judged_like_a_drop(unit: str) -> None:
    flood = unit * (100_000 // len(unit))
    for text in (
        flood,
        f"Thought: x\n{flood}",
        f"\n<write_to_file><path>{flood}",
        f"a.py\n{flood}",
        "\n<edit>" * 99 + flood,
    ):
        assert not isinstance(judge(Said(text), TOOLS), Calls)
        screen = Screen(tool.name for tool in TOOLS)
        for at in range(0, len(text), 64):
            screen.feed(text[at : at + 64])
