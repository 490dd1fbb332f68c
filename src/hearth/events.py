"""What a session tells its listeners: one closed union, also the lines of ``--output-format stream-json``.

Order within a turn: ``SessionStarted`` first; then for each step any number of ``Progress``, ``Reasoning`` and
``Text``, at most one ``UsageReported``, then for each call a ``ToolCalled``, any number of ``CommandOutput``, and its
``ToolReturned``; ``Failed`` only directly before ``Finished``; ``Finished`` is last and comes exactly once.
``Rewritten`` comes between steps. What was told as ``Text`` or ``Reasoning`` before a ``Progress`` in phase
``resample`` does not count: it is asked again. What such an answer cost comes directly before as a ``UsageReported``
of its own, so that the sum of all is what was spent.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar, Literal

import msgspec

from hearth.messages import Usage

Status = Literal["completed", "stopped", "failed"]
Phase = Literal["starting", "loading", "queued", "prefill", "resample", "compaction", "subagent"]
Rewrite = Literal["compaction", "mask", "restart", "retry", "undo", "redo"]
"""Why what was sent is no longer what will be sent."""


class SessionStarted(msgspec.Struct, frozen=True):
    """A turn begins. ``resumed`` says whether the session has earlier turns."""

    type: ClassVar[str] = "session"
    session: str
    model: str
    directory: str
    context_length: int
    resumed: bool = False


class Progress(msgspec.Struct, frozen=True):
    """Work that makes no text yet. In ``prefill``, ``done`` of ``total`` tokens; ``eta_s`` is -1 when unknown. In
    ``subagent``, steps."""

    type: ClassVar[str] = "progress"
    phase: Phase
    done: int = 0
    total: int = 0
    eta_s: float = -1.0
    note: str = ""


class Text(msgspec.Struct, frozen=True):
    """A piece of the answer."""

    type: ClassVar[str] = "text"
    text: str


class Reasoning(msgspec.Struct, frozen=True):
    """A piece of the model's reasoning."""

    type: ClassVar[str] = "reasoning"
    text: str


class ToolCalled(msgspec.Struct, frozen=True):
    """A tool is about to run. ``arguments`` is the JSON text as the model wrote it; ``label`` is for people."""

    type: ClassVar[str] = "tool_call"
    id: str
    name: str
    arguments: str
    label: str = ""


class CommandOutput(msgspec.Struct, frozen=True):
    """What a command said since the last time, while it still runs. For people: the model sees the result alone."""

    type: ClassVar[str] = "output"
    id: str
    text: str


class ToolReturned(msgspec.Struct, frozen=True):
    """A tool has run. ``text`` is what the model sees, ``shown`` what a person sees (a diff, the first lines)."""

    type: ClassVar[str] = "tool_result"
    id: str
    name: str
    text: str
    shown: str = ""
    failed: bool = False
    seconds: float = 0.0


class UsageReported(msgspec.Struct, frozen=True):
    """What the step cost; flat in JSON: prompt, reused, new, generated (tokens), prefill_s, decode_s."""

    type: ClassVar[str] = "usage"
    step: int
    usage: Usage


class Rewritten(msgspec.Struct, frozen=True):
    """The history was rewritten, which is the only thing that makes the engine read it again. Tokens before and after,
    and how many seconds it took to make and will about take to read; ``note`` says for a person what was left out."""

    type: ClassVar[str] = "rewrite"
    kind: Rewrite
    before: int
    after: int
    seconds: float = 0.0
    read_s: float = 0.0
    note: str = ""


class Failed(msgspec.Struct, frozen=True):
    """The turn cannot go on. ``source`` says who failed: gateway, engine, agent; ``partial`` is the text so far."""

    type: ClassVar[str] = "error"
    source: str
    message: str
    fix: str = ""
    exit_code: int = 1
    partial: str = ""


class Finished(msgspec.Struct, frozen=True):
    """The turn is over."""

    type: ClassVar[str] = "result"
    status: Status
    text: str
    steps: int
    changed_files: tuple[str, ...]
    session: str


Event = (
    SessionStarted
    | Progress
    | Text
    | Reasoning
    | ToolCalled
    | CommandOutput
    | ToolReturned
    | UsageReported
    | Rewritten
    | Failed
    | Finished
)


def event_to_json(event: Event) -> dict[str, Any]:
    """The event as one object of the stream-json contract, ``type`` first."""
    fields = msgspec.structs.asdict(event)
    if isinstance(event, UsageReported):
        fields = {"step": event.step, **asdict(event.usage)}
    return {"type": event.type, **fields}
