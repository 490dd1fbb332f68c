"""Every test has a home of its own and leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

MARK = "TEST_OF_HEARTH"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """HEARTH_HOME in a short temporary folder (a unix socket's path may have 100 bytes), no other HEARTH_ variable.

    What the test starts inherits a mark in its environment, by which it is found and ended afterwards.
    """
    for name in [name for name in os.environ if name.startswith("HEARTH_")]:
        monkeypatch.delenv(name)
    folder = Path(tempfile.mkdtemp(prefix="hearth-"))
    mark = uuid.uuid4().hex
    monkeypatch.setenv("HEARTH_HOME", str(folder))
    monkeypatch.setenv("HEARTH_PORT", "0")
    monkeypatch.setenv(MARK, mark)
    yield folder
    end_all(mark)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end_all(mark: str) -> None:
    """End every process that carries the mark: asked first, killed after three seconds."""
    for number, limit_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + limit_s
        while marked(mark):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def marked(mark: str) -> list[int]:
    """Living processes with this mark in their environment (a zombie has none); none where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
