"""What is left when processes are killed in the middle of a turn, and how a session goes on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gguf_models import write_lfm2
from hearth.agent.transcript import UNKNOWN
from hearth.ops.record import read_record
from hearth.paths import Paths, resolve_paths
from hearth.runtime.pretend import Answer, Call, PretendEngine, Script

HEARTH = (sys.executable, "-m", "hearth")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def hearth(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*HEARTH, *arguments),
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


async def test_a_face_killed_in_a_tool_call_does_not_run_it_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "echo once >> runs; sleep 60"
    calls = (Call("bash", {"command": command}, "c1"), Call("bash", {"command": command}, "c2"))
    async with PretendEngine(Script((Answer("I run it.", calls),))) as engine:
        monkeypatch.setenv("HEARTH_URL", engine.endpoint.url)
        face = await asyncio.create_subprocess_exec(*HEARTH, "run", "go", cwd=project, stdin=subprocess.DEVNULL)
        await asyncio.to_thread(wait_for, project / "runs")
        face.kill()
        await face.wait()
        done = await asyncio.to_thread(hearth, project, "run", "-c", "go on", "--output-format", "stream-json")
        first, second = (json.loads(body)["messages"] for body in engine.requests)
        assert engine.requests[1].startswith(engine.requests[0][:-2])
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[0])["resumed"] is True
    assert second[: len(first)] == first
    told = {message["tool_call_id"]: message["content"] for message in second if message["role"] == "tool"}
    assert told["c1"] == UNKNOWN
    assert told["c2"].startswith("not run")
    assert (project / "runs").read_text() == "once\n"


@pytest.fixture
def paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home with one tiny model, which is the default: it talks nonsense without end."""
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    write_lfm2(found.models / "tiny.gguf", context=32_768, endless=True)
    monkeypatch.setenv("HEARTH_MODEL", "tiny")
    return found


def test_a_daemon_killed_in_the_middle_of_an_answer(project: Path, paths: Paths) -> None:
    with subprocess.Popen(
        (*HEARTH, "run", "go", "--output-format", "stream-json"),
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as face:
        assert face.stdout is not None
        seen = []
        for line in face.stdout:
            seen.append(json.loads(line))
            if seen[-1]["type"] == "text":
                break
        record = read_record(paths)
        assert record
        os.kill(record.pid, signal.SIGKILL)
        seen += [json.loads(line) for line in face.stdout]
    assert face.returncode == 4
    assert [line["type"] for line in seen[-2:]] == ["error", "result"]
    assert seen[-2]["source"] == "gateway"
    partial = seen[-1]["text"]
    assert partial, (len(seen), seen[:6], seen[-6:])
    done = hearth(project, "run", "-c", "go on", "--max-steps", "1", "--output-format", "json")
    result = json.loads(done.stdout)
    assert result["session"] == seen[0]["session"]
    assert result["usage"]["generated"] > 0
    transcript = (paths.sessions / f"{result['session']}.jsonl").read_bytes()
    assert transcript.endswith(b"\n")
    records = [json.loads(line) for line in transcript.splitlines()]
    roles = [line["message"]["role"] for line in records if line["type"] == "message"]
    assert roles[:3] == ["user", "assistant", "user"]
    assert partial in [line["message"]["content"] for line in records if line["type"] == "message"][1]
