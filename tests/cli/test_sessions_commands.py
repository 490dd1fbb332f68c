"""``hearth sessions`` as a person types it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hearth.agent.frame import Frame
from hearth.agent.rewind import TurnSnapshots, open_snapshots
from hearth.agent.transcript import create_transcript, open_transcript
from hearth.cli.main import main
from hearth.messages import Message, ToolCall, Usage
from hearth.paths import Paths, resolve_paths
from hearth.tools.tool import ToolResult


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def play(paths: Paths, project: Path, session: str, *prompts: str) -> None:
    """A session whose turns write a file each."""
    frame = Frame(session, str(project), "m", "x", "", (), {}, 64)
    transcript = create_transcript(paths.sessions, frame, datetime(2026, 11, 23, 4, 15))
    for number, prompt in enumerate(prompts):
        transcript.begin_turn(prompt)
        watch = TurnSnapshots(transcript, open_snapshots(paths, project), pytest.fail)
        asyncio.run(watch.before_call("bash"))
        call = ToolCall("c", "bash", "{}")
        transcript.add(Message("assistant", "", (call,)))
        transcript.begin_call(call)
        (project / f"{session}-{number}").write_text(prompt)
        transcript.end_call(call, ToolResult("written", changed=(f"{session}-{number}",)), 0.1)
        asyncio.run(watch.end())
        transcript.add(Message("assistant", f"did: {prompt}"))
        transcript.end_turn("completed", "")
    transcript.close()


def hearth(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(["sessions", *arguments]) == code
    shown = capsys.readouterr()
    return shown.out, shown.err


def hearth_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    return json.loads(hearth(capsys, *arguments, "--json", code=code)[0])


def test_list_and_show(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hearth(capsys, "list") == ("", "no session was held here yet\n")
    play(paths, project, "s1", "# Fix it\nplease", "go on")
    os.utime(paths.sessions / "s1.jsonl", (0, 0))
    play(paths, project.parent, "s2", "elsewhere")
    out, err = hearth(capsys, "list")
    assert out.endswith("2 turns  m  Fix it\n")
    assert out.count("\n") == 1
    assert err == ""
    assert [row["session"] for row in hearth_json(capsys, "list", "--all")] == ["s2", "s1"]
    assert [row["title"] for row in hearth_json(capsys, "list", "-C", "..")] == ["elsewhere"]
    out, _ = hearth(capsys, "show")
    assert out.splitlines()[0] == "s1  Fix it"
    assert out.splitlines()[2] == "1  completed  1 call  Fix it"
    shown = hearth_json(capsys, "show", "s1")
    assert shown["turns"][1] == {
        "number": 2,
        "prompt": "go on",
        "status": "completed",
        "calls": 1,
        "changed": ["s1-1"],
        "files": True,
    }
    assert "there is no session 'nothing'" in hearth(capsys, "show", "nothing", code=1)[1]


def test_undo_and_redo(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "one", "two", "three")
    assert hearth(capsys, "undo", "--dry-run") == ("s1-2\n", "would be undone: 1 turn (three), 1 file\n")
    assert hearth(capsys, "undo") == ("s1-2\n", "undone: 1 turn (three), 1 file\n")
    done = hearth_json(capsys, "undo", "s1", "--turns", "2")
    assert (done["done"], done["prompts"], done["files"]) == (True, ["one", "two"], ["s1-0", "s1-1"])
    assert list(project.iterdir()) == []
    assert "cannot undo 1 of 0 turns" in hearth(capsys, "undo", code=2)[1]
    assert "redo brings back" in hearth(capsys, "show")[1]
    assert hearth(capsys, "redo")[1] == "done again: 2 turns (one), 2 files\n"
    assert hearth_json(capsys, "redo")["files"] == ["s1-2"]
    assert len(list(project.iterdir())) == 3
    assert "nothing to redo" in hearth(capsys, "redo", code=2)[1]


def test_the_owner_says_what_is_kept(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "one")
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(f'[undo]\nleave = ["{project}/s1-0"]\nquota_gib = 0\n')
    # What is left out by now is not looked at: it stays, and that is said.
    done = hearth_json(capsys, "undo", code=1)
    assert (done["files"], done["left"]) == ([], {"s1-0": "it is not kept in snapshots"})
    assert (project / "s1-0").exists()
    paths.config_file.write_text("[undo]\nlargest = 1\n")
    assert "unknown setting 'undo.largest'" in hearth(capsys, "redo", code=2)[1]


def test_what_somebody_changed_since(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "one")
    (project / "s1-0").write_text("mine")
    out, err = hearth(capsys, "undo", code=1)
    assert out == ""
    assert err.splitlines() == [
        "changed since: s1-0",
        "hearth: 1 file changed since the turn, nothing was done · --force overwrites them",
    ]
    done = hearth_json(capsys, "undo", code=1)
    assert (done["done"], done["conflicts"]) == (False, ["s1-0"])
    hearth(capsys, "undo", "--keep-files")
    assert (project / "s1-0").read_text() == "mine"
    hearth(capsys, "redo")
    hearth(capsys, "undo", "--force")
    assert not (project / "s1-0").exists()


def test_a_project_that_is_gone(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "one")
    moved = project.rename(project.parent / "moved")
    assert "cannot look at" in hearth(capsys, "undo", "s1", code=1)[1]
    # Where it went is found through a symlink at its place.
    project.symlink_to(moved)
    assert hearth_json(capsys, "undo", "s1")["files"] == ["s1-0"]
    assert list(moved.iterdir()) == []
    project.unlink()
    assert "cannot look at" in hearth(capsys, "redo", "s1", code=1)[1]
    moved.rename(project)
    hearth(capsys, "redo", "s1")
    (project / "s1-0").rename(moved)
    project.rmdir()
    hearth(capsys, "undo", "s1", "--keep-files")
    assert hearth_json(capsys, "show", "s1")["turns"] == []


def test_a_session_in_use_is_left(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "one")
    held = open_transcript(paths.sessions, "s1")
    for verb in ("undo", "redo", "delete --yes s1"):
        assert "in use by another process" in hearth(capsys, *verb.split(), code=1)[1]
    assert hearth(capsys, "show")[0].startswith("s1")
    held.close()


def test_names_that_are_no_text_can_be_shown(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, os.fsdecode(b"s"), "one")
    (project / os.fsdecode(b"\xff\nx")).touch()
    transcript = open_transcript(paths.sessions, "s")
    transcript.begin_turn("odd")
    snapshots = open_snapshots(paths, project)
    transcript.add_snapshot("begin", snapshots.capture())
    (project / os.fsdecode(b"\xff\nx")).unlink()
    transcript.add_snapshot("end", snapshots.capture())
    transcript.close()
    assert hearth_json(capsys, "undo")["files"] == ["\\xff\\nx"]


def test_a_folder_and_names_that_would_drive_the_terminal(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff\x1b[2J")
    try:
        folder.mkdir()
    except OSError:
        folder = tmp_path / "\x1b[2J"  # Some systems have no names that are no text.
        folder.mkdir()
    monkeypatch.chdir(folder)
    play(paths, folder, "s1", "say \x1b[2J")
    transcript = open_transcript(paths.sessions, "s1")
    transcript.begin_turn(os.fsdecode(b"say \xff\x1b[2J"))
    snapshots = open_snapshots(paths, folder)
    transcript.add_snapshot("begin", snapshots.capture())
    (folder / "\x1b[2J").touch()
    transcript.add_snapshot("end", snapshots.capture())
    transcript.end_turn("completed", "")
    transcript.close()
    assert hearth_json(capsys, "list", "--all")[0]["directory"] == str(folder)
    assert hearth_json(capsys, "show")["directory"] == str(folder)
    for verb in ("list", "list --all", "show", "context", "undo --dry-run", "redo", "undo", "search say"):
        assert "\x1b" not in "".join(hearth(capsys, *verb.split(), code=2 if verb == "redo" else 0)), verb


def test_export(paths: Paths, project: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    play(paths, project, "s1", "grüße 🔥")
    for name, start in (("a.md", "# grüße 🔥"), ("b.html", "<!doctype html>"), ("c.json", "{\n")):
        assert main(["sessions", "export", "-o", name]) == 0
        assert (project / name).read_text("utf-8").startswith(start)
        assert (project / name).stat().st_mode & 0o777 == 0o600
    capfdbinary.readouterr()
    for arguments in (["--format", "html"], []):
        assert main(["sessions", "export", *arguments]) == 0
        name = "b.html" if arguments else "a.md"
        assert capfdbinary.readouterr().out == (project / name).read_bytes()
    assert main(["sessions", "export", "-o", "a.pdf"]) == 2
    assert b"does not say the format" in capfdbinary.readouterr().err
    assert main(["sessions", "export", "-o", "no/such.md"]) == 1
    assert b"cannot write no/such.md: No such file" in capfdbinary.readouterr().err
    (project / "a.md").chmod(0o644)
    (project / "a.md").write_text("old")
    assert main(["sessions", "export", "-o", "a.md"]) == 0
    assert (project / "a.md").read_text().startswith("# gr")
    assert (project / "a.md").stat().st_mode & 0o777 == 0o644
    (project / "a.md").chmod(0o444)
    assert main(["sessions", "export", "-o", "a.md"]) == 1
    assert b"cannot write a.md: it is read-only" in capfdbinary.readouterr().err
    assert main(["sessions", "export", "-o", "/dev/stdout", "--format", "md"]) == 0
    assert capfdbinary.readouterr().out == (project / "a.md").read_bytes()


def test_files_that_an_undo_left(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        (project / f"mine{number:02}").write_text("old")
    transcript = create_transcript(
        paths.sessions, Frame("s1", str(project), "m", "x", "", (), {}, 64), datetime(2026, 11, 23, 4, 15)
    )
    transcript.begin_turn("one")
    snapshots = open_snapshots(paths, project)
    transcript.add_snapshot("begin", snapshots.capture())
    (project / "made").touch()
    for number in range(25):
        (project / f"mine{number:02}").write_text("new")
    transcript.add_snapshot("end", snapshots.capture(), [f"mine{number:02}" for number in range(25)])
    transcript.end_turn("completed", "")
    transcript.close()
    out, err = hearth(capsys, "undo", "--dry-run", code=1)
    assert out == "made\n"
    assert err.splitlines()[0] == "left as it is: mine00: somebody else changed it while the turn ran"
    done = hearth_json(capsys, "undo", code=1)
    assert (done["done"], done["files"], len(done["left"])) == (True, ["made"], 25)
    assert done["left"]["mine24"] == "somebody else changed it while the turn ran"
    assert not (project / "made").exists()
    hearth(capsys, "redo")
    _, err = hearth(capsys, "undo", code=1)
    assert err.splitlines()[20:] == [
        "left as they are: 5 others",
        "undone: 1 turn (one), 1 file, 25 left as they are",
    ]
    assert (project / "mine00").read_text() == "new"


def test_context(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "find the needle")
    out, _ = hearth(capsys, "context")
    assert re.match(r"s1  find the needle\nm: about \d+ tokens\n", out)
    transcript = open_transcript(paths.sessions, "s1")
    transcript.begin_turn("read " * 500)
    transcript.add_usage(Usage(prompt=1_000, new=1_000, prefill_s=2.0))
    transcript.close()
    out, _ = hearth(capsys, "context", "s1")
    assert out.splitlines()[1] == "m: 1,000 tokens, read at 500 tokens/s"
    rows = {line.rsplit(maxsplit=4)[0]: line.rsplit(maxsplit=4)[1:] for line in out.splitlines()[2:]}
    assert list(rows) == ["system", "prompts", "answers", "calls", "results of bash"]
    assert rows["prompts"][1:] == ["96%", "1.9", "s"]
    costs = hearth_json(capsys, "context")
    assert (costs["total"], costs["exact"], costs["items"][1]["name"]) == (1_000, True, "prompts")


def test_search(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "find the needle")
    out, _ = hearth(capsys, "search", "NEEDLE", "did")
    assert out == "s1  find the needle\n    turn 1, assistant: did: find the needle\n"
    assert hearth_json(capsys, "search", "needle")[0]["turn"] == 1
    assert hearth(capsys, "search", "absent", code=1) == ("", "no session has all these words\n")
    assert hearth_json(capsys, "search", "absent", code=1) == []


def test_fork(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(paths, project, "s1", "one", "two")
    out, err = hearth(capsys, "fork", "s1", "--turn", "1")
    assert f"hearth run --resume {out.strip()}" in err
    assert [turn["prompt"] for turn in hearth_json(capsys, "show", out.strip())["turns"]] == ["one"]
    assert hearth_json(capsys, "fork", "s1")["forked_from"] == "s1"
    assert "has no turn 9" in hearth(capsys, "fork", "s1", "--turn", "9", code=2)[1]


class Terminal(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


def test_delete_asks(
    paths: Paths, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(paths, project, "s1", "one")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert "nobody can be asked" in hearth(capsys, "delete", "s1", code=2)[1]
    for answer, code in (("n", 1), ("", 1), ("y", 0)):
        monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
        told = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr("sys.stderr", told)
            assert main(["sessions", "delete", "s1"]) == code
        assert told.getvalue().startswith("s1  one\ndelete 1 session for good? [y/N] ")
        assert (paths.sessions / "s1.jsonl").exists() == bool(code)
    play(paths, project, "s2", "two")
    assert "there is no session 's1'" in hearth(capsys, "delete", "s2", "s1", "--yes", code=1)[1]
    assert hearth_json(capsys, "delete", "s2", "--yes") == {"deleted": ["s2"]}


def test_prune(paths: Paths, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "large").write_bytes(os.urandom(2 << 20))
    play(paths, project, "s1", "one")
    assert hearth_json(capsys, "prune")["after"] > 2 << 20
    hearth(capsys, "delete", "s1", "--yes")
    assert hearth(capsys, "prune")[1] == "snapshots take 0 MiB, 2 MiB less\n"
    assert "must be 0 or more" in hearth(capsys, "prune", "--to", "-1", code=2)[1]
