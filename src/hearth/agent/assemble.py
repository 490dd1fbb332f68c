"""Put a session together: with ``equipment`` the only file of the agent half that names the concrete classes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from hearth.agent.approval import PLANNING, Ask, Denials, Gate, Mode
from hearth.agent.channel import Channel
from hearth.agent.context import Context
from hearth.agent.equipment import Equipment, make_toolbox
from hearth.agent.errand import Errands
from hearth.agent.facts import system_text
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.guard.digests import Digests
from hearth.agent.guard.watch import Watch
from hearth.agent.loop import Tools
from hearth.agent.minds import Minds
from hearth.agent.portions import Portions
from hearth.agent.prompting import Prompting
from hearth.agent.rewind import KeptTools, TurnSnapshots, finish, open_snapshots, tell_finished
from hearth.agent.session import Session
from hearth.agent.skills import find_skills, outside
from hearth.agent.transcript import (
    SUBAGENTS,
    Transcript,
    create_transcript,
    latest_session,
    new_session_id,
    open_transcript,
)
from hearth.errors import HearthError, UsageError, WorkspaceError
from hearth.events import Progress
from hearth.llm.profile import PILOT, worded
from hearth.messages import ToolSpec
from hearth.paths import Paths
from hearth.sandbox.commands import Commands
from hearth.settings import Settings
from hearth.tools.outputs import Outputs
from hearth.tools.report import ReportTool
from hearth.tools.task import Kind, Report
from hearth.tools.truncate import longest_output
from hearth.workspace.files import Workspace
from hearth.workspace.repomap import RepoMap

WITHHELD = frozenset({"HEARTH_API_KEY"})
"""Environment variables that commands of the model do not get."""


@dataclass(frozen=True, slots=True)
class Start:
    """Which session to open. ``resume`` is None for a new one, empty for the latest of the folder, else an id.

    ``directory`` is None when the person named none: then a new session takes the working folder, an old one its own.
    """

    mode: Mode = "auto"
    directory: Path | None = None
    resume: str | None = None


async def open_session(
    paths: Paths, settings: Settings, environment: Mapping[str, str], start: Start, ask: Ask | None = None
) -> Session:
    """Open a new or an old session against the endpoint that the settings name, else the local daemon.

    ``environment`` is what the model's commands get, less the secrets. Raises HearthError: UsageError for a wrong
    folder or model, TranscriptError, Unavailable when nobody answers.
    """
    transcript = _open_old(paths, settings, start)
    try:
        minds = Minds(paths, settings)
        await minds.look()
        model = transcript.frame.model if transcript else minds.choose()
        if not minds.is_sure(model):
            await minds.meet(model)
        directory = Path(transcript.frame.directory) if transcript else _folder(start.directory)
        passed = {name: value for name, value in environment.items() if name not in WITHHELD}
        commands = Commands(directory, passed)
        channel = Channel()
        if transcript is None:
            transcript = await _create(paths, settings, minds, model, directory, commands, start.mode)
        elif transcript.past.intent:
            await _finish(paths, settings, transcript, channel)
        return await _assemble(paths, settings, minds, transcript, commands, channel, start.mode, ask)
    except BaseException:
        if transcript:
            transcript.close()
        raise


def _open_old(paths: Paths, settings: Settings, start: Start) -> Transcript | None:
    if start.resume is None:
        return None
    folder = _folder(start.directory)
    transcript = open_transcript(paths.sessions, start.resume or latest_session(paths.sessions, folder))
    try:
        frame = transcript.frame
        if start.directory and str(folder) != frame.directory:
            raise UsageError(f"session {frame.session} works in {frame.directory}, not in {folder}", "leave out -C")
        if not Path(frame.directory).is_dir():
            raise WorkspaceError(f"the folder of session {frame.session} is gone: {frame.directory}")
        if settings.origin.get("model") == "command line" and settings.model != frame.model:
            what = f"session {frame.session} speaks with {frame.model}, not with {settings.model}"
            raise UsageError(what, "leave out -m, or start a new session")
    except HearthError:
        transcript.close()
        raise
    return transcript


def _folder(given: Path | None) -> Path:
    if given is None:
        try:
            return Path.cwd()
        except FileNotFoundError as error:
            raise UsageError("the working folder is gone", "go to another one, or name it with -C") from error
    if not given.is_dir():
        raise UsageError(f"{given} is not a folder", "give an existing one with -C")
    return given.resolve()


async def _finish(paths: Paths, settings: Settings, transcript: Transcript, channel: Channel) -> None:
    """Go on with an undo or redo that was cut off, also where no more snapshots are wanted; the person is told."""
    snapshots = open_snapshots(paths, Path(transcript.frame.directory), settings.undo)
    done = await asyncio.to_thread(finish, transcript, snapshots)
    for line in tell_finished(done) if done else ():
        channel.emit(Progress("starting", note=line))


async def _frame_of_subagents(settings: Settings, minds: Minds, frame: Frame) -> Frame:
    """What sub-agents speak with: the session's model, or the smaller one that the owner named."""
    model = settings.agent.task_model
    if not model or model == frame.model:
        return frame
    profile = await minds.profile(model)
    manner = replace(profile, system="")
    return replace(
        frame,
        model=model,
        profile=profile.name,
        sampling=profile.sampling,
        max_tokens=profile.max_tokens,
        manner=manner,
    )


