"""What the project's ``.gitignore`` files leave out.

Our own reading of their rules: pathspec, which knows them all, took 0.16 s to import, more than a third of what a
start of `hearth run` may take. `tests/workspace/test_repomap_ignored.py` holds ours against git's.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from hearth.errors import WorkspaceError
from hearth.workspace.files import Workspace

_NAME = ".gitignore"
_LARGEST = 100_000
_LONGEST_RULE = 200
_MOST_STARS = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a ``.gitignore``: what paths below its folder it means, and whether it takes them back in."""

    pattern: re.Pattern[str]
    back_in: bool
    folders_only: bool


class Ignored:
    """Says of each path of a project whether it is ignored. Reads each ``.gitignore`` once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._folders: dict[str, bool] = {}

    def has(self, path: str, is_folder: bool = False) -> bool:
        """Whether a path is ignored, by itself or with a folder that it is in."""
        parts = PurePosixPath(path).parts
        for end in range(1, len(parts)):
            if self._is_folder_ignored(parts[:end]):
                return True
        return self._is_folder_ignored(parts) if is_folder else self._match(parts, False)

    def _is_folder_ignored(self, parts: tuple[str, ...]) -> bool:
        path = "/".join(parts)
        if path not in self._folders:
            self._folders[path] = self._match(parts, True)
        return self._folders[path]

    def _match(self, parts: tuple[str, ...], is_folder: bool) -> bool:
        # The nearest file that says something of it is right, and in it the last line.
        for depth in range(len(parts) - 1, -1, -1):
            rules = self._read("/".join(parts[:depth]))
            path = "/".join(parts[depth:])
            for rule in reversed(rules):
                if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(path):
                    return not rule.back_in
        return False

    def _read(self, folder: str) -> tuple[Rule, ...]:
        if folder not in self._rules:
            text = ""
            with suppress(WorkspaceError, UnicodeDecodeError):
                text = self._workspace.read_bytes(f"{folder}/{_NAME}" if folder else _NAME, _LARGEST).decode()
            self._rules[folder] = read_rules(text)
        return self._rules[folder]


def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules of one ``.gitignore``, in order."""
    return tuple(rule for line in text.removeprefix("\ufeff").split("\n") if (rule := _read_rule(line)) is not None)


@cache
def _read_rule(line: str) -> Rule | None:
    line = line.removesuffix("\r")
    stripped = line.rstrip(" ")
    # A blank at the end counts if it is escaped.
    line = f"{stripped} " if stripped.endswith("\\") and stripped != line else stripped
    if not line or line.startswith("#") or len(line) > _LONGEST_RULE or line.count("*") > _MOST_STARS:
        return None
    back_in = line.startswith("!")
    line = line.removeprefix("!")
    folders_only = line.endswith("/")
    line = line.rstrip("/") if folders_only else line
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    try:
        pattern = re.compile(("" if anchored else r"(?:.*/)?") + _translate(line), re.DOTALL)
    except re.error:
        return None
    return Rule(pattern, back_in, folders_only)


def _translate(glob: str) -> str:
    """A pattern of git's as a regular expression: ``*`` stays within a name, ``**`` between slashes does not."""
    glob = re.sub(r"(^|/)\*\*(/\*\*)+(?=/|$)", r"\1**", glob)
    parts = []
    at = 0
    while at < len(glob):
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            parts.append(r"(?:.*/)?")
            at += 3
        elif glob[at:] == "**" and at > 0 and glob[at - 1] == "/":
            parts.append(r".+")
            at += 2
        elif glob[at] == "*":
            parts.append(r"[^/]*")
            while at < len(glob) and glob[at] == "*":
                at += 1
        elif glob[at] == "?":
            parts.append(r"[^/]")
            at += 1
        elif glob[at] == "[" and (found := re.match(r"\[([!^]?)(\]?[^\]/]*)\]", glob[at:])):
            inside = found.group(2).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("&", "\\&")
            inside = inside.replace("~", "\\~").replace("|", "\\|").replace("^", "\\^")
            parts.append(f"(?!/)[{'^' if found.group(1) else ''}{inside}]")
            at += found.end()
        else:
            at += glob[at] == "\\" and at + 1 < len(glob)
            parts.append(re.escape(glob[at]))
            at += 1
    return "".join(parts)
