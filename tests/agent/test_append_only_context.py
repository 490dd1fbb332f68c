"""The append-only rule through a context that shrinks: only what is told as a rewrite changes what was sent."""

import asyncio
import json
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counting_model import CountingModel, body_of, check_roles
from hearth.agent.context import Context
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.loop import Turn, run_turn
from hearth.agent.transcript import Transcript, create_transcript, open_transcript
from hearth.errors import LimitReached
from hearth.events import Event, Rewritten, UsageReported
from hearth.llm.request import Request
from hearth.llm.scripted import say
from hearth.messages import Message, ToolCall
from hearth.tools.tool import ToolResult

SIZES = st.lists(st.lists(st.integers(0, 9_000), min_size=1, max_size=3), max_size=25)
DOINGS = st.lists(st.sampled_from(["", "", "", "retry", "restart"]), min_size=25, max_size=25)


class Giving:
    """Tools that give as many characters as they are asked for."""

    def label(self, call: ToolCall) -> str:
        return call.name

    async def run(self, call: ToolCall) -> ToolResult:
        return ToolResult("word " * (json.loads(call.arguments)["size"] // 5))


class Doing:
    """A guard that now and then changes the course."""

    def __init__(self, context: Context, doings: list[str]) -> None:
        self._context = context
        self._doings = iter(doings)

    def rest(self, message: Message) -> str:
        return ""

    async def look(self) -> str:
        doing = next(self._doings, "")
        if doing == "restart":
            await self._context.restart("again\nwith care")
        elif doing == "retry":
            self._context.retry()
        return ""


class Player:
    """Makes the calls it is told to; sums up when asked."""

    def __init__(self, sizes: list[list[int]]) -> None:
        self._sizes = iter(sizes)

    def __call__(self, request: Request) -> Message:
        if "about to be shortened" in request.messages[-1].content:
            return say("Goal: go on with what was begun.\nNext: the next part.")
        sizes = next(self._sizes, None)
        if sizes is None:
            return say("done")
        calls = (ToolCall(f"c{n}", "read", json.dumps({"size": size})) for n, size in enumerate(sizes))
        return Message("assistant", "I read on.", tuple(calls))


async def play(home: Path, window: int, told: bool, turns: list[list[list[int]]], doings: list[str]) -> None:
    transcript: Transcript | None = None
    for number, sizes in enumerate(turns):
        frame = Frame("s", "/p", "m", "standard", "be good", (), {"temperature": 0.5}, 512)
        transcript = open_transcript(home, "s") if transcript else create_transcript(home, frame, datetime.now())
        model, seen, turn = CountingModel(window, Player(sizes)), list[Event](), Turn()
        context = Context(transcript, model, seen.append, window=window if told else 0)
        transcript.begin_turn(f"Read part {number}.")
        try:
            await run_turn(
                FittedModel(model, context), Giving(), context, Doing(context, doings), seen.append, 30, turn
            )
        except LimitReached:
            transcript.close()
            return
        transcript.close()
        assert model.refused == 0 or not told
        check(model, seen)


def check(model: CountingModel, seen: list[Event]) -> None:
    """What came before stays, but after a rewrite; what is sent is a conversation."""
    sent = [request for request in model.requests if "about to be shortened" not in request.messages[-1].content]
    requests, earlier, rewritten = iter(sent), b"", False
    for event in seen:
        rewritten = rewritten or isinstance(event, Rewritten)
        if isinstance(event, UsageReported):
            request = next(requests)
            check_roles(request.messages[1:])
            assert request.messages[1].content.startswith("Read part 0.")
            body = body_of(request)[:-2]
            # A window that is learned is learned while the step runs: its rewrite is told before the step's usage.
            assert rewritten or body.startswith(earlier)
            earlier, rewritten = body, False


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.sampled_from([4_096, 8_192, 16_384]), st.booleans(), st.lists(SIZES, min_size=1, max_size=3), DOINGS)
def test_only_what_is_told_as_a_rewrite_changes_what_was_sent(
    window: int, told: bool, turns: list[list[list[int]]], doings: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(play(Path(home), window, told, turns, doings))
