import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from hearth.agent import loop
from hearth.agent.context import Context
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.loop import CUT_NOTE, INTERRUPTED, MOST_CUTS, NOT_RUN, Turn, run_turn
from hearth.agent.transcript import Transcript, create_transcript
from hearth.events import Event, Progress, Rewritten, Text, ToolCalled, ToolReturned, UsageReported
from hearth.llm.answer import Failed, ModelEvent, PrefillProgress, Truncated, Waiting
from hearth.llm.cut import Shears
from hearth.llm.repaired import RepairedModel
from hearth.llm.request import Request
from hearth.llm.scripted import Line, ScriptedModel, Stall, call, say
from hearth.messages import Message, ToolCall, Usage
from hearth.tools.tool import ToolResult
from made_session import Trusting


class Desk:
    """Tools that note what was run; a call named ``hang`` never returns."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.hangs = asyncio.Event()

    def label(self, call: ToolCall) -> str:
        return f"label of {call.name}"

    async def run(self, call: ToolCall) -> ToolResult:
        self.ran.append(call.name)
        if call.name == "hang":
            self.hangs.set()
            await asyncio.Event().wait()
        return ToolResult(f"did {call.name}", for_person="short", changed=("b.py", "a.py"))


@pytest.fixture
def history(tmp_path: Path) -> Transcript:
    frame = Frame("s1", str(tmp_path), "m", "standard", "be good", (), {}, 64)
    return create_transcript(tmp_path, frame, datetime.now())


async def play(
    lines: Sequence[Line], history: Transcript, max_steps: int = 10
) -> tuple[Turn, list[Event], Desk, ScriptedModel]:
    model, desk, turn, seen = ScriptedModel(lines), Desk(), Turn(), list[Event]()
    history.begin_turn("go")
    await run_turn(model, desk, Context(history), Trusting(), seen.append, max_steps, turn)
    return turn, seen, desk, model


def roles(history: Transcript) -> list[str]:
    return [message.role for message in history.messages]


async def test_runs_tools_until_the_model_rests(history: Transcript) -> None:
    turn, seen, desk, _ = await play([call("read", "{}", "I look"), say("all done")], history)
    assert (turn.status, turn.text, turn.steps, list(turn.changed)) == ("completed", "all done", 2, ["b.py", "a.py"])
    assert desk.ran == ["read"]
    assert roles(history) == ["user", "assistant", "tool", "assistant"]
    assert [type(event) for event in seen] == [Text, UsageReported, ToolCalled, ToolReturned, Text, UsageReported]
    returned = next(event for event in seen if isinstance(event, ToolReturned))
    assert (returned.text, returned.shown, returned.failed) == ("did read", "short", False)


async def test_what_discarded_answers_cost_is_told_and_no_size_of_the_conversation(history: Transcript) -> None:
    model, turn, seen = ScriptedModel([say("")] * 6 + [say("all done")]), Turn(), list[Event]()
    history.begin_turn("go " * 600)
    # A window that one request fills by a quarter; seven of them would fill it twice.
    context = Context(history, None, seen.append, window=2_048)
    await run_turn(
        FittedModel(Shears(RepairedModel(model)), context), Desk(), context, Trusting(), seen.append, 5, turn
    )
    assert (turn.status, turn.text) == ("completed", "all done")
    assert len(model.bodies) == 7
    reported = [event for event in seen if isinstance(event, UsageReported)]
    assert [(event.step, event.usage.prompt) for event in reported] == [(1, len(body) // 4) for body in model.bodies]
    assert context.used == sum((reported[-1].usage.prompt, reported[-1].usage.generated))
    await context.prepare()
    assert not [event for event in seen if isinstance(event, Rewritten)]
    # Each is told right before it is asked again.
    order = [type(event) for event in seen if isinstance(event, UsageReported | Progress)]
    assert order == [UsageReported, Progress] * 6 + [UsageReported]


async def test_the_tool_message_is_the_result_and_nothing_more(history: Transcript) -> None:
    await play([call("read", "{}", id="c7"), say("done")], history)
    assert history.messages[2] == Message("tool", "did read", tool_call_id="c7")


async def test_a_truncated_answer_never_runs_a_call(history: Transcript) -> None:
    cut = Truncated(Message("assistant", "I write", (ToolCall("c", "write", '{"path": "a", "content": "ha'),)), Usage())
    turn, _, desk, model = await play([cut, say("smaller")], history)
    assert desk.ran == []
    assert turn.status == "completed"
    assert history.messages[1] == Message("assistant", "I write")
    assert history.messages[2] == Message("user", CUT_NOTE.format(limit=64))
    assert b"tool_calls" not in model.bodies[1]


async def test_answers_cut_again_and_again_stop_the_turn(history: Transcript) -> None:
    cut = Truncated(Message("assistant", ""), Usage())
    turn, _, desk, _ = await play([cut] * 9, history)
    assert (turn.status, turn.steps, desk.ran) == ("stopped", MOST_CUTS, [])
    assert turn.failure
    assert turn.failure.exit_code == 3
    assert roles(history)[-1] == "assistant"


async def test_cuts_with_an_answer_between_them_do_not_stop_the_turn(history: Transcript) -> None:
    cuts = [Truncated(Message("assistant", ""), Usage())] * (MOST_CUTS - 1)
    turn, _, _, _ = await play([*cuts, call("read", "{}"), *cuts, say("done")], history)
    assert turn.status == "completed"


async def test_a_call_is_noted_before_it_runs_and_its_result_after(history: Transcript) -> None:
    kinds: list[list[str]] = []

    class Witness(Desk):
        async def run(self, call: ToolCall) -> ToolResult:
            kinds.append([json.loads(line)["type"] for line in history.path.read_bytes().splitlines()])
            return await super().run(call)

    history.begin_turn("go")
    await run_turn(
        ScriptedModel([call("read", "{}"), call("read", "{}"), say("")]),
        Witness(),
        Context(history),
        Trusting(),
        print,
        9,
        Turn(),
    )
    assert [kind[-3:] for kind in kinds] == [["usage", "message", "call"]] * 2
    assert kinds[1].count("result") == 1


async def test_stops_at_the_limit_of_steps(history: Transcript) -> None:
    turn, _, desk, _ = await play([call("read", "{}")] * 9, history, max_steps=3)
    assert (turn.status, turn.steps, desk.ran) == ("stopped", 3, ["read"] * 3)
    assert turn.failure
    assert turn.failure.exit_code == 3
    assert roles(history)[-1] == "tool"


async def test_a_failed_stream_ends_the_turn_with_its_reason(history: Transcript) -> None:
    failed = Failed("engine", "it died", "run: hearth logs", 4, "so far")
    turn, _, _, _ = await play([failed], history)
    assert turn.status == "failed"
    assert turn.failure
    assert (turn.failure.source, turn.failure.message, turn.failure.partial) == ("engine", "it died", "so far")


async def test_unreadable_arguments_reach_the_tools_raw_and_the_history_tame(history: Transcript) -> None:
    await play([call("read", '{"path": '), say("done")], history)
    assert history.messages[1].tool_calls[0].arguments == '{"unreadable": "{\\"path\\": "}'


async def test_cancelled_in_a_tool_every_call_has_a_result(history: Transcript) -> None:
    calls = tuple(ToolCall(f"c{number}", name, "{}") for number, name in enumerate(("read", "hang", "read")))
    model, desk, turn, seen = ScriptedModel([Message("assistant", "", calls)]), Desk(), Turn(), list[Event]()
    history.begin_turn("go")
    task = asyncio.create_task(run_turn(model, desk, Context(history), Trusting(), seen.append, 10, turn))
    await desk.hangs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [message.content for message in history.messages[2:]] == ["did read", INTERRUPTED, NOT_RUN]
    assert [message.tool_call_id for message in history.messages[2:]] == ["c0", "c1", "c2"]
    assert isinstance(seen[-1], ToolReturned)


async def test_cancelled_while_the_model_speaks_the_history_is_whole(history: Transcript) -> None:
    model, turn, seen = ScriptedModel([Stall("I am abo")]), Turn(), asyncio.Queue[Event]()
    history.begin_turn("go")
    task = asyncio.create_task(run_turn(model, Desk(), Context(history), Trusting(), seen.put_nowait, 10, turn))
    assert await seen.get() == Text("I am abo")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert turn.text == "I am abo"
    assert roles(history) == ["user"]


async def test_waiting_and_prefill_are_told(history: Transcript) -> None:
    class Slow:
        async def answer(self, request: Request):  # type: ignore[no-untyped-def]  # its events are below
            pieces: list[ModelEvent] = [Waiting("loading", "loading pilot 2 s"), PrefillProgress(600, 1000, 200, 2.0)]
            for piece in pieces:
                yield piece

    turn, seen = Turn(), list[Event]()
    history.begin_turn("go")
    await run_turn(Slow(), Desk(), Context(history), Trusting(), seen.append, 10, turn)
    assert seen == [Progress("loading", note="loading pilot 2 s"), Progress("prefill", 600, 1000, 2.0)]
    assert turn.failure
    assert "final event" in turn.failure.message


def test_the_loop_stays_small() -> None:
    assert len(Path(loop.__file__).read_text().splitlines()) <= 200
