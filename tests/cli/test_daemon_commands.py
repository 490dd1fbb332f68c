"""What ``hearth status`` and ``hearth doctor`` print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hearth import __version__
from hearth.cli.daemon import NOT_RUNNING, describe
from hearth.cli.doctor import lines
from hearth.cli.main import main
from hearth.ops.doctor import Check
from hearth.paths import resolve_paths
from hearth.runtime.builds.build import active_build, engines_folder

STATUS: dict[str, Any] = {
    "pid": 7,
    "started": 1000.0,
    "version": __version__,
    "background": True,
    "address": "",
    "no_address_because": "pid 9 (nginx) has port 8888",
    "socket": "/run/hearth.sock",
    "key_file": "/etc/key",
    "model": "pilot",
    "requests": 1,
    "engines": [],
}
ENGINE = {
    "model": "pilot",
    "state": "ready",
    "pid": 8,
    "context": 16_384,
    "slots": 2,
    "rss_bytes": 100 << 20,
    "cause": "",
}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "up 5 s"), (65, "up 1 min"), (3_700, "up 1 h 1 min"), (90_000, "up 25 h 0 min"), (-3, "up 0 s")],
)
def test_how_long_it_is_up(seconds: int, text: str) -> None:
    assert text in describe(STATUS, 1000.0 + seconds)[0]


def test_no_address_says_why() -> None:
    shown = "\n".join(describe(STATUS, 1001.0))
    assert "none (pid 9 (nginx) has port 8888)" in shown
    assert "none loaded" in shown
    assert "started in the background" in shown


def test_an_engine_is_one_line() -> None:
    shown = describe({**STATUS, "engines": [ENGINE]}, 1001.0)
    assert shown[-1] == "engine   pilot: ready, pid 8, context 16,384 tokens a request, 2 slots, 100 MiB of RAM"
    assert "a request, 1 slot, 100" in describe({**STATUS, "engines": [{**ENGINE, "slots": 1}]}, 1001.0)[-1]
    dead = {**ENGINE, "state": "failed", "pid": None, "context": 0, "slots": 0, "rss_bytes": None, "cause": "killed"}
    assert describe({**STATUS, "engines": [dead]}, 1001.0)[-1] == "engine   pilot: failed, killed"


def test_memory_is_told_in_fitting_units() -> None:
    device = {"name": "RAM", "total_bytes": 24 << 30, "free_bytes": 20 << 30, "room_bytes": 3 << 29}
    engines = [
        {**ENGINE, "model": "tiny", "held_bytes": [8 << 20]},
        {**ENGINE, "model": "big", "held_bytes": [1 << 30]},
    ]
    shown = describe({**STATUS, "memory": [device], "engines": engines}, 1001.0)
    line = "memory   RAM: 20.00 GiB of 24.00 GiB free, models may take 1.50 GiB"
    assert f"{line}: tiny 8 MiB, big 1.00 GiB" in shown
    assert line in describe({**STATUS, "memory": [device]}, 1001.0)


def test_a_build_that_is_not_the_one_in_the_package_is_told(home: Path) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    assert not [line for line in describe(STATUS, 1001.0, active_build(paths)) if line.startswith("build")]
    folder = engines_folder(paths)
    folder.mkdir(parents=True)
    (folder / "active").write_text("cuda-1")
    shown = describe(STATUS, 1001.0, active_build(paths))
    assert "build    cuda-1: it is not there; hearth engine use bundled goes back" in shown


def test_no_daemon_is_said_and_has_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == NOT_RUNNING
    assert "no daemon runs" in capsys.readouterr().out
    assert main(["status", "--json"]) == NOT_RUNNING
    assert json.loads(capsys.readouterr().out) == {"running": False}
    assert main(["stop"]) == 0
    assert "no daemon runs" in capsys.readouterr().err


def test_a_failing_check_has_its_fix_below() -> None:
    assert lines(Check("git", True, "2.39")) == ["ok   git           2.39"]
    bad = lines(Check("git", False, "not found", "install git"))
    assert bad[0] == "FAIL git           not found"
    assert bad[1].strip() == "→ install git"


@pytest.mark.parametrize("model", ["tiny", "a b", "it's", "/elsewhere/tiny.gguf", "x" * 240])
def test_the_log_of_a_model_is_found_by_its_name(home: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    log = resolve_paths({"HEARTH_HOME": str(home)}).engine_log(model)
    log.parent.mkdir(parents=True)
    log.write_text("it said this\n")
    assert main(["logs", model]) == 0
    assert capsys.readouterr().out == "it said this\n"
    assert main(["logs", "other"]) == 2
    assert log.stem.removeprefix("engine-") in capsys.readouterr().err


def test_a_daemon_of_another_version_is_shown_with_both() -> None:
    shown = describe({**STATUS, "version": "0.0.1"}, 1001.0)
    assert "version 0.0.1" in shown[0]
    assert f"this command {__version__}" in shown[1]
    assert "hearth stop" in shown[1]
    assert not [line for line in describe(STATUS, 1001.0) if "this command" in line]


def test_what_was_saved_and_what_is_wrong_with_saving_is_told() -> None:
    kv = {"saved": 1200, "restored": 3, "trouble": ""}
    assert "KV states: 1,200 saved, 3 restored" in describe({**STATUS, "engines": [{**ENGINE, "kv": kv}]}, 1000.0)[-1]
    full = {**kv, "trouble": "no space left"}
    assert describe({**STATUS, "engines": [{**ENGINE, "kv": full}]}, 1000.0)[-1].endswith("NOT SAVED: no space left")
