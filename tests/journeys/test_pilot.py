"""The whole line with nothing pretended: command, agent, gateway, engine, and the model in the package."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hearth.cli.demo import write_project

TYPES = {"session", "progress", "text", "reasoning", "tool_call", "output", "tool_result", "usage", "error", "result"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    write_project(folder)
    return folder


def hearth(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        (sys.executable, "-m", "hearth", *arguments),
        cwd=folder,
        env={**os.environ, "PATH": search, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
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
    assert told[-1]["changed_files"] == ["orchard/market.py"]
    assert "return pears * coins" in (project / "orchard/market.py").read_text()
    # The transcript shows real tools: the test run failed, then passed.
    runs = [event["text"] for event in told if event["type"] == "tool_result" and event["name"] == "bash"]
    assert "1 failed, 3 passed" in runs[0]
    assert "4 passed" in runs[-1]
    usages = [event for event in told if event["type"] == "usage"]
    assert len(usages) >= 4
    for before, after in itertools.pairwise(usages):
        assert after["reused"] >= 0.95 * (before["prompt"] + before["generated"])


def test_a_second_turn_goes_on_from_the_kv_state_of_the_first(project: Path) -> None:
    first = events(hearth(project, "run", "Set BUSHEL to 30", "--output-format", "stream-json"))
    assert "BUSHEL = 30\n" in (project / "orchard/market.py").read_text()
    second = events(hearth(project, "run", "-c", "Set BUSHEL to 36", "--output-format", "stream-json"))
    assert second[0]["resumed"] is True
    before = [event for event in first if event["type"] == "usage"][-1]
    after = next(event for event in second if event["type"] == "usage")
    assert after["reused"] >= 0.95 * (before["prompt"] + before["generated"])


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
