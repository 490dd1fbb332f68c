import io
import os
import sys
from pathlib import Path

import pytest

from hearth import __version__
from hearth.agent.rewind import open_snapshots
from hearth.cli import run as command
from hearth.cli.main import main
from hearth.errors import UsageError
from hearth.events import Event, Failed, Finished, Text
from hearth.ops.record import DaemonRecord, claim_home
from hearth.paths import resolve_paths


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes, terminal: bool = False) -> None:
    class Stdin(io.TextIOWrapper):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(data)))


@pytest.mark.parametrize(("given", "prompt"), [("do it", "do it"), ("-", "from stdin ä"), (None, "from stdin ä")])
def test_the_prompt_comes_from_the_line_or_from_stdin(
    monkeypatch: pytest.MonkeyPatch, given: str | None, prompt: str
) -> None:
    give_stdin(monkeypatch, "from stdin ä\n".encode())
    assert command.read_prompt(given) == prompt


def test_old_snapshots_are_dropped_aside_once_a_day(home: Path, tmp_path: Path) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    project = tmp_path / "project"
    project.mkdir()
    snapshots = open_snapshots(paths, project)
    snapshots.capture()
    environment = {**os.environ, "HEARTH_HOME": str(home)}
    assert command.prune_aside(paths, environment, 1e9) == 0
    child = command.prune_aside(paths, environment, 1e9 + 100_000)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not snapshots.store.exists()
    assert command.prune_aside(paths, environment, 1e9 + 100_001) == 0


@pytest.mark.parametrize(("given", "terminal"), [("", False), ("  ", False), (None, False), (None, True)])
def test_no_prompt_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, given: str | None, terminal: bool) -> None:
    give_stdin(monkeypatch, b" \n", terminal)
    with pytest.raises(UsageError, match="prompt"):
        command.read_prompt(given)


@pytest.mark.parametrize(
    ("events", "unasked", "code"),
    [
        ([Text("x"), Finished("completed", "x", 1, (), "s")], 0, 0),
        ([Finished("completed", "x", 1, (), "s")], 2, 5),
        ([Failed("agent", "limit", "", 3), Finished("stopped", "x", 1, (), "s")], 0, 3),
        ([Failed("engine", "died", "", 4), Finished("failed", "x", 1, (), "s")], 1, 4),
        ([Failed("agent", "interrupted", "", 130), Finished("failed", "", 0, (), "s")], 0, 130),
    ],
)
def test_exit_codes(events: list[Event], unasked: int, code: int) -> None:
    found = 1
    for event in events:
        found = command.exit_code(event, found, unasked)
    assert found == code


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "x", "--max-steps", "0"], "agent.max_steps"),
        (["run", "x", "--max-steps", "many"], "max-steps"),
        (["run", "x", "--mode", "yolo"], "mode"),
        (["run", "x", "-c", "--resume", "abc"], "not allowed with"),
        (["run", "x", "--resume", ""], "-c goes on with the latest"),
        (["run", " "], "prompt is empty"),
    ],
)
def test_a_wrong_line_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert word in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_nobody_there_is_exit_code_4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HEARTH_URL", "http://127.0.0.1:9")
    assert main(["run", "hello", "--output-format", "stream-json"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('"')[3] for line in lines] == ["error", "result"]
    assert main(["run", "hello"]) == 4
    assert "HEARTH_URL" in capsys.readouterr().err


def test_help_says_what_the_modes_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    said = capsys.readouterr().out
    assert "auto runs every call" in said
    assert all(len(line) <= 120 for line in said.splitlines())


def test_a_daemon_of_another_version_is_told_in_one_line() -> None:
    paths = resolve_paths(os.environ)
    paths.ensure()
    stream = io.StringIO()
    command.warn_of_version(paths, stream)
    assert stream.getvalue() == ""
    claim = claim_home(paths)
    for version, said in ((__version__, ""), ("0.0.1", "hearth: the daemon is hearth 0.0.1, this command ")):
        claim.write(DaemonRecord(pid=1, started=0.0, version=version, background=True))
        command.warn_of_version(paths, stream)
        assert stream.getvalue().startswith(said)
    assert stream.getvalue().endswith(" · run: hearth stop\n")
    claim.release()
