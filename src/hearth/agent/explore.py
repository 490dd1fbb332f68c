"""Whether to look around before the model begins, and how it is told what was found: pure.

Small models do not delegate by themselves (pi-agents issue 4: 0 of 2 unasked), so the harness does it for them.
"""

from __future__ import annotations

import re

from hearth.tools.task import Report

FEWEST_FILES = 30
"""Files of a project below which a model finds its way by itself."""
FEWEST_WORDS = 8
SMALLEST_WINDOW = 8_192
"""Tokens; below it a report takes room that the work needs."""
GOAL = (
    "Somebody is about to do this in the project:\n\n{prompt}\n\nFind where in the project it has to be done: the few "
    "files and lines that matter, where they are used, and how it is tested. Change nothing."
)
_CHANGES = re.compile(
    r"\b(add|build|change|convert|create|delete|extend|extract|fix|implement|introduce|make|merge|migrate|move|port|"
    r"refactor|remove|rename|repair|replace|rewrite|split|support|update|upgrade)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"[\w./-]+\.\w{1,5}\b")


def worth_exploring(prompt: str, files: int, window: int) -> bool:
    """Whether a prompt is a large task: it asks for a change in a project of many files, and does not say where.

    ``files`` is how many the project has, ``window`` the model's in tokens (0: unknown).
    """
    if files < FEWEST_FILES or 0 < window < SMALLEST_WINDOW:
        return False
    named = "@" in prompt or _PLACE.search(prompt)
    return bool(_CHANGES.search(prompt)) and len(prompt.split()) >= FEWEST_WORDS and not named


def preface(prompt: str, report: Report) -> str:
    """The prompt with what was found; as it was when nothing was."""
    if report.status == "failed" or not report.findings:
        return prompt
    places = "\n".join(f"- {finding}" for finding in report.findings)
    return f"{prompt}\n\n[A helper looked around before. Check what it says.]\n{report.summary}\n{places}"