def _equip_subagent(
    equipment: Equipment, frame: Frame, turns: TurnSnapshots, guarded: Callable[[Tools], Gate], kind: Kind
) -> tuple[Tools, tuple[ToolSpec, ...], ReportTool]:
    # A model of its own comes with its tools; the session's has those that the session began with.
    known = frame.manner.tools or [tool.name for tool in frame.tools]
    toolbox, report = equipment.subagent(kind, known)
    return guarded(KeptTools(toolbox, turns)), toolbox.specs, report


async def _spawn(errands: Errands, mode: Mode, goal: str, kind: Kind) -> Report:
    """Run a sub-agent; where only looking is allowed none is offered more."""
    return await errands.run(goal, "explore" if mode == "plan" else kind)


def _look(workspace: Workspace, path: str) -> str | None:
    try:
        return workspace.read_text(path)
    except WorkspaceError:
        return None


async def _create(
    paths: Paths, settings: Settings, minds: Minds, model: str, directory: Path, commands: Commands, mode: Mode
) -> Transcript:
    profile = await minds.profile(model)
    names = [name for name in profile.tools if mode != "plan" or name in PLANNING]
    now = datetime.now().astimezone()
    window = minds.window(model)
    toolbox = make_toolbox(names, directory)
    frame = Frame(
        session=new_session_id(now),
        directory=str(directory),
        model=model,
        profile=profile.name,
        system=await system_text(profile, directory, commands.shell, now.date(), paths.config, window),
        tools=tuple(worded(spec, profile) for spec in toolbox.specs),
        sampling=profile.sampling,
        max_tokens=profile.max_tokens,
        manner=replace(profile, system="", tools=()),
    )
    paths.ensure()
    return create_transcript(paths.sessions, frame, now)


async def _assemble(
    paths: Paths,
    settings: Settings,
    minds: Minds,
    transcript: Transcript,
    commands: Commands,
    channel: Channel,
    mode: Mode,
    ask: Ask | None,
) -> Session:
    frame = transcript.frame
    snapshots = open_snapshots(paths, Path(frame.directory), settings.undo) if settings.undo.enabled else None
    outputs = Outputs(paths.sessions / f"{frame.session}.outputs", longest_output(minds.window(frame.model)))
    equipment = _equip(paths, settings, transcript, commands, outputs)
    context = Context(
        transcript,
        minds.speak(frame.manner),
        channel.emit,
        window=minds.window(frame.model),
        profile=frame.manner,
        keep=outputs.keep,
        look=partial(_look, equipment.workspace),
        todo=equipment.todo.open_items,
    )
    turns = TurnSnapshots(
        transcript, snapshots, lambda text: channel.emit(Progress("starting", note=text)), commands.busy
    )
    helped = await _frame_of_subagents(settings, minds, frame)
    guarded = partial(Gate, mode=mode, ask=ask, denials=Denials())
    errands = Errands(
        minds.mend(helped.manner),
        helped,
        partial(_equip_subagent, equipment, helped, turns, guarded),
        paths.sessions / SUBAGENTS,
        channel.emit,
        window=lambda: context.window if helped.model == frame.model else minds.window(helped.model),
        look=partial(_look, equipment.workspace),
    )
    toolbox = equipment.toolbox([tool.name for tool in frame.tools], partial(_spawn, errands, mode))
    model = FittedModel(minds.mend(frame.manner), context, partial(minds.ask_window, frame.model))

    def watch(tools: Tools, task: str) -> Watch:
        digests = Digests(Path(frame.directory))
        made = Watch(tools, context, task, digests, turns.roll_back, may_change=mode != "plan")
        model.overflowed = made.overflowed
        return made

    return Session(
        model,
        guarded(Portions(KeptTools(toolbox, turns), context.portion)),
        transcript,
        context,
        _prompt(paths, settings, minds, frame, equipment, errands),
        watch,
        channel=channel,
        outlet=commands.outlet,
        snapshots=turns,
        end=commands.close,
        max_steps=settings.agent.max_steps,
    )


def _equip(paths: Paths, settings: Settings, transcript: Transcript, commands: Commands, outputs: Outputs) -> Equipment:
    frame = transcript.frame
    directory = Path(frame.directory)
    plain = frame.profile == PILOT.name
    return Equipment(
        directory,
        commands.shell,
        settings.agent.bash_timeout_s,
        background=commands.background,
        outputs=outputs,
        skills={} if plain else outside(find_skills(directory, paths.config)),
        # Also what the conversation no longer holds: the list outlives a compaction.
        said=[said.message for turn in transcript.past.turns for said in turn.said],
        seen=[one for turn in transcript.past.turns for said in turn.said for one in said.seen],
        telling="terse" if plain else "full",
    )


def _prompt(
    paths: Paths, settings: Settings, minds: Minds, frame: Frame, equipment: Equipment, errands: Errands
) -> Prompting:
    if frame.profile == PILOT.name:
        return Prompting(equipment.workspace)
    project = RepoMap(equipment.workspace, paths.cache / "repomap", outline=equipment.syntax.outline)
    explore = errands.run if settings.agent.explore else None
    # A raw prompt is text alone.
    sees = minds.sees(frame.model) and frame.manner.dialect != "harmony"
    return Prompting(equipment.workspace, project.draw, explore, rank=project.rank_files, sees=sees)
