"""Search the project's files for a pattern."""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec

from hearth.errors import WorkspaceError
from hearth.tools.glob import matches
from hearth.tools.outputs import Shelf
from hearth.tools.pace import Pace
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import LONGEST_OUTPUT, cut_line, keep_start, readable
from hearth.workspace.edits import split_lines
from hearth.workspace.files import Workspace

MOST_MATCHES = 100
LONGEST_MATCH = 300
LONGEST_SEARCH_S = 30.0
"""Seconds of one search."""
LONGEST_LINE_S = 2.0
"""Seconds on one line: some expressions take exponential time, and nothing else, Ctrl-C least, is heard meanwhile."""


class Pattern(Protocol):
    """A compiled expression of the package ``regex``, which keeps a time limit where ``re`` cannot."""

    def search(self, string: str, *, timeout: float) -> object | None:
        """The first match or None. Raises TimeoutError after ``timeout`` seconds."""
        ...


class GrepParams(msgspec.Struct, frozen=True):
    """``pattern`` is a regular expression; ``path`` a folder or file, also one that is kept beside the project
    (``output:7``); ``glob`` filters file names."""

    pattern: str
    path: str = "."
    glob: str = ""


class Grep:
    """Finds lines by regular expression; binary and very large files are left out."""

    name = "grep"
    params = GrepParams

    def __init__(self, workspace: Workspace, longest: int = LONGEST_OUTPUT, shelf: Shelf | None = None) -> None:
        """``longest``: characters of one result; ``shelf`` holds what can be searched beside the project."""
        self._workspace = workspace
        self._longest = longest
        self._shelf = shelf

    def label(self, params: GrepParams) -> str:
        """The pattern, and where."""
        return params.pattern if params.path == "." else f"{params.pattern} in {params.path}"

    async def run(self, params: GrepParams) -> ToolResult:
        """``path:line: text`` for each match, at most MOST_MATCHES."""
        try:
            found = await self._search(_compile(params.pattern), params)
        except WorkspaceError as error:
            return ToolResult(str(error), failed=True)
        except TimeoutError as error:
            return ToolResult(f"{error}: give a simpler pattern or a path", failed=True)
        except (MemoryError, RecursionError):
            return ToolResult("the pattern is too deep: give a simpler one", failed=True)
        if not found:
            return ToolResult(f"no match for {params.pattern}")
        kept, left_out = keep_start(found[:MOST_MATCHES], self._longest)
        left_out += max(0, len(found) - MOST_MATCHES)
        lines = (
            [*kept, f"[{left_out} or more matches left out: narrow the pattern or give a path]"] if left_out else kept
        )
        count = f"{len(kept)} match" if len(kept) == 1 else f"{len(kept)} matches"
        return ToolResult("\n".join(lines), for_person=count)

    async def _search(self, pattern: Pattern, params: GrepParams) -> list[str]:
        found: list[str] = []
        deadline = time.monotonic() + LONGEST_SEARCH_S
        pace = Pace()
        if self._shelf and self._shelf.holds(params.path):
            text = self._shelf.read_text(params.path)
            return await _search_text(pattern, params.path, text, deadline, pace)
        for name in self._workspace.walk(params.path):
            await pace.rest()
            if params.glob and not _matches(name, params.glob):
                continue
            try:
                text = self._workspace.read_text(name)
            except WorkspaceError:
                continue  # binary, too large or unreadable: not what a search is for
            found += await _search_text(pattern, name, text, deadline, pace)
            if len(found) > MOST_MATCHES:
                break
        return found


async def _search_text(pattern: Pattern, name: str, text: str, deadline: float, pace: Pace) -> list[str]:
    found = []
    for number, line in enumerate(split_lines(text), 1):
        await pace.rest()
        if _find_in_line(pattern, line, deadline):
            found.append(f"{readable(name)}:{number}: {cut_line(line, LONGEST_MATCH)}")
    return found


def _compile(pattern: str) -> Pattern:
    import regex

    try:
        compiled: Pattern = regex.compile(pattern)
    except regex.error:
        # Models often mean the text itself: "foo(" is no expression but a fine search.
        compiled = regex.compile(re.escape(pattern))
    return compiled


def _find_in_line(pattern: Pattern, line: str, deadline: float) -> bool:
    """Whether the line matches. Raises TimeoutError saying which limit was passed."""
    left_s = max(deadline - time.monotonic(), 0.001)
    try:
        return pattern.search(line, timeout=min(left_s, LONGEST_LINE_S)) is not None
    except TimeoutError as error:
        late = (
            f"one line took longer than {LONGEST_LINE_S:g} s"
            if left_s > LONGEST_LINE_S
            else f"the search took longer than {LONGEST_SEARCH_S:g} s"
        )
        raise TimeoutError(late) from error


def _matches(name: str, glob: str) -> bool:
    # Models write both: a glob whose * crosses folders, and one in the form of the glob tool.
    return fnmatchcase(name, glob) or matches(name, glob)
