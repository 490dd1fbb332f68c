"""``hearth`` itself: what it imports, what it says, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hearth import __version__
from hearth.cli.main import COMMANDS, HELP, main


def hearth(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process, with further environment variables."""
    command = [sys.executable, "-m", "hearth", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **more})


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hearth {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_short_and_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown == HELP
    assert len(shown.splitlines()) <= 25
    assert max(map(len, shown.splitlines())) <= 120
    for command in COMMANDS:
        assert f"  {command} " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_file_and_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: hearth {command}" in capsys.readouterr().out


def test_version_and_help_import_nothing_heavy() -> None:
    code = "import sys; from hearth.cli.main import main; main([sys.argv[1]]); print(*sys.modules, file=sys.stderr)"
    for option in ("--version", "--help"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
        loaded = set(done.stderr.split())
        assert not loaded & {"argparse", "asyncio", "msgspec", "rich", "logging", "aiohttp", "uvicorn", "subprocess"}


def test_the_help_of_a_verb_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["models", "pin"], ["kv", "prune"], ["engine", "use"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
    shown = capsys.readouterr().out
    assert "Keep a model loaded: it never makes room for another." in shown
    assert "Remove what was not used for longest." in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["srve"], "did you mean serve"),
        (["nothing-like-it"], "there is no command 'nothing-like-it'"),
        (["--nothing"], "there is no command '--nothing'"),
        (["serve", "--port", "x"], "invalid int value"),
        (["serve", "--port", "70000"], "must be from 0 to 65535"),
        (["status", "--nothing"], "unrecognized arguments"),
        (["models"], "required: VERB"),
        (["logs", "-n", "-1"], "must be 0 or more"),
        (["logs", "huge"], "there is no log of 'huge'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("hearth: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_debug_shows_where(home: Path) -> None:
    assert "Traceback" not in hearth("logs").stderr
    done = hearth("logs", HEARTH_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hearth: there is no log yet")


def test_a_fault_of_ours_is_one_line_too(home: Path) -> None:
    (home / "data" / "logs" / "daemon.log").mkdir(parents=True)
    (home / "config").write_text("not a folder")
    for command in ("serve", "logs"):
        done = hearth(command)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("hearth: ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_empty_ones(closed: str, home: Path) -> None:
    # Were their numbers left free, the next file that is opened would become the standard output of every child.
    command = f"{sys.executable} -m hearth run {closed}"
    done = subprocess.run(
        command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr in ("", "hearth: the prompt is empty · say what to do: hearth run PROMPT\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_an_output_that_cannot_be_written_is_one_line(arguments: list[str], home: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hearth", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "hearth: cannot write: No space left on device · make room on the disk\n",
    )


def test_a_reader_that_leaves_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hearth", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_what_a_terminal_cannot_write_is_a_question_mark(home: Path) -> None:
    done = hearth("models", "show", "nothing", HEARTH_HOME=str(home), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 4
    assert "there is no model 'nothing' ? " in done.stderr
