"""One conversation with the agent: commands in, events out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from hearth.agent.approval import Gate
from hearth.agent.channel import Channel
from hearth.agent.context import Context
from hearth.agent.guard.watch import Watch
from hearth.agent.loop import Tools, Turn, run_turn
from hearth.agent.prompting import Prompting
from hearth.agent.rewind import TurnSnapshots
from hearth.agent.transcript import Transcript
from hearth.errors import HearthError
from hearth.events import CommandOutput, Event, Failed, Finished, Progress, SessionStarted
from hearth.llm.answer import Model
from hearth.messages import Message, ToolCall
from hearth.sandbox.voice import Outlet
from hearth.tools.tool import ToolResult

log = logging.getLogger(__name__)
MakeWatch = Callable[[Tools, str], Watch]
"""A watch over one turn: the tools that it stands before, and what was asked."""


class Session:
    """Turns, one at a time. Whatever happens in a turn, its events end with one Finished."""

    def __init__(
        self,
        model: Model,
        gate: Gate,
        transcript: Transcript,
        context: Context,
        prompting: Prompting,
        watch: MakeWatch,
        *,
        channel: Channel,
        outlet: Outlet,
        snapshots: TurnSnapshots,
        end: Callable[[], Awaitable[None]],
        max_steps: int,
    ) -> None:
        """``channel`` and ``outlet`` bring what the parts and the commands say to the listener of a turn; ``end`` ends
        what the session has running."""
        self._model = model
        self._gate = gate
        self._transcript = transcript
        self._context = context
        self._prompting = prompting
        self._watch = watch
        self._channel = channel
        self._outlet = outlet
        self._snapshots = snapshots
        self._end_all = end
        self._max_steps = max_steps
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
        """End what runs in the background, and let go of the transcript."""
        try:
            await self._end_all()
        finally:
            self._transcript.close()

    async def _run(self, prompt: str, queue: asyncio.Queue[Event]) -> None:
        turn, tools, begun = Turn(), _Told(self._gate, queue), False
        emit = queue.put_nowait
        self._outlet.listener = lambda text: emit(CommandOutput(tools.current, text))
        frame = self._transcript.frame
        window = self._context.window
        emit(SessionStarted(frame.session, frame.model, frame.directory, window, self._transcript.resumed))
        self._channel.listen(emit)
        try:
            await self._begin(prompt)
            begun = True
            watch = self._watch(tools, prompt)
            await run_turn(self._model, watch, self._context, watch, emit, self._max_steps, turn)
        except asyncio.CancelledError:
            turn.failure = Failed("agent", "interrupted", "go on with: hearth run -c 'go on'", 130, turn.text)
        except HearthError as error:
            turn.failure = Failed("agent", error.what, error.fix, error.exit_code, turn.text)
        except Exception as error:
            log.exception("the turn failed")
            what = f"an error in hearth itself: {type(error).__name__}: {error}"
            turn.failure = Failed("agent", what, "report it with the output of HEARTH_DEBUG=1", 1, turn.text)
        self._outlet.listener = None
        await self._end(turn, begun)
        self._channel.listen(None)

    async def _begin(self, prompt: str) -> None:
        first = not self._transcript.resumed
        sent = await self._prompting.write(prompt, window=self._context.window, first=first)
        for note in sent.notes:
            self._channel.emit(Progress("starting", note=note))
        self._transcript.begin_turn(prompt, Message("user", sent.text, images=sent.images))

    async def _end(self, turn: Turn, begun: bool) -> None:
        emit = self._channel.emit
        try:
            # Interrupted once more while the project is looked at: then its end is not known, and undo says so.
            with suppress(asyncio.CancelledError):
                await self._snapshots.end()
            if begun:
                self._transcript.end_turn(turn.status, turn.text if turn.status == "failed" else "")
        except HearthError as error:
            turn.failure = turn.failure or Failed("agent", error.what, error.fix, error.exit_code)
        if turn.failure:
            emit(turn.failure)
        emit(Finished(turn.status, turn.text, turn.steps, tuple(turn.changed), self.id))


class _Told:
    """Tools that run only when the listener has been told of all that came before: a person is asked about a call
    that is on the screen, and sees what runs while it runs. ``current`` is the id of the call that runs."""

    def __init__(self, gate: Gate, queue: asyncio.Queue[Event]) -> None:
        self._gate = gate
        self._queue = queue
        self.current = ""

    def label(self, call: ToolCall) -> str:
        return self._gate.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        self.current = call.id
        await self._queue.join()
        return await self._gate.run(call)
