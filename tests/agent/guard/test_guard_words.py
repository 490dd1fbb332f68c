"""What is said about a circle: short, precise, with another thing to do."""

import pytest

from hearth.agent.guard.acts import Act
from hearth.agent.guard.detectors import BOUNDS, Finding, Kind
from hearth.agent.guard.testruns import Verdict
from hearth.agent.guard.words import make_hint, make_note, make_report, suggest_other, tell_tries

READ = Act("read", "{}", "", path="a.py", brief="read a.py")
EDIT = Act("edit", "{}", "", path="a.py", changed=(("a.py", "1"),), brief="edit a.py")
TESTS = Act("bash", "{}", "", True, tests=Verdict(frozenset({"t.py::test_x"}), 2), brief="bash pytest -q")


def found(kind: Kind, count: int, act: Act, what: str = "") -> Finding:
    return Finding(kind, kind, count, BOUNDS[kind], act, what)


@pytest.mark.parametrize(
    ("finding", "hint"),
    [
        (
            found("repeat", 3, READ),
            "[Note: 'read a.py' has now given this same result 3 times; it will not change by asking again. "
            "Instead: use what it says, or read other lines or another file.]",
        ),
        (
            found("cycle", 2, READ, "read a.py, read b.py"),
            "[Note: the same calls in turn (read a.py, read b.py) have given the same results 2 times over. "
            "Instead: use what it says, or read other lines or another file.]",
        ),
        (
            found("error", 3, Act("edit", "", "", True, path="a.py", brief="edit a.py")),
            "[Note: 'edit a.py' has failed 3 times and nothing was changed between. "
            "Instead: read a.py again around that place, and copy the lines exactly as they are now.]",
        ),
        (
            found("tests", 3, TESTS, "t.py::test_x"),
            "[Note: after 3 changes the very same tests fail: t.py::test_x. "
            "Instead: read the failing test and the first error again, and look for the cause in another place.]",
        ),
        (
            found("patch", 2, EDIT, "a.py"),
            "[Note: a.py is again what it was before: it went to and fro between the same contents. "
            "Instead: decide for one of them by running the tests, or change something else.]",
        ),
        (
            found("looking", 13, READ),
            "[Note: 13 calls have only looked since the last change. "
            "Instead: make the smallest change that could be right, and check it; or say what is missing.]",
        ),
    ],
)
def test_hints(finding: Finding, hint: str) -> None:
    assert make_hint(finding, second=False) == hint
    assert make_hint(finding, second=True) != hint


def test_the_note_has_five_lines() -> None:
    acts = [READ, EDIT, TESTS, EDIT, TESTS]
    note = make_note("fix the\nparser", acts, found("tests", 5, TESTS, "t.py::test_x"), rolled_back=True)
    assert note.split("\n") == [
        "Asked: fix the parser",
        "Tried: edit a.py (2 times), bash pytest -q (2 times), read a.py",
        "Failed: 5 changes left the same tests failing; still failing: t.py::test_x",
        "Files: a.py; all were put back to how they were before this task",
        "Do not do again: more changes of the same kind to that file. Instead: read the failing test first, and look "
        "for the cause in another place.",
    ]
    nothing = make_note("x" * 9_000, [READ] * 5, found("repeat", 5, READ), rolled_back=False)
    assert len(nothing.split("\n")) == 5
    assert "Files: none was changed" in nothing
    assert nothing.endswith("read a.py more than once. Instead: act on the first result of a call.")
    assert len(nothing) < 1_000


def test_the_report_is_one_honest_line() -> None:
    report = make_report([READ, EDIT, TESTS], found("tests", 5, TESTS), 2, restarted=True, rolled_back=True)
    assert report == (
        "it went round in circles: 5 changes left the same tests failing; 2 hints, a fresh start and a new try at a "
        "higher temperature did not help; done: read a.py, edit a.py, bash pytest -q; still failing: t.py::test_x; the "
        "changes before the fresh start were taken back; changed files: a.py; say which file or cause to look at, or "
        "give it a smaller task"
    )
    rest = make_report([], found("rest", 3, Act("", "", ""), "nothing"), 0, restarted=False, rolled_back=False)
    assert rest.startswith("it went round in circles: the model ended its turn 3 times with nothing; a new try at a")
    assert "no file was changed" in rest


def test_only_the_calls_made_most_are_named() -> None:
    acts = [Act("read", "", "", brief=f"read {number}.py") for number in range(9)]
    assert tell_tries(acts).endswith("read 4.py and 4 other calls")


@pytest.mark.parametrize("name", ["read", "grep", "glob", "todo", "output", "kill", "bash", "edit", "apply_patch", ""])
@pytest.mark.parametrize("failed", [True, False])
def test_there_is_always_another_thing_to_do(name: str, failed: bool) -> None:
    assert suggest_other(Act(name, "", "", failed))
