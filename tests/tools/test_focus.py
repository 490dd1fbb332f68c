"""Of the long output of tests and compilers the failures stay, and the verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.tools.focus import focus
from hearth.tools.truncate import cut_lines

NOISE = "".join(f"collecting things and telling of it, number {number}\n" for number in range(400))
DOTS = "".join(f"tests/test_{number}.py ....... [ 10%]\n" for number in range(300))

PYTEST = f"""\
============================= test session starts ==============================
{DOTS}
=================================== FAILURES ===================================
_________________________________ test_total __________________________________

    def test_total():
        cart = Cart()
>       assert cart.total() == 42
E       assert 41 == 42
E        +  where 41 = <bound method Cart.total>()

tests/test_cart.py:17: AssertionError
----------------------------- Captured stdout call -----------------------------
{NOISE}
=========================== short test summary info ============================
FAILED tests/test_cart.py::test_total - assert 41 == 42
========================= 1 failed, 300 passed in 3.20s =========================
"""
UNITTEST = f"""\
{NOISE}
======================================================================
FAIL: test_upper (test_text.TextTest.test_upper)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/p/test_text.py", line 9, in test_upper
    self.assertEqual(upper("a"), "A")
AssertionError: 'a' != 'A'
- a
+ A

----------------------------------------------------------------------
{NOISE}
Ran 12 tests in 0.004s

FAILED (failures=1)
"""
JEST = f"""\
{NOISE}
 FAIL  src/cart.test.ts
  ● cart › adds up

    expect(received).toBe(expected) // Object.is equality

    Expected: 42
    Received: 41

      > 12 |   expect(total()).toBe(42)
        at Object.<anonymous> (src/cart.test.ts:12:19)

{NOISE}
Test Suites: 1 failed, 30 passed, 31 total
Tests:       1 failed, 300 passed, 301 total
"""
GO = f"""\
{NOISE}
--- FAIL: TestTotal (0.00s)
    cart_test.go:17: got 41, want 42
{NOISE}
FAIL
FAIL\texample.com/cart\t0.004s
"""
CARGO = f"""\
{NOISE}
---- cart::tests::total stdout ----
thread 'cart::tests::total' panicked at src/cart.rs:31:9:
assertion `left == right` failed
  left: 41
 right: 42

{NOISE}
test result: FAILED. 300 passed; 1 failed; 0 ignored
error: test failed, to rerun pass `--lib`
"""
MAVEN = f"""\
{NOISE}
[ERROR] CartTest.total:17 expected: <42> but was: <41>
{NOISE}
[ERROR] Tests run: 301, Failures: 1, Errors: 0, Skipped: 0
[INFO] BUILD FAILURE
"""
GRADLE = f"""\
{NOISE}
CartTest > total() FAILED
    org.opentest4j.AssertionFailedError: expected: <42> but was: <41>
        at CartTest.total(CartTest.java:17)
{NOISE}
301 tests completed, 1 failed
BUILD FAILED in 3s
"""
TSC = f"""\
{NOISE}
src/cart.ts(17,5): error TS2322: Type 'string' is not assignable to type 'number'.
{NOISE}
Found 1 error in src/cart.ts:17
"""
GCC = f"""\
{NOISE}
src/cart.c:17:5: error: 'totl' undeclared (first use in this function)
   17 |     totl += price;
      |     ^~~~
{NOISE}
make: *** [Makefile:3: cart.o] Error 1
"""
LINKER = f"""\
{NOISE}
cart.c:(.text+0x1d): undefined reference to `total'
{NOISE}
collect2: error: ld returned 1 exit status
"""
FILL = "    x = 1\n" * 60
LINES = [*PYTEST.split("\n")[-12:], *CARGO.split("\n")[-14:], "", "x" * 300, "==="]
FRAMES = "".join(f'  File "/p/deep.py", line {n}, in f{n}\n    return f{n + 1}(x)\n' for n in range(200))
TRACEBACK = f"""\
{NOISE}
Traceback (most recent call last):
{FRAMES}  File "/p/cart.py", line 3, in total
    return price * self.count
TypeError: can't multiply sequence by non-int of type 'float'
"""


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        (PYTEST, ("E       assert 41 == 42", "tests/test_cart.py:17: AssertionError", "1 failed, 300 passed in 3.20s")),
        (UNITTEST, ("FAIL: test_upper", "AssertionError: 'a' != 'A'", "FAILED (failures=1)", "Ran 12 tests")),
        (JEST, ("● cart › adds up", "Expected: 42", "Received: 41", "Tests:       1 failed")),
        (GO, ("--- FAIL: TestTotal", "cart_test.go:17: got 41, want 42", "FAIL\texample.com/cart")),
        (CARGO, ("panicked at src/cart.rs:31:9", "left: 41", "right: 42", "test result: FAILED")),
        (MAVEN, ("CartTest.total:17 expected: <42> but was: <41>", "Tests run: 301, Failures: 1", "BUILD FAILURE")),
        (GRADLE, ("CartTest > total() FAILED", "AssertionFailedError: expected: <42>", "BUILD FAILED")),
        (TSC, ("src/cart.ts(17,5): error TS2322", "Found 1 error")),
        (GCC, ("src/cart.c:17:5: error: 'totl' undeclared", "make: *** [Makefile:3: cart.o] Error 1")),
        (LINKER, ("undefined reference to `total'", "collect2: error: ld returned 1")),
        (TRACEBACK, ("Traceback (most recent call last):", "return price * self.count", "TypeError: can't multiply")),
    ],
    ids=["pytest", "unittest", "jest", "go", "cargo", "maven", "gradle", "tsc", "gcc", "linker", "traceback"],
)
def test_failures_and_verdicts_stay(text: str, needed: tuple[str, ...]) -> None:
    shown = focus(text, 2_500)
    assert len(shown) < 2_500 + 800
    for line in needed:
        assert line in shown
    assert "lines cut]" in shown


def test_of_many_failures_each_has_its_head_before_any_is_whole() -> None:
    blocks = [
        f"____ test_{number} ____\n\n    def test():\n"
        + "    x = 1\n" * 60
        + f">       assert {number}\nE       assert 0\n"
        for number in range(12)
    ]
    shown = focus("".join(blocks) + "=== 12 failed in 1.0s ===\n", 5_000)
    assert all(f"____ test_{number} ____" in shown for number in range(12))
    assert "12 failed in 1.0s" in shown
    many = focus("".join(blocks * 20), 2_500)
    assert "more failures not shown]" in many


def test_output_without_a_failure_is_for_others_to_cut() -> None:
    assert focus(NOISE, 2_000) == ""
    assert focus(DOTS + "=== 300 passed in 3.2s ===\n", 2_000) == ""


@given(
    st.lists(
        st.sampled_from([*PYTEST.split("\n")[-12:], *CARGO.split("\n")[-14:], "", "x" * 300, "==="]), max_size=200
    ),
    st.integers(300, 4_000),
)
def test_every_line_that_is_shown_was_there_and_the_bound_holds(lines: list[str], limit: int) -> None:
    text = cut_lines("\n".join(lines))
    shown = focus(text, limit)
    kept = [line for line in shown.split("\n") if not line.startswith("[")]
    assert set(kept) <= {*lines, ""}
    assert sum(len(line) + 1 for line in kept) <= limit + 1
