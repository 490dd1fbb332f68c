"""The request for a summary, and which answers are one."""

import pytest
from hypothesis import given

from conversations import conversations
from counting_model import body_of, check_roles
from hearth.agent.meter import weigh, weigh_all
from hearth.agent.summary import PAUSE, ask_summary, read_summary
from hearth.llm.answer import Completed, Failed, Final, Truncated
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, ToolSpec, Usage

TOOLS = (ToolSpec("read", "Read.", {}),)
GOOD = "Goal: rename billing to invoices.\nNext: edit src/a.py"


def make_request(messages: list[Message]) -> Request:
    return Request("s", "m", {}, 512, TOOLS, (Message("system", "be good"), *messages))


def count(messages: object) -> int:
    return weigh_all(messages) // 3  # type: ignore[arg-type]  # a sequence of messages


@given(conversations())
def test_the_question_is_a_suffix_that_fits(messages: list[Message]) -> None:
    request = make_request(messages)
    asked = ask_summary(request, count, 4_096, 64)
    if asked is None:
        return
    *before, question = asked.messages
    assert question.role == "user"
    assert "Do not call a tool" in question.content
    check_roles(asked.messages[1:])
    shared = before[:-1] if before[-1] == Message("assistant", PAUSE) else before
    assert body_of(request).startswith(body_of(make_request(list(shared[1:])))[:-2])
    assert count(asked.messages[1:]) + asked.max_tokens + 64 <= 4_096
    assert (asked.tools, asked.session, asked.model) == (request.tools, request.session, request.model)


def test_what_was_just_asked_is_not_summed_up() -> None:
    assert ask_summary(make_request([Message("user", "go")]), count, 4_096, 64) is None
    asked = ask_summary(
        make_request([Message("user", "go"), Message("assistant", "done"), Message("user", "more")]), count, 4_096, 64
    )
    assert asked
    assert [message.content for message in asked.messages[1:-1]] == ["go", "done"]


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        (Completed(Message("assistant", f" {GOOD}\n"), Usage()), GOOD),
        (Completed(Message("assistant", ""), Usage()), ""),
        (Completed(Message("assistant", "", reasoning=GOOD), Usage()), ""),
        (Completed(Message("assistant", GOOD, (ToolCall("c", "read", "{}"),)), Usage()), ""),
        (Completed(Message("assistant", f"{GOOD}\n<tool_call>\n{{}}"), Usage()), ""),
        (Completed(Message("assistant", "ok"), Usage()), ""),
        (Truncated(Message("assistant", GOOD), Usage()), ""),
        (Failed("engine", "it died"), ""),
    ],
)
def test_only_a_whole_text_is_a_summary(answer: Final, summary: str) -> None:
    assert read_summary(answer, 10_000) == summary


def test_a_summary_that_is_too_long_keeps_both_ends() -> None:
    long = "Goal: rename\n" + "".join(f"fact number {number}\n" for number in range(500)) + "Next: edit a.py"
    kept = read_summary(Completed(Message("assistant", long), Usage()), 1_000)
    assert weigh(kept) <= 1_000
    assert kept.startswith("Goal: rename")
    assert kept.endswith("Next: edit a.py")
    assert len(read_summary(Completed(Message("assistant", "y" * 9_000), Usage()), 1_000)) <= 1_000
