"""Every detector as a table: what goes round, and what only looks like it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.guard.acts import Act
from hearth.agent.guard.detectors import (
    BOUNDS,
    Finding,
    count_swings,
    find_again,
    find_all,
    find_cycle,
    find_error,
    find_looking,
    find_patches,
    find_repeat,
    find_stale,
    find_tests,
    is_monologue,
)
from hearth.agent.guard.testruns import Verdict


def look(path: str = "a.py", result: str = "") -> Act:
    return Act("read", path, result or path, manner="looks", path=path, brief=f"read {path}")


def edit(path: str = "a.py", now: str = "1", arguments: str = "") -> Act:
    changed = ((path, now),)
    return Act("edit", arguments or f"{path} {now}", "edited", False, "changes", path, changed, brief=f"edit {path}")


def miss(path: str = "a.py", arguments: str = "x", result: str = "not edited") -> Act:
    return Act("edit", f"{path} {arguments}", result, failed=True, path=path, brief=f"edit {path}")


def run(*failing: str, passed: int = 3, result: str = "") -> Act:
    tests = Verdict(frozenset(failing), passed)
    return Act("bash", "pytest", result or f"{failing} {passed}", bool(failing), tests=tests, brief="bash pytest")


def wait(result: str = "nothing new") -> Act:
    return Act("output", "b1", result, brief="output b1", nature="waits")


def stir(command: str, result: str = "done", failed: bool = False) -> Act:
    return Act("bash", command, result, failed, brief=f"bash {command}", nature="stirs")


def swap(old: str, new: str, path: str = "a.py") -> Act:
    changed = ((path, new),)
    lines = frozenset({old}), frozenset({new})
    return Act("edit", f"{old} {new}", "edited", False, "changes", path, changed, None, path, "plain", *lines)


def count(finding: Finding | None) -> int:
    return finding.count if finding else 0


A, B, C = look("a.py"), look("b.py"), look("c.py")


@pytest.mark.parametrize(
    ("acts", "times"),
    [
        ([A], 1),
        ([A, A, A], 3),
        ([B, A, A], 2),
        ([A, A, B], 1),
        ([look(result="1"), look(result="2"), look(result="3")], 1),
        ([edit(arguments="same"), edit(arguments="same"), edit(arguments="same")], 3),
        ([miss(), miss(), miss()], 3),
        ([run("x"), edit(), run("x")], 1),
    ],
)
def test_repeats(acts: Sequence[Act], times: int) -> None:
    assert count(find_repeat(acts)) == times


def test_who_waits_may_look_at_it_more_often() -> None:
    finding = find_repeat([wait()] * 8)
    assert finding
    assert finding.count < finding.bound.hint
    finding = find_repeat([wait()] * 40)
    assert finding
    assert finding.climbs
    assert count(find_cycle([wait(), A] * 6)) == 0
    assert count(find_again([wait()] * 9)) == 0


@pytest.mark.parametrize(
    ("acts", "rounds"),
    [
        ([A, B], 0),
        ([A, B, A], 0),
        ([A, B, A, B], 2),
        ([C, A, B, A, B], 2),
        ([A, B, A, B, A, B], 3),
        ([A, B, A, B, A], 2),
        ([A, A, A, A], 0),
        ([A, B, C, A, B, C], 2),
        ([A, B, look("b.py", "new"), B, A, B], 0),
        ([edit(now="1"), run("x"), edit(now="2"), run("x")], 0),
        ([edit(now="1"), run("x"), edit(now="1"), run("x")], 2),
    ],
)
def test_cycles(acts: Sequence[Act], rounds: int) -> None:
    assert count(find_cycle(acts)) == rounds


@pytest.mark.parametrize(
    ("acts", "times"),
    [
        ([miss()], 1),
        ([miss(), miss(), miss()], 3),
        ([miss(arguments="x"), A, miss(arguments="y"), B, miss(arguments="z")], 3),
        ([miss("a.py"), miss("b.py")], 1),
        ([miss(), edit(), miss()], 1),
        ([miss(), edit("b.py"), miss()], 1),
        ([miss(), A], 0),
        ([run("x"), edit(), run("x"), edit(), run("x")], 1),
        ([run("x", result="1"), run("x", result="2"), run("x", result="3")], 3),
        ([stir("make", "no a.h", failed=True), stir("apt"), stir("make", "no b.h", failed=True)], 1),
        ([stir("make", "no a.h", failed=True), stir("apt"), stir("make", "no a.h", failed=True)], 2),
    ],
)
def test_errors(acts: Sequence[Act], times: int) -> None:
    assert count(find_error(acts)) == times


def rounds(*versions: str, path: str = "a.py", failing: str = "x", passed: int = 3) -> list[Act]:
    return [act for now in versions for act in (edit(path, now), run(failing, passed=passed))]


@pytest.mark.parametrize(
    ("acts", "times"),
    [
        ([run("x")], 0),
        ([run("x"), *rounds("1")], 1),
        ([run("x"), *rounds("1", "2", "3")], 3),
        (rounds("1", "2", "3"), 2),
        ([run("x"), A, *rounds("1"), B, *rounds("2")], 2),
        # The model looks at the same failures again: that is no change.
        ([run("x"), *rounds("1"), run("x"), *rounds("2")], 2),
        # Fewer fail, others fail, more pass: that is progress.
        ([run("x", "y"), *rounds("1"), *rounds("2")], 1),
        ([run("y"), *rounds("1"), *rounds("2")], 1),
        ([run("x"), *rounds("1", passed=3), *rounds("2", passed=4)], 0),
        # Work elsewhere beside a test that fails all the time.
        ([run("x"), *rounds("1", path="a.py"), *rounds("1", path="b.py"), *rounds("1", path="c.py")], 1),
        ([run("x"), *rounds("1", "2", "3"), run()], 0),
        ([run("x"), *rounds("1", "2", "3"), edit()], 0),
    ],
)
def test_the_same_failing_tests(acts: Sequence[Act], times: int) -> None:
    assert count(find_tests(acts)) == times


def test_other_lines_of_the_same_file_are_other_work() -> None:
    work = [run("x")]
    for number in range(9):
        work += [swap(f"old {number}", f"new {number}"), run("x")]
    assert count(find_tests(work)) == 1
    tries = [run("x")]
    for number in range(9):
        tries += [swap(f"try {number}", f"try {number + 1}"), run("x")]
    assert count(find_tests(tries)) == 9


def test_another_reason_each_time_gives_more_patience() -> None:
    same, other = [run("x")], [run("x")]
    for number in range(5):
        same += [edit(now=str(number)), run("x")]
        other += [edit(now=str(number)), replace(run("x"), tests=Verdict(frozenset("x"), 3, str(number)))]
    found, patient = find_tests(same), find_tests(other)
    assert found
    assert found.climbs
    assert patient
    assert not patient.climbs


def test_the_failing_tests_are_named() -> None:
    finding = find_tests([run("a", "b", "c"), edit(), run("a", "b", "c")])
    assert finding
    assert finding.what == "a, b and 1 more"


@pytest.mark.parametrize(
    ("contents", "times"),
    [
        ("", 0),
        ("a", 0),
        ("ab", 0),
        # Taken back, again and again, each time another change: that is how one looks for a cause.
        ("aba", 0),
        ("abac", 0),
        ("abacada", 0),
        ("abab", 1),
        ("abcacb", 0),
        ("ababa", 2),
        ("abcabca", 3),
        ("ababac", 0),
    ],
)
def test_ways_between_contents_that_were_gone_before(contents: str, times: int) -> None:
    assert count_swings(list(contents)) == times
    found = find_patches([edit(now=contents[-1:])], {"a.py": list(contents)})
    assert [finding.count for finding in found] == ([times] if times else [])


@pytest.mark.parametrize(
    ("acts", "times"),
    [
        ([A] * 5, 5),
        ([edit(), A, B, C], 3),
        ([A, run("x"), B], 2),
        ([A, B, edit()], 0),
        ([A, B, run()], 0),
    ],
)
def test_looks_since_the_last_change(acts: Sequence[Act], times: int) -> None:
    assert count(find_looking(acts, True)) == times


def test_nobody_is_stopped_for_looking_who_asks_or_finds_something_new() -> None:
    new = [look(f"{number}.py") for number in range(500)]
    old = [look(f"{number % 20}.py") for number in range(50)]
    for acts, asks, climbs in ((new, False, False), (new, True, False), (old, False, False), (old, True, True)):
        finding = find_looking(acts, asks)
        assert finding
        assert finding.climbs is climbs


@pytest.mark.parametrize(
    ("acts", "times"),
    [
        ([A, B, C, A], 2),
        ([A, B, A, C, A], 3),
        ([A, B, edit(), A], 1),
        ([look(result="1"), B, look(result="2")], 1),
        # What an unknown command did nobody knows.
        ([A, stir("make"), A, stir("pip"), A], 1),
        ([stir("make"), A, stir("make"), B, stir("make")], 3),
    ],
)
def test_the_same_again_with_others_between(acts: Sequence[Act], times: int) -> None:
    assert count(find_again(acts)) == times


@pytest.mark.parametrize(
    ("acts", "times"),
    [
        ([A, B, C], 0),
        ([A, B, C, A], 1),
        ([A, B, C, B, A, A], 3),
        ([A, B, A, B, C], 0),
        ([A, B, edit(), A, B], 0),
        ([A, stir("make"), A], 0),
        ([A, B, A, wait()], 0),
        ([look(result="1"), look(result="2")], 0),
    ],
)
def test_looks_that_show_nothing_new_where_steps_are_few(acts: Sequence[Act], times: int) -> None:
    assert count(find_stale(acts)) == times


def test_a_long_turn_has_time_to_look_at_things_again() -> None:
    acts = [A, B, C, C, A, B, C, B, A, C]
    assert "stale" not in {finding.kind for finding in find_all(acts, {}, True)}
    assert "stale" in {finding.kind for finding in find_all(acts, {}, True, short=True)}


@pytest.mark.parametrize(
    ("texts", "monologue"),
    [
        (["I will look at it."] * 3, True),
        (["I will look at it."] * 2, False),
        (["", "", ""], False),
        (["ok", "ok", "ok"], True),
        (
            [
                "I will now open the parser in src/parser.py and fix the loop that drops the last line of the file",
                "I will now open the parser in src/parser.py and fix the loop that drops the last line of the file.",
                "Now I will now open the parser in src/parser.py and fix the loop that drops the last line of the file",
            ],
            True,
        ),
        (["I look at the parser.", "It drops a line.", "Now it is mended."], False),
        (["I look.", "Done: the parser keeps the last line.", "Done: the parser keeps the last line."], False),
    ],
)
def test_monologues(texts: Sequence[str], monologue: bool) -> None:
    assert is_monologue(texts) is monologue


ACTS = st.lists(
    st.builds(
        Act,
        st.sampled_from(["read", "edit", "bash", "output"]),
        st.sampled_from("ab"),
        st.sampled_from("12"),
        st.booleans(),
        st.sampled_from(["looks", "changes", "other"]),
        st.sampled_from(["", "a.py"]),
        st.sampled_from([(), (("a.py", "1"),), (("a.py", "2"), ("b.py", ""))]),
        st.sampled_from([None, Verdict(frozenset(), 1), Verdict(frozenset("x"), 0), Verdict(frozenset("xy"), 2)]),
    ),
    max_size=30,
)


@given(ACTS, st.dictionaries(st.sampled_from(["a.py", "b.py"]), st.lists(st.sampled_from("12"))), st.booleans())
def test_whatever_was_done_is_judged(acts: list[Act], contents: dict[str, list[str]], asks: bool) -> None:
    for finding in find_all(acts, contents, asks, short=True):
        assert finding.count >= finding.bound.hint
        assert finding.bound.climb >= finding.bound.hint
        assert BOUNDS[finding.kind]


@given(st.data())
def test_useful_work_is_never_a_circle(data: st.DataObject) -> None:
    """Distinct looks, at most twelve between two changes; each change is new, and each run fails in less."""
    acts: list[Act] = []
    contents: dict[str, list[str]] = {"a.py": ["0"]}
    left = [f"test_{number}" for number in range(data.draw(st.integers(0, 6)))]
    for number in range(data.draw(st.integers(1, 8))):
        acts += [look(f"{number}-{look_}.py") for look_ in range(data.draw(st.integers(0, 12)))]
        acts.append(edit(now=f"version {number}"))
        contents["a.py"].append(f"version {number}")
        assert not find_all(acts, contents, True, short=True)
        if left and data.draw(st.booleans()):
            left.pop()
            acts.append(run(*left, passed=9 - len(left)))
        assert not find_all(acts, contents, True, short=True)
