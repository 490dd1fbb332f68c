"""``hearth engine`` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.cli.main import main
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import active_build
from hearth.runtime.builds.yardstick import Shape, write_yardstick
from wheel_index import ANY, VERSION, WheelIndex, leading_wheel, pack_wheel, wheel_name

NAME = f"own-{VERSION}"


@pytest.fixture
def paths(home: Path) -> Paths:
    return resolve_paths({"HEARTH_HOME": str(home)})


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[WheelIndex]:
    monkeypatch.setenv("PIP_RETRIES", "0")
    with WheelIndex() as served:
        yield served


def test_at_first_there_is_the_build_in_the_package(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "list"]) == 0
    assert capsys.readouterr().out.split() == ["*", "bundled", VERSION, "-", "in", "the", "package"]
    assert main(["engine", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "name": "bundled", "active": True, "version": VERSION, "needed": VERSION, "usable": True, "trouble": "",
        "bytes": 0,
    }  # fmt: skip
    assert main(["engine", "use", "bundled"]) == 0
    assert main(["engine", "remove", "bundled"]) == 2
    assert main(["engine", "use", "nothing"]) == 2
    assert "there is no engine build 'nothing' · run: hearth engine list" in capsys.readouterr().err
    assert not paths.data.exists()


@pytest.mark.slow
def test_a_build_is_installed_used_checked_and_removed(
    paths: Paths, index: WheelIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    index.files[wheel_name(tag=ANY)] = leading_wheel()
    assert main(["engine", "install", "--index-url", index.url, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{NAME}: from the index that you named\nit would come from {index.url}\n"
    assert index.seen == []
    paths.ensure()
    write_yardstick(paths.models / "small.gguf", Shape(256, 1, 256, 1024))
    assert main(["engine", "install", "--index-url", index.url, "--model", "small"]) == 0
    shown = capsys.readouterr()
    assert "it loads and answers; devices: CPU" in shown.out
    assert "measured on small, best of each:" in shown.out
    assert "prefill" in shown.out
    rows = {line.split()[0]: line for line in shown.out.splitlines() if line.strip()}
    assert rows["bundled"].count("tok/s") == rows[NAME].count("tok/s") == 2
    assert rows["ratio"].count("x") == 2
    assert f"fetching xllamacpp {VERSION} from {index.url}" in shown.err
    # Both sides are the same library here: which is faster is chance, and what is said fits what was done.
    used = active_build(paths).name == NAME
    assert ("in use from the next load" in shown.out) == used
    assert ("it is not faster here, and not in use" in shown.out) == (not used)
    assert main(["engine", "use", NAME]) == 0
    assert active_build(paths).name == NAME
    assert main(["engine", "check"]) == 0
    assert f"{NAME} is whole, loads and answers; xllamacpp {VERSION}" in capsys.readouterr().out
    assert main(["engine", "list", "--json"]) == 0
    bundled, own = json.loads(capsys.readouterr().out)
    assert not bundled["active"]
    assert own["active"]
    assert own["usable"]
    assert own["prefill_ratio"] > 0
    assert own["origin"] == index.url
    assert main(["engine", "install", "--index-url", index.url]) == 2
    assert "is installed already" in capsys.readouterr().err
    # The owner is never locked out: what no longer loads is told, and the way back works.
    library = Path(active_build(paths).python_path) / "xllamacpp" / "__init__.py"
    library.write_text("raise ImportError('libcuda.so.1: gone')")
    assert main(["engine", "check"]) == 4
    assert "__init__.py is gone or not as it was installed · run: hearth engine use bundled" in capsys.readouterr().err
    assert main(["engine", "use", NAME]) == 4
    assert "stays out of use: the engine's library does not load: libcuda.so.1: gone" in capsys.readouterr().err
    assert main(["engine", "remove", NAME]) == 2
    assert main(["engine", "use", "bundled"]) == 0
    assert main(["engine", "remove", NAME]) == 0
    capsys.readouterr()
    assert main(["engine", "list"]) == 0
    assert capsys.readouterr().out.startswith("*  bundled")


@pytest.mark.slow
def test_a_build_that_fails_is_one_line_and_changes_nothing(
    paths: Paths, index: WheelIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    index.files[wheel_name("2026.9.1", ANY)] = pack_wheel({"xllamacpp/__init__.py": b""}, "2026.9.1")
    assert main(["engine", "install", "--index-url", index.url]) == 4
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hearth: ")]
    assert line == (
        f"hearth: {NAME} was not installed: {index.url} has no xllamacpp {VERSION} for this system and Python; it has "
        "2026.9.1 · update hearth, or name another index with --index-url"
    )
    assert active_build(paths).name == "bundled"


def test_a_build_in_use_that_is_gone_is_told_by_list(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (paths.data / "engines").mkdir(parents=True)
    (paths.data / "engines" / "active").write_text("cuda-1\n")
    assert main(["engine", "list"]) == 4
    shown = capsys.readouterr()
    assert "bundled" in shown.out
    assert shown.err == "hearth: the build in use, cuda-1: it is not there · run: hearth engine use bundled\n"
    assert main(["engine", "use", "bundled"]) == 0
    assert main(["engine", "list"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cuda", "--rocm"], "not allowed with"),
        (["--source", "x"], "--source goes with --native"),
        (["--native", "--source", "/no/such"], "--source /no/such: there is nothing"),
        (["--model", "pilot", "--no-measure"], "leave one of them out"),
        (["--index-url", "nonsense"], "an index begins with https://"),
        (["--index-url", "https://"], "an index begins with https://"),
        (["--index-url", "https://[1"], "an index begins with https://"),
        (["--index-url", "https://x\n"], "an index begins with https://"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    arguments: list[str], told: str, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "install", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not paths.data.exists()


def test_a_model_that_is_not_there_is_told_before_anything_is_fetched(
    index: WheelIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "install", "--index-url", index.url, "--model", "none"]) == 4
    assert "there is no model 'none'" in capsys.readouterr().err
    assert index.seen == []
