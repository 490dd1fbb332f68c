"""Undo and redo of turns, files and conversation together; and the snapshots that make it possible.

The files go first. What is about to be done to them is noted before, and the conversation follows when it is done: a
crash in between is found at the next start, and gone on with (``finish``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from hearth.agent.approval import LOOKING
from hearth.agent.loop import Tools
from hearth.agent.replay import Intent, PastTurn, Step
from hearth.agent.transcript import Transcript
from hearth.errors import StateError, UsageError
from hearth.messages import ToolCall
from hearth.paths import Paths
from hearth.settings import UndoSettings
from hearth.tools.tool import ToolResult
from hearth.workspace.snapshots import Bounds, LostError, Prepared, Restored, Snapshots, store_for
from hearth.workspace.snapshots.difference import CACHES

CHANGED_SINCE = "changed since"
CHANGED_MEANWHILE = "somebody else changed it while the turn ran"
UNRECORDED = "no snapshot was taken before"
MOST_TOLD = 20
"""Paths that are named one by one."""
PLAIN = UndoSettings()


@dataclass(frozen=True, slots=True)
class Rewound:
    """What an undo or redo did. With ``conflicts`` nothing was done: somebody else changed these files since.

    ``prompts`` are those of the turns, first to last; ``done`` are paths that were brought back or removed; ``left``
    those that could not be, with why. ``resumed`` says that it had been cut off before; ``given_up`` why it was not
    gone on with then.
    """

    kind: str
    prompts: tuple[str, ...]
    done: tuple[str, ...] = ()
    left: dict[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    resumed: bool = False
    given_up: str = ""


def snapshot_folder(paths: Paths) -> Path:
    """Where the snapshots of all projects are."""
    return paths.data / "snapshots"


def open_snapshots(paths: Paths, directory: Path, wishes: UndoSettings = PLAIN) -> Snapshots:
    """The snapshots of a project. Our own folders are left out, should they be in it, and what the owner names."""
    ours = (paths.config, paths.data, paths.cache, paths.runtime)
    leave = [*ours, *(Path(name).expanduser() if name.startswith("~") else name for name in wishes.leave)]
    bounds = Bounds(largest=wishes.largest_mib << 20)
    return Snapshots(directory, store_for(snapshot_folder(paths), directory), leave, bounds=bounds)


class TurnSnapshots:
    """Takes the two snapshots of each turn: before its first call that may change something, and when it is over. A
    turn that only looks costs nothing. When they cannot be taken the turn goes on without; ``warn`` is told once.

    What is changed between two calls somebody else changed: it is found by the times of the files, where their file
    system tells its own."""

    def __init__(
        self,
        transcript: Transcript,
        snapshots: Snapshots | None,
        warn: Callable[[str], None],
        busy: Callable[[], bool] = bool,
    ) -> None:
        """``busy`` says whether commands run in the background: then what changes is the turn's, whenever it does."""
        self._transcript = transcript
        self._snapshots = snapshots
        self._warn = warn
        self._busy = busy
        self._began = ""
        self._spans: list[tuple[int, int]] = []
        self._since: int | None = None

    async def before_call(self, tool: str) -> None:
        """Call it before each call of a tool, whoever allows it. Returns when the snapshot is on the disk."""
        if tool in LOOKING:
            return
        if not self._began and (name := await self._capture()):
            self._transcript.add_snapshot("begin", name)
            self._began = name
        if self._began and self._snapshots and self._since is None:
            self._since = self._snapshots.time()

    def after_call(self, tool: str) -> None:
        """Call it after each call, also after one that failed. Without it all of the turn counts as the call."""
        if tool not in LOOKING and not self._busy():
            self._spans, self._since = self._known_spans(), None

    async def end(self) -> None:
        """Call it when the turn is over, also one that failed or was interrupted, before its end is noted."""
        if not self._began:
            return
        began, spans = self._began, self._known_spans()
        self._began, self._spans, self._since = "", [], None
        if name := await self._capture():
            self._transcript.add_snapshot("end", name, await self._find_others(began, name, spans))

    async def roll_back(self) -> bool:
        """Put the files back to how they were when the turn began; whether that could be done. What somebody else
        changed last is left."""
        if self._snapshots is None or not self._began:
            return False
        try:
            now = await asyncio.to_thread(self._snapshots.capture)
            # Before anything is done: as long as this session is, there is a way back to what was there.
            self._transcript.add_snapshot("back", now)
            others = await self._find_others(self._began, now, self._known_spans())
            if self._since is None:
                self._since = self._snapshots.time()
            prepared = await asyncio.to_thread(self._snapshots.prepare, [(now, self._began)], force=True)
            prepared, left = _spare(prepared, set(others))
            restored = await asyncio.to_thread(self._snapshots.carry_out, prepared)
        except StateError as error:
            self._warn(f"the files could not be put back: {error}")
            return False
        finally:
            self.after_call("")
        for path, why in {**left, **restored.left}.items():
            self._warn(f"{path} was not put back: {why}")
        return True

    async def _find_others(self, one: str, other: str, spans: list[tuple[int, int]]) -> tuple[str, ...]:
        # A moment of which the file system tells no time makes all that happened the turn's.
        if self._snapshots is None or not spans or any(not start or not end for start, end in spans):
            return ()
        try:
            return await asyncio.to_thread(self._snapshots.changed_between, one, other, spans)
        except StateError:
            return ()

    def _known_spans(self) -> list[tuple[int, int]]:
        """When calls ran, one that still runs up to now."""
        if self._since is None or self._snapshots is None:
            return self._spans
        return [*self._spans, (self._since, self._snapshots.time())]

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
        try:
            return await self._tools.run(call)
        finally:
            self._snapshots.after_call(call.name)


