"""Which tests failed, in the words of the programs that people use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.guard.testruns import Verdict, read_test_run

PYTEST = """\
.F.E                                                                     [100%]
=================================== FAILURES ===================================
__________________________________ test_two[a - b] _____________________________
E       assert 1 == 2
=========================== short test summary info ============================
FAILED tests/test_a.py::test_two[a b] - assert 1 == 2
FAILED tests/test_a.py::Suite::test_three - ValueError: no - such thing
ERROR tests/test_b.py::test_four
2 failed, 5 passed, 1 warning, 1 error in 0.03s
"""
LOUD_PYTEST = """\
============================= test session starts ==============================
collected 0 items / 1 error
=========================== short test summary info ============================
ERROR tests/test_a.py - SyntaxError: invalid syntax
!!!!!!!!!!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!!!!!!!!!!
=============================== 1 error in 0.12s ===============================
"""
UNITTEST = """\
F.E
======================================================================
FAIL: test_sum (test_math.Sums.test_sum)
----------------------------------------------------------------------
AssertionError: 3 != 4

======================================================================
ERROR: test_mod (unittest.loader._FailedTest.test_mod)
----------------------------------------------------------------------
Ran 4 tests in 0.001s

FAILED (failures=1, errors=1, skipped=1)
"""
JEST = """\
FAIL src/sum.test.js
  Sums
    ✓ adds (2 ms)
    ✕ subtracts (1 ms)

  ● Sums › subtracts

    expect(received).toBe(expected)

Tests:       1 failed, 2 passed, 3 total
Time:        0.5 s
"""
VITEST = """\
 ❯ src/sum.test.ts (2 tests | 1 failed) 4ms
   × Sums > subtracts 3ms
 FAIL  src/sum.test.ts > Sums > subtracts
 Test Files  1 failed (1)
      Tests  1 failed | 1 passed (2)
"""
MOCHA = """\
  Sums
    1) subtracts

  1 passing (5ms)
  1 failing

  1) Sums
       subtracts:
"""
TAP = "ok 1 - adds\nnot ok 2 - subtracts\n# tests 2\n# pass 1\n# fail 1\n"
GO = """\
=== RUN   TestAdd
--- PASS: TestAdd (0.00s)
=== RUN   TestSub
    sum_test.go:9: got 1, want 2
--- FAIL: TestSub (0.00s)
    --- FAIL: TestSub/small (0.00s)
FAIL
FAIL\texample.com/sum\t0.002s
ok  \texample.com/other\t0.001s
FAIL\texample.com/broken [build failed]
"""
CARGO = """\
running 3 tests
test sums::adds ... ok
test sums::subtracts ... FAILED

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
BROKEN_CARGO = "error[E0308]: mismatched types\nerror: could not compile `sums` (lib test) due to 1 previous error\n"


@pytest.mark.parametrize(
    ("output", "failing", "passed"),
    [
        (
            PYTEST,
            ["tests/test_a.py::Suite::test_three", "tests/test_a.py::test_two[a b]", "tests/test_b.py::test_four"],
            5,
        ),
        (LOUD_PYTEST, ["tests/test_a.py"], 0),
        ("....                                    [100%]\n4 passed in 0.02s\n", [], 4),
        ("======== 3 passed, 2 skipped in 1.20s (0:01:02) ========\n", [], 3),
        ("no tests ran in 0.01s\n", [], 0),
        (UNITTEST, ["test_mod (unittest.loader._FailedTest.test_mod)", "test_sum (test_math.Sums.test_sum)"], 1),
        ("....\nRan 4 tests in 0.001s\n\nOK\n", [], 4),
        (JEST, ["Sums › subtracts"], 2),
        ("Tests:       3 passed, 3 total\n", [], 3),
        (VITEST, ["Sums > subtracts", "src/sum.test.ts > Sums > subtracts"], 1),
        (MOCHA, ["Sums", "subtracts"], 1),
        (TAP, ["subtracts"], 1),
        (GO, ["TestSub", "TestSub/small", "example.com/broken", "example.com/sum"], 2),
        (CARGO, ["sums::subtracts"], 2),
        (BROKEN_CARGO, ["sums"], 0),
    ],
)
def test_runs_of_each_program(output: str, failing: list[str], passed: int) -> None:
    assert read_test_run(output) == Verdict(frozenset(failing), passed)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "hello",
        "FAILED to connect\n",
        "ERROR: could not open the file (x)\n",
        "1) first\n2) second\n",
        "def test_a():\n    assert False\n",
        "make: *** [all] Error 2\n",
        "12 files changed, 3 failed to apply\n",
        "git: 3 passed the review\n",
    ],
)
def test_what_is_no_test_run(output: str) -> None:
    assert read_test_run(output) is None


def test_a_run_that_was_cut_in_the_middle_still_counts() -> None:
    head, tail = PYTEST.split("E       assert")
    assert read_test_run(f"{head}[8 lines, 900 characters cut here]\nE       assert{tail}") == read_test_run(PYTEST)


@given(st.text(alphabet="FAILEDok_testpass.:()0123456789 \t\n-=✕●", max_size=300))
def test_anything_is_read(output: str) -> None:
    read_test_run(output)


def test_it_takes_linear_time() -> None:
    assert read_test_run("FAILED " + "x" * 200_000 + "\n1 failed in 0.1s\n")
    assert read_test_run(" " * 20_000 + "\n" + "1, " * 20_000 + "\n1 failed in 0.1s\n")


def test_the_same_failure_further_down_fails_for_another_reason() -> None:
    first, moved, other = (
        read_test_run(f"a.py:{line}: AssertionError\nE   assert {value} == 2\nFAILED a.py::test_x\n1 failed in 0.1s")
        for line, value in ((3, 1), (9, 1), (3, 0))
    )
    assert first
    assert moved
    assert other
    assert first == moved == other
    assert first.why == moved.why != other.why


def test_long_lines_are_read_in_a_moment() -> None:
    run = read_test_run("1 failed, 2 passed in 0.1s\n" + "word " * 400_000 + "\n" + "E" * 1_000_000)
    assert run
    assert run.passed == 2
