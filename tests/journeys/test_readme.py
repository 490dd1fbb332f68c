"""Every command of the README, as printed there, on the model in the package."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.ops.daemon import is_alive
from hearth.paths import resolve_paths
from hub_server import HubServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BY_CI = {"make demo", "make test"}
"""What continuous integration calls itself; the demo is also run by test_pilot.py."""


def commands() -> list[str]:
    """The lines of the README's code blocks, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [re.split(r"\s+# ", line)[0].strip() for line in lines if line.strip()]


@pytest.fixture
def folder(tmp_path: Path, home: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a constant; ``.venv/bin/hearth`` is this interpreter's hearth, and NAME a model of the owner's."""
    (tmp_path / "rates.py").write_text("LIMIT = 3\n")
    script = tmp_path / ".venv" / "bin" / "hearth"
    script.parent.mkdir(parents=True)
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hearth "$@"\n')
    script.chmod(0o755)
    models = resolve_paths(os.environ).models
    models.mkdir(parents=True)
    (models / "NAME.gguf").symlink_to(ROOT / "src" / "hearth" / "weights" / "pilot.gguf")
    # The tiny model need not finish here: that a command works is told by its first steps.
    config = resolve_paths(os.environ).config_file
    config.parent.mkdir(parents=True)
    config.write_text("[agent]\nmax_steps = 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEARTH_PORT", str(free_port))
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on this machine that has the pilot under the name of the model that the README fetches."""
    with HubServer() as server:
        pilot = ROOT / "src" / "hearth" / "weights" / "pilot.gguf"
        server.add("ggml-org/gpt-oss-20b-GGUF", {"gpt-oss-20b-MXFP4.gguf": pilot})
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def run(command: str, port: int, key: str = "") -> subprocess.CompletedProcess[str]:
    """Run one printed command here: its port and key are those of this test's daemon."""
    text = command.replace(":8888", f":{port}").replace("HEARTH_API_KEY=…", f"HEARTH_API_KEY={key}")
    text = text.replace("~/.config/hearth/api-key", str(resolve_paths(os.environ).key_file))
    return subprocess.run(
        text, shell=True, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )


def serve(port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([".venv/bin/hearth", "serve"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    socket = resolve_paths(os.environ).socket
    while not _answers(socket):
        assert process.poll() is None, "hearth serve ended"
        assert time.monotonic() < deadline, "hearth serve does not answer"
        time.sleep(0.05)
    return process


def _answers(socket: Path) -> bool:
    return asyncio.run(is_alive(socket))


def test_every_printed_command_is_tried_here() -> None:
    assert set(commands()) - BY_CI == {*ALONE, SERVE, *AT_THE_PORT, TUNNEL}


SERVE = ".venv/bin/hearth serve"
TUNNEL = "ssh -N -L 8888:127.0.0.1:8888 my-server &"
ALONE = (
    '.venv/bin/hearth run "Fix the failing test"',
    '.venv/bin/hearth run -c "And the other one"',
    ".venv/bin/hearth sessions undo",
    ".venv/bin/hearth doctor",
    ".venv/bin/hearth models recommend",
    ".venv/bin/hearth models fit gpt-oss:20b --ctx 65536",
    ".venv/bin/hearth models pull gpt-oss:20b",
    ".venv/bin/hearth models scan",
    ".venv/bin/hearth models list",
    '.venv/bin/hearth run -m NAME "…"',
    ".venv/bin/hearth engine list",
)
AT_THE_PORT = (
    'HEARTH_URL=http://127.0.0.1:8888 HEARTH_API_KEY=… .venv/bin/hearth run "Fix the failing test"',
    'curl -s http://127.0.0.1:8888/v1/chat/completions -H "Authorization: Bearer $(cat ~/.config/hearth/api-key)" '
    '-H "Content-Type: application/json" -d \'{"model": "pilot", "messages": [{"role": "user", "content": "hello"}]}\'',
)


def test_the_commands_of_the_owner(folder: Path, free_port: int, hub: HubServer) -> None:
    for command in ALONE:
        done = run(command, free_port)
        # Done, or stopped at the limit of steps; every other outcome is a failure here.
        assert done.returncode in (0, 3), f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr


def test_the_commands_at_the_port(folder: Path, free_port: int) -> None:
    process = serve(free_port)
    key = resolve_paths(os.environ).key_file.read_text().strip()
    try:
        for command in AT_THE_PORT:
            done = run(command, free_port, key)
            assert done.returncode in (0, 3), f"{command}\n{done.stdout}{done.stderr}"
        assert '"object":"chat.completion"' in done.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_tunnel_is_ssh_as_ssh_takes_it() -> None:
    words = shlex.split(TUNNEL.removesuffix("&"))
    assert words == ["ssh", "-N", "-L", "8888:127.0.0.1:8888", "my-server"]
