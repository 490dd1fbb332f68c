"""Every test has a home of its own and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from marked_processes import MARK, end_all

# How long an example takes says something of the machine and of what else it does.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
    # Threads of several engines that wait for each other on the same cores slow each other a hundredfold.
    monkeypatch.setenv("HEARTH_THREADS", "1")
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
