"""Sub-agents: a turn of its own with a small context, behind whatever a person waits for, that ends in a report."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from hearth import events
from hearth.agent.compaction import Look
from hearth.agent.context import Context, see_nothing
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.guard.digests import Digests
from hearth.agent.guard.watch import Watch
from hearth.agent.loop import Emit, Tools, Turn, run_turn
from hearth.agent.portions import Portions
from hearth.agent.transcript import create_transcript
from hearth.errors import HearthError, LimitReached
from hearth.llm.answer import Model, ModelEvent
from hearth.llm.profile import with_names
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, ToolSpec
from hearth.tools.report import ReportTool
from hearth.tools.task import Kind, Report
from hearth.tools.tool import ToolResult

MOST_STEPS: dict[Kind, int] = {"explore": 16, "work": 40}
LARGEST_WINDOW = 16_384
"""Tokens: successful trajectories mostly stay below (arXiv 2602.16069), and what is found is told in a few lines."""
LONGEST_SUMMARY = 1_500
"""Characters of an answer that stands in for a report."""
SYSTEM: dict[Kind, str] = {
    "explore": (
        "You look things up in a project for another agent. Change nothing. Search with {grep} and {glob}, read only "
        "what matters, few lines at a time. As soon as you can answer, call {report}: a short summary, and findings as "
        "PATH:LINE what is there."
    ),
    "work": (
        "You do one piece of work in a project for another agent. Look before you change, keep to the goal, run what "
        "checks it. When it is done, or cannot be done, call {report}: what you changed and how it was checked, or "
        "what is in the way."
    ),
}
"""What each is told; a tool's name in braces becomes what the model calls it."""
WAY_OUT = "[If this goes on, it ends here: better call report now with what you have]"
"""Follows each hint to one that goes round in circles."""
LAST_CALL = "[{left} more {steps}, then this ends: call report now with what you have]"
LAST_STEPS = 2
"""Steps before the limit at which a sub-agent is told of it."""

Equip = Callable[[Kind], tuple[Tools, tuple[ToolSpec, ...], ReportTool]]
"""The tools of a sub-agent, what it is told of them, and the one that takes its report. They never hold ``task``."""


class Errands:
    """Runs sub-agents for one session, one after the other as they are asked for."""

    def __init__(
        self,
        model: Model,
        parent: Frame,
        equip: Equip,
        folder: Path,
        emit: Emit,
        *,
        window: Callable[[], int] = lambda: 0,
        look: Look = see_nothing,
    ) -> None:
        """``folder`` keeps their transcripts; ``emit`` hears what they do; ``window`` is the model's in tokens, 0 where
        nobody knows it; ``look`` sees the project.

        The model may be a smaller one than the session's: ``parent`` names it.
        """
        self._model = _Behind(model)
        self._parent = parent
        self._equip = equip
        self._folder = folder
        self._emit = emit
        self._window = window
        self._look = look

    async def run(self, goal: str, kind: Kind) -> Report:
        """Run one to its end. Never raises for what it did; cancelled, it ends the model's stream and its commands."""
        tools, specs, report = self._equip(kind)
        turn = Turn()
        try:
            so_far = await self._play(goal, kind, tools, specs, report, turn)
        except HearthError as error:
            return Report("failed", str(error), (), tuple(turn.changed), turn.steps)
        changed = tuple(turn.changed)
        if report.summary is not None:
            return Report("done", report.summary, report.findings, changed, turn.steps)
        if turn.failure is None:
            return Report("done", turn.text.strip()[:LONGEST_SUMMARY], (), changed, turn.steps)
        status: Literal["failed", "stopped"] = "failed" if turn.status == "failed" else "stopped"
        return Report(status, f"{turn.failure.message}{so_far}", (), changed, turn.steps)

    async def _play(
        self, goal: str, kind: Kind, tools: Tools, specs: tuple[ToolSpec, ...], report: ReportTool, turn: Turn
    ) -> str:
        """Play the turn; what it had done and said by its end."""
        session = f"{self._parent.session}.{secrets.token_hex(3)}"
        system = with_names(SYSTEM[kind], self._parent.manner.names)
        frame = replace(self._parent, session=session, system=system, tools=specs)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        transcript = create_transcript(self._folder, frame, datetime.now().astimezone())
        try:
            transcript.begin_turn(goal)
            most = MOST_STEPS[kind]
            hear = _Told(kind, most, turn, self._emit).hear
            window = min(self._window() or LARGEST_WINDOW, LARGEST_WINDOW)
            history = Context(transcript, self._model, hear, window=window, profile=frame.manner, look=self._look)
            digest, portions = Digests(Path(frame.directory)), Portions(tools, history.portion)
            watch = Watch(portions, None, goal, digest, may_change=kind == "work")
            model, attended = FittedModel(self._model, history), _Attended(watch, report, most, turn)
            model.overflowed = watch.overflowed
            try:
                await run_turn(model, attended, history, attended, hear, most, turn)
            except LimitReached as error:
                turn.status, turn.failure = "stopped", events.Failed("agent", error.what, error.fix, error.exit_code)
            transcript.end_turn(turn.status, "")
            return _tell_so_far(watch, transcript.messages, turn)
        finally:
            transcript.close()


class _Behind:
    """A model asked with the priority of a sub-agent."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        return self._model.answer(replace(request, priority="subagent"))


def _tell_so_far(watch: Watch, messages: Sequence[Message], turn: Turn) -> str:
    """What one that gave no report leaves, behind why it ended."""
    words = (message.content.strip() for message in reversed(messages) if message.role == "assistant")
    said = turn.text.strip() or next(filter(None, words), "")
    done = f"; done: {watch.tries}" if watch.tries else ""
    return f"{done}. It said last: {said[:LONGEST_SUMMARY]}" if said else done


class _Attended:
    """Tools and guard of a sub-agent: a watch that also says when the end is near; a report ends it."""

    def __init__(self, watch: Watch, report: ReportTool, most: int, turn: Turn) -> None:
        self._watch = watch
        self._report = report
        self._most = most
        self._turn = turn

    def label(self, call: ToolCall) -> str:
        return self._watch.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        hints = self._watch.hints
        result = await self._watch.run(call)
        left = self._most - self._turn.steps
        if 0 < left <= LAST_STEPS and call.name != ReportTool.name:
            note = LAST_CALL.format(left=left, steps="step" if left == 1 else "steps")
        elif self._watch.hints > hints:
            note = WAY_OUT
        else:
            return result
        return replace(result, for_model=f"{result.for_model}\n{note}")

    def rest(self, message: Message) -> str:
        return self._watch.rest(message)

    async def look(self) -> str:
        return "reported" if self._report.summary is not None else await self._watch.look()


class _Told:
    """Of what a sub-agent does, the caller's listener hears one line a call."""

    def __init__(self, kind: Kind, most: int, turn: Turn, emit: Emit) -> None:
        self._kind = kind
        self._most = most
        self._turn = turn
        self._emit = emit

    def hear(self, event: events.Event) -> None:
        if isinstance(event, events.ToolCalled):
            note = f"{self._kind}: {event.name} {event.label}".rstrip()
            self._emit(events.Progress("subagent", self._turn.steps, self._most, note=note))
