"""The history within its window: what it does when, and what it says of it."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import pytest

from counting_model import CountingModel, body_of
from hearth.agent.context import MOST_BARREN, WARMER, Context
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.transcript import Transcript, create_transcript, open_transcript
from hearth.errors import LimitReached, Unavailable
from hearth.events import Event, Progress, Rewritten
from hearth.llm.answer import Completed, Failed, ModelEvent, Resampled
from hearth.llm.request import Request
from hearth.llm.scripted import ScriptedModel, say
from hearth.messages import Message, ToolCall, Usage
from hearth.tools.tool import ToolResult

SHORT = 350
"""Characters of a result that is too short to be masked."""
SUMMARY = "Goal: count the words of every file.\nNext: read on with part 9."


@pytest.fixture
def transcript(tmp_path: Path) -> Iterator[Transcript]:
    frame = Frame("s", str(tmp_path), "m", "standard", "be good", (), {"temperature": 0.7}, 2_048)
    made = create_transcript(tmp_path, frame, datetime.now())
    made.begin_turn("Count the words.")
    yield made
    made.close()


def take_step(context: Context, number: int, size: int = 3_000) -> None:
    call = ToolCall(f"c{number}", "read", f'{{"path": "part{number}.txt"}}')
    context.add(Message("assistant", f"I read part {number}.", (call,)))
    context.begin_call(call)
    context.end_call(call, ToolResult("word " * (size // 5)), 0.1)


def summing(request: Request) -> Message:
    return say(SUMMARY)


class Spy:
    """A context with a counting model, and what it told."""

    def __init__(self, transcript: Transcript, window: int, play: Callable[[Request], Message] = summing) -> None:
        self.model = CountingModel(window, play)
        self.told: list[Event] = []
        self.context = Context(transcript, self.model, self.told.append, window=window)

    @property
    def rewrites(self) -> list[Rewritten]:
        return [event for event in self.told if isinstance(event, Rewritten)]


async def test_without_a_window_nothing_is_changed(transcript: Transcript) -> None:
    context = Context(transcript)
    for number in range(30):
        take_step(context, number)
    assert await context.prepare() == transcript.request()
    assert context.window == 0


async def test_answers_are_clamped_to_what_is_left(transcript: Transcript) -> None:
    spy = Spy(transcript, 4_096)
    assert (await spy.context.prepare()).max_tokens == 2_048
    take_step(spy.context, 1, 6_000)
    clamped = (await spy.context.prepare()).max_tokens
    assert 512 <= clamped < 2_048
    assert clamped <= 4_096 - spy.context.used
    assert spy.rewrites == []


async def test_old_results_are_masked_in_one_batch(transcript: Transcript, tmp_path: Path) -> None:
    kept: list[str] = []
    told: list[Event] = []
    context = Context(transcript, None, told.append, window=16_384, keep=lambda text: kept.append(text) or "output:1")
    number = 0
    while not told:
        number += 1
        take_step(context, number)
        await context.prepare()
    (event,) = told
    assert isinstance(event, Rewritten)
    assert (event.kind, event.note) == ("mask", f"{len(kept)} old results left out")
    assert len(kept) >= 3
    assert event.after < event.before * 0.8
    assert event.after == context.used


async def test_the_summary_is_asked_as_a_suffix_of_what_was_sent(transcript: Transcript) -> None:
    spy = Spy(transcript, 4_096)
    sent: list[Request] = []
    for number in range(1, 90):
        take_step(spy.context, number, SHORT)
        sent.append(await spy.context.prepare())
        if spy.rewrites:
            break
    (asked,) = spy.model.requests
    assert body_of(asked).startswith(body_of(sent[-2])[:-2])
    (event,) = spy.rewrites
    assert (event.kind, event.note) == ("compaction", "summary by the model")
    assert event.after <= event.before * 0.7
    assert SUMMARY in sent[-1].messages[1].content
    assert any(isinstance(event, Progress) and event.phase == "compaction" for event in spy.told)


@pytest.mark.parametrize(
    "play",
    [
        lambda request: say(""),
        lambda request: Message("assistant", "", (ToolCall("c", "read", "{}"),)),
        lambda request: say("and then " * 5_000),
    ],
    ids=["empty", "call", "endless"],
)
async def test_code_sums_up_where_the_model_does_not(
    transcript: Transcript, play: Callable[[Request], Message]
) -> None:
    spy = Spy(transcript, 4_096, play)
    for number in range(1, 90):
        take_step(spy.context, number, SHORT)
        request = await spy.context.prepare()
        if spy.rewrites:
            break
    assert [event.note for event in spy.rewrites] == ["summary by code, the model gave none"]
    assert "- read part12.txt: word word" in request.messages[1].content


async def test_reading_again_is_told_in_seconds(transcript: Transcript) -> None:
    spy = Spy(transcript, 4_096)
    spy.context.add_usage(Usage(100, 0, 100, 10, 1.0, 1.0))
    for number in range(1, 4):
        take_step(spy.context, number, 4_500)
        await spy.context.prepare()
    event = spy.rewrites[0]
    # The engine read 100 tokens in a second; system text and tools need not be read again.
    assert 0 < event.read_s <= event.after / 100


async def test_what_cannot_fit_stops_with_what_is_the_largest(transcript: Transcript, tmp_path: Path) -> None:
    frame = Frame("t", str(tmp_path), "m", "standard", "be good " * 900, (), {}, 512)
    other = create_transcript(tmp_path, frame, datetime.now())
    other.begin_turn("go")
    with pytest.raises(LimitReached, match=r"cannot be shortened to fit 1,024 tokens.*is: system"):
        await Context(other, window=1_024).prepare()
    assert [message.content for message in other.messages] == ["go"]
    other.close()


async def test_a_prompt_beyond_the_window_is_cut_and_kept(tmp_path: Path) -> None:
    made = create_transcript(tmp_path, Frame("b", "/p", "m", "standard", "be good", (), {}, 512), datetime.now())
    made.begin_turn("Sum this up:\n" + "word " * 20_000 + "\nin one line, please.")
    kept: list[str] = []
    told: list[Event] = []
    context = Context(made, None, told.append, window=4_096, keep=lambda text: kept.append(text) or "output:1")
    request = await context.prepare()
    assert request.messages[1].content.startswith("Sum this up:\n")
    assert request.messages[1].content.endswith("in one line, please.\n[the whole is in output:1]")
    assert context.used < 3_000
    assert len(kept[0]) > 100_000
    assert [type(event) for event in told] == [Progress, Rewritten]
    made.close()


async def test_compactions_without_a_step_between_them_end(transcript: Transcript) -> None:
    spy = Spy(transcript, 4_096)

    async def fill() -> None:
        for number in range(50):
            # What one answer brings fills the window again at once.
            take_step(spy.context, number, 30_000)
            await spy.context.prepare()

    with pytest.raises(LimitReached, match="times in a row"):
        await fill()
    assert MOST_BARREN <= len(spy.rewrites) <= MOST_BARREN + 2


async def test_a_fresh_start_keeps_task_and_note(transcript: Transcript) -> None:
    spy = Spy(transcript, 16_384)
    for number in range(5):
        take_step(spy.context, number)
    await spy.context.restart("You read the same files again.\nChange something.")
    request = await spy.context.prepare()
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.messages[1].content.startswith("Count the words.\n")
    assert "You read the same files again.\nChange something." in request.messages[1].content
    assert [event.kind for event in spy.rewrites] == ["restart"]
    assert spy.model.requests == []


async def test_a_step_is_taken_back_and_asked_again_warmer(transcript: Transcript) -> None:
    spy = Spy(transcript, 16_384)
    take_step(spy.context, 1)
    before = await spy.context.prepare()
    take_step(spy.context, 2)
    spy.context.retry()
    again = await spy.context.prepare()
    assert again.messages == before.messages
    assert again.sampling == {"temperature": pytest.approx(0.7 + WARMER)}
    spy.context.add_usage(Usage(prompt=900, generated=10))
    assert (await spy.context.prepare()).sampling == {"temperature": 0.7}
    assert [event.kind for event in spy.rewrites] == ["retry"]


async def test_there_is_nothing_to_take_back_before_the_first_step(transcript: Transcript) -> None:
    spy = Spy(transcript, 16_384)
    spy.context.retry()
    assert spy.rewrites == []
    spy.context.add(say("I am done."))
    spy.context.add(Message("user", "Are you?"))
    spy.context.retry()
    assert [message.content for message in transcript.messages] == ["Count the words."]


async def test_a_resumed_session_goes_on_with_what_it_measured(tmp_path: Path) -> None:
    first = create_transcript(tmp_path, Frame("r", "/p", "m", "standard", "", (), {}, 64), datetime.now())
    first.begin_turn("go")
    context = Context(first, window=16_384)
    context.add_usage(Usage(prompt=777, generated=23))
    context.add(say("done"))
    assert context.used == 800
    first.close()
    again = open_transcript(tmp_path, "r")
    assert Context(again, window=16_384).used == 800
    again.close()


async def test_a_server_that_cuts_in_silence_is_told_and_obeyed(transcript: Transcript) -> None:
    told: list[Event] = []
    context = Context(transcript, None, told.append)
    take_step(context, 1, 30_000)
    context.add_usage(Usage(prompt=6_100, generated=20))
    take_step(context, 2, 30_000)
    context.add_usage(Usage(prompt=2_000, generated=48))
    assert context.window == 2_048
    assert "cuts long conversations" in str(told)


class Refusing:
    """Refuses everything, and names a window."""

    def __init__(self, window: int) -> None:
        self._window = window

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        yield Failed("engine", "too long", asked=9_000, window=self._window)


async def collect(model: FittedModel, request: Request) -> list[ModelEvent]:
    return [event async for event in model.answer(request)]


async def test_a_refusal_is_mended_and_asked_again(transcript: Transcript) -> None:
    model = CountingModel(4_096, summing)
    context = Context(transcript, model)
    for number in range(8):
        take_step(context, number)
    seen = await collect(FittedModel(model, context), await context.prepare())
    assert [type(event) for event in seen] == [Resampled, Completed]
    assert (model.refused, context.window) == (1, 4_096)


async def test_what_is_refused_for_ever_fails(transcript: Transcript) -> None:
    context = Context(transcript)
    take_step(context, 1)
    seen = await collect(FittedModel(Refusing(4_096), context), await context.prepare())
    assert isinstance(seen[-1], Failed)
    assert sum(isinstance(event, Resampled) for event in seen) <= 3


async def test_who_watches_hears_of_requests_that_do_not_fit_though_they_were_shortened(transcript: Transcript) -> None:
    class Lying(Refusing):
        """Accepts what it is asked after so many refusals."""

        left = 3

        async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
            self.left -= 1
            async with aclosing(super().answer(request)) as refusals:
                async for event in refusals:
                    yield event if self.left >= 0 else Completed(say("done"), Usage())

    context = Context(transcript)
    for number in range(8):
        take_step(context, number)
    model, heard = FittedModel(Lying(8_192), context), list[int]()
    model.overflowed = lambda: heard.append(context.used)
    seen = await collect(model, await context.prepare())
    # The first refusal says how large the window is; the two after it are about what had been made to fit.
    assert isinstance(seen[-1], Completed)
    assert len(heard) == 2
    await collect(model, await context.prepare())
    assert len(heard) == 2


async def test_what_cannot_fit_fails_with_its_reason(transcript: Transcript) -> None:
    class Tiny:
        async def answer(self, request: Request):  # an async generator of events
            yield Failed("engine", "too long", asked=9_000, window=16)

    context = Context(transcript)
    take_step(context, 1)
    (failed,) = await collect(FittedModel(Refusing(16), context), await context.prepare())
    assert isinstance(failed, Failed)
    assert failed.exit_code == 3
    assert "cannot be shortened" in failed.reason


async def test_a_window_is_asked_for_once_the_model_is_loaded(transcript: Transcript) -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(1)
        if len(asked) > 1:
            raise Unavailable("nobody answers")
        return 8_192

    context = Context(transcript)
    model = FittedModel(ScriptedModel([say("one"), say("two")]), context, ask)
    for _ in range(2):
        await collect(model, transcript.request())
    assert (context.window, asked) == (8_192, [1])
    other = Context(transcript)
    assert len(await collect(FittedModel(ScriptedModel([say("one")]), other, ask), transcript.request())) == 2
    assert other.window == 0


@pytest.mark.parametrize("real", [4_096, 16_384])
async def test_a_window_that_was_only_planned_is_put_right_by_the_first_answer(
    transcript: Transcript, real: int
) -> None:
    async def ask() -> int:
        return real

    context = Context(transcript, window=8_192)
    model = FittedModel(ScriptedModel([say("one")]), context, ask)
    await collect(model, await context.prepare())
    assert context.window == real


async def test_a_planned_window_that_is_refused_is_put_right_before_the_answer(transcript: Transcript) -> None:
    async def ask() -> int:
        return 4_096

    model = CountingModel(4_096, summing)
    context = Context(transcript, model, window=65_536)
    for number in range(8):
        take_step(context, number)
    seen = await collect(FittedModel(model, context, ask), await context.prepare())
    assert [type(event) for event in seen] == [Resampled, Completed]
    assert (model.refused, context.window) == (1, 4_096)


async def test_other_failures_pass(transcript: Transcript) -> None:
    failed = Failed("engine", "it died")
    model = FittedModel(ScriptedModel([failed]), Context(transcript))
    assert await collect(model, transcript.request()) == [failed]
