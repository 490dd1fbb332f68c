"""The model whose answers are mended, over a model that plays a script."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest

from hearth.llm.answer import (
    CallDelta,
    Completed,
    Failed,
    Model,
    ModelEvent,
    ReasoningDelta,
    Resampled,
    TextDelta,
    Truncated,
)
from hearth.llm.repair.cases import TOOLS
from hearth.llm.repaired import MOST_RESAMPLES, NOT_ALONE, RepairedModel, warm
from hearth.llm.request import Request
from hearth.llm.scripted import Line, ScriptedModel, call, say
from hearth.messages import Message, ToolCall, Usage

READ = '<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>'
BROKEN = '<tool_call>\n{"name": "read", "arguments": {"path": , "x"}}\n</tool_call>'
EMPTY = say("")


def request(**sampling: Any) -> Request:
    return Request("s", "m", sampling or {"temperature": 0.0}, 512, TOOLS, (Message("user", "go"),))


async def ask(*lines: Line, most: int = MOST_RESAMPLES) -> tuple[list[ModelEvent], ScriptedModel]:
    model = ScriptedModel(lines)
    return [event async for event in RepairedModel(model, most).answer(request())], model


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def completed(events: list[ModelEvent]) -> Completed:
    assert isinstance(events[-1], Completed), events[-1]
    return events[-1]


async def test_words_pass_as_they_are() -> None:
    events, _ = await ask(say("  The function returns\nearly. \n"))
    assert completed(events).message == say("  The function returns\nearly. \n")
    assert text_of(events) == "  The function returns\nearly. \n"


async def test_good_calls_pass_byte_for_byte() -> None:
    line = call("read", '{"path":  "a.py" , "limit":3}', "I look. <tool_call>")
    events, _ = await ask(line)
    assert completed(events).message == line


async def test_a_call_in_the_text_becomes_a_call_and_its_markup_is_not_shown() -> None:
    events, _ = await ask(say(f"I look first.\n{READ}\nThen I mend it."))
    message = completed(events).message
    [found] = message.tool_calls
    assert (found.name, json.loads(found.arguments), found.refusal) == ("read", {"path": "a.py"}, "")
    assert found.id.startswith("call_")
    assert "<tool_call>" not in message.content + text_of(events)
    assert "Then I mend it." in message.content
    assert text_of(events).startswith("I look first.")


async def test_each_found_call_has_an_id_of_its_own() -> None:
    events, _ = await ask(say(READ + READ.replace("a.py", "b.py")))
    one, other = completed(events).message.tool_calls
    assert one.id != other.id


async def test_an_alias_becomes_the_tool_and_keeps_its_id() -> None:
    events, _ = await ask(call("read_file", '{"file_path": "a.py"}', id="x1"))
    [found] = completed(events).message.tool_calls
    assert (found.id, found.name, found.arguments) == ("x1", "read", '{"path": "a.py"}')


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (call("web_search", '{"query": "x"}'), "unknown_tool"),
        (call("write", '{"path": "a"}'), "missing_argument"),
        (call("bash", '{"command": "ls", "timeout": "soon"}'), "wrong_type"),
        (call("bash", '{"command": "ls'), "truncated"),
        (say('[TOOL_CALLS]bash[ARGS]{"command": "rm -r /tm'), "truncated"),
    ],
)
async def test_a_call_that_must_not_run_says_why(line: Message, kind: str) -> None:
    events, _ = await ask(line)
    [found] = completed(events).message.tool_calls
    assert found.refusal.startswith(f"{kind}: ")
    assert isinstance(json.loads(found.arguments), dict)


async def test_none_of_a_message_runs_if_one_must_not() -> None:
    both = Message("assistant", "", (*call("read", '{"path": "a"}').tool_calls, *call("nope", "{}").tool_calls))
    events, _ = await ask(both)
    assert all(found.refusal for found in completed(events).message.tool_calls)


async def test_a_broken_answer_is_asked_again_warmer_and_paid_for() -> None:
    events, model = await ask(say(f"Hm.\n{BROKEN}"), EMPTY, say("Done."))
    assert [event.attempt for event in events if isinstance(event, Resampled)] == [1, 2]
    assert completed(events).message == say("Done.")
    assert [json.loads(body)["temperature"] for body in model.bodies] == [0.0, 0.1, 0.2]
    assert [json.loads(body)["messages"] for body in model.bodies] == [[{"role": "user", "content": "go"}]] * 3
    costs = [event.usage for event in events if isinstance(event, Resampled)]
    # The last one is the size of the conversation; what the others cost is told with them.
    assert [usage.prompt for usage in (*costs, completed(events).usage)] == [len(body) // 4 for body in model.bodies]
    last = max(index for index, event in enumerate(events) if isinstance(event, Resampled))
    assert text_of(events[last:]) == "Done."


async def test_a_call_that_stays_broken_is_one_precise_error() -> None:
    events, model = await ask(*[say(BROKEN)] * 7)
    assert len(model.bodies) == MOST_RESAMPLES + 1
    [found] = completed(events).message.tool_calls
    assert found.name == "read"
    assert found.arguments == "{}"
    assert found.refusal.startswith("unparseable: ")
    assert "7 times" in found.refusal
    assert completed(events).message.content == ""


async def test_markup_without_any_tool_fails_with_a_reason() -> None:
    events, _ = await ask(*[say("<tool_call>\n<tool_call>")] * 7)
    assert isinstance(events[-1], Failed)
    assert "cannot be read, 7 times in a row" in events[-1].reason
    assert events[-1].fix


@dataclass
class Broken:
    """A dialect that has no certain reading of any of its answers."""

    message: Message
    asked: int = 0

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        self.asked += 1
        yield TextDelta(self.message.content)
        yield Completed(self.message, Usage(generated=self.asked), "a header without its message")


async def hear(model: Model) -> list[ModelEvent]:
    return [event async for event in RepairedModel(model).answer(request())]


async def test_nothing_is_read_out_of_what_a_dialect_tells_as_broken() -> None:
    model = Broken(say(f"I look.\n{READ}"))
    events = await hear(model)
    assert model.asked == MOST_RESAMPLES + 1
    assert isinstance(events[-1], Failed)
    assert "7 times in a row: a header without its message" in events[-1].reason
    assert [event.usage.generated for event in events if isinstance(event, Resampled)] == [1, 2, 3, 4, 5, 6]


async def test_calls_that_a_dialect_refuses_are_asked_again_and_then_told() -> None:
    cut = ToolCall("1", "bash", "{}", "not run: the call broke off before its end; write it again, whole")
    good = ToolCall("2", "read", '{"path": "a"}')
    model = Broken(Message("assistant", "I run it.", (good, cut)))
    events = await hear(model)
    assert model.asked == MOST_RESAMPLES + 1
    found = completed(events).message
    assert found.content == "I run it."
    assert found.tool_calls == (ToolCall("2", "read", '{"path": "a"}', NOT_ALONE), cut)


async def test_a_refusal_that_comes_in_stays() -> None:
    line = Message("assistant", "", (ToolCall("1", "no_such", "{}", "not run: it is not Tuesday"),))
    events, model = await ask(line)
    assert completed(events).message == line
    assert len(model.bodies) == 1


async def test_what_is_held_back_is_told_as_part_of_a_call() -> None:
    events, _ = await ask(say(f"I look.\n{READ}"))
    assert READ.splitlines()[1] in "".join(event.text for event in events if isinstance(event, CallDelta))


async def test_an_answer_that_stays_empty_goes_to_the_guard() -> None:
    thought = Message("assistant", "", reasoning="I should look.")
    events, _ = await ask(*[thought] * 7)
    assert completed(events).message == thought
    assert sum(isinstance(event, Resampled) for event in events) == MOST_RESAMPLES


async def test_a_call_at_the_end_of_the_reasoning_runs() -> None:
    events, _ = await ask(Message("assistant", "", reasoning=f"I look.\n{READ}"))
    assert [found.name for found in completed(events).message.tool_calls] == ["read"]


async def test_a_cut_answer_stays_cut_and_loses_its_markup() -> None:
    events, _ = await ask(Truncated(say('I write.\n<tool_call>\n{"name": "write", "arguments": {"pa'), Usage(5, 0, 5)))
    assert isinstance(events[-1], Truncated)
    assert events[-1].message == say("I write.")
    assert events[-1].usage == Usage(5, 0, 5)
    assert "tool_call" not in text_of(events)


async def test_cut_while_thinking_is_asked_again_once() -> None:
    line = Truncated(Message("assistant", "", reasoning="Case 1: the input is"), Usage(generated=9))
    events, model = await ask(line, line, line)
    assert len(model.bodies) == 2
    assert isinstance(events[-1], Truncated)
    assert events[-1].usage.generated == 9
    assert [event.usage.generated for event in events if isinstance(event, Resampled)] == [9]


async def test_a_call_of_the_servers_own_that_was_cut_is_not_asked_again() -> None:
    events, model = await ask(Truncated(EMPTY, Usage()), say("never"))
    assert isinstance(events[-1], Truncated)
    assert len(model.bodies) == 1


async def test_an_answer_that_the_server_cannot_parse_is_asked_again() -> None:
    said = "the engine failed: Failed to parse input at pos 12: <|channel|>commentary?"
    events, _ = await ask(Failed("engine", said), say("Fine."))
    assert completed(events).message == say("Fine.")


async def test_a_failure_stays_one() -> None:
    failure = Failed("gateway", "the daemon does not answer", partial="So f")
    events, model = await ask(failure, say("never"))
    assert events[-1] == failure
    assert len(model.bodies) == 1


async def test_thinking_in_the_text_is_shown_as_reasoning() -> None:
    events, _ = await ask(say("<think>\nHm.\n</think>\n\nIt is four."))
    assert completed(events).message == Message("assistant", "It is four.", reasoning="Hm.")
    assert text_of(events).strip() == "It is four."
    assert "Hm." in "".join(event.text for event in events if isinstance(event, ReasoningDelta))


@pytest.mark.parametrize(
    ("sampling", "attempt", "expected"),
    [
        ({"temperature": 0.7, "top_p": 0.9}, 0, {"temperature": 0.7, "top_p": 0.9}),
        ({"temperature": 0.7, "top_p": 0.9}, 2, {"temperature": 0.9, "top_p": 0.9}),
        ({"temperature": 0.7}, 6, {"temperature": 1.0}),
        ({"temperature": 1.0}, 5, {"temperature": 1.1}),
        ({}, 1, {"temperature": 0.9}),
        ({"temperature": 0, "seed": 7}, 3, {"temperature": 0.3, "seed": 10}),
    ],
)
def test_each_attempt_is_a_little_warmer(sampling: dict[str, Any], attempt: int, expected: dict[str, Any]) -> None:
    asked = Request("s", "m", sampling, 512, TOOLS, ())
    assert warm(asked, attempt).sampling == expected
