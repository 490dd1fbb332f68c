"""One conversation with the agent: commands in, events out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from hearth.agent.approval import Gate
from hearth.agent.context import Context
from hearth.agent.loop import Emit, Turn, run_turn
from hearth.agent.transcript import Transcript
from hearth.errors import HearthError
from hearth.events import Event, Failed, Finished, SessionStarted
from hearth.llm.answer import Model
from hearth.messages import Message, ToolCall
from hearth.tools.tool import ToolResult

log = logging.getLogger(__name__)


class Session:
    """Turns, one at a time. Whatever happens in a turn, its events end with one Finished."""

    def __init__(
        self,
        model: Model,
        gate: Gate,
        transcript: Transcript,
        *,
        max_steps: int,
        context_length: int = 0,
    ) -> None:
        self._model = model
        self._gate = gate
        self._transcript = transcript
        self._max_steps = max_steps
        self._context_length = context_length
        self._task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """The session's id."""
        return self._transcript.frame.session

    @property
    def unasked(self) -> int:
        """Calls that were denied because nobody could be asked."""
        return self._gate.unasked

    async def turn(self, prompt: str) -> AsyncGenerator[Event, None]:
        """Do what the prompt asks; see ``hearth.events`` for the order. Raises RuntimeError while a turn runs."""
        if self._task:
            raise RuntimeError("a turn is running")
        queue: asyncio.Queue[Event] = asyncio.Queue()
        task = self._task = asyncio.create_task(self._run(prompt, queue))
        try:
            while True:
                event = await queue.get()
                yield event
                queue.task_done()
                if isinstance(event, Finished):
                    return
        finally:
            task.cancel()
            await asyncio.wait([task])
            self._task = None

    def interrupt(self) -> None:
        """End the turn that runs, if any: its events end with Failed (exit code 130) and Finished."""
        if self._task:
            self._task.cancel()

    async def close(self) -> None:
        """Let go of the transcript."""
        self._transcript.close()

    async def _run(self, prompt: str, queue: asyncio.Queue[Event]) -> None:
        turn = Turn()
        emit = queue.put_nowait
        frame = self._transcript.frame
        emit(
            SessionStarted(frame.session, frame.model, frame.directory, self._context_length, self._transcript.resumed)
        )
        try:
            self._transcript.begin_turn(prompt)
            context, tools = Context(self._transcript), _Told(self._gate, queue)
            await run_turn(self._model, tools, context, Trusting(), emit, self._max_steps, turn)
        except asyncio.CancelledError:
            turn.failure = Failed("agent", "interrupted", "go on with: hearth run -c 'go on'", 130, turn.text)
        except HearthError as error:
            turn.failure = Failed("agent", error.what, error.fix, error.exit_code, turn.text)
        except Exception as error:
            log.exception("the turn failed")
            what = f"an error in hearth itself: {type(error).__name__}: {error}"
            turn.failure = Failed("agent", what, "report it with the output of HEARTH_DEBUG=1", 1, turn.text)
        self._end(turn, emit)

    def _end(self, turn: Turn, emit: Emit) -> None:
        try:
            self._transcript.end_turn(turn.status, turn.text if turn.status == "failed" else "")
        except HearthError as error:
            turn.failure = turn.failure or Failed("agent", error.what, error.fix, error.exit_code)
        if turn.failure:
            emit(turn.failure)
        emit(Finished(turn.status, turn.text, turn.steps, tuple(turn.changed), self.id))


class Trusting:
    """A guard that lets everything pass."""

    def rest(self, message: Message) -> str:
        """Every rest counts."""
        return ""

    async def look(self) -> str:
        """The turn goes on."""
        return ""


class _Told:
    """Tools that run only when the listener has been told of all that came before: a person is asked about a call
    that is on the screen, and sees what runs while it runs."""

    def __init__(self, gate: Gate, queue: asyncio.Queue[Event]) -> None:
        self._gate = gate
        self._queue = queue

    def label(self, call: ToolCall) -> str:
        return self._gate.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        await self._queue.join()
        return await self._gate.run(call)