def undo(
    transcript: Transcript,
    snapshots: Snapshots | None,
    turns: int = 1,
    *,
    force: bool = False,
    files: bool = True,
    dry: bool = False,
) -> Rewound:
    """Take the last turns back. Blocks: call it in a thread. Is there an undo or redo that was cut off, it goes on with
    that and does nothing else: who asks again would not know of it.

    ``force`` overwrites what somebody else changed since, ``files`` False leaves all files as they are, ``dry`` only
    looks. Raises UsageError when there are not so many turns, StateError when the files cannot be brought back.
    """
    if files and (resumed := finish(transcript, snapshots, dry=dry)):
        return resumed
    past = transcript.past
    if not 1 <= turns <= len(past.turns):
        have = f"{len(past.turns)} turn{'' if len(past.turns) == 1 else 's'}"
        raise UsageError(f"cannot undo {turns} of {have}", "run: hearth sessions show")
    chosen = past.turns[-turns:]
    prompts = tuple(turn.prompt for turn in chosen)
    if not files or not any(turn.begin for turn in chosen):
        if not dry:
            if past.intent:
                transcript.abandon_restore()
            transcript.undo(turns)
        return Rewound("undo", prompts, left=_unrecorded(chosen) if files else {})
    store = _need(snapshots)
    steps, sure = _way_back(chosen, store)
    others, both = _others(chosen, force)
    prepared, spared = _spare(store.prepare(steps, sure=sure, force=force), others, both)
    spared |= _unrecorded(chosen)
    if dry or prepared.conflicts:
        return _looked("undo", prompts, prepared, spared)
    transcript.begin_restore(Intent("undo", turns, steps, prepared.before, force))
    restored = store.carry_out(prepared)
    transcript.undo(turns, steps, prepared.before, restored.after)
    return _done("undo", prompts, restored, spared)


def redo(transcript: Transcript, snapshots: Snapshots | None, *, force: bool = False, dry: bool = False) -> Rewound:
    """Bring back what was undone last, or go on with what was cut off, as ``undo`` does. Blocks. Raises UsageError when
    nothing was undone, or a new turn came after it; StateError."""
    if resumed := finish(transcript, snapshots, dry=dry):
        return resumed
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
        return _looked("redo", prompts, prepared, {})
    transcript.begin_restore(Intent("redo", len(last.turns), steps, prepared.before, force))
    restored = store.carry_out(prepared)
    transcript.redo()
    return _done("redo", prompts, restored, {})


