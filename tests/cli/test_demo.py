import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.cli import demo
from hearth.sandbox.command import CommandResult, PlainShell

FIX = {"path": "orchard/market.py", "old": "return pears + coins", "new": "return pears * coins"}
TESTS = {"command": demo.TESTS}


def script(tmp_path: Path, *calls: tuple[str, dict[str, str]]) -> Path:
    answers = [{"tool_calls": [{"name": name, "arguments": arguments}]} for name, arguments in calls]
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"answers": answers, "otherwise": {"text": "All tests pass."}}))
    return path


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """Pretending engines that the test starts; ended after."""
    started: list[subprocess.Popen[str]] = []
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield started
    for process in started:
        process.kill()
        process.communicate()


def run_demo(
    played: list[subprocess.Popen[str]], script_file: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "hearth.runtime.pretend", "--port", "0", "--script", str(script_file))
    played.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    assert played[-1].stdout is not None
    environment = {**os.environ, "HEARTH_URL": played[-1].stdout.readline().strip()}
    line = (sys.executable, "-m", "hearth", "demo", *arguments)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_shows_the_steps_the_diff_and_the_green_tests(played: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    calls = (("bash", TESTS), ("grep", {"pattern": "def sale_value"}), ("edit", FIX), ("bash", TESTS))
    done = run_demo(played, script(tmp_path, *calls))
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    assert "its tests before: 1 failed, 3 passed" in shown
    assert "  -    return pears + coins\n  +    return pears * coins\n" in shown
    after = shown.split("The tests, run again")[1]
    assert "4 passed" in after
    assert "5 steps in" in after
    assert "reused" in after
    assert "hearth run" in after
    assert not list(tmp_path.glob("hearth-demo-*"))


def test_the_project_stays_when_it_fails(played: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    done = run_demo(played, script(tmp_path, ("bash", TESTS)))
    assert done.returncode == 1
    assert "nothing was changed" in done.stdout
    assert "the tests do not pass" in done.stdout
    (kept,) = tmp_path.glob("hearth-demo-*")
    assert f"kept in {kept}" in done.stdout
    assert (kept / "orchard" / "market.py").read_text() == demo.PROJECT["orchard/market.py"]


def test_the_project_stays_when_asked(played: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    assert run_demo(played, script(tmp_path, ("edit", FIX)), "--keep").returncode == 0
    assert len(list(tmp_path.glob("hearth-demo-*"))) == 1


async def test_the_sample_project_has_one_bug(tmp_path: Path) -> None:
    demo.write_project(tmp_path)
    (tmp_path / "bin").mkdir()
    environment = demo.python_first(os.environ, Path(sys.executable), tmp_path / "bin")
    shell = PlainShell(tmp_path, environment)
    before = await shell.run(demo.TESTS, 60)
    assert before.code == 1
    assert demo.verdict(before).startswith("1 failed, 3 passed")
    assert demo.changes(tmp_path) == []
    path = tmp_path / "orchard" / "market.py"
    path.write_text(path.read_text().replace(FIX["old"], FIX["new"]))
    assert (await shell.run(demo.TESTS, 60)).code == 0
    assert f"+    {FIX['new']}" in demo.changes(tmp_path)


async def test_python3_is_this_interpreter_even_under_another_name(tmp_path: Path) -> None:
    bin_folder, odd = tmp_path / "bin", tmp_path / "odd name"
    bin_folder.mkdir()
    odd.mkdir()
    interpreter = odd / "snake"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o700)
    environment = demo.python_first({"PATH": "/usr/bin:/bin", "PYTEST_ADDOPTS": "-x"}, interpreter, bin_folder)
    assert "PYTEST_ADDOPTS" not in environment
    result = await PlainShell(tmp_path, environment).run("python3 -c 'import pytest, sys; print(sys.prefix)'", 30)
    assert result.output.strip() == sys.prefix


def test_a_silent_run_has_a_verdict() -> None:
    assert demo.verdict(CommandResult("\n", 1)) == "no output"
