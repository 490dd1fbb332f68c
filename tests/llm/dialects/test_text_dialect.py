"""Tools for models that know none: what they read, and what is read out of what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from talks import TEXT, TOOLS, answers, arguments, conversations, cut

from hearth.llm.answer import CallDelta, Completed, Failed, ModelEvent, TextDelta, Truncated
from hearth.llm.dialects.text.model import TextDialect
from hearth.llm.dialects.text.parser import AMBIGUOUS, NO_PATH, NOT_ONLY_EDITS, UNCLOSED, TextParser
from hearth.llm.dialects.text.render import describe_tools, render_call, render_messages
from hearth.llm.request import Request
from hearth.llm.scripted import Line, ScriptedModel, call, say
from hearth.messages import Message, ToolCall, Usage

KNOWN = {tool.name: tool for tool in TOOLS}
LS = "```tool bash\ncommand: ls\n```"
EDIT = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE"
EDITED = ("edit", {"path": "a.py", "old": "a\n", "new": "b\n"}, "")


def read(*pieces: str, stop: bool = True) -> tuple[str, tuple[ToolCall, ...], str]:
    """Content, calls, and what was told on the way."""
    parser = TextParser(KNOWN, "edit")
    told = "".join(parser.feed(piece) for piece in pieces)
    content, calls, rest = parser.finish(cut=not stop)
    return content, calls, told + rest


def plain(calls: tuple[ToolCall, ...]) -> list[tuple[str, Any, str]]:
    return [(each.name, json.loads(each.arguments), each.refusal) for each in calls]


READ = {
    "a call": (LS, "", [("bash", {"command": "ls"}, "")]),
    "words before": (f"I look.\n\n{LS}", "I look.", [("bash", {"command": "ls"}, "")]),
    "words after are not said": (f"I look.\n{LS}\nIt shows a.py.\n", "I look.", [("bash", {"command": "ls"}, "")]),
    "two": (f"{LS}\n\n{LS}", "", [("bash", {"command": "ls"}, "")] * 2),
    "several lines": (
        "```tool write\npath: a.md\ncontent <<END\n# A\n\n```py\nx = \"1\"\n```\nEND\n```", "",
        [("write", {"path": "a.md", "content": '# A\n\n```py\nx = "1"\n```\n'}, "")],
    ),
    "no newline at the end": (
        "```tool write\npath: a\ncontent <<X no newline at end\n  1\nX\n```", "",
        [("write", {"path": "a", "content": "  1"}, "")],
    ),
    "a number": ("```tool bash\ncommand:ls\ntimeout: 5\n```", "", [("bash", {"command": "ls", "timeout": 5}, "")]),
    "a list": ('```tool todo\nitems: [{"text": "a"}]\n```', "", [("todo", {"items": [{"text": "a"}]}, "")]),
    "what should be a number and is none": (
        "```tool bash\ncommand: ls\ntimeout: soon\n```", "", [("bash", {"command": "ls", "timeout": "soon"}, "")]
    ),
    "colons, quotes and backslashes": (
        '```tool bash\ncommand: echo "a: b" \\n\n```', "", [("bash", {"command": 'echo "a: b" \\n'}, "")]
    ),
    "the name on a line of its own": ("```tool\nbash\ncommand: ls\n```", "", [("bash", {"command": "ls"}, "")]),
    "a longer fence": ("````tool bash\ncommand: ls\n````", "", [("bash", {"command": "ls"}, "")]),
    "an unknown tool is somebody else's to refuse": ("```tool fly\n```", "", [("fly", {}, "")]),
    "a change": (f"I change it:\n\na.py\n{EDIT}\n", "I change it:", [EDITED]),
    "a path with marks": (f"**`a.py`:**\n{EDIT}", "", [EDITED]),
    "a change in a fence": (f"a.py\n```python\n{EDIT}\n```\n", "", [EDITED]),
    "a path in the fence": (f"```\na.py\n{EDIT}\n```", "", [EDITED]),
    "two changes in a fence": (f"a.py\n```python\n{EDIT}\n\n{EDIT}\n```", "", [EDITED, EDITED]),
    "a fence that is not closed after a whole change": (f"a.py\n```python\n{EDIT}", "", [EDITED]),
    "lines that go": (
        "a.py\n<<<<<<< SEARCH\na\n=======\n>>>>>>> REPLACE", "",
        [("edit", {"path": "a.py", "old": "a\n", "new": ""}, "")],
    ),
    "a fence in a change": (
        "a.md\n<<<<<<< SEARCH\n```\n=======\n```tool bash\n>>>>>>> REPLACE", "",
        [("edit", {"path": "a.md", "old": "```\n", "new": "```tool bash\n"}, "")],
    ),
}  # fmt: skip
REFUSED = {
    "a block that is not closed": ("```tool bash\ncommand: rm -rf a", "bash", UNCLOSED),
    "lines that are not closed": ("```tool write\npath: a\ncontent <<END\nx\n```\n", "write", UNCLOSED),
    "prose in a block": (
        "```tool bash\nI run ls\n```", "bash", "not run: 'I run ls' in the block is no parameter"
    ),
    "a parameter twice": ("```tool bash\ncommand: a\ncommand: b\n```", "bash", "not run: command is there twice"),
    "no name": ("```tool\ncommand: ls\n```", "tool", "not run: the block names no tool"),
    "a change without its end": ("a.py\n<<<<<<< SEARCH\na\n=======\nb\n", "edit", UNCLOSED),
    "a change without its middle": ("a.py\n<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", "edit", AMBIGUOUS),
    "a change with two middles": (
        "a.py\n<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> REPLACE\n", "edit", AMBIGUOUS
    ),
    "a change begun twice": ("a.py\n<<<<<<< SEARCH\na\n" + EDIT, "edit", UNCLOSED),
    "a change of nothing": (EDIT, "edit", NO_PATH),
    "a change after prose": (f"Change this file\n{EDIT}", "edit", NO_PATH),
    "a fence with more in it": (f"a.py\n```\n{EDIT}\nand so on it goes\n```", "edit", NOT_ONLY_EDITS),
}  # fmt: skip
QUOTED = [
    f"> {LS.replace(chr(10), chr(10) + '> ')}",
    f"    {LS.replace(chr(10), chr(10) + '    ')}",
    f"- {LS.replace(chr(10), chr(10) + '  ')}",
    f" {LS}",
    f"````markdown\n{LS}\n````\n",
    f"~~~\n{LS}\n~~~",
    f"```\n{LS}\n```",
    f"```python\nprint(1)\n\n{LS}",
    f"Write `{LS.splitlines()[0]}` to call.",
    "```bash\nls\n```",
    "```json\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n```",
    f"````\na.py\n\n{EDIT}\n````",
    f"~~~\n{EDIT}\n~~~",
    f"> a.py\n> {EDIT.replace(chr(10), chr(10) + '> ')}",
    "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other",
    "bash(command='ls')",
    "```tools bash\ncommand: ls\n```",
    "```tool bash ls\n```",
]  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_calls_are_read(name: str) -> None:
    text, content, calls = READ[name]
    for pieces in ([text], list(text)):
        said, found, told = read(*pieces)
        assert (said, plain(found)) == (content, calls)
        assert told == content


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_whole_does_not_run(name: str) -> None:
    text, tool, refusal = REFUSED[name]
    for pieces in ([text], list(text)):
        _, found, _ = read(*pieces)
        assert plain(found) == [(tool, {}, refusal)]


@pytest.mark.parametrize("text", QUOTED)
def test_what_is_quoted_is_text(text: str) -> None:
    for pieces in ([text], list(text)):
        content, calls, told = read(*pieces)
        assert not calls
        assert content == told == text


@pytest.mark.parametrize("name", [*READ, *REFUSED])
def test_what_is_cut_at_the_limit_calls_nothing(name: str) -> None:
    text = (READ.get(name) or REFUSED[name])[0]
    for end in range(len(text)):
        content, calls, told = read(text[:end], stop=False)
        assert not calls
        assert content == told
        assert "```tool" not in content


@given(arguments(), st.data())
def test_a_call_that_is_written_is_read_back(made: tuple[str, str], data: st.DataObject) -> None:
    written = render_call(ToolCall("c", *made), "edit")
    _, calls, told = read(*data.draw(cut(written)))
    assert plain(calls) == [(made[0], json.loads(made[1]), "")]
    assert not told


@given(answers(), st.data())
def test_an_answer_that_is_written_is_read_back(message: Message, data: st.DataObject) -> None:
    # What was said must not itself be a call, nor leave a fence open.
    assume(len(read(message.content + "\n\n" + LS)[1]) == 1 and not read(message.content)[1])
    assume(read(message.content + "\n\n" + LS)[0] == message.content.rstrip("\n"))
    (user, written) = render_messages((Message("user", "x"), message), (), "edit")
    content, calls, told = read(*data.draw(cut(written.content)))
    assert content == told == (message.content.rstrip("\n") if message.tool_calls else message.content)
    wanted = [(each.name, json.loads(each.arguments), "") for each in message.tool_calls]
    assert plain(calls) == wanted
    assert user.content == "x"


@given(st.lists(st.one_of(TEXT, st.sampled_from((LS, EDIT, "\n", "a.py\n", "```\n")))).map("".join), st.data())
def test_any_text_is_read_the_same_however_it_is_cut(text: str, data: st.DataObject) -> None:
    whole, pieces = read(text), read(*data.draw(cut(text)))
    assert (whole[0], plain(whole[1]), whole[2]) == (pieces[0], plain(pieces[1]), pieces[2])
    assert whole[0] == whole[2]
    if not whole[1]:
        assert whole[0] == text


@given(st.text())
def test_prose_calls_nothing(text: str) -> None:
    content, calls, told = read(text)
    assert content == told
    assert all(each.refusal for each in calls)
    if not calls:
        assert content == text


@given(conversations(), st.booleans())
def test_roles_alternate_and_what_was_sent_stays(messages: list[Message], system_role: bool) -> None:
    def render(some: list[Message]) -> tuple[Message, ...]:
        return render_messages(some, TOOLS, "edit", system_role=system_role)

    whole = render(messages)
    roles = [message.role for message in whole]
    assert all(one != other for one, other in pairwise(roles))
    assert {"tool"}.isdisjoint(roles)
    assert roles[0] == ("system" if system_role else "user")
    assert not any(message.tool_calls or message.reasoning or message.tool_call_id for message in whole)
    for count in range(1, len(messages)):
        if messages[count].role == "assistant" and messages[count - 1].role != "assistant":
            asked = render(messages[:count])
            assert whole[: len(asked)] == asked


def test_the_tools_are_described_in_few_words() -> None:
    told = describe_tools(TOOLS, "edit")
    assert "## bash\nRun a command.\ncommand: text\ntimeout: number, optional" in told
    assert "## edit" not in told
    assert "<<<<<<< SEARCH" in told
    assert "<<<<<<< SEARCH" not in describe_tools(TOOLS[:1], "edit")


class _Talker:
    """A model that says one text, letter by letter."""

    def __init__(self, text: str, end: type[Completed] | type[Truncated] = Completed) -> None:
        self._text = text
        self._end = end
        self.asked: list[Request] = []

    async def answer(self, request: Request) -> Any:
        self.asked.append(request)
        for letter in self._text:
            yield TextDelta(letter)
        yield self._end(Message("assistant", self._text), Usage())


REQUEST = Request("s", "m", {}, 100, TOOLS, (Message("system", "S"), Message("user", "go")))


async def ask(model: Any, request: Request = REQUEST, **how: Any) -> list[ModelEvent]:
    return [event async for event in TextDialect(model, **how).answer(request)]


def told(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_model_without_tools_calls_one() -> None:
    talker = _Talker(f"I look.\n\n{LS}")
    seen = await ask(talker)
    final = seen[-1]
    assert isinstance(final, Completed)
    assert (final.message.content, plain(final.message.tool_calls)) == ("I look.", [("bash", {"command": "ls"}, "")])
    assert told(seen) == "I look."
    assert "command: ls" in "".join(event.text for event in seen if isinstance(event, CallDelta))
    (asked,) = talker.asked
    assert asked.tools == ()
    assert [message.role for message in asked.messages] == ["system", "user"]
    assert "```tool NAME" in asked.messages[0].content
    result = Message("tool", "a.py", tool_call_id=final.message.tool_calls[0].id)
    await ask(talker, replace(REQUEST, messages=(*REQUEST.messages, final.message, result)))
    assert talker.asked[1].messages[:2] == asked.messages
    assert talker.asked[1].messages[2].content == f"I look.\n\n{LS}"
    assert talker.asked[1].messages[3].content == "[bash returned]\na.py\n[end of bash]"


async def test_a_cut_answer_calls_nothing() -> None:
    final = (await ask(_Talker(f"I look.\n\n{LS}", Truncated)))[-1]
    assert isinstance(final, Truncated)
    assert final.message == Message("assistant", "I look.")


async def test_a_call_that_breaks_off_is_told_as_broken() -> None:
    final = (await ask(_Talker(LS.removesuffix("```"))))[-1]
    assert isinstance(final, Completed)
    assert final.broken == UNCLOSED
    assert plain(final.message.tool_calls) == [("bash", {}, UNCLOSED)]


async def test_one_call_at_a_time_where_more_are_not_wanted() -> None:
    final = (await ask(_Talker(f"{LS}\n{LS}"), parallel=False))[-1]
    assert isinstance(final, Completed)
    assert len(final.message.tool_calls) == 1


@pytest.mark.parametrize("line", [Failed("engine", "gone", partial="raw"), call("bash", "{}"), say("Hi.\n")])
async def test_all_else_goes_through(line: Line) -> None:
    seen = await ask(ScriptedModel([line]))
    final = seen[-1]
    match line:
        case Failed():
            assert final == msgspec.structs.replace(line, partial="")
        case _:
            assert isinstance(final, Completed)
            assert final.message == line
            assert told(seen) == final.message.content
