"""What is done about a circle, and when files are rolled back."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.guard.acts import Act
from hearth.agent.guard.detectors import BOUNDS, Bound, Finding, Kind
from hearth.agent.guard.ladder import Rung, climb, is_no_better, pick_due, should_roll_back
from hearth.agent.guard.testruns import Verdict

EDIT = Act("edit", "", "", manner="changes", changed=(("a.py", "1"),))
LOOK = Act("read", "", "", manner="looks")


def found(kind: Kind, count: int, bound: Bound | None = None) -> Finding:
    return Finding(kind, kind, count, bound or BOUNDS[kind], LOOK)


def run(failing: str, passed: int) -> Act:
    return Act("bash", "pytest", "", bool(failing), tests=Verdict(frozenset(failing), passed))


@pytest.mark.parametrize(
    ("rung", "kind", "then"),
    [
        (Rung.GO, "repeat", Rung.RESTART),
        (Rung.HINT, "repeat", Rung.RESTART),
        (Rung.RESTART, "tests", Rung.RETRY),
        (Rung.RETRY, "looking", Rung.STOP),
        (Rung.STOP, "looking", Rung.STOP),
        (Rung.GO, "rest", Rung.RETRY),
        (Rung.RETRY, "rest", Rung.STOP),
    ],
)
def test_the_next_rung(rung: Rung, kind: Kind, then: Rung) -> None:
    assert climb(rung, found(kind, 9)) == then


@given(st.sampled_from(Rung), st.lists(st.sampled_from(list(BOUNDS)), max_size=9))
def test_it_only_climbs_and_ends(rung: Rung, kinds: list[Kind]) -> None:
    for kind in kinds:
        higher = climb(rung, found(kind, 9))
        assert higher > rung or rung == Rung.STOP
        rung = higher
    assert rung == Rung.STOP or len(kinds) < 4


@pytest.mark.parametrize(
    ("findings", "tried", "picked"),
    [
        ([], {}, None),
        ([found("repeat", 4)], {}, None),
        ([found("repeat", 5)], {}, "repeat"),
        ([found("repeat", 4), found("cycle", 3)], {}, "cycle"),
        ([found("repeat", 5)], {"repeat": 5}, None),
        ([found("repeat", 6)], {"repeat": 5}, "repeat"),
        ([found("looking", 44)], {"looking": 39}, None),
        ([found("looking", 45)], {"looking": 39}, "looking"),
    ],
)
def test_which_circle_has_gone_on_for_too_long(
    findings: list[Finding], tried: dict[str, int], picked: str | None
) -> None:
    due = pick_due(findings, tried)
    assert (due.kind if due else None) == picked


@pytest.mark.parametrize(
    ("acts", "back"),
    [
        ([], False),
        ([LOOK, run("x", 3)], False),
        # Nobody has looked whether it is good: kept.
        ([EDIT], False),
        ([run("x", 3), EDIT], False),
        ([run("x", 3), EDIT, run("", 4)], False),
        ([run("x", 3), EDIT, run("x", 4)], False),
        ([run("xy", 3), EDIT, run("x", 4)], False),
        ([run("xy", 3), EDIT, run("xz", 3)], False),
        # No better than before, or worse.
        ([run("x", 3), EDIT, run("x", 3)], True),
        ([run("x", 3), EDIT, run("xy", 2)], True),
        ([run("", 3), EDIT, run("x", 2)], True),
        ([run("xy", 3), EDIT, run("xzw", 2)], True),
        ([run("x", 3), EDIT, run("", 4), EDIT, run("xy", 2)], True),
        ([run("x", 3), EDIT, run("x", 2), EDIT], False),
        # Without a run before: only when nothing passes at all.
        ([EDIT, run("x", 3)], False),
        ([EDIT, run("x", 0)], True),
    ],
)
def test_what_is_rolled_back(acts: Sequence[Act], back: bool) -> None:
    assert should_roll_back(acts, found("tests", 5)) is back


@pytest.mark.parametrize(
    ("acts", "back"),
    [
        # A refactoring beside a test that always failed, and a program that is being written: no better is no worse.
        ([run("x", 3), EDIT, run("x", 3)], False),
        ([EDIT, run("x", 0)], False),
        ([run("x", 3), EDIT, run("xy", 2)], True),
        ([run("", 3), EDIT, run("x", 2)], True),
        ([run("xy", 3), EDIT, run("xzw", 2)], False),
    ],
)
def test_a_circle_that_has_nothing_to_do_with_the_changes_rolls_back_only_what_is_worse(
    acts: Sequence[Act], back: bool
) -> None:
    assert should_roll_back(acts, found("repeat", 5)) is back


@given(st.frozensets(st.sampled_from("abc")), st.integers(0, 5))
def test_what_is_the_same_is_no_better(failing: frozenset[str], passed: int) -> None:
    assert is_no_better(Verdict(failing, passed), Verdict(failing, passed))
