"""Properties that hold for whatever a model writes."""

import json
import re
from typing import Any

from dialect_writers import DELIMITED, MARKED, TAGGED, WHOLE, Arguments, Writer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hearth.llm.repair.cases import TOOLS
from hearth.llm.repair.judge import judge
from hearth.llm.repair.screen import Screen
from hearth.llm.repair.verdict import Answer, Calls, Said, Verdict
from hearth.messages import ToolCall

SHARDS = (
    *(
        '"',
        "'",
        "\\",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "\n",
        "\n\n",
        " ",
        "`",
        "```",
        "```\n",
        "~~~\n",
        "<",
        ">",
        "|",
        "｜",
    ),
    *(
        "<tool_call>",
        "</tool_call>",
        "<function=bash>",
        "<parameter=command>",
        "</parameter>",
        "</function>",
        "<tools>",
    ),
    *(
        "<arg_key>",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "[TOOL_CALLS]",
        "[ARGS]",
        "[CALL_ID]",
        "<|python_tag|>",
    ),
    *(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<|tool_call>",
        "call:bash{",
    ),
    *(
        "<｜DSML｜invoke name=",
        "<|channel|>",
        "commentary to=functions.bash",
        "<|message|>",
        "<|call|>",
        "<|end|>",
        "<think>",
    ),
    *(
        "</think>",
        '{"name": "bash", "arguments": {"command": "ls"}}',
        '"name": "read"',
        "read",
        "bash(",
        "path=",
        "path",
    ),
    *(
        '{"path": "a"}',
        ": ",
        ", ",
        "null",
        "true",
        "1",
        "<|im_end|>",
        '<|"|>',
        "> ",
        "<invoke name=",
        "a",
        "é",
        "\u2028",
    ),
)
WILD = st.lists(st.sampled_from(SHARDS) | st.text(max_size=4), max_size=14).map("".join)
PLAIN = st.text(alphabet="abc xyz.,:;!?-()'\"\n=0123456789{}[]#*_/äß", max_size=200)
TEXT = st.text(max_size=30) | WILD
STRUCTURE = re.compile(r"[<>]|``|~~|\[TOOL|\[ARGS|\[CALL|call:")
"""What a value between tags or delimiters must not hold, for there it would be structure."""


def arguments_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, Arguments]]:
    number = st.integers(-(10**12), 10**12)
    step = st.fixed_dictionaries({"text": text, "done": st.booleans()})
    return st.one_of(
        st.tuples(st.just("write"), st.fixed_dictionaries({"path": text, "content": text})),
        st.tuples(
            st.just("edit"),
            st.fixed_dictionaries({"path": text, "old": text, "new": text}, optional={"all": st.booleans()}),
        ),
        st.tuples(
            st.just("bash"),
            st.fixed_dictionaries({"command": text}, optional={"timeout": number, "background": st.booleans()}),
        ),
        st.tuples(st.just("todo"), st.fixed_dictionaries({"items": st.lists(step, max_size=3)})),
    )


def tame(text: str) -> str:
    return STRUCTURE.sub("_", text)


ANY = arguments_of(TEXT)
CLOSES_A_KEY = ("write", {"path": "</ARG_KEY>", "content": ""})
TAME = arguments_of(TEXT.map(tame))


def calls_of(verdict: Verdict) -> list[tuple[str, Any]]:
    if not isinstance(verdict, Calls):
        return []
    return [(call.name, json.loads(call.arguments)) for call in verdict.calls]


def written(writer: Writer, wild: tuple[str, Arguments], mild: tuple[str, Arguments]) -> tuple[str, Arguments]:
    return mild if writer in TAGGED or writer in DELIMITED else wild


@given(WILD, WILD, st.booleans())
def test_nothing_that_is_written_breaks_the_judge(text: str, reasoning: str, cut: bool) -> None:
    verdict = judge(Said(text, reasoning, (), cut), TOOLS)
    assert not (cut and isinstance(verdict, Calls))


@given(WILD, WILD)
def test_nothing_that_a_server_reads_breaks_the_judge(name: str, arguments: str) -> None:
    verdict = judge(Said("", "", (ToolCall("i", name, arguments),)), TOOLS)
    for call in getattr(verdict, "calls", ()):
        assert isinstance(json.loads(call.arguments), dict | list | str)
        assert call.name


@given(PLAIN)
def test_no_call_is_made_of_words(text: str) -> None:
    # In front of it stands a sentence, so that it is no call that stands alone.
    assert isinstance(judge(Said(f"So it is: {text}"), TOOLS), Answer)