def finish(transcript: Transcript, snapshots: Snapshots | None, *, dry: bool = False) -> Rewound | None:
    """Go on with an undo or redo that a crash cut off; None when there is none. Call it when a session is opened.

    What somebody changed since is left, and named. When the snapshots are gone or damaged it is given up: files stay
    as they are, and so does the conversation. Raises StateError for all else that is in the way: then it can be gone on
    with later, when the disk has room and the project is there.
    """
    intent = transcript.past.intent
    if intent is None:
        return None
    past = transcript.past
    turns = tuple(past.turns[-intent.turns :]) if intent.kind == "undo" else past.undone[-1].turns
    prompts = tuple(turn.prompt for turn in turns)
    within = past.undone[-1].steps if intent.kind == "redo" else ()
    try:
        store = _need(snapshots)
        prepared = store.prepare(intent.steps, force=intent.force, again=True, within=within)
        others, both = _others(turns, intent.force) if intent.kind == "undo" else (set(), set())
        prepared, spared = _spare(prepared, others, both)
        spared.update(dict.fromkeys(prepared.conflicts, CHANGED_SINCE))
        if dry:
            seen = _looked(intent.kind, prompts, prepared, spared)
            return replace(seen, conflicts=(), resumed=True)
        restored = store.carry_out(prepared)
    except LostError as error:
        if not dry:
            transcript.abandon_restore()
        return Rewound(intent.kind, prompts, resumed=True, given_up=str(error))
    if intent.kind == "undo":
        transcript.undo(intent.turns, intent.steps, intent.before, restored.after)
    else:
        transcript.redo()
    return replace(_done(intent.kind, prompts, restored, spared), resumed=True)


def tell_finished(done: Rewound) -> list[str]:
    """What a person is told of an undo or redo that was cut off and gone on with: a line, and one a path that was
    left, as far as they are few."""
    if done.given_up:
        return [f"the {done.kind} was cut off and is given up: {done.given_up}"]
    lines = [f"{path} is left as it is: {why}" for path, why in done.left.items()]
    more = [f"and {len(lines) - MOST_TOLD} others"] if len(lines) > MOST_TOLD else []
    return [f"the {done.kind} that was cut off is done now", *lines[:MOST_TOLD], *more]


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


def _unrecorded(turns: Iterable[PastTurn]) -> dict[str, str]:
    """What was changed by turns of which no snapshot could be taken, as far as it is known: a command may have changed
    anything."""
    left: dict[str, str] = {}
    for turn in turns:
        if turn.begin:
            continue
        commands = {call.id for said in turn.said for call in said.message.tool_calls if call.name == "bash"}
        for said in turn.said:
            left |= dict.fromkeys(said.changed, UNRECORDED)
            if said.message.tool_call_id in commands and not said.message.content.startswith("denied: "):
                left[""] = f"a command ran, and {UNRECORDED}"
    return left


def _others(turns: Iterable[PastTurn], force: bool) -> tuple[set[str], set[str]]:
    """The files that others changed while these turns ran; and those of them that a turn is known to have changed
    too. With ``force`` nobody asks."""
    if force:
        return set(), set()
    turns = tuple(turns)
    others = {path for turn in turns for path in turn.others}
    known = {path for turn in turns for said in turn.said for path in said.changed}
    return others - known, others & known


def _spare(prepared: Prepared, others: set[str], both: Set[str] = frozenset()) -> tuple[Prepared, dict[str, str]]:
    """What is to be done without the files of others, which are left; those of ``both`` wait for a yes."""
    plan = prepared.plan
    spared = others & {*plan.changes, *plan.conflicts}
    asked = both & plan.changes.keys()
    changes = {path: change for path, change in plan.changes.items() if path not in spared | asked}
    conflicts = tuple(sorted(asked.union(plan.conflicts) - spared))
    named = sorted(path for path in spared if not CACHES.intersection(path.split("/")))
    plan = replace(plan, changes=changes, conflicts=conflicts)
    return replace(prepared, plan=plan), dict.fromkeys(named, CHANGED_MEANWHILE)


def _need(snapshots: Snapshots | None) -> Snapshots:
    if snapshots is None:
        raise StateError("no snapshots are kept", "undo the conversation alone with --keep-files")
    return snapshots


def _looked(kind: str, prompts: tuple[str, ...], prepared: Prepared, spared: dict[str, str]) -> Rewound:
    left = {**dict.fromkeys(prepared.plan.kept, "it is not kept in snapshots"), **spared}
    return Rewound(kind, prompts, tuple(prepared.plan.changes), left, prepared.conflicts)


def _done(kind: str, prompts: tuple[str, ...], restored: Restored, spared: dict[str, str]) -> Rewound:
    return Rewound(kind, prompts, restored.done, {**restored.left, **spared})
