import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from hearth.agent.approval import Gate
from hearth.agent.frame import Frame
from hearth.agent.session import Session
from hearth.agent.transcript import create_transcript, open_transcript
from hearth.errors import StateError
from hearth.events import Event, Failed, Finished, SessionStarted, Text, ToolCalled, ToolReturned, UsageReported
from hearth.llm.answer import Failed as ModelFailed
from hearth.llm.scripted import Line, ScriptedModel, Stall, call, say
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult
from made_session import make_session as assemble_session


class Desk:
    """Tools whose calls do what their name says."""

    def label(self, call: ToolCall) -> str:
        return call.name

    async def run(self, call: ToolCall) -> ToolResult:
        if call.name == "break":
            raise RuntimeError("a bug in a tool")
        if call.name == "full":
            raise StateError("the disk is full", "make room")
        return ToolResult("done", changed=(call.name,))


def make_session(folder: Path, lines: Sequence[Line], session: str = "s1") -> Session:
    frame = Frame(session, str(folder), "m", "standard", "be good", (), {}, 64)
    transcript = create_transcript(folder, frame, datetime.now())
    return assemble_session(ScriptedModel(lines), Gate(Desk(), "auto", None), transcript, max_steps=5, window=4096)


async def collect(session: Session, prompt: str = "go") -> list[Event]:
    return [event async for event in session.turn(prompt)]


async def test_the_order_of_events_holds(tmp_path: Path) -> None:
    session = make_session(tmp_path, [call("b.py", "{}"), call("a.py", "{}"), call("b.py", "{}"), say("done")])
    seen = await collect(session)
    assert seen[0] == SessionStarted("s1", "m", str(tmp_path), 4096)
    assert seen[-1] == Finished("completed", "done", 4, ("b.py", "a.py"), "s1")
    assert sum(isinstance(event, Finished) for event in seen) == 1
    assert not any(isinstance(event, Failed) for event in seen)
    again = await collect(session)
    assert again[0] == SessionStarted("s1", "m", str(tmp_path), 4096, resumed=True)
    await session.close()


async def test_a_failed_model_ends_with_error_and_result(tmp_path: Path) -> None:
    session = make_session(tmp_path, [ModelFailed("engine", "it died", "run: hearth logs", 4, "half")])
    seen = await collect(session)
    assert seen[-2:] == [
        Failed("engine", "it died", "run: hearth logs", 4, "half"),
        Finished("failed", "", 1, (), "s1"),
    ]
    await session.close()


async def test_what_was_said_is_told_before_a_call_runs(tmp_path: Path) -> None:
    told: list[Event] = []

    async def ask(call: ToolCall, label: str) -> bool:
        assert isinstance(told[-1], ToolCalled)
        assert told[-1].id == call.id
        return True

    frame = Frame("s1", str(tmp_path), "m", "standard", "be good", (), {}, 64)
    transcript = create_transcript(tmp_path, frame, datetime.now())
    model = ScriptedModel([call("a.py", "{}"), call("b.py", "{}"), say("done")])
    session = assemble_session(model, Gate(Desk(), "ask", ask), transcript, max_steps=5)
    async for event in session.turn("go"):
        told.append(event)
    assert told[-1] == Finished("completed", "done", 3, ("a.py", "b.py"), "s1")
    await session.close()


@pytest.mark.parametrize(("tool", "word", "code"), [("break", "RuntimeError", 1), ("full", "disk is full", 1)])
async def test_what_breaks_inside_is_an_event_too(tmp_path: Path, tool: str, word: str, code: int) -> None:
    session = make_session(tmp_path, [call(tool, "{}"), say("never"), say("on")])
    seen = await collect(session)
    failed = seen[-2]
    assert isinstance(failed, Failed)
    assert word in failed.message
    assert failed.exit_code == code
    assert isinstance(seen[-1], Finished)
    # The session goes on: the call that broke is closed first.
    assert isinstance((await collect(session))[-1], Finished)
    await session.close()


async def test_an_interrupted_turn_ends_and_can_be_resumed(tmp_path: Path) -> None:
    session = make_session(tmp_path, [Stall("I was abo")])
    seen: list[Event] = []
    async for event in session.turn("go"):
        seen.append(event)
        if isinstance(event, Text):
            session.interrupt()
    assert isinstance(seen[-2], Failed)
    assert (seen[-2].exit_code, seen[-2].partial) == (130, "I was abo")
    assert seen[-1] == Finished("failed", "I was abo", 1, (), "s1")
    await session.close()
    transcript = open_transcript(tmp_path, "s1")
    transcript.begin_turn("go on")
    assert [message.role for message in transcript.messages] == ["user", "assistant", "user"]
    assert transcript.messages[1].content.startswith("I was abo")


async def test_a_consumer_that_leaves_ends_the_turn(tmp_path: Path) -> None:
    session = make_session(tmp_path, [Stall("x"), say("next")])
    stream = session.turn("go")
    await anext(stream)
    await stream.aclose()
    seen = await collect(session)
    assert isinstance(seen[-1], Finished)
    await session.close()


async def test_turns_do_not_overlap(tmp_path: Path) -> None:
    session = make_session(tmp_path, [Stall("x")])
    stream = session.turn("go")
    await anext(stream)
    with pytest.raises(RuntimeError, match="a turn is running"):
        await anext(session.turn("again"))
    await stream.aclose()
    await session.close()
    session.interrupt()


async def test_a_limit_is_told(tmp_path: Path) -> None:
    session = make_session(tmp_path, [call("a", "{}")] * 9)
    seen = await collect(session)
    assert isinstance(seen[-2], Failed)
    assert seen[-2].exit_code == 3
    assert isinstance(seen[-1], Finished)
    assert (seen[-1].status, seen[-1].steps) == ("stopped", 5)
    assert sum(isinstance(event, UsageReported) for event in seen) == 5
    assert sum(isinstance(event, ToolReturned) for event in seen) == 5
    await session.close()


async def test_a_transcript_that_cannot_be_written_ends_the_turn(tmp_path: Path) -> None:
    session = make_session(tmp_path, [say("hi")])
    # A descriptor that is gone is as good as a disk that is full.
    session._transcript.close()
    seen = await collect(session)
    assert isinstance(seen[-2], Failed)
    assert "cannot write" in seen[-2].message
    assert isinstance(seen[-1], Finished)
    await asyncio.sleep(0)
