"""Whole outputs of a session, kept beside its transcript: what a model sees of them is cut, what it can read is not.

Nothing is written into the owner's project. The names are virtual (``output:7``); ``read`` and ``grep`` resolve them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hearth.errors import WorkspaceError
from hearth.tools.truncate import LONGEST_OUTPUT, cut_lines, fitting, keep_ends
from hearth.workspace.files import Workspace

MOST_OUTPUTS = 2_000
"""Files of one session; the oldest makes room for the next."""
LARGEST_OUTPUT = 8 * 1024 * 1024
"""Characters of one; commands give less, a file that is read whole may have as many."""
_NAME = re.compile(r"output:(\d{1,9})")


class Outputs:
    """The whole outputs of one session in one folder. Without a folder nothing is kept, and nothing else changes."""

    def __init__(self, folder: Path | None = None, limit: int = LONGEST_OUTPUT) -> None:
        """``limit``: characters of one result that a model sees. The folder is made with the first output."""
        self._folder = folder
        self.limit = limit
        self._next = 0

    def cut(self, text: str) -> str:
        """The text as a model sees it: unchanged if it is short; else its failures and its verdict where it is the
        output of tests or of a compiler, else both ends, and the name under which the whole can be read."""
        plain = cut_lines(text)
        limit = fitting(plain, self.limit)
        if len(plain) <= limit:
            return plain
        from hearth.tools.focus import focus

        shown = focus(plain, limit) or keep_ends(plain, limit)
        name = self.keep(text)
        return f"{shown.rstrip()}\n[{len(text):,} characters; the whole is in {name}]\n" if name else shown

    def keep(self, text: str) -> str:
        """Keep a text; its name, or an empty one where that cannot be done: a full disk must not stop a session."""
        if self._folder is None:
            return ""
        try:
            number = self._claim(text[:LARGEST_OUTPUT].encode("utf-8", errors="replace"))
        except OSError:
            return ""
        return f"output:{number}"

    def open(self, name: str) -> int:
        """A read-only descriptor; the caller closes it. Raises WorkspaceError if there is no such output."""
        found = _NAME.fullmatch(name)
        if found and self._folder is not None:
            with suppress(OSError):
                return os.open(self._folder / f"{int(found[1])}.txt", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        raise WorkspaceError(f"there is no {name}", "run the command again")

    def _claim(self, data: bytes) -> int:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._next:
            self._next = 1 + max(
                (int(path.stem) for path in self._folder.glob("*.txt") if path.stem.isdigit()), default=0
            )
        number, self._next = self._next, self._next + 1
        temporary = self._folder / f".{number}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._folder / f"{number}.txt")
        with suppress(OSError):
            (self._folder / f"{number - MOST_OUTPUTS}.txt").unlink(missing_ok=True)
        return number


class Shelf:
    """What ``read`` and ``grep`` may open beside the project: whole outputs, and skills from outside
    (``skill:NAME/FILE``)."""

    def __init__(self, outputs: Outputs, skills: Mapping[str, Path] | None = None) -> None:
        """``skills`` are the folders of skills that do not lie in the project, by name."""
        self._outputs = outputs
        self._skills = dict(skills or {})

    def holds(self, path: str) -> bool:
        """Whether a path is one of these names and no file of the project."""
        return path.startswith(("output:", "skill:"))

    def open(self, path: str) -> int:
        """A read-only descriptor; the caller closes it. Raises WorkspaceError if it is not there."""
        if path.startswith("output:"):
            return self._outputs.open(path)
        name, _, inner = path.removeprefix("skill:").partition("/")
        folder = self._skills.get(name)
        if folder is None:
            raise WorkspaceError(f"there is no skill {name!r}", f"the skills are: {', '.join(self._skills) or 'none'}")
        return Workspace(folder).open(inner or "SKILL.md")

    def read_text(self, path: str) -> str:
        """The whole text, as far as LARGEST_OUTPUT goes; what is not UTF-8 is replaced. Raises WorkspaceError."""
        descriptor = self.open(path)
        try:
            with os.fdopen(descriptor, encoding="utf-8", errors="replace", newline="") as file:
                return file.read(LARGEST_OUTPUT)
        except OSError as error:
            raise WorkspaceError(f"{path}: {error.strerror}") from error
