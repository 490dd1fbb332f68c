"""Ask the model, run the tools, again. At most 200 lines, for ever: a feature goes elsewhere.

The history grows only through plain synchronous calls, so that a cancellation can come before or after a change, never
within one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from hearth import events
from hearth.llm.answer import (
    Completed,
    Failed,
    Final,
    Model,
    PrefillProgress,
    ReasoningDelta,
    Resampled,
    TextDelta,
    Truncated,
    Waiting,
)
from hearth.llm.repair import tame_calls
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, Usage
from hearth.tools.tool import ToolResult

MOST_CUTS = 3
"""Answers cut at the token limit, one after the other, after which the turn stops."""
CUT_NOTE = (
    "Your last answer was cut off at the limit of {limit} tokens, and no tool was run. Answer again in smaller pieces: "
    "write long files in parts, make one small edit at a time."
)
INTERRUPTED = "interrupted by the user while this ran: look before you run it again"
NOT_RUN = "not run: the turn was interrupted before"

Emit = Callable[[events.Event], None]


class Tools(Protocol):
    """What the model may call. ``run`` MUST NOT raise for what the model wrote."""

    def label(self, call: ToolCall) -> str:
        """The call in a few words for a person."""
        ...

    async def run(self, call: ToolCall) -> ToolResult:
        """Run a call."""
        ...


class History(Protocol):
    """What was said so far. It only grows, but for what ``prepare`` tells of as an event; each method returns when its
    change would outlive this process, those of a call when it would outlive a loss of power."""

    async def prepare(self) -> Request:
        """The next request: everything said so far, made to fit the window. Raises LimitReached if it cannot."""
        ...

    def add(self, message: Message) -> None:
        """Append a message of the model or the user."""
        ...

    def begin_call(self, call: ToolCall) -> None:
        """Note that a call is about to run."""
        ...

    def end_call(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        """Append a call's result."""
        ...

    def add_usage(self, usage: Usage) -> None:
        """Note what a step cost."""
        ...


class Guard(Protocol):
    """Watches a turn for what goes round in circles."""

    def rest(self, message: Message) -> str:
        """What to say to a model that ends its turn with this message; empty when it may."""
        ...

    async def look(self) -> str:
        """Called after the calls of each step, and after a nudge; may mend the course. Why the turn must stop, empty
        to go on."""
        ...


@dataclass(slots=True)
class Turn:
    """How far a turn has come; it is filled while the turn runs, so that an interrupted one can still be told of."""

    status: events.Status = "failed"
    text: str = ""
    steps: int = 0
    failure: events.Failed | None = None
    changed: dict[str, None] = field(default_factory=dict)


async def run_turn(
    model: Model, tools: Tools, history: History, guard: Guard, emit: Emit, max_steps: int, turn: Turn
) -> None:
    """Take steps until the model rests, fails, or a limit is reached; the outcome is in ``turn``.

    Cancelled, it leaves a history in which every call has a result, and raises CancelledError.
    """
    cuts = 0
    while turn.steps < max_steps:
        request = await history.prepare()
        turn.steps += 1
        turn.text = ""
        answer = await step(model, request, emit, turn)
        if isinstance(answer, Failed):
            turn.failure = events.Failed(answer.source, answer.reason, answer.fix, answer.exit_code, answer.partial)
            return
        history.add_usage(answer.usage)
        emit(events.UsageReported(turn.steps, answer.usage))
        if isinstance(answer, Truncated):
            cuts += 1
            # The cut answer stays, without its calls: what was generated is already in the engine's KV state.
            history.add(Message("assistant", answer.message.content or "[cut off]"))
            if cuts == MOST_CUTS:
                _stop(turn, f"the model's answer was cut at {request.max_tokens} tokens {cuts} times in a row")
                return
            history.add(Message("user", CUT_NOTE.format(limit=request.max_tokens)))
            continue
        cuts = 0
        history.add(tame_calls(answer.message))
        if answer.message.tool_calls:
            await _run_calls(answer.message.tool_calls, tools, history, emit, turn)
        elif nudge := guard.rest(answer.message):
            history.add(Message("user", nudge))
        else:
            turn.status = "completed"
            return
        if why := await guard.look():
            _stop(turn, why)
            return
    _stop(turn, f"the turn stopped after {max_steps} {'step' if max_steps == 1 else 'steps'}")


async def step(model: Model, request: Request, emit: Emit, turn: Turn) -> Final:
    """One answer of the model, told as it comes; ``turn.text`` grows with it."""
    async with aclosing(model.answer(request)) as stream:
        async for event in stream:
            match event:
                case TextDelta(text):
                    turn.text += text
                    emit(events.Text(text))
                case ReasoningDelta(text):
                    emit(events.Reasoning(text))
                case PrefillProgress(done, total):
                    emit(events.Progress("prefill", done, total, event.eta_s))
                case Waiting(reason, note):
                    emit(events.Progress(reason, note=note))
                case Resampled(reason, attempt, usage):
                    turn.text = ""
                    if usage != Usage():
                        emit(events.UsageReported(turn.steps, usage))
                    emit(events.Progress("resample", attempt, note=reason))
                case Completed() | Truncated() | Failed():
                    return event
    return Failed("agent", "the model's stream ended without a final event", exit_code=1, partial=turn.text)


async def _run_calls(calls: tuple[ToolCall, ...], tools: Tools, history: History, emit: Emit, turn: Turn) -> None:
    for index, call in enumerate(calls):
        emit(events.ToolCalled(call.id, call.name, call.arguments, tools.label(call)))
        history.begin_call(call)
        started = time.monotonic()
        try:
            result = await tools.run(call)
        except asyncio.CancelledError:
            _close_call(call, ToolResult(INTERRUPTED, failed=True), started, history, emit)
            for later in calls[index + 1 :]:
                history.end_call(later, ToolResult(NOT_RUN, failed=True), 0.0)
            raise
        turn.changed.update(dict.fromkeys(result.changed))
        _close_call(call, result, started, history, emit)


def _close_call(call: ToolCall, result: ToolResult, started: float, history: History, emit: Emit) -> None:
    seconds = round(time.monotonic() - started, 3)
    history.end_call(call, result, seconds)
    shown = result.for_person or result.for_model
    emit(events.ToolReturned(call.id, call.name, result.for_model, shown, result.failed, seconds))


def _stop(turn: Turn, why: str) -> None:
    turn.status = "stopped"
    turn.failure = events.Failed("agent", why, "go on with: hearth run -c 'go on'", 3, turn.text)
