"""Sub-agents: a turn of its own with a small context, behind whatever a person waits for, that ends in a report."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hearth import events
from hearth.agent.compaction import Look
from hearth.agent.context import Context, see_nothing
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.loop import Emit, Tools, Turn, run_turn
from hearth.agent.portions import Portions
from hearth.agent.transcript import create_transcript
from hearth.errors import HearthError
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
            await self._play(goal, kind, tools, specs, report, turn)
        except HearthError as error:
            return Report("failed", str(error), steps=turn.steps)
        changed = tuple(turn.changed)
        if report.summary is not None:
            return Report("done", report.summary, report.findings, changed, turn.steps)
        said = turn.text.strip()[:LONGEST_SUMMARY]
        if turn.status == "completed" and said:
            return Report("done", said, (), changed, turn.steps)
        why = turn.failure.message if turn.failure else "it ended without a word"
        summary = f"{why}. {said}" if said else why
        return Report("failed" if turn.status == "failed" else "stopped", summary, (), changed, turn.steps)

    async def _play(
        self, goal: str, kind: Kind, tools: Tools, specs: tuple[ToolSpec, ...], report: ReportTool, turn: Turn
    ) -> None:
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
            model, hurried = FittedModel(self._model, history), _Hurried(Portions(tools, history.portion), most, turn)
            await run_turn(model, hurried, history, _Reported(report), hear, most, turn)
            transcript.end_turn(turn.status, "")
        finally:
            transcript.close()


class _Behind:
    """A model asked with the priority of a sub-agent."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        return self._model.answer(replace(request, priority="subagent"))


class _Hurried:
    """Tools that say when the end is near."""

    def __init__(self, tools: Tools, most: int, turn: Turn) -> None:
        self._tools = tools
        self._most = most
        self._turn = turn

    def label(self, call: ToolCall) -> str:
        return self._tools.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        result = await self._tools.run(call)
        left = self._most - self._turn.steps
        if not 0 < left <= LAST_STEPS or call.name == ReportTool.name:
            return result
        note = LAST_CALL.format(left=left, steps="step" if left == 1 else "steps")
        return replace(result, for_model=f"{result.for_model}\n{note}")


class _Reported:
    """The guard of a sub-agent: its report ends it."""

    def __init__(self, report: ReportTool) -> None:
        self._report = report

    def rest(self, message: Message) -> str:
        return ""

    async def look(self) -> str:
        return "reported" if self._report.summary is not None else ""


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
