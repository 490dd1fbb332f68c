"""The map of one project, and which of its files a task is about."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from hearth.errors import WorkspaceError
from hearth.workspace.files import Workspace
from hearth.workspace.repomap.clues import (
    NAMED_POINTS,
    TEXT_POINTS,
    Clues,
    RankedFile,
    point_at_central,
    point_at_definitions,
    point_at_paths,
    point_at_uses,
)
from hearth.workspace.repomap.drawing import CHARACTERS_A_TOKEN, draw_map
from hearth.workspace.repomap.ranking import rank
from hearth.workspace.repomap.sketch import LARGEST_FILE
from hearth.workspace.repomap.survey import Read, Survey, survey
from hearth.workspace.repomap.wanted import Wanted, find_named, read_prompt
from hearth.workspace.syntax import outline

DEADLINE_S = 5.0
"""Seconds that a look at a project may take; `make bench-repomap` says what it takes."""

_MOST_QUOTES = 8
_MOST_SEARCHED = 3_000


class RepoMap:
    """The map of a project. The same tree and prompt give the same bytes, unless a deadline ends the look.

    ``cache`` is a folder outside the project where what was read is kept; None keeps nothing. ``outline`` reads a file:
    in this process, unless it is that of a ``SyntaxReader``.
    """

    def __init__(
        self,
        workspace: Workspace,
        cache: Path | None = None,
        characters_a_token: float = CHARACTERS_A_TOKEN,
        outline: Read = outline,
    ) -> None:
        self._workspace = workspace
        self._cache = cache
        self._outline = outline
        self._characters_a_token = characters_a_token

    def draw(self, budget_tokens: int, prompt: str = "", *, deadline_s: float = DEADLINE_S) -> str:
        """The map within a budget of tokens, what matters for the prompt first; "" where there is nothing to show.

        ``path:`` and below it, indented, the lines that define something, in the order of the path and the line.
        """
        if budget_tokens <= 0:
            return ""
        wanted = read_prompt(prompt)
        found = survey(self._workspace, self._cache, self._outline, wanted, deadline_s)
        ranking = rank(found.sketches, wanted, find_named(found.paths, wanted))
        others = sorted(found.paths, key=lambda path: (-ranking.files.get(path, 0.0), path.count("/"), path))
        return draw_map(found.sketches, ranking.best_lines(), others, budget_tokens, self._characters_a_token)

    def rank_files(self, prompt: str, most: int, *, deadline_s: float = DEADLINE_S) -> tuple[RankedFile, ...]:
        """The files that a task is likely about, best first, each with why; none that nothing speaks for."""
        end = time.monotonic() + deadline_s
        wanted = read_prompt(prompt)
        found = survey(self._workspace, self._cache, self._outline, wanted, deadline_s)
        named = find_named(found.paths, wanted)
        clues = Clues()
        for path in sorted(named):
            clues.add(path, NAMED_POINTS, "named in the task")
        point_at_definitions(clues, found.sketches, wanted)
        point_at_paths(clues, found.paths, wanted)
        point_at_uses(clues, found.sketches, wanted)
        self._point_at_texts(clues, found, wanted, end)
        point_at_central(clues, rank(found.sketches, wanted, named))
        return clues.best(most)

    def _point_at_texts(self, clues: Clues, found: Survey, wanted: Wanted, end: float) -> None:
        """Files in which a quoted text stands, or an identifier that no code defines or uses."""
        known = {name for sketch in found.sketches.values() for name in sketch.names.split(" ")}
        known |= {line.name for sketch in found.sketches.values() for line in sketch.lines}
        sought = [*wanted.quotes[:_MOST_QUOTES], *sorted(wanted.code - known)[:_MOST_QUOTES]]
        sought = [text for text in sought if text not in known]
        if not sought:
            return
        needles = {text: text.encode("utf-8", "replace") for text in sought}
        there: dict[str, list[str]] = defaultdict(list)
        for path in found.paths[:_MOST_SEARCHED]:
            if time.monotonic() > end:
                break
            with suppress(WorkspaceError):
                data = self._workspace.read_bytes(path, LARGEST_FILE)
                for text, needle in needles.items():
                    if needle in data:
                        there[text].append(path)
        for text, paths in there.items():
            for path in paths:
                clues.add(path, TEXT_POINTS / len(paths) ** 0.5, f"contains {text!r}")
