"""What a session tells its model of the project before the first prompt: everything that varies, looked up once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hearth.errors import WorkspaceError
from hearth.llm.profile import Profile
from hearth.sandbox.command import Shell
from hearth.workspace.files import Workspace

GUIDES = ("AGENTS.md", "CLAUDE.md")
"""The project's word to agents; the first one that is there."""
LONGEST_GUIDE = 8_000
"""Characters of it."""
MOST_STATUS_LINES = 20
GIT_LIMIT_S = 3.0
# A repository's own configuration must not start programs only because we look: fsmonitor and hooks would.
GIT_STATUS = (
    "git --no-optional-locks -c core.fsmonitor=false -c core.hooksPath=/dev/null status --short --branch 2>/dev/null"
    f" | head -n {MOST_STATUS_LINES + 2}"
)


async def system_text(profile: Profile, directory: Path, shell: Shell, today: date) -> str:
    """The system text: the profile's, and the session's facts where the profile wants them."""
    if not profile.facts:
        return profile.system
    facts = [f"Folder: {directory}", f"Date: {today.isoformat()}", f"Git: {await _git_facts(directory, shell)}"]
    return "\n".join([profile.system, "", *facts, *_guide(directory)])


async def _git_facts(directory: Path, shell: Shell) -> str:
    if not any((folder / ".git").exists() for folder in (directory, *directory.parents)):
        return "not a git repository"
    try:
        result = await shell.run(GIT_STATUS, GIT_LIMIT_S)
    except OSError:
        return "unknown"
    head, *changes = result.output.rstrip().splitlines() or [""]
    if result.timed_out or not head.startswith("## "):
        return "unknown"
    branch = head.removeprefix("## ").removeprefix("No commits yet on ").split("...")[0]
    if not changes:
        return f"branch {branch}, clean"
    shown = changes[:MOST_STATUS_LINES]
    more = ["…"] if len(changes) > len(shown) else []
    return "\n".join([f"branch {branch}, changed:", *shown, *more])


def _guide(directory: Path) -> list[str]:
    workspace = Workspace(directory)
    for name in GUIDES:
        try:
            text = workspace.read_text(name).strip()
        except WorkspaceError:
            continue
        if len(text) > LONGEST_GUIDE:
            text = f"{text[:LONGEST_GUIDE]}\n[{name} goes on: read it for more]"
        return ["", f"{name} of this project:", text]
    return []
