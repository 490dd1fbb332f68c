"""``hearth run`` as a process, against a pretending engine as another."""

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Pretend = Callable[..., Path]
HEARTH = (sys.executable, "-m", "hearth")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretend]:
    """Start a pretending engine with these answers as HEARTH_URL; the file that records its requests."""
    started: list[subprocess.Popen[str]] = []

    def begin(*answers: dict[str, Any], **script: Any) -> Path:
        script_file, record = tmp_path / "script.json", tmp_path / "requests.jsonl"
        script_file.write_text(json.dumps({"answers": answers, **script}))
        command = (sys.executable, "-m", "hearth.runtime.pretend", "--port", "0", "--script", script_file)
        process = subprocess.Popen((*command, "--record", record), stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        monkeypatch.setenv("HEARTH_URL", process.stdout.readline().strip())
        return record

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def hearth(project: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*HEARTH, *arguments), cwd=project, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def bodies(record: Path) -> list[str]:
    return [json.loads(line)["body"] for line in record.read_text().splitlines()]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def test_stream_json_prints_documented_lines_and_the_result_last(project: Path, pretend: Pretend) -> None:
    pretend(
        {**call("write", path="a.py", content="x = 1\n"), "prefill_s": 0.1, "reasoning": "hm"},
        call("bash", command="cat a.py"),
        {"text": "All done."},
    )
    done = hearth(project, "run", "make a.py", "--output-format", "stream-json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["type"] for line in lines} == (
        {"session", "progress", "text", "reasoning", "tool_call", "output", "tool_result", "usage", "result"}
    )
    assert lines[0]["type"] == "session"
    assert lines[-1] == {
        "type": "result",
        "status": "completed",
        "text": "All done.",
        "steps": 3,
        "changed_files": ["a.py"],
        "session": lines[0]["session"],
    }
    usage = [line for line in lines if line["type"] == "usage"]
    for earlier, later in itertools.pairwise(usage):
        assert later["reused"] >= 0.95 * (earlier["prompt"] + earlier["generated"])
    assert (project / "a.py").read_text() == "x = 1\n"


def test_the_requests_of_a_session_grow_by_appending(project: Path, pretend: Pretend) -> None:
    record = pretend(call("bash", command="ls"), {"text": "one"}, call("glob", pattern="*"), {"text": "two"})
    assert hearth(project, "run", "first").stdout == "one\n"
    (project / "AGENTS.md").write_text("what comes late is not told")
    assert hearth(project, "run", "-c", "second").stdout == "two\n"
    found = bodies(record)
    assert len(found) == 4
    for earlier, later in itertools.pairwise(found):
        assert later.startswith(earlier[:-2])


def test_the_first_request_is_light(project: Path, pretend: Pretend) -> None:
    record = pretend()
    hearth(project, "run", "hello", "-m", "standard")
    body = bodies(record)[0]
    assert len(body.encode()) <= 5_500
    assert len(json.loads(body)["tools"]) == 9


def test_the_prompt_may_come_through_a_pipe(project: Path, pretend: Pretend) -> None:
    record = pretend()
    assert hearth(project, "run", "-", stdin="from a pipe\n").returncode == 0
    assert bodies(record)[0].endswith('{"role":"user","content":"from a pipe"}]}')


@pytest.mark.parametrize(
    ("answer", "arguments", "code", "word"),
    [
        ({"fault": "http_500"}, (), 4, "told to fail"),
        ({"text": "some text", "fault": "error_chunk"}, (), 4, "Context size has been exceeded"),
        ({"text": "some text", "fault": "disconnect"}, (), 4, "broke off"),
        ({"fault": "too_long"}, (), 1, "context holds"),
        ({"tool_calls": [{"name": "bash", "arguments": {"command": "ls"}}]}, ("--max-steps", "1"), 3, "after 1 step"),
    ],
)
def test_a_failed_turn_is_one_line_and_its_exit_code(
    project: Path, pretend: Pretend, answer: dict[str, Any], arguments: tuple[str, ...], code: int, word: str
) -> None:
    pretend(answer, answer, otherwise=answer)
    told = hearth(project, "run", "go", *arguments)
    assert word in told.stderr.splitlines()[-1]
    done = hearth(project, "run", "go", "-q", *arguments)
    assert told.returncode == done.returncode == code
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    # What was tried before is told, but to who wants the error alone.
    summed_up = [line for line in told.stderr.splitlines() if "the conversation was summed up" in line]
    assert bool(summed_up) == (answer.get("fault") == "too_long")
    streamed = hearth(project, "run", "go", *arguments, "--output-format", "stream-json")
    lines = [json.loads(line) for line in streamed.stdout.splitlines()]
    assert [line["type"] for line in lines[-2:]] == ["error", "result"]
    assert streamed.returncode == lines[-2]["exit_code"] == code


def test_asking_without_a_terminal_denies(project: Path, pretend: Pretend) -> None:
    record = pretend(call("bash", command="touch x"))
    done = hearth(project, "run", "go", "--mode", "ask")
    assert done.returncode == 5
    assert not (project / "x").exists()
    assert "nobody is there to ask" in bodies(record)[1]


def test_an_interrupt_ends_the_command_and_keeps_the_session(project: Path, pretend: Pretend) -> None:
    record = pretend(call("bash", command="touch begun; sleep 60; touch ended"))
    with subprocess.Popen(
        (*HEARTH, "run", "go", "--output-format", "json"), cwd=project, stdout=subprocess.PIPE
    ) as face:
        wait_for(project / "begun")
        face.send_signal(signal.SIGINT)
        output, _ = face.communicate(timeout=30)
    assert face.returncode == 130
    assert json.loads(output)["error"]["exit_code"] == 130
    assert hearth(project, "run", "-c", "go on").returncode == 0
    assert "interrupted by the user" in bodies(record)[1]
    assert not (project / "ended").exists()


def test_a_session_in_use_is_told(project: Path, pretend: Pretend) -> None:
    pretend(call("bash", command="touch begun; sleep 60"))
    with subprocess.Popen((*HEARTH, "run", "go"), cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as face:
        wait_for(project / "begun")
        done = hearth(project, "run", "-c", "me too")
        face.terminate()
        face.communicate(timeout=30)
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
    assert face.returncode == 130


def on_terminal(project: Path, typed: str, *arguments: str, ahead: str = "") -> tuple[int, str]:
    """Run hearth on a terminal of its own and type when it asks; its exit code and what was shown.

    ``ahead`` is typed before it starts.
    """
    master, slave = pty.openpty()
    os.write(master, ahead.encode())
    face = subprocess.Popen(
        (*HEARTH, *arguments), cwd=project, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
            if typed and b"[y/N] " in data:
                os.write(master, typed.encode())
    except OSError:
        pass  # Linux reports the end of a terminal as EIO
    os.close(master)
    return face.wait(timeout=30), shown.decode()


@pytest.mark.parametrize(("typed", "made"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_at_a_terminal_is_asked(project: Path, pretend: Pretend, typed: str, made: bool) -> None:
    record = pretend({**call("bash", command="touch x"), "prefill_s": 0.3}, {"text": "All done."})
    code, shown = on_terminal(project, typed, "run", "go")
    assert code == 0
    before, after = shown.split("run it? [y/N] ")
    # What led to the question stands before it, and nothing moves below it while it waits.
    assert "bash touch x" in before
    assert "reused" in before
    assert after.startswith(typed.replace("\n", "\r\n"))
    assert "prefill" in shown
    assert "All done." in shown
    assert (project / "x").exists() is made
    assert ("the user does not want this" in bodies(record)[1]) is not made


def test_a_person_sees_all_of_what_is_asked(project: Path, pretend: Pretend) -> None:
    pretend(call("bash", command="true\nrm -r all"), {"text": "As you wish."})
    shown = on_terminal(project, "n\n", "run", "go")[1].split("run it? [y/N] ")[0]
    assert "    true\r\n    rm -r all\r\n" in shown


def test_what_was_typed_before_the_question_is_no_answer(project: Path, pretend: Pretend) -> None:
    pretend({"tool_calls": [{"name": "bash", "arguments": {"command": f"touch {name}"}} for name in "xy"]})
    on_terminal(project, "y\n", "run", "go", ahead="y\ny\n")
    assert (project / "x").exists()
    assert (project / "y").exists()
    pretend({"tool_calls": [{"name": "bash", "arguments": {"command": "touch z"}}]})
    on_terminal(project, "n\n", "run", "go", ahead="y\n")
    assert not (project / "z").exists()


def test_no_color_is_honoured(project: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend({"text": "plain"}, {"text": "plain"})
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[2m" in on_terminal(project, "", "run", "go")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in on_terminal(project, "", "run", "go")[1]
