"""A session from its parts, as assemble makes one, with any model and any tools."""

from __future__ import annotations

from pathlib import Path

from hearth.agent.approval import Gate
from hearth.agent.channel import Channel
from hearth.agent.context import Context
from hearth.agent.fitted import FittedModel
from hearth.agent.guard.digests import Digests
from hearth.agent.guard.watch import Watch
from hearth.agent.loop import Tools
from hearth.agent.prompting import Prompting
from hearth.agent.rewind import TurnSnapshots
from hearth.agent.session import Session
from hearth.agent.transcript import Transcript
from hearth.llm.answer import Model
from hearth.messages import Message
from hearth.sandbox.voice import Outlet
from hearth.workspace.files import Workspace
from hearth.workspace.snapshots import Snapshots


class Trusting:
    """A guard that lets everything pass."""

    def rest(self, message: Message) -> str:
        """Every rest counts."""
        return ""

    async def look(self) -> str:
        """The turn goes on."""
        return ""


async def nothing_to_end() -> None:
    """Nothing runs."""


def make_session(
    model: Model,
    gate: Gate,
    transcript: Transcript,
    *,
    max_steps: int = 8,
    window: int = 0,
    snapshots: Snapshots | None = None,
    outlet: Outlet | None = None,
) -> Session:
    """A session over these parts; without ``snapshots`` there is no undo."""
    directory, channel = Path(transcript.frame.directory), Channel()
    context = Context(transcript, model, channel.emit, window=window, profile=transcript.frame.manner)
    turns = TurnSnapshots(transcript, snapshots, print)

    def watch(tools: Tools, task: str) -> Watch:
        return Watch(tools, context, task, Digests(directory), turns.roll_back)

    return Session(
        FittedModel(model, context),
        gate,
        transcript,
        context,
        Prompting(Workspace(directory)),
        watch,
        channel=channel,
        outlet=outlet or Outlet(),
        snapshots=turns,
        end=nothing_to_end,
        max_steps=max_steps,
    )
