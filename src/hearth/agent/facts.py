"""What a session tells its model of the project before the first prompt: everything that varies, looked up once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hearth.agent.guides import find_git_root, find_guides, show_guides
from hearth.agent.skills import find_skills, show_skills
from hearth.llm.profile import Profile
from hearth.sandbox.command import Shell

MOST_STATUS_LINES = 20
GIT_LIMIT_S = 3.0
# A repository's own configuration must not start programs only because we look: fsmonitor and hooks would.
GIT_STATUS = (
    "git --no-optional-locks -c core.fsmonitor=false -c core.hooksPath=/dev/null status --short --branch 2>/dev/null"
    f" | head -n {MOST_STATUS_LINES + 2}"
)


async def system_text(
    profile: Profile, directory: Path, shell: Shell, today: date, owner: Path | None = None, window: int = 0
) -> str:
    """The system text: the profile's, and the session's facts where the profile wants them.

    ``owner`` is the folder of the owner's own guide and skills; ``window`` bounds what all these may take, in tokens, 0
    where nobody knows it.
    """
    if not profile.facts:
        return profile.system
    facts = [f"Folder: {directory}", f"Date: {today.isoformat()}", f"Git: {await _git_facts(directory, shell)}"]
    told = (show_guides(find_guides(directory, owner), window), show_skills(find_skills(directory, owner), window))
    return "\n\n".join([profile.system, "\n".join(facts), *filter(None, told)])


async def _git_facts(directory: Path, shell: Shell) -> str:
    if not find_git_root(directory):
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
