"""A person's words on their way to the model: what they mention is attached, and the first ones come with a map."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import islice

from hearth.agent.explore import (
    FEWEST_FILES,
    MOST_PLACES,
    SMALLEST_LISTED,
    SMALLEST_WINDOW,
    has_room,
    make_goal,
    preface,
    worth_exploring,
)
from hearth.agent.mentions import Prompt, attach
from hearth.agent.opening import Draw, with_map
from hearth.tools.task import Kind, Report
from hearth.workspace.files import Workspace
from hearth.workspace.repomap import RankedFile

Explore = Callable[[str, Kind], Awaitable[Report]]
Rank = Callable[[str, int], tuple[RankedFile, ...]]
"""The files that a task is likely about, at most so many."""


def rank_nothing(_prompt: str, _most: int) -> tuple[RankedFile, ...]:
    """Knows no file that a task may be about."""
    return ()


class Prompting:
    """Writes the message that a model reads for what a person said."""

    def __init__(
        self,
        workspace: Workspace,
        draw: Draw | None = None,
        explore: Explore | None = None,
        *,
        rank: Rank = rank_nothing,
        sees: bool = False,
    ) -> None:
        """``draw`` draws the map of the project, ``explore`` sends a sub-agent to look around before a large task; None
        does without. ``rank`` says with which files to begin. ``sees`` is whether the model takes images."""
        self._workspace = workspace
        self._draw = draw
        self._explore = explore
        self._rank = rank
        self._sees = sees

    async def write(self, prompt: str, *, window: int, first: bool) -> Prompt:
        """The message; ``window`` is the model's in tokens, ``first`` whether nothing was said before."""
        sent = attach(prompt, self._workspace, window=window, sees=self._sees)
        if not first:
            return sent
        text = sent.text
        if self._draw:
            text = await asyncio.to_thread(with_map, text, self._draw, window, self._workspace.walk())
        if worth_exploring(prompt, self._count_files()) and has_room(window, SMALLEST_LISTED):
            places = await asyncio.to_thread(self._rank, prompt, MOST_PLACES)
            report = None
            if self._explore and has_room(window, SMALLEST_WINDOW):
                report = await self._explore(make_goal(prompt, places), "explore")
            text = preface(text, report, places)
        return replace(sent, text=text)

    def _count_files(self) -> int:
        return sum(1 for _ in islice(self._workspace.walk(), FEWEST_FILES))
