"""What is done about a circle, from the mildest to the last: pure. A turn only climbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from hearth.agent.guard.acts import Act
from hearth.agent.guard.detectors import Finding
from hearth.agent.guard.testruns import Verdict


class Rung(IntEnum):
    """How far a turn has come. ``HINT``: a sentence in a tool result; ``RESTART``: files rolled back where that is
    right, and a fresh context with a note; ``RETRY``: the last step again, warmer; ``STOP``: an honest report."""

    GO = 0
    HINT = 1
    RESTART = 2
    RETRY = 3
    STOP = 4


def climb(rung: Rung, finding: Finding) -> Rung:
    """The next rung. A model that rests with nothing has no context to be freed of: it is asked again at once."""
    least = Rung.RESTART if finding.kind == "rest" else Rung.HINT
    return Rung(min(max(rung, least) + 1, Rung.STOP))


def pick_due(findings: Sequence[Finding], tried: Mapping[str, int]) -> Finding | None:
    """The first circle that has gone on for too long. ``tried``: its count when the course was last changed for it."""
    for finding in findings:
        at = tried.get(finding.key)
        if finding.climbs and (at is None or finding.count >= at + finding.bound.more):
            return finding
    return None


def should_roll_back(acts: Sequence[Act], finding: Finding) -> bool:
    """Whether what was changed in this turn is worth less than what was there before.

    Only tests can tell. They do when a run after the last change is worse than one before the first. When it is the
    changes that went in circles, no better is enough, and so is that nothing passes at all: of other circles they know
    nothing, and what is no better may be just what was asked for. Without such runs nothing is thrown away.
    """
    changes = [at for at, act in enumerate(acts) if act.changed]
    if not changes:
        return False
    first, last = changes[0], changes[-1]
    before = next((act.tests for act in reversed(acts[:first]) if act.tests), None)
    after = next((act.tests for act in reversed(acts[last:]) if act.tests), None)
    if after is None or not after.failing:
        return False
    if finding.kind not in ("tests", "patch"):
        return before is not None and is_worse(before, after)
    return is_no_better(before, after) if before else after.passed == 0


def is_worse(before: Verdict, after: Verdict) -> bool:
    """Whether something was lost: a test fails that did not, and none that failed passes now."""
    return after.failing > before.failing


def is_no_better(before: Verdict, after: Verdict) -> bool:
    """Whether nothing was gained: no test that failed passes now, or more fail than before."""
    if after.passed > before.passed and after.failing <= before.failing:
        return False
    return not before.failing - after.failing or len(after.failing) > len(before.failing)
