"""Answers that go round in circles are cut, asked again twice, and then end where they were still good."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

import pytest

from hearth.llm.answer import (
    CallDelta,
    Completed,
    Failed,
    ModelEvent,
    PrefillProgress,
    ReasoningDelta,
    Resampled,
    TextDelta,
    Truncated,
)
from hearth.llm.cut import Shears, warm
from hearth.llm.request import Request
from hearth.llm.scripted import ScriptedModel, Stall, say
from hearth.messages import Message, Usage

LINE = "I will now look at the file once more.\n"
REQUEST = Request("s", "m", {"top_p": 0.9, "temperature": 0.7}, 8192, (), (Message("user", "go"),))


@dataclass
class Stream:
    """Plays one list of events for each request, token by token, and counts how many were still wanted."""

    answers: list[Iterable[ModelEvent]]
    asked: list[Request] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(request)
        sent = 0
        try:
            for event in self.answers[len(self.asked) - 1]:
                sent += 1
                yield event
        finally:
            self.closed.append(sent)


def looping_text(times: int = 10_000) -> Iterable[ModelEvent]:
    yield PrefillProgress(10, 40, 4, 0.5)
    yield PrefillProgress(40, 40, 4, 2.0)
    yield TextDelta("I looked at it: ")
    yield from (TextDelta(word) for _ in range(times) for word in LINE.splitlines(keepends=True))


def looping_thought() -> Iterable[ModelEvent]:
    yield ReasoningDelta("The test fails. ")
    yield from (ReasoningDelta("Wait, let me look at the loop again. ") for _ in range(10_000))


def looping_call() -> Iterable[ModelEvent]:
    yield PrefillProgress(40, 40, 4, 2.0)
    yield TextDelta("I write it.")
    yield CallDelta('{"path": "a.py", "content": "')
    yield from (CallDelta("def helper():\\n    return the same value\\n") for _ in range(10_000))


def good(text: str = "done") -> list[ModelEvent]:
    return [TextDelta(text), Completed(Message("assistant", text), Usage(generated=1))]


async def listen(model: Shears) -> list[ModelEvent]:
    return [event async for event in model.answer(REQUEST)]


async def test_a_good_answer_passes_as_it_is() -> None:
    events = [ReasoningDelta("hm"), PrefillProgress(1, 1, 0, 0.0), *good()]
    stream = Stream([events])
    assert await listen(Shears(stream)) == events
    assert stream.asked == [REQUEST]


@pytest.mark.parametrize("last", [Failed("engine", "it died"), Truncated(Message("assistant", "x"), Usage())])
async def test_other_ends_pass_too(last: ModelEvent) -> None:
    assert await listen(Shears(Stream([[TextDelta("x"), last]]))) == [TextDelta("x"), last]
    assert await listen(Shears(Stream([[TextDelta("x")]]))) == [TextDelta("x")]


@pytest.mark.parametrize("loop", [looping_text, looping_thought])
async def test_a_loop_is_cut_and_asked_again_warmer(loop: type[Iterable[ModelEvent]]) -> None:
    stream = Stream([loop(), good()])  # type: ignore[call-arg]  # both take nothing
    events = await listen(Shears(stream))
    assert events[-2:] == good()
    (resampled,) = [event for event in events if isinstance(event, Resampled)]
    assert resampled.attempt == 1
    assert "the same again and again: " in resampled.reason
    # The slot is free before it is asked again, and long before the end.
    assert stream.closed[0] < 2_000
    assert [request.sampling for request in stream.asked] == [
        {"top_p": 0.9, "temperature": 0.7},
        {"top_p": 0.9, "temperature": 0.9},
    ]
    assert stream.asked[1].messages == REQUEST.messages


async def test_what_loops_three_times_ends_where_it_was_good() -> None:
    stream = Stream([looping_text(), looping_text(), looping_text()])
    events = await listen(Shears(stream))
    assert [event.attempt for event in events if isinstance(event, Resampled)] == [1, 2, 3]
    kept = f"I looked at it: {LINE}"
    told, last = events[-2:]
    assert told == TextDelta(kept)
    assert isinstance(events[-3], Resampled)
    assert isinstance(last, Completed)
    assert last.message == Message("assistant", kept)
    assert (last.usage.prompt, last.usage.reused, last.usage.new, last.usage.prefill_s) == (40, 4, 36, 2.0)
    assert last.usage.generated == stream.closed[2] - 2
    assert [request.sampling["temperature"] for request in stream.asked] == [0.7, 0.9, 1.1]


async def test_what_discarded_answers_cost_is_told_once() -> None:
    stream = Stream([looping_text(), looping_text(), looping_text()])
    events = await listen(Shears(stream))
    costs = [event.usage for event in events if isinstance(event, Resampled)]
    assert [cost.prompt for cost in costs] == [40, 40, 0]
    assert costs[0].generated == stream.closed[0] - 2
    assert isinstance(events[-1], Completed)
    assert events[-1].usage.prompt == 40


async def test_a_loop_within_a_call_is_cut_and_asked_again() -> None:
    stream = Stream([looping_call(), good()])
    events = await listen(Shears(stream))
    (resampled,) = [event for event in events if isinstance(event, Resampled)]
    assert resampled.reason.startswith("it wrote the same again and again in a call: ")
    assert resampled.usage.prompt == 40
    assert stream.closed[0] < 1_000
    assert events[-2:] == good()


async def test_a_call_that_always_loops_is_cut_and_does_not_run() -> None:
    events = await listen(Shears(Stream([looping_call(), looping_call(), looping_call()])))
    last = events[-1]
    assert isinstance(last, Truncated)
    assert last.message == Message("assistant", "I write it.")


FILES = {
    "the same line 150 times": "The quick brown fox jumps over the lazy dog.\\n" * 150,
    "a matrix of zeros": ("0, " * 64 + "\\n") * 64,
    "an empty page": "\\n" * 5_000,
    "records that are alike": '{\\"id\\": 0, \\"name\\": \\"test user\\", \\"mail\\": \\"a@example.com\\"},\\n' * 100,
    "the same function three times": "def check(value):\\n" + "    assert value is not None, value\\n" * 60,
    "a long file": "".join(f"    value_{n} = read_value({n})\\n" for n in range(2_000)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [3, 4_000])
async def test_a_file_that_repeats_itself_is_written(name: str, size: int) -> None:
    text = FILES[name]
    pieces = [CallDelta(text[at : at + size]) for at in range(0, len(text), size)]
    events = [CallDelta('{"path": "a", "content": "'), *pieces, CallDelta('"}'), *good()]
    assert await listen(Shears(Stream([events]))) == events


async def test_what_only_thought_in_circles_ends_without_a_text() -> None:
    events = await listen(Shears(Stream([looping_thought() for _ in range(3)])))
    assert isinstance(events[-2], Resampled)
    last = events[-1]
    assert isinstance(last, Completed)
    assert last.message.content == ""
    assert last.message.reasoning.startswith("The test fails. Wait, let me look")
    assert len(last.message.reasoning) < 200


def thoughts(count: int) -> Iterable[ModelEvent]:
    yield from (ReasoningDelta(f"{number} ") for number in range(count))
    yield from good()


async def test_thinking_beyond_the_budget_is_asked_again_in_brief() -> None:
    stream = Stream([thoughts(101), thoughts(100)])
    events = await listen(Shears(stream, thinking=100, brief={"reasoning_effort": "low"}))
    assert events[-1] == good()[-1]
    assert [event for event in events if isinstance(event, Resampled)] == [
        Resampled("it thought for more than 100 tokens", 1, Usage(generated=101))
    ]
    assert stream.asked[1].sampling["reasoning_effort"] == "low"
    assert "reasoning_effort" not in stream.asked[0].sampling


async def test_without_a_budget_it_may_think_for_long() -> None:
    assert not [event for event in await listen(Shears(Stream([thoughts(9_000)]))) if isinstance(event, Resampled)]


async def test_large_pieces_of_thought_count_by_their_length() -> None:
    stream = Stream([[ReasoningDelta("word " * 100)], good()])
    events = await listen(Shears(stream, thinking=100))
    assert isinstance(events[1], Resampled)


async def test_what_is_asked_again_below_does_not_count() -> None:
    half = [TextDelta(LINE) for _ in range(75)]
    events = [*half, Resampled("no call could be read", 1), *half, *good()]
    assert await listen(Shears(Stream([events]))) == events


async def test_closing_it_closes_what_is_below() -> None:
    stream = Stream([looping_text()])
    answer = Shears(stream).answer(REQUEST)
    await anext(answer)
    await answer.aclose()
    assert stream.closed == [1]


async def test_a_scripted_model_plays_through_it() -> None:
    model = ScriptedModel([say("fine"), Stall("x")])
    assert [type(event) for event in await listen(Shears(model))] == [TextDelta, Completed]


@pytest.mark.parametrize(
    ("sampling", "attempt", "temperature"),
    [
        ({"temperature": 0.0}, 1, 0.2),
        ({"temperature": 0.0}, 2, 0.4),
        ({"temperature": 1.0}, 1, 1.2),
        ({"temperature": 1.0}, 2, 1.2),
        ({"temperature": 1.5}, 1, 1.5),
        ({}, 1, 1.0),
    ],
)
def test_temperatures(sampling: dict[str, float], attempt: int, temperature: float) -> None:
    assert warm(sampling, attempt) == {"temperature": temperature}
