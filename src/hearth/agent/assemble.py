"""Put a session together: the only file of the agent half that names the concrete classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hearth.agent.approval import LOOKING, Ask, Gate, Mode
from hearth.agent.facts import system_text
from hearth.agent.frame import Frame
from hearth.agent.session import Session
from hearth.agent.transcript import (
    Transcript,
    create_transcript,
    latest_session,
    new_session_id,
    open_transcript,
)
from hearth.errors import HearthError, SettingsError, UsageError, WorkspaceError
from hearth.llm.client import ChatClient, Endpoint
from hearth.llm.profile import PILOT, profile_for
from hearth.paths import Paths
from hearth.sandbox.command import PlainShell, Shell
from hearth.settings import Settings
from hearth.tools.apply_patch import ApplyPatch
from hearth.tools.bash import Bash
from hearth.tools.edit import Edit
from hearth.tools.glob import Glob
from hearth.tools.grep import Grep
from hearth.tools.hashline import Hashline
from hearth.tools.multi_edit import MultiEdit
from hearth.tools.read import Margin, Read
from hearth.tools.replace_lines import ReplaceLines
from hearth.tools.replace_symbol import ReplaceSymbol
from hearth.tools.search_replace import SearchReplace
from hearth.tools.telling import Report
from hearth.tools.toolbox import Toolbox
from hearth.tools.write import Write
from hearth.workspace import syntax
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace
from hearth.workspace.sight import Sight

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
    client = ChatClient(endpoint_for(paths, settings))
    try:
        models = await client.list_models()
        directory = Path(transcript.frame.directory) if transcript else _folder(start.directory)
        passed = {name: value for name, value in environment.items() if name not in WITHHELD}
        shell = PlainShell(directory, passed)
        if transcript is None:
            model = _choose_model(settings, models)
            transcript = await _create(paths, settings, directory, shell, model, start.mode)
        report: Report = "terse" if transcript.frame.profile == PILOT.name else "full"
        names = [tool.name for tool in transcript.frame.tools]
        toolbox = make_toolbox(names, directory, shell, settings.agent.bash_timeout_s, report)
        return Session(
            client,
            Gate(toolbox, start.mode, ask),
            transcript,
            max_steps=settings.agent.max_steps,
            context_length=models.get(transcript.frame.model, 0),
        )
    except BaseException:
        if transcript:
            transcript.close()
        raise


def endpoint_for(paths: Paths, settings: Settings) -> Endpoint:
    """Where the model answers. Raises SettingsError for a URL that is none."""
    url = settings.gateway.url
    if not url:
        return Endpoint(socket=paths.socket)
    if not url.startswith(("http://", "https://")):
        origin = settings.origin.get("gateway.url", "settings")
        raise SettingsError(f"{url!r} from {origin} is no HTTP address", "give one such as http://127.0.0.1:8888")
    return Endpoint(url=url, api_key=settings.gateway.api_key)


def make_toolbox(
    names: Sequence[str], directory: Path, shell: Shell, bash_timeout_s: float, report: Report = "full"
) -> Toolbox:
    """The named tools in this order; a name that this version does not know is left out.

    ``report`` is how ``edit`` tells what it did: tersely to the pilot, which was trained on those words.
    """
    workspace, sight = Workspace(directory), Sight()
    editor = Editor(workspace, sight, syntax)
    margin: Margin = "anchors" if "hashline" in names else "numbers" if "replace_lines" in names else "none"
    tools = {
        tool.name: tool
        for tool in (
            Read(workspace, sight, margin),
            Write(editor),
            Edit(editor, report),
            MultiEdit(editor),
            SearchReplace(editor),
            ApplyPatch(editor),
            ReplaceLines(editor),
            ReplaceSymbol(editor),
            Hashline(editor),
            Bash(shell, bash_timeout_s),
            Grep(workspace),
            Glob(workspace),
        )
    }
    return Toolbox([tools[name] for name in names if name in tools])


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


def _choose_model(settings: Settings, models: Mapping[str, int]) -> str:
    """The wished model; at another endpoint, when the owner wished for none, the first that it lists."""
    if "model" in settings.origin or not settings.gateway.url or settings.model in models:
        return settings.model
    return next(iter(models), settings.model)


async def _create(
    paths: Paths, settings: Settings, directory: Path, shell: Shell, model: str, mode: Mode
) -> Transcript:
    profile = profile_for(model)
    names = [name for name in profile.tools if mode != "plan" or name in LOOKING]
    now = datetime.now().astimezone()
    frame = Frame(
        session=new_session_id(now),
        directory=str(directory),
        model=model,
        profile=profile.name,
        system=await system_text(profile, directory, shell, now.date()),
        tools=make_toolbox(names, directory, shell, settings.agent.bash_timeout_s).specs,
        sampling=profile.sampling,
        max_tokens=profile.max_tokens,
    )
    paths.ensure()
    return create_transcript(paths.sessions, frame, now)
