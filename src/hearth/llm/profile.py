"""What we know of a model family: which prompt, tools and sampling make it work. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Dialect = Literal["chat", "harmony", "text"]
Tier = Literal["minimal", "standard", "full"]
EditFormat = Literal["replace", "multi", "search_replace", "apply_patch", "whole", "lines", "symbol", "hashline"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How to talk to one family.

    ``system`` is the frozen system text; ``tools`` names the tools in prompt order; ``facts`` says whether the
    session's facts (folder, date, git status, AGENTS.md) follow the system text; ``sampling`` goes into every
    request, because server defaults are not the vendor's; ``max_tokens`` bounds one answer.

    ``dialect`` is what is spoken: OpenAI chat (the server has the parser), Harmony over raw completion, or plain text
    with fenced calls for models without tools. ``tier`` is how much the system text and tools may weigh, ``edit`` in
    which form the model writes changes, ``echo`` whether its reasoning goes back to it, ``names`` what it calls our
    tools (ours to its own), ``parallel`` whether it may make several calls in one step, ``thinking`` how many tokens it
    may think in one answer (0: no bound). ``work``, ``mask`` and ``compact`` are shares of the real window: what a
    session should hold, where old observations are masked, where it is compacted.
    """

    name: str
    system: str
    tools: tuple[str, ...]
    facts: bool = True
    sampling: dict[str, Any] = field(default_factory=dict)
    max_tokens: int = 8192
    dialect: Dialect = "chat"
    tier: Tier = "standard"
    edit: EditFormat = "replace"
    echo: bool = True
    names: dict[str, str] = field(default_factory=dict)
    parallel: bool = True
    thinking: int = 0
    work: float = 0.35
    mask: float = 0.6
    compact: float = 0.75


PILOT = Profile(
    name="pilot",
    system="You are the pilot, a tiny coding agent. You answer with one tool call at a time.",
    tools=("bash", "edit", "grep", "read"),
    facts=False,
    sampling={"temperature": 0.0},
    max_tokens=512,
)
"""The model in the package. Its training sessions are rendered from this very record: change it, and retrain."""

STANDARD = Profile(
    name="standard",
    system=(
        "You are hearth, a coding agent on the user's own machine. Work in the project folder with the tools until the "
        "task is done.\n"
        "- Look before you change: grep and read first, never guess file contents.\n"
        "- Use edit for changes in existing files; old is copied exactly from the file.\n"
        "- After changes run the tests or the program, and mend what fails.\n"
        "- A tool result that says failed means that nothing was done: read why, then try another way.\n"
        "- Keep to the task. Change no tests unless asked. Leave no scratch files.\n"
        "- When done, say in a few plain sentences what you changed and how it was checked."
    ),
    tools=("read", "write", "edit", "bash", "grep", "glob"),
    sampling={"temperature": 0.7, "top_p": 0.95, "min_p": 0.01},
)
"""For every model that we know nothing more of."""


def profile_for(model: str) -> Profile:
    """The profile for a model's name; the path of a GGUF counts by its file name."""
    name = model.rsplit("/", 1)[-1].lower()
    return PILOT if name in ("pilot", "pilot.gguf") else STANDARD
