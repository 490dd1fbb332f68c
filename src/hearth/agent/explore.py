"""Whether to look around before the model begins, and how it is told what was found: pure.

Small models do not delegate by themselves (pi-agents issue 4: 0 of 2 unasked), so the harness does it for them. It
begins with the files that the project's own names speak for, which costs no model anything; without a sub-agent they
are all that is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hearth.tools.task import Report
from hearth.tools.truncate import readable
from hearth.workspace.repomap import RankedFile

FEWEST_FILES = 30
"""Files of a project below which a model finds its way by itself."""
FEWEST_WORDS = 8
SMALLEST_WINDOW = 8_192
"""Tokens; below it a report takes room that the work needs."""
SMALLEST_LISTED = 4_096
"""Tokens of a window below which not even a list of files is worth its room."""
MOST_PLACES = 8
"""Files that are named to begin with."""
MOST_REASONS = 2
GOAL = (
    "Somebody is about to do this in the project:\n\n{prompt}\n\nFind where in the project it has to be done: the few "
    "files and lines that matter, where they are used, and how it is tested. Change nothing."
)
BEGIN = "Begin with these, for which their names and definitions speak; some of them will be wrong:"
PLACES = "[Files that this may be about, found by names and definitions alone. Check before you rely on it.]"
_CHANGES = re.compile(
    r"\b(add|build|change|convert|create|delete|extend|extract|fix|implement|introduce|make|merge|migrate|move|port|"
    r"refactor|remove|rename|repair|replace|rewrite|split|support|update|upgrade)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"[\w./-]\.\w{1,5}\b")


def worth_exploring(prompt: str, files: int) -> bool:
    """Whether a prompt is a large task: it asks for a change in a project of so many files, and does not say where."""
    if files < FEWEST_FILES:
        return False
    named = "@" in prompt or _PLACE.search(prompt)
    return bool(_CHANGES.search(prompt)) and len(prompt.split()) >= FEWEST_WORDS and not named


def has_room(window: int, least: int) -> bool:
    """Whether a window has so many tokens; one that nobody has told has."""
    return window == 0 or window >= least


def make_goal(prompt: str, places: Sequence[RankedFile]) -> str:
    """What the sub-agent is to do."""
    goal = GOAL.format(prompt=prompt)
    return f"{goal}\n\n{BEGIN}\n{_list(places)}" if places else goal


def preface(prompt: str, report: Report | None, places: Sequence[RankedFile]) -> str:
    """The prompt with what was found, by a sub-agent, else by names alone; as it was when nothing was."""
    if report and report.status != "failed" and report.findings:
        found = "\n".join(f"- {finding}" for finding in report.findings)
        return f"{prompt}\n\n[A helper looked around before. Check what it says.]\n{report.summary}\n{found}"
    return f"{prompt}\n\n{PLACES}\n{_list(places)}" if places else prompt


def _list(places: Sequence[RankedFile]) -> str:
    lines = (f"{place.path}: {'; '.join(place.why[:MOST_REASONS])}" for place in places)
    return "\n".join(f"- {readable(' '.join(line.split()))}" for line in lines)
