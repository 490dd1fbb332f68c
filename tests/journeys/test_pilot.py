"""The whole line with nothing pretended: command, agent, gateway, engine, and the model in the package."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = {
    "bakery/oven.py": (
        '"""Oven."""\n\nDEGREES = 180\n\n\ndef loaves_left(baked, sold):\n    """Return baked minus sold."""\n'
        "    return baked + sold\n\n\ndef is_hot(degrees, limit):\n"
        '    """Tell whether degrees is at least limit."""\n    return degrees >= limit\n'
    ),
    "tests/test_oven.py": (
        "from bakery.oven import is_hot, loaves_left\n\n\ndef test_loaves_left():\n"
        "    assert loaves_left(12, 5) == 7\n\n\ndef test_is_hot():\n    assert is_hot(180, 180) is True\n"
    ),
    "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
}
TYPES = {"session", "progress", "text", "reasoning", "tool_call", "tool_result", "usage", "error", "result"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def hearth(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        (sys.executable, "-m", "hearth", *arguments),
        cwd=folder,
        env={**os.environ, "PATH": search},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_fixes_a_failing_test_and_computes_nothing_twice(project: Path) -> None:
    told = events(hearth(project, "run", "Fix the failing test", "--output-format", "stream-json"))
    assert {event["type"] for event in told} <= TYPES
    assert [event["type"] for event in told].count("result") == 1
    assert told[-1]["type"] == "result"
    assert told[-1]["status"] == "completed"
    assert told[-1]["changed_files"] == ["bakery/oven.py"]
    assert "return baked - sold" in (project / "bakery/oven.py").read_text()
    # The transcript shows real tools: the test run failed, then passed.
    runs = [event["text"] for event in told if event["type"] == "tool_result" and event["name"] == "bash"]
    assert "1 failed, 1 passed" in runs[0]
    assert "2 passed" in runs[-1]
    usages = [event for event in told if event["type"] == "usage"]
    assert len(usages) >= 4
    for before, after in itertools.pairwise(usages):
        assert after["reused"] >= 0.95 * (before["prompt"] + before["generated"])


def test_a_second_turn_goes_on_from_the_kv_state_of_the_first(project: Path) -> None:
    first = events(hearth(project, "run", "Set DEGREES to 220", "--output-format", "stream-json"))
    assert "DEGREES = 220\n" in (project / "bakery/oven.py").read_text()
    second = events(hearth(project, "run", "-c", "Set DEGREES to 230", "--output-format", "stream-json"))
    assert second[0]["resumed"] is True
    before = [event for event in first if event["type"] == "usage"][-1]
    after = next(event for event in second if event["type"] == "usage")
    assert after["reused"] >= 0.95 * (before["prompt"] + before["generated"])


def test_it_renames_a_function_everywhere(project: Path) -> None:
    done = hearth(project, "run", "Rename is_hot to is_ready")
    assert done.returncode == 0, done.stderr
    assert "is_hot" not in (project / "bakery/oven.py").read_text() + (project / "tests/test_oven.py").read_text()
    assert "def is_ready(degrees, limit):" in (project / "bakery/oven.py").read_text()


def test_it_says_what_it_is(project: Path) -> None:
    done = hearth(project, "run", "hello", "--output-format", "json")
    assert "I am the pilot" in json.loads(done.stdout)["text"]
    assert done.returncode == 0


def test_the_demo_turns_red_into_green(project: Path) -> None:
    done = hearth(project, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 failed, 3 passed" in done.stdout
    assert "+    return pears * coins" in done.stdout
    assert "4 passed" in done.stdout.split("The tests, run again")[1]
