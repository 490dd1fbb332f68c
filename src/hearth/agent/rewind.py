"""Undo and redo of turns, files and conversation together; and the snapshots that make it possible.

The files go first. What is about to be done to them is noted before, and the conversation follows when it is done: a
crash in between is found at the next start, and gone on with (``finish``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hearth.agent.approval import LOOKING
from hearth.agent.loop import Tools
from hearth.agent.replay import Intent, PastTurn, Step
from hearth.agent.transcript import Transcript
from hearth.errors import StateError, UsageError
from hearth.messages import ToolCall
from hearth.paths import Paths
from hearth.tools.tool import ToolResult
from hearth.workspace.snapshots import Prepared, Restored, Snapshots, store_for

CHANGED_SINCE = "changed since"


@dataclass(frozen=True, slots=True)
class Rewound:
    """What an undo or redo did. With ``conflicts`` nothing was done: somebody else changed these files since.

    ``prompts`` are those of the turns, first to last; ``done`` are paths that were brought back or removed; ``left``
    those that could not be, with why.
    """

    kind: str
    prompts: tuple[str, ...]
    done: tuple[str, ...] = ()
    left: dict[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()


def snapshot_folder(paths: Paths) -> Path:
    """Where the snapshots of all projects are."""
    return paths.data / "snapshots"


def open_snapshots(paths: Paths, directory: Path, leave: Iterable[str] = ()) -> Snapshots:
    """The snapshots of a project. Our own folders are left out, should they be in it, and what the owner names."""
    ours = (paths.config, paths.data, paths.cache, paths.runtime)
    return Snapshots(directory, store_for(snapshot_folder(paths), directory), [*ours, *leave])


class TurnSnapshots:
    """Takes the two snapshots of each turn: before its first call that may change something, and when it is over. A
    turn that only looks costs nothing. When they cannot be taken the turn goes on without; ``warn`` is told once."""

    def __init__(self, transcript: Transcript, snapshots: Snapshots | None, warn: Callable[[str], None]) -> None:
        self._transcript = transcript
        self._snapshots = snapshots
        self._warn = warn
        self._began = ""

    async def before_call(self, tool: str) -> None:
        """Call it before each call of a tool, whoever allows it. Returns when the snapshot is on the disk."""
        if self._began or tool in LOOKING:
            return
        if name := await self._capture():
            self._transcript.add_snapshot("begin", name)
            self._began = name

    async def end(self) -> None:
        """Call it when the turn is over, also one that failed or was interrupted, before its end is noted."""
        if not self._began:
            return
        self._began = ""
        if name := await self._capture():
            self._transcript.add_snapshot("end", name)

    async def roll_back(self) -> bool:
        """Put the files back to how they were when the turn began; whether that could be done."""
        if self._snapshots is None or not self._began:
            return False
        try:
            now = await asyncio.to_thread(self._snapshots.capture)
            await asyncio.to_thread(self._snapshots.restore, now, self._began, force=True)
        except StateError as error:
            self._warn(f"the files could not be put back: {error}")
            return False
        return True

    async def _capture(self) -> str:
        if self._snapshots is None:
            return ""
        try:
            return await asyncio.to_thread(self._snapshots.capture)
        except StateError as error:
            self._snapshots = None
            self._warn(f"what this session changes cannot be undone: {error}")
            return ""


class KeptTools:
    """Tools before which the project is kept as it is."""

    def __init__(self, tools: Tools, snapshots: TurnSnapshots) -> None:
        self._tools = tools
        self._snapshots = snapshots

    def label(self, call: ToolCall) -> str:
        """The call in a few words for a person."""
        return self._tools.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        """Run it when the snapshot is on the disk."""
        await self._snapshots.before_call(call.name)
        return await self._tools.run(call)


def undo(
    transcript: Transcript,
    snapshots: Snapshots | None,
    turns: int = 1,
    *,
    force: bool = False,
    files: bool = True,
    dry: bool = False,
) -> Rewound:
    """Take the last turns back. Blocks: call it in a thread.

    ``force`` overwrites what somebody else changed since, ``files`` False leaves all files as they are, ``dry`` only
    looks. Raises UsageError when there are not so many turns, StateError when the files cannot be brought back.
    """
    finish(transcript, snapshots)
    past = transcript.past
    if not 1 <= turns <= len(past.turns):
        have = f"{len(past.turns)} turn{'' if len(past.turns) == 1 else 's'}"
        raise UsageError(f"cannot undo {turns} of {have}", "run: hearth sessions show")
    chosen = past.turns[-turns:]
    prompts = tuple(turn.prompt for turn in chosen)
    if not files or not any(turn.begin for turn in chosen):
        if not dry:
            transcript.undo(turns)
        return Rewound("undo", prompts)
    store = _need(snapshots)
    steps, sure = _way_back(chosen, store)
    prepared = store.prepare(steps, sure=sure, force=force)
    if dry or prepared.conflicts:
        return _looked("undo", prompts, prepared)
    transcript.begin_restore(Intent("undo", turns, steps, prepared.before, force))
    restored = store.carry_out(prepared)
    transcript.undo(turns, steps, prepared.before, restored.after)
    return _done("undo", prompts, restored)


def redo(transcript: Transcript, snapshots: Snapshots | None, *, force: bool = False, dry: bool = False) -> Rewound:
    """Bring back what was undone last. Blocks. Raises UsageError when nothing was, or a new turn came after it."""
    finish(transcript, snapshots)
    if not transcript.past.undone:
        raise UsageError("there is nothing to redo", "only what was undone last, before any new turn, can be")
    last = transcript.past.undone[-1]
    prompts = tuple(turn.prompt for turn in last.turns)
    if not last.after:
        if not dry:
            transcript.redo()
        return Rewound("redo", prompts)
    store = _need(snapshots)
    steps = ((last.after, last.before),)
    prepared = store.prepare(steps, force=force, within=last.steps)
    if dry or prepared.conflicts:
        return _looked("redo", prompts, prepared)
    transcript.begin_restore(Intent("redo", len(last.turns), steps, prepared.before, force))
    restored = store.carry_out(prepared)
    transcript.redo()
    return _done("redo", prompts, restored)


def finish(transcript: Transcript, snapshots: Snapshots | None) -> Rewound | None:
    """Go on with an undo or redo that a crash cut off; None when there is none. Call it when a session is opened.

    What somebody changed since is left, and named. When the snapshots are gone or damaged it is given up: files stay
    as they are, and so does the conversation.
    """
    intent = transcript.past.intent
    if intent is None:
        return None
    past = transcript.past
    turns = past.turns[-intent.turns :] if intent.kind == "undo" else past.undone[-1].turns
    prompts = tuple(turn.prompt for turn in turns)
    within = past.undone[-1].steps if intent.kind == "redo" else ()
    try:
        store = _need(snapshots)
        prepared = store.prepare(intent.steps, force=intent.force, again=True, within=within)
        restored = store.carry_out(prepared)
    except StateError as error:
        transcript.abandon_restore()
        return Rewound(intent.kind, prompts, left={".": f"the {intent.kind} was cut off and is given up: {error}"})
    if intent.kind == "undo":
        transcript.undo(intent.turns, intent.steps, intent.before, restored.after)
    else:
        transcript.redo()
    since = dict.fromkeys(prepared.conflicts, CHANGED_SINCE)
    return Rewound(intent.kind, prompts, restored.done, {**restored.left, **since})


def _way_back(turns: list[PastTurn], store: Snapshots) -> tuple[tuple[Step, ...], bool]:
    """The steps from the last turn to before the first, and whether all their ends were seen. A turn that was killed
    has no end: then it is what the next one began with, or how the project is now."""
    steps: list[Step] = []
    following, sure = "", True
    for turn in reversed(turns):
        if not turn.begin:
            continue
        if not turn.end:
            sure = False
        steps.append((turn.end or following or store.capture(), turn.begin))
        following = turn.begin
    return tuple(steps), sure


def _need(snapshots: Snapshots | None) -> Snapshots:
    if snapshots is None:
        raise StateError("no snapshots are kept", "undo the conversation alone with --keep-files")
    return snapshots


def _looked(kind: str, prompts: tuple[str, ...], prepared: Prepared) -> Rewound:
    left = dict.fromkeys(prepared.plan.kept, "no snapshot has its content")
    return Rewound(kind, prompts, tuple(prepared.plan.changes), left, prepared.conflicts)


def _done(kind: str, prompts: tuple[str, ...], restored: Restored) -> Rewound:
    return Rewound(kind, prompts, restored.done, restored.left)
