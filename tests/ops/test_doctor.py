"""What is looked at, and what mends it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.ops import machine
from hearth.ops.doctor import (
    Check,
    check_build,
    check_engine,
    check_git,
    check_graphics,
    check_home,
    check_kv,
    check_memory,
    check_other_engines,
    check_processor,
    check_python,
    examine,
)
from hearth.paths import resolve_paths
from hearth.runtime.builds.build import Manifest, needed_version
from hearth.runtime.builds.shelf import BuildShelf
from hearth.settings import EngineSettings, ForeignSettings, KvSettings, Settings
from hearth.weights.hardware import Gpu, GpuUser, Machine


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


def test_the_processor_is_described() -> None:
    assert "cores" in machine.processor()


def test_cards_are_told_with_who_holds_them_and_what_is_unknown() -> None:
    users = tuple(GpuUser(pid, f"game{pid}", 1 << 30) for pid in range(1, 6))
    card = Gpu(0, "NVIDIA GeForce RTX 4090", "nvidia", 24 << 30, 20 << 30, users=users)
    found = Machine((card,), 1 << 35, 1 << 34, 8, (), False, None, ("rocm-smi hangs",))
    told = check_graphics(found)
    assert told.ok
    assert "RTX 4090, 24.0 GiB, 20.0 GiB free, held by game1 (1)" in told.text
    assert "game4" not in told.text
    assert "rocm-smi hangs" in told.text
    assert "the CPU runs" in check_graphics(replace(found, gpus=(), notes=())).text


async def test_wrong_settings_are_one_failing_line(home: Path) -> None:
    environment = {**os.environ, "HEARTH_PORT": "nonsense", "HEARTH_URL": ""}
    checks = [check async for check in examine(resolve_paths(environment), environment, lambda _text: None)]
    settings = checks[0]
    assert not settings.ok
    assert "HEARTH_PORT" in settings.text
    assert "HEARTH_CONTEXT" in settings.fix
    assert [check.name for check in checks[1:10]] == [
        "python",
        "engine",
        "processor",
        "memory",
        "graphics",
        "home",
        "build",
        "kv",
        "git",
    ]


async def test_another_endpoint_needs_no_daemon(home: Path) -> None:
    environment = {**os.environ, "HEARTH_URL": "http://elsewhere:1"}
    checks = [check async for check in examine(resolve_paths(environment), environment, lambda _text: None)]
    assert checks[-1].name == "daemon"
    assert "http://elsewhere:1" in checks[-1].text
    assert not (home / "run" / "hearth.sock").exists()


async def test_a_build_that_does_not_load_is_told_with_the_way_back(home: Path) -> None:
    paths = resolve_paths(os.environ)
    paths.ensure()
    assert (await check_build(paths)).ok
    shelf = BuildShelf(paths)
    version = needed_version()
    with shelf.making() as folder:
        (folder / "site" / "xllamacpp").mkdir(parents=True)
        (folder / "site" / "xllamacpp" / "__init__.py").write_text("raise ImportError('libcuda.so.1: gone')")
        manifest = Manifest("cuda-1", "cuda", version, "CUDA", "https://index", "a.whl", "0" * 64, 1.0)
        shelf.use(shelf.add(folder, manifest))
    check = await check_build(paths)
    assert (check.ok, check.fix) == (False, "run: hearth engine use bundled")
    assert check.text == "cuda-1: the engine's library does not load: libcuda.so.1: gone"


def test_the_folder_of_saved_states_is_looked_at(tmp_path: Path) -> None:
    assert check_kv(tmp_path / "kv", KvSettings()).ok
    assert "turned off" in check_kv(tmp_path / "none", KvSettings(enabled=False)).text
    assert not (tmp_path / "none").exists()
    (tmp_path / "kv" / "broken.kv").write_bytes(b"junk" * 10)
    broken = check_kv(tmp_path / "kv", KvSettings())
    assert (broken.ok, broken.fix) == (False, f"run: rm {tmp_path}/kv/broken.kv")
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in check_kv(tmp_path / "file", KvSettings()).text
    assert "kv.quota_gib higher" in check_kv(tmp_path / "small", KvSettings(quota_gib=0.01)).fix


async def test_the_owners_other_engines_are_asked(home: Path, tmp_path: Path) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    assert await check_other_engines(paths, Settings()) is None
    named = ForeignSettings(kind="openai", url="http://127.0.0.1:9", models=("big",))
    silent = ForeignSettings(kind="openai", url="http://127.0.0.1:9")
    for engine in (named, silent):
        check = await check_other_engines(paths, Settings(engines={"rack": engine}))
        assert check is not None
        assert (check.ok, check.text) == (False, "rack: nobody answers at http://127.0.0.1:9: Connection refused")
    own = EngineSettings(kind="llama_server", binary=str(tmp_path / "nothing"))
    check = await check_other_engines(paths, Settings(engine=own))
    assert check is not None
    assert "is not there" in check.text
    assert str(paths.config_file) in check.fix
