"""A long session in windows of every size: it never overflows, never goes round in circles, and knows what it is at."""

import itertools
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from counting_model import CountingModel, body_of, check_roles
from hearth.agent.context import Context
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.loop import Turn, run_turn
from hearth.agent.transcript import create_transcript
from hearth.events import Event, Rewritten, UsageReported
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, ToolSpec
from hearth.tools.outputs import Outputs
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import longest_output
from made_session import Trusting

WINDOWS = (4_096, 8_192, 16_384, 65_536, 200_000)
STEPS = 120
PIECE = 25_600
"""Characters that each step reads: 3 MB in 120 steps."""
TASK = "Rename the module billing to invoices everywhere, keep the public names, and never touch vendor/."
OPTIONS = "It has a few options. " * 4
TOOLS = tuple(
    ToolSpec(name, f"{name} things in the project. {OPTIONS}", {"type": "object", "properties": {}})
    for name in ("read", "write", "edit", "bash", "grep")
)
KINDS: tuple[Callable[[int, int], str], ...] = (
    lambda step, n: f"def handler_{step}_{n}(request, *, retry=None):\n    return request.user\n",
    lambda step, n: f"2026-11-{step % 28:02d}T08:{n % 60:02d}:11 {n * 7919} 0x{n * 104729:08x}\n",
    lambda step, n: f"The invoice of customer {n} was sent on a sunny day and paid in full.\n",
    lambda step, n: f"{'Zm9vYmFyQmF6' * 6}{n}\n",
)


class Reader:
    """Tools that read a lot; what they give is cut at birth as the real ones do."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self.read = self.step = 0

    def label(self, call: ToolCall) -> str:
        return call.name

    async def run(self, call: ToolCall) -> ToolResult:
        line = KINDS[self.step % len(KINDS)]
        whole = "".join(line(self.step, number) for number in range(PIECE // 30))[:PIECE]
        self.step += 1
        self.read += len(whole)
        return ToolResult(self._outputs.cut(whole))


class Worker:
    """Decides something at each step, reads on; asked for a summary it gives what it finds in its prompt."""

    def __init__(self, summarise: Callable[[Request], Message], written: int, every: int) -> None:
        """``written``: lines of each file that it writes, at each step that ``every`` divides."""
        self.step = self.summaries = 0
        self._summarise = summarise
        self._written = written
        self._every = every

    def __call__(self, request: Request) -> Message:
        if "about to be shortened" in request.messages[-1].content:
            self.summaries += 1
            return self._summarise(request)
        self.step += 1
        if self.step > STEPS:
            return Message("assistant", "done")
        call = ToolCall("c", "read", '{"path": "src/a.py"}')
        if self.step % self._every == 0:
            path = f"src/part{self.step}.py"
            call = ToolCall("c", "write", json.dumps({"path": path, "content": "x = 1\n" * self._written}))
        return Message("assistant", f"Decision {self.step}: part {self.step} is renamed.", (call,))


def good_summary(request: Request) -> Message:
    found = dict.fromkeys(re.findall(r"Decision \d+", "\n".join(m.content for m in request.messages[1:-1])))
    return Message("assistant", "Goal: rename billing\nDecisions: " + ", ".join(list(found)[-12:]) + "\nNext: go on")


def no_summary(request: Request) -> Message:
    return Message("assistant", "")


def a_call(request: Request) -> Message:
    return Message("assistant", "I go on.", (ToolCall("c", "read", "{}"),))


def endless(request: Request) -> Message:
    return Message("assistant", "and then " * 20_000)


async def work(
    folder: Path, window: int, summarise: Callable[[Request], Message], told: bool = True, every: int = 10
) -> tuple[CountingModel, list[Event], Turn, Reader]:
    frame = Frame("s", str(folder), "m", "standard", "You are hearth. " * 20, TOOLS, {"temperature": 0.7}, 8192)
    transcript = create_transcript(folder, frame, datetime.now())
    outputs = Outputs(folder / "outputs", longest_output(window))
    model, seen, turn, tools = (
        CountingModel(window, Worker(summarise, window // 200, every)),
        list[Event](),
        Turn(),
        Reader(outputs),
    )
    context = Context(transcript, model, seen.append, window=window if told else 0, keep=outputs.keep)
    transcript.begin_turn(TASK)
    await run_turn(FittedModel(model, context), tools, context, Trusting(), seen.append, STEPS + 5, turn)
    transcript.close()
    return model, seen, turn, tools


def check_append_only(requests: list[Request], seen: list[Event]) -> None:
    """Each request begins with the one before, byte for byte, unless a rewrite was told between the two."""
    bodies = iter([body_of(request)[:-2] for request in requests])
    earlier, rewritten = b"", False
    for event in seen:
        rewritten = rewritten or isinstance(event, Rewritten)
        if isinstance(event, UsageReported):
            later = next(bodies)
            assert rewritten or later.startswith(earlier)
            earlier, rewritten = later, False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "summarise", "every"),
    [
        *((window, good_summary, 10) for window in WINDOWS),
        *((window, no_summary, 1) for window in WINDOWS),
        *((8_192, summarise, 3) for summarise in (good_summary, a_call, endless)),
    ],
)
async def test_a_session_of_three_megabytes(
    tmp_path: Path, window: int, summarise: Callable[[Request], Message], every: int
) -> None:
    model, seen, turn, tools = await work(tmp_path, window, summarise, every=every)
    assert (turn.status, turn.failure, tools.read >= 3_000_000) == ("completed", None, True)
    assert model.refused == 0
    rewrites = [event for event in seen if isinstance(event, Rewritten)]
    assert rewrites
    assert all(event.after < event.before for event in rewrites)
    # No compaction follows another at once: between two there are steps that were taken.
    asked = ["about to be shortened" in request.messages[-1].content for request in model.requests]
    assert not any(first and second for first, second in itertools.pairwise(asked))
    for request in model.requests:
        assert request.max_tokens >= 256 or request.messages[-1].content.startswith("Stop here")
    work_requests = [request for request, summary in zip(model.requests, asked, strict=True) if not summary]
    assert len(work_requests) == STEPS + 1
    for number, request in enumerate(work_requests, 1):
        check_roles(request.messages[1:])
        prompt = "\n".join(message.content for message in request.messages)
        assert TASK in prompt
        for step in range(max(1, number - 5), number):
            assert f"Decision {step}" in prompt
    check_append_only(work_requests, seen)


async def test_a_window_that_nobody_told_is_learned_from_the_first_refusal(tmp_path: Path) -> None:
    model, _, turn, _ = await work(tmp_path, 16_384, good_summary, told=False)
    assert (turn.status, turn.failure) == ("completed", None)
    assert model.refused == 1