@given(st.sampled_from(MARKED + WHOLE), ANY, TAME)
@example(
    next(writer for writer in WHOLE + MARKED if writer.__name__ == "mistral"), CLOSES_A_KEY, ("todo", {"items": []})
)
def test_arguments_come_through_byte_for_byte(
    writer: Writer, wild: tuple[str, Arguments], mild: tuple[str, Arguments]
) -> None:
    name, arguments = written(writer, wild, mild)
    assert calls_of(judge(Said(writer(name, arguments)), TOOLS)) == [(name, arguments)]


@given(ANY)
def test_right_arguments_of_a_server_are_not_touched(call: tuple[str, Arguments]) -> None:
    source = json.dumps(call[1], indent=1)
    verdict = judge(Said("", "", (ToolCall("i", call[0], source),)), TOOLS)
    assert isinstance(verdict, Calls)
    assert verdict.calls == (ToolCall("i", call[0], source),)


@given(st.sampled_from(MARKED), st.lists(TAME, min_size=1, max_size=3), PLAIN.map(tame))
def test_marked_calls_count_beside_words_in_order(
    writer: Writer, calls: list[tuple[str, Arguments]], text: str
) -> None:
    words = " ".join(re.findall(r"[a-z]+", text))
    whole = f"I look. {words}\n\n" + "\n".join(writer(name, arguments) for name, arguments in calls)
    verdict = judge(Said(whole), TOOLS)
    assert calls_of(verdict) == calls
    assert isinstance(verdict, Calls)
    assert verdict.text == f"I look. {words}".strip()


@settings(max_examples=300)
@given(st.sampled_from(MARKED + WHOLE), ANY, TAME, st.data())
def test_no_cut_call_runs_with_other_arguments(
    writer: Writer, wild: tuple[str, Arguments], mild: tuple[str, Arguments], data: st.DataObject
) -> None:
    name, arguments = written(writer, wild, mild)
    whole = writer(name, arguments)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for found, given_arguments in calls_of(judge(Said(part), TOOLS)):
        assert found == name
        if writer in TAGGED:
            # A call whose closing tag is missing counts if all that it needs is closed: what it may have is left out.
            assert given_arguments.items() <= arguments.items() if name != "todo" else given_arguments == arguments
        else:
            assert given_arguments == arguments
    assert not isinstance(judge(Said(part, cut=True), TOOLS), Calls)


@given(st.sampled_from(MARKED), TAME, st.sampled_from(("```", "````xml", "~~~", "```json")), st.booleans())
def test_what_is_quoted_never_runs(writer: Writer, call: tuple[str, Arguments], fence: str, inline: bool) -> None:
    example = writer(*call)
    end = re.match(r"[`~]+", fence)
    assert end
    if inline and "\n" not in example and "`" not in example:
        text = f"Such a call is `{example}` in one line."
    else:
        longer = end[0][0] * 8
        text = f"For example:\n\n{longer}xml\n{example}\n{longer}\n\nThat is the format."
    assert isinstance(judge(Said(text), TOOLS), Answer)


@given(st.sampled_from(MARKED), TAME)
def test_a_draft_in_the_reasoning_never_runs(writer: Writer, call: tuple[str, Arguments]) -> None:
    draft = f"Perhaps {writer(*call)} but no."
    assert isinstance(judge(Said(f"<think>\n{draft}\n</think>\nDone."), TOOLS), Answer)
    assert isinstance(judge(Said(f"{draft}\n</think>\n\nDone."), TOOLS), Answer)
    assert isinstance(judge(Said("Done.", draft), TOOLS), Answer)


@given(WILD | PLAIN, st.integers(1, 7))
def test_what_is_shown_is_what_was_written(text: str, size: int) -> None:
    screen = Screen(tool.name for tool in TOOLS)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    sent = "".join(delta.text for piece in pieces for delta in screen.feed(piece))
    rest = iter(text)
    assert all(char in rest for char in sent)  # in this order, with nothing added
    assert len(screen.shown) <= len(text)


@given(st.sampled_from(MARKED), TAME, st.integers(1, 9))
def test_no_markup_is_shown(writer: Writer, call: tuple[str, Arguments], size: int) -> None:
    screen = Screen(tool.name for tool in TOOLS)
    text = f"I look.\n{writer(*call)}"
    for at in range(0, len(text), size):
        screen.feed(text[at : at + size])
    assert screen.shown.strip() == "I look."


@given(st.text(alphabet="abc xyz.,:;!?'\n0123456789", max_size=200), st.integers(1, 9))
def test_ordinary_words_are_not_held_back(text: str, size: int) -> None:
    screen = Screen(tool.name for tool in TOOLS)
    text = f"So: {text}"
    for at in range(0, len(text), size):
        screen.feed(text[at : at + size])
        assert len(screen.shown) >= len(text[: at + size].rstrip()) - len("to=functions.")
