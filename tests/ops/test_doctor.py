"""What is looked at, and what mends it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hearth.ops import machine
from hearth.ops.doctor import (
    Check,
    check_engine,
    check_git,
    check_home,
    check_memory,
    check_processor,
    check_python,
    examine,
)
from hearth.paths import resolve_paths


def script(path: Path, text: str) -> str:
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("check", "ok"),
    [
        (check_python((3, 11, 0)), True),
        (check_python((3, 13, 9)), True),
        (check_python((3, 10, 9)), False),
        (check_python((3, 14, 0)), False),
        (check_processor("x", []), True),
        (check_processor("x", ["avx2"]), False),
        (check_memory(8 << 30, 4 << 30), True),
        (check_memory(8 << 30, 100 << 20), False),
        (check_memory(8 << 30, 0), True),
    ],
)
def test_each_failing_check_says_what_mends_it(check: Check, ok: bool) -> None:
    assert check.ok is ok
    assert check.text
    assert ok or check.fix


def test_the_engine_of_this_installation_loads() -> None:
    check = check_engine()
    assert check.ok
    assert "xllamacpp 20" in check.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kill -ILL $$", "died of signal 4"),
        ("echo 'ImportError: no such library' >&2; exit 1", "ImportError: no such library"),
        ("exit 3", "no word"),
    ],
)
def test_an_engine_that_does_not_load_is_told_from_outside(tmp_path: Path, text: str, said: str) -> None:
    check = check_engine(script(tmp_path / "python", text))
    assert not check.ok
    assert said in check.text
    assert "pip install --force-reinstall" in check.fix


def test_a_python_that_is_not_there(tmp_path: Path) -> None:
    assert not check_engine(str(tmp_path / "nothing")).ok


def test_git_that_is_missing_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_git().ok
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = check_git()
    assert (missing.ok, bool(missing.fix)) == (False, True)
    script(tmp_path / "git", "echo 'cannot load a library' >&2; exit 127")
    broken = check_git()
    assert (broken.ok, broken.text) == (False, "cannot load a library")


def test_a_home_that_is_a_file(home: Path) -> None:
    (home / "file").write_text("x")
    check = check_home(resolve_paths({"HEARTH_HOME": str(home / "file")}))
    assert not check.ok
    assert "HEARTH_HOME" in check.fix


def test_the_machine_is_described() -> None:
    assert "cores" in machine.processor()
    total, free = machine.memory_bytes()
    assert total >= free >= 0
    assert total > 1 << 28


def test_gpus_are_what_the_vendors_tools_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    on_apple = sys.platform == "darwin" and os.uname().machine == "arm64"
    assert machine.graphics() == (["Apple GPU (Metal), shares the memory"] if on_apple else [])
    script(tmp_path / "nvidia-smi", "echo 'NVIDIA GeForce RTX 4090, 24564'")
    script(tmp_path / "rocm-smi", "printf 'device,Card Series\\ncard0,Radeon RX 7900 XTX,0x744c\\n'")
    assert machine.graphics()[:2] == ["NVIDIA GeForce RTX 4090, 24564 MiB", "Radeon RX 7900 XTX"]
    script(tmp_path / "nvidia-smi", "echo 'NVIDIA-SMI has failed, no driver'; exit 9")
    assert machine.graphics()[0] == "Radeon RX 7900 XTX"


async def test_wrong_settings_are_one_failing_line(home: Path) -> None:
    environment = {**os.environ, "HEARTH_PORT": "nonsense", "HEARTH_URL": ""}
    checks = [check async for check in examine(resolve_paths(environment), environment, lambda _text: None)]
    settings = checks[0]
    assert not settings.ok
    assert "HEARTH_PORT" in settings.text
    assert "HEARTH_CONTEXT" in settings.fix
    assert [check.name for check in checks[1:8]] == [
        "python",
        "engine",
        "processor",
        "memory",
        "graphics",
        "home",
        "git",
    ]


async def test_another_endpoint_needs_no_daemon(home: Path) -> None:
    environment = {**os.environ, "HEARTH_URL": "http://elsewhere:1"}
    checks = [check async for check in examine(resolve_paths(environment), environment, lambda _text: None)]
    assert checks[-1].name == "daemon"
    assert "http://elsewhere:1" in checks[-1].text
    assert not (home / "run" / "hearth.sock").exists()
