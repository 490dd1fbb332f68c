"""Programs that answer, fail, hang or are not there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hearth.weights.hardware.system_text import Printed, read_file, run_program, whole


def program(folder: Path, body: str) -> str:
    file = folder / "tool"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def test_what_a_program_prints_is_returned_and_it_reads_nothing(tmp_path: Path) -> None:
    tool = program(tmp_path, 'cat; echo "got $1 $LC_ALL"; echo noise >&2')
    assert run_program((tool, "it")) == Printed("got it C\n")


def test_a_program_that_is_not_there_is_no_problem() -> None:
    assert run_program(("hearth-has-no-such-program",)) == Printed()


@pytest.mark.parametrize(
    ("body", "said"),
    [("echo first; echo second; exit 9", "first"), ("echo out; echo bad >&2; exit 9", "bad"), ("exit 9", "no word")],
)
def test_a_failing_program_is_a_problem_in_its_own_words(tmp_path: Path, body: str, said: str) -> None:
    tool = program(tmp_path, body)
    assert run_program((tool,)) == Printed(problem=f"{tool} failed (exit 9): {said}")


def test_a_file_that_is_no_program_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_bytes(b"\x7fELF")
    file.chmod(0o755)
    printed = run_program((str(file),))
    assert printed.text == ""
    assert printed.problem.startswith(f"{file} does not start: ")


def test_a_hanging_program_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    tool = program(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/own; wait")
    printed = run_program((tool,), limit_s=1.0)
    assert printed == Printed(problem=f"{tool} did not answer within 1 s")
    for name in ("child", "own"):
        # Empty where the machine was too busy to start it in time.
        if pid := whole(read_file(tmp_path / name)):
            wait_for_the_end_of(pid)


def wait_for_the_end_of(pid: int) -> None:
    """A zombie, which only waits for its parent to ask, has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "\nState:\tZ" in read_file(Path(f"/proc/{pid}/status")):
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} still lives")


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" 7\n", 7), ("max", None), ("-1", None), ("", None), ("1.5", None), ("²", None), ("9" * 21, None)],
)
def test_a_number_is_told_from_other_words(text: str, number: int | None) -> None:
    assert whole(text) == number


def test_a_path_that_no_file_can_have_is_empty(tmp_path: Path) -> None:
    """Paths are made of what the kernel tells of control groups."""
    assert read_file(tmp_path / "nul\0byte") == ""


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_file(tmp_path / "none") == ""
    assert read_file(tmp_path) == ""
