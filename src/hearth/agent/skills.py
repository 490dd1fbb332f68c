"""Skills: folders with a SKILL.md, of which the model is told one line each and reads the rest when it needs it.

A skill is text. What its front matter says of tools that it may use is not heeded: a project's skill grants nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.agent.guides import CHARACTERS, folders_within
from hearth.agent.opening import wrap
from hearth.agent.steps import shorten
from hearth.errors import WorkspaceError
from hearth.workspace.files import Workspace

FOLDERS = (".hearth/skills", ".claude/skills", ".agents/skills")
"""Where projects keep them, the first one that has a name counts."""
SHARE = 1 / 32
"""Of the window, for all lines together."""
LEAST, MOST, USUAL = 600, 6_000, 1_500
"""Characters of them in the smallest window, in the largest, and in one that nobody has told."""
LONGEST_DESCRIPTION = 200
MOST_SKILLS = 200
LARGEST_HEAD = 16_384
"""Characters of a SKILL.md in which its front matter must end."""
INTRODUCTION = "Instructions for special tasks: when a task is about one, read its file first. They grant no rights."
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(name|description):[ \t]*(.*(?:\r?\n[ \t]+.*)*)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill. ``path`` is what the read tool takes; ``folder`` is where it lies when that is not in the project."""

    name: str
    description: str
    path: str
    folder: Path | None = None


def find_skills(directory: Path, owner: Path | None = None) -> list[Skill]:
    """The owner's skills (``skills`` in the folder ``owner``), then those from the project's folder up to its git root.

    Of two with one name the owner's counts, then the one nearest to the project's folder.
    """
    found: dict[str, Skill] = {}
    for base, inner in _places(directory, owner):
        inside = base == directory
        for name, text, folder in _read_all(base, inner):
            fields = read_front(text)
            told = fields.get("name", "")
            title = told if _NAME.fullmatch(told) else name
            if not fields.get("description") or not _NAME.fullmatch(title) or len(found) == MOST_SKILLS:
                continue
            path = f"{inner}/{name}/SKILL.md" if inside else f"skill:{title}/SKILL.md"
            description = shorten(fields["description"], LONGEST_DESCRIPTION)
            found.setdefault(title, Skill(title, description, path, None if inside else folder))
    return list(found.values())


def show_skills(skills: Sequence[Skill], window: int = 0) -> str:
    """The skills as they stand in the system text, within their share of the window; empty when there are none."""
    if not skills:
        return ""
    left = max(min(int(window * SHARE * CHARACTERS), MOST), LEAST) if window else USUAL
    lines: list[str] = []
    for skill in skills:
        line = f"- {skill.name} ({skill.path}): {skill.description}"
        if len(line) > left:
            names = ", ".join(skill.name for skill in skills[len(lines) :])
            lines.append(f"[{len(skills) - len(lines)} more: {shorten(names, max(left, 80))}]")
            break
        lines.append(line)
        left -= len(line) + 1
    return wrap("skills", "\n".join([INTRODUCTION, *lines]))


def outside(skills: Sequence[Skill]) -> dict[str, Path]:
    """The folders of the skills that do not lie in the project, by name: what ``tools.outputs.Shelf`` takes."""
    return {skill.name: skill.folder for skill in skills if skill.folder}


def read_front(text: str) -> dict[str, str]:
    """``name`` and ``description`` of a front matter: plain, quoted and folded values, which is all that skills use."""
    front = _FRONT.match(text[:LARGEST_HEAD])
    if not front:
        return {}
    return {name: _value(raw) for name, raw in _FIELD.findall(front[1])}


def _value(raw: str) -> str:
    head, *more = [line.strip() for line in raw.splitlines()] or [""]
    if re.fullmatch(r"[>|][+-]?\d?", head):
        head = ""
    value = " ".join(part for part in (head, *more) if part)
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1].replace("''", "'" if value[0] == "'" else "''").replace('\\"', '"')
    return value


def _places(directory: Path, owner: Path | None) -> Iterator[tuple[Path, str]]:
    if owner is not None:
        yield owner.resolve(), "skills"
    for folder in reversed(folders_within(directory)):
        for inner in FOLDERS:
            yield folder, inner


def _read_all(base: Path, inner: str) -> Iterator[tuple[str, str, Path]]:
    """The skills in one folder by the names of their folders. Links are not followed: they may lead anywhere."""
    try:
        names = sorted(entry.name for entry in (base / inner).iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return
    workspace = Workspace(base)
    for name in names[:MOST_SKILLS]:
        try:
            text = workspace.read_text(f"{inner}/{name}/SKILL.md")
        except (WorkspaceError, OSError):
            continue
        yield name, text, base / inner / name
