"""What is done, asked and left, as a table."""

import pytest

from hearth.workspace.snapshots.difference import Change, chain, decide
from hearth.workspace.snapshots.tree import Item

A, B, C = (Item("f", 0o644, letter * 40) for letter in "abc")
RUN = Item("f", 0o755, "a" * 40)
LINK = Item("l", 0, "d" * 40)
LARGE = Item("x", 0, "e" * 40)
OTHER = Item("x", 0, "f" * 40)
OPEN, SHUT = Item("d", 0o755, "1" * 40), Item("d", 0o500, "2" * 40)


@pytest.mark.parametrize(
    ("expected", "target", "now", "outcome"),
    [
        (A, B, A, "change"),
        (A, B, B, "nothing"),
        (A, B, C, "conflict"),
        (A, B, None, "conflict"),
        (A, B, LINK, "conflict"),
        (A, None, A, "change"),
        (A, None, None, "nothing"),
        (A, None, C, "conflict"),
        (None, A, None, "change"),
        (None, A, A, "nothing"),
        (None, A, C, "conflict"),
        (A, RUN, A, "change"),
        (A, RUN, B, "conflict"),
        (RUN, A, Item("f", 0o700, "a" * 40), "conflict"),
        (LINK, A, LINK, "change"),
        (OPEN, None, OPEN, "change"),
        (OPEN, None, SHUT, "change"),
        (OPEN, None, A, "conflict"),
        (OPEN, SHUT, OPEN, "change"),
        (OPEN, SHUT, None, "conflict"),
        (None, OPEN, SHUT, "nothing"),
        (None, OPEN, None, "change"),
        (OPEN, A, OPEN, "change"),
        (LARGE, OTHER, LARGE, "kept"),
        (A, LARGE, A, "kept"),
        (LARGE, A, LARGE, "kept"),
        (LARGE, None, LARGE, "kept"),
    ],
)
def test_one_path(expected: Item | None, target: Item | None, now: Item | None, outcome: str) -> None:
    steps = [{"p": Change(expected, target)}]
    plan = decide(steps, {"p": now}.get)
    assert (plan.changes == {"p": Change(now, target)}) == (outcome == "change")
    assert plan.conflicts == (("p",) if outcome == "conflict" else ())
    assert plan.kept == (("p",) if outcome == "kept" else ())
    forced = decide(steps, {"p": now}.get, force=True)
    assert forced.conflicts == ()
    assert ("p" in forced.changes) == (outcome in ("change", "conflict"))
    unsure = decide(steps, {"p": now}.get, sure=False)
    assert unsure.conflicts == (("p",) if outcome in ("change", "conflict") else ())


def test_steps_in_a_row_are_one() -> None:
    whole, torn = chain([{"p": Change(A, B), "q": Change(None, A)}, {"p": Change(B, C), "q": Change(A, None)}])
    assert whole == {"p": Change(A, C)}
    assert not torn


def test_what_somebody_changed_between_two_turns_waits_for_a_yes() -> None:
    # The second turn made C of A; the first had made B of None: between them somebody wrote A.
    steps = [{"p": Change(C, A)}, {"p": Change(B, None)}]
    assert decide(steps, {"p": C}.get).conflicts == ("p",)
    assert decide(steps, {"p": C}.get, force=True).changes == {"p": Change(C, None)}
    # Even when both ends are the same.
    assert decide([{"p": Change(C, A)}, {"p": Change(B, C)}], {"p": A}.get).conflicts == ("p",)


def test_caches_that_changed_since_are_left_and_nobody_is_asked() -> None:
    for path in ("src/__pycache__/a.pyc", ".pytest_cache/v/x"):
        plan = decide([{path: Change(A, B)}], {path: C}.get)
        assert (plan.changes, plan.conflicts) == ({}, ())
        assert decide([{path: Change(A, B)}], {path: A}.get).changes


def test_what_was_cut_off_may_have_left_nothing_where_something_is_to_be() -> None:
    steps = [{"p": Change(A, OPEN), "q": Change(A, B), "r": Change(A, None)}]
    plan = decide(steps, {"q": C}.get, again=True)
    assert plan.changes == {"p": Change(None, OPEN)}
    assert plan.conflicts == ("q",)
