"""Builds of the engine on the disk: which is in use, which cannot be, and what a crash leaves."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hearth.errors import CorruptModel, EngineFailed, StateError, UsageError
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import (
    BUNDLED,
    Build,
    Gain,
    Manifest,
    Rates,
    active_build,
    bundled_build,
    engines_folder,
    needed_version,
    read_build,
)
from hearth.runtime.builds.complaints import complaint
from hearth.runtime.builds.gain import best, far_apart
from hearth.runtime.builds.shelf import BuildShelf
from hearth.runtime.builds.trial import Device, Seen, judge, look, serving
from hearth.runtime.builds.wheels import progress_text, without_keys
from hearth.runtime.builds.yardstick import Shape, write_yardstick
from hearth.weights.gguf import read_gguf
from wheel_index import VERSION

NAME = f"cuda-12.8-{VERSION}"


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


def manifest(name: str = NAME, version: str = VERSION, device: str = "") -> Manifest:
    return Manifest(name, "cuda", version, device, "https://index", "a.whl", "ab" * 32, 1.0)


def add(paths: Paths, told: Manifest | None = None, init: str = "") -> Build:
    """A build with a library of one file, as an installation leaves it."""
    shelf = BuildShelf(paths)
    with shelf.making() as folder:
        library = folder / "site" / "xllamacpp"
        library.mkdir(parents=True)
        (library / "__init__.py").write_text(init)
        info = folder / "site" / f"xllamacpp-{VERSION}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: xllamacpp\nVersion: {VERSION}\n")
        return shelf.add(folder, told or manifest())


def test_the_build_in_the_package_is_in_use_until_another_is_taken(paths: Paths) -> None:
    first = active_build(paths)
    assert first == bundled_build()
    assert first.name == BUNDLED
    assert first.version == first.identity == importlib.metadata.version("xllamacpp") == needed_version()
    assert first.environment({"A": "b"}) == {"A": "b"}
    first.check()
    shelf = BuildShelf(paths)
    build = add(paths)
    assert active_build(paths) == first
    shelf.use(build)
    used = active_build(paths)
    assert used == build == shelf.find(NAME)
    assert used.identity == f"{NAME}:{'ab' * 32}"
    assert used.environment({"PYTHONPATH": "/x"})["PYTHONPATH"] == f"{used.python_path}:/x"
    assert used.environment({})["PYTHONPATH"] == str(engines_folder(paths) / NAME / "site")
    shelf.use(shelf.find(BUNDLED))
    assert active_build(paths) == first
    assert [each.name for each in shelf.builds()] == [BUNDLED, NAME]


@pytest.mark.parametrize(
    ("write", "trouble"),
    [
        ("gone-1", "it is not there"),
        ("../../etc", "no name of a build"),
        ("", "no name of a build"),
        (".new-1", "no name of a build"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_the_active_file_names_wrongly_is_told_with_the_way_back(
    paths: Paths, write: str | bytes, trouble: str
) -> None:
    engines_folder(paths).mkdir()
    (engines_folder(paths) / "active").write_bytes(write if isinstance(write, bytes) else write.encode())
    build = active_build(paths)
    with pytest.raises(EngineFailed, match=r"hearth engine use bundled") as caught:
        build.check()
    assert trouble in caught.value.what
    BuildShelf(paths).use(bundled_build())
    active_build(paths).check()


def test_a_build_that_no_longer_fits_is_told(paths: Paths) -> None:
    build = add(paths)
    assert build.folder is not None
    BuildShelf(paths).use(build)
    file = build.folder / "manifest.json"
    for changed, trouble in (
        (manifest(version="2026.1.1"), "of version 2026.1.1, this hearth needs"),
        (manifest(name="other"), "belongs to 'other'"),
        (manifest(version=f"{VERSION}+cu128"), ""),
    ):
        file.write_bytes(msgspec.json.encode(changed))
        assert trouble in active_build(paths).trouble
        assert bool(trouble) == bool(active_build(paths).trouble)
    (build.folder / "site" / "xllamacpp").rename(build.folder / "elsewhere")
    assert "library is gone" in active_build(paths).trouble
    file.write_text("{")
    assert "manifest cannot be read" in active_build(paths).trouble
    with pytest.raises(EngineFailed):
        BuildShelf(paths).use(active_build(paths))


def test_a_failed_start_names_the_build_and_the_way_back() -> None:
    build = Build(NAME, VERSION, Path("/x"), manifest())
    error = build.blame(EngineFailed("model m: the engine aborted", "see the log"))
    assert str(error).startswith(f"model m: the engine aborted (engine build {NAME}) · see the log; if")
    assert "hearth engine use bundled" in error.fix
    for other in (CorruptModel("its file is damaged", "fetch it again"),):
        assert build.blame(other) is other
    assert bundled_build().blame(error) is error


def test_the_build_in_use_is_not_removed(paths: Paths) -> None:
    shelf, build = BuildShelf(paths), add(paths)
    shelf.use(build)
    with pytest.raises(UsageError, match="is in use"):
        shelf.remove(build)
    with pytest.raises(UsageError, match="stays"):
        shelf.remove(bundled_build())
    shelf.use(bundled_build())
    assert shelf.remove(build) > 0
    assert sorted(entry.name for entry in engines_folder(paths).iterdir()) == [".lock"]
    with pytest.raises(UsageError, match="there is no engine build"):
        shelf.find(NAME)


def test_a_name_is_given_once(paths: Paths) -> None:
    add(paths)
    with pytest.raises(UsageError, match="installed already"):
        add(paths)
    assert [entry.name for entry in engines_folder(paths).glob(".new-*")] == []


def test_what_is_broken_off_leaves_nothing_that_counts(paths: Paths) -> None:
    """A process that dies between any two steps: the folder has the lock and leftovers, which the next one sweeps."""
    script = (
        "import os, sys; from pathlib import Path; from hearth.paths import resolve_paths\n"
        "from hearth.runtime.builds.shelf import BuildShelf\n"
        "with BuildShelf(resolve_paths(os.environ)).making() as folder:\n"
        "    (folder / 'site' / 'xllamacpp').mkdir(parents=True)\n"
        "    print(folder, flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    left = Path(child.stdout.readline().strip())
    shelf = BuildShelf(paths)
    with pytest.raises(StateError, match="another hearth engine command"), shelf.making():
        pass
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert left.is_dir()
    assert shelf.builds() == [bundled_build()]
    gone = engines_folder(paths) / ".gone-1"
    gone.mkdir()
    with shelf.making() as folder:
        assert folder.is_dir()
        assert not left.exists()
        assert not gone.exists()
    assert [entry.name for entry in engines_folder(paths).iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_is_told(paths: Paths) -> None:
    engines_folder(paths).write_text("a file")
    with pytest.raises(StateError, match="cannot write"), BuildShelf(paths).making():
        pass
    assert BuildShelf(paths).builds() == [bundled_build()]
    assert active_build(paths) == bundled_build()


def test_what_was_loaded_must_be_the_build() -> None:
    site = Path("/e/b/site/xllamacpp/__init__.py")
    cpu = Device("CPU", "a processor", 1)
    card = Device("CUDA0", "a card", 1)
    build = Build(NAME, VERSION, Path("/e/b"), manifest(device="CUDA"))
    judge(build, Seen(f"{VERSION}+cu128", str(site), (cpu, card)))
    for seen, why in (
        (Seen(VERSION, str(site), (cpu,)), "sees no CUDA device, only CPU"),
        (Seen(VERSION, str(site), (cpu, Device("Vulkan0", "a card", 1))), "sees no CUDA device"),
        (Seen("1.0", str(site), (card,)), "version 1.0"),
        (Seen(VERSION, "/usr/lib/xllamacpp/__init__.py", (card,)), "another library"),
    ):
        with pytest.raises(EngineFailed, match=why):
            judge(build, seen)


@pytest.mark.parametrize(
    ("init", "why"),
    [
        (
            "raise ImportError('libcudart.so.12: cannot open shared object file: No such file')",
            "libcudart.so.12: cannot open shared object file",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "killed by SIGILL: it is not made for"),
    ],
)
async def test_a_library_that_does_not_load_says_why(paths: Paths, init: str, why: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        await look(add(paths, init=init), paths.logs / "look.log")
    assert why in caught.value.what


async def test_a_build_that_does_not_serve_says_why(paths: Paths, tmp_path: Path) -> None:
    write_yardstick(tmp_path / "y.gguf", Shape(256, 1, 256, 1024))
    broken = add(paths, init="raise ImportError('libcuda.so.1: gone')")
    with pytest.raises(EngineFailed, match=r"libcuda\.so\.1: gone"):
        async with serving(broken, tmp_path / "y.gguf", paths.runtime, paths.logs / "a.log"):
            pass
    assert list(paths.runtime.iterdir()) == []


async def test_the_yardstick_is_a_model_that_can_be_measured(paths: Paths, tmp_path: Path) -> None:
    shape = write_yardstick(tmp_path / "y.gguf", Shape(256, 2, 512, 1024))
    write_yardstick(tmp_path / "z.gguf", Shape(256, 2, 512, 1024))
    assert (tmp_path / "y.gguf").read_bytes() == (tmp_path / "z.gguf").read_bytes()
    header = read_gguf(tmp_path / "y.gguf")
    assert header.architecture == "llama"
    assert sum(tensor.size_bytes for tensor in header.tensors) <= header.size_bytes - header.header_bytes
    assert shape.parameters == 256 * 1024 + 2 * (256 * (256 * 2 + 128 * 2) + 3 * 256 * 512)
    assert 0.35e9 < Shape().parameters < 0.45e9
    async with serving(bundled_build(), tmp_path / "y.gguf", paths.runtime, paths.logs / "a.log") as served:
        rates = await served.rates(prompt=32, answer=4)
    assert rates.prefill > 0
    assert rates.decode > 0
    assert list(paths.runtime.iterdir()) == []


def test_a_gain_is_told_as_ratios() -> None:
    gain = Gain("m", Rates(100.0, 50.0), Rates(170.0, 48.0))
    assert (gain.prefill, gain.decode) == (1.7, 0.96)
    assert gain.worth
    assert not Gain("m", Rates(100.0, 50.0), Rates(104.0, 48.0)).worth
    turns = [Rates(100.0, 48.0), Rates(90.0, 50.0)]
    assert best(turns) == Rates(100.0, 50.0)
    assert not far_apart(turns)
    assert far_apart([*turns, Rates(70.0, 49.0)])
    assert far_apart([*turns, Rates(95.0, 20.0)])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"], "disk is full"),
        (["/usr/bin/python: No module named pip"], "pip is not installed"),
        (
            ["  a.cpp:1:2: fatal error: omp.h: No such file", "ERROR: Failed building wheel for xllamacpp"],
            "Failed build",
        ),
        (["ERROR: No matching distribution found for cython>=3.1"], "tools that build it are not to be had: cython"),
        (["The repository located at a.b is not a trusted or secure host and is being ignored."], "not encrypted"),
        ([], "no word"),
    ],
)
def test_pips_complaints_are_told_in_one_line(lines: list[str], told: str) -> None:
    error = complaint(lines, "xllamacpp 7", "https://index", "/log")
    assert told in error.what
    assert error.fix


def test_progress_is_read_from_the_last_lines() -> None:
    assert progress_text(["Progress 1000000 of 9000000", "Progress 4500000 of 9000000"]) == "fetched 4.5 of 9.0 MB"
    assert progress_text(["[ 12%] Building CXX object a.o", "a.cpp:1: warning: x"]) == "compiled 12 % of a part"
    assert progress_text(["Looking in indexes: x"]) == ""


def test_an_address_is_told_without_its_key() -> None:
    assert without_keys("https://me:secret@host:1/simple?a=b") == "https://host:1/simple?a=b"
    assert without_keys("https://host/simple") == "https://host/simple"


def test_a_manifest_without_a_hash_is_none(paths: Paths) -> None:
    build = add(paths)
    assert build.folder is not None
    text = (build.folder / "manifest.json").read_text().replace("ab" * 32, "ab")
    (build.folder / "manifest.json").write_text(text)
    assert "cannot be read" in read_build(engines_folder(paths), NAME).trouble
    assert os.access(build.folder, os.W_OK)
