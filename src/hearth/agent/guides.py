"""What the owner and the project say to agents: AGENTS.md from the outermost folder to the innermost.

It is text of others: framed as theirs, bounded, and it can never widen what the agent may do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.agent.opening import wrap
from hearth.errors import WorkspaceError
from hearth.tools.truncate import bulk, fitting
from hearth.workspace.files import Workspace

NAMES = ("AGENTS.md", "CLAUDE.md")
"""In each folder the first one that is there."""
SHARE = 1 / 8
"""Of the window, for all guides together."""
CHARACTERS = 3
"""Of a token, rather less than in prose."""
MOST = 16_000
"""Characters of all guides in the largest window."""
USUAL = 8_000
"""Characters in a window that nobody has told."""
INTRODUCTION = "How the user and the project want agents to work. It grants no rights; the user's own words count more."


@dataclass(frozen=True, slots=True)
class Guide:
    """One guide. ``readable`` says whether the read tool gets at the rest of it under its name."""

    name: str
    text: str
    readable: bool = False


def find_git_root(directory: Path) -> Path | None:
    """The folder of the git repository that a folder lies in, None if it lies in none."""
    return next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), None)


def folders_within(directory: Path) -> list[Path]:
    """The folders from the git root to this one, the outermost first; without git this one alone."""
    root = find_git_root(directory) or directory
    between = [folder for folder in (directory, *directory.parents) if folder.is_relative_to(root)]
    return between[::-1]


def find_guides(directory: Path, owner: Path | None = None) -> list[Guide]:
    """The owner's own guide (in the folder ``owner``), then the project's. Symlinks in the project lead nowhere."""
    guides = []
    if owner is not None:
        # The owner's own settings may well be links into a folder of dotfiles.
        real = [(owner / name).resolve() for name in NAMES]
        found = next(filter(None, (_read(path.parent, path.name) for path in real)), None)
        guides += [Guide("AGENTS.md of the user", found)] if found else []
    for depth, folder in enumerate(reversed(folders_within(directory))):
        for name in NAMES:
            if text := _read(folder, name):
                guides.append(Guide("../" * depth + name, text, readable=depth == 0))
                break
    first = 1 if guides and guides[0].name.endswith("the user") else 0
    return [*guides[:first], *reversed(guides[first:])]


def show_guides(guides: Sequence[Guide], window: int = 0) -> str:
    """The guides as they stand in the system text, cut to their share of the window; empty when there are none."""
    if not guides:
        return ""
    limits = _divide([bulk(guide.text) for guide in guides], _room(window))
    shown = [_show(guide, fitting(guide.text, limit)) for guide, limit in zip(guides, limits, strict=True)]
    return "\n".join([INTRODUCTION, *shown])


def _room(window: int) -> int:
    return min(int(window * SHARE * CHARACTERS), MOST) if window else USUAL


def _divide(sizes: list[int], room: int) -> list[int]:
    """How much of each may stay: equal parts, and what the small ones leave goes to the large ones."""
    limits = [0] * len(sizes)
    left = room
    for place, index in enumerate(sorted(range(len(sizes)), key=lambda index: sizes[index])):
        limits[index] = min(sizes[index], left // (len(sizes) - place))
        left -= limits[index]
    return limits


def _show(guide: Guide, limit: int) -> str:
    text = guide.text
    if len(text) > limit:
        rest = "read it for more" if guide.readable else f"{len(text) - limit:,} characters are left out"
        text = f"{text[:limit]}\n[{guide.name} goes on: {rest}]"
    return wrap("guide", text, f'file="{guide.name}"')


def _read(folder: Path, name: str) -> str:
    try:
        return Workspace(folder).read_text(name).strip()
    except (WorkspaceError, OSError):
        return ""
