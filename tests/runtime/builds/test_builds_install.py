"""Installing a build from an index of wheels that may be wrong, slow, gone or malicious; and from sources."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.errors import EngineFailed, HearthError, StateError, Unavailable, UsageError
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import active_build, bundled_build, engines_folder
from hearth.runtime.builds.choice import Choice
from hearth.runtime.builds.install import Order, check_files, install
from hearth.runtime.builds.shelf import BuildShelf
from hearth.runtime.builds.wheels import NATIVE_FLAGS, Step
from hearth.runtime.builds.yardstick import Shape, write_yardstick
from marked_processes import MARK, marked
from wheel_index import ANY, VERSION, WheelIndex, engine_wheel, leading_wheel, pack_wheel, wheel_name

pytestmark = pytest.mark.slow

NAME = f"own-{VERSION}"
OWN = Choice("own", "asked for")
STUB = {"xllamacpp/__init__.py": b""}


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[WheelIndex]:
    monkeypatch.setenv("PIP_RETRIES", "0")
    with WheelIndex() as served:
        yield served


def install_from(index: WheelIndex, paths: Paths, **changes: object) -> list[str]:
    """Install what the index has; returns the steps that were told."""
    told: list[Step] = []
    order = replace(Order(OWN, index.url, measured=False), **changes)  # type: ignore[arg-type]  # fields by name
    asyncio.run(install(order, paths, told.append))
    return [step.text for step in told]


def refused(index: WheelIndex, paths: Paths, **changes: object) -> HearthError:
    with pytest.raises(HearthError) as caught:
        install_from(index, paths, **changes)
    assert_nothing_changed(paths)
    return caught.value


def assert_nothing_changed(paths: Paths) -> None:
    assert active_build(paths) == bundled_build()
    assert [entry.name for entry in engines_folder(paths).iterdir() if entry.name != ".lock"] == []
    assert list(paths.runtime.iterdir()) == []


def test_a_wheel_is_fetched_tried_measured_and_used(
    index: WheelIndex, paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of all that pip could be told by the owner's settings, only the named index is asked, for two things."""
    index.files[wheel_name()] = engine_wheel()
    with WheelIndex() as trap:
        trap.files[wheel_name()] = pack_wheel(STUB)
        config = tmp_path / "pip.conf"
        config.write_text(f"[global]\nextra-index-url = {trap.url}\nfind-links = {trap.url}/xllamacpp/\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", trap.url)
        # Whatever would go to another host goes to the trap.
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, trap.host)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        write_yardstick(tmp_path / "small.gguf", Shape(256, 1, 256, 1024))
        steps = install_from(index, paths, measured=True, model=tmp_path / "small.gguf", prompt=32, answer=2)
        assert trap.seen == []
    assert index.seen == ["/simple/xllamacpp/", f"/files/{wheel_name()}"]
    assert steps[0] == f"fetching xllamacpp {VERSION} from {index.url}"
    # pip has told how far it is since 24.1.
    tells = tuple(map(int, importlib.metadata.version("pip").split(".")[:2])) >= (24, 1)
    assert any(text.startswith("fetched ") for text in steps) == tells
    build = BuildShelf(paths).find(NAME)
    assert build.manifest is not None
    assert build.folder is not None
    assert build.manifest.sha256 == hashlib.sha256(engine_wheel()).hexdigest()
    assert build.manifest.wheel == wheel_name()
    assert build.manifest.devices[0].startswith("CPU")
    assert build.manifest.gain is not None
    assert build.manifest.gain.model == "small"
    assert build.manifest.gain.prefill > 0
    assert build.manifest.gain.decode > 0
    assert sorted(entry.name for entry in build.folder.iterdir()) == ["manifest.json", "site"]
    assert active_build(paths) == bundled_build()
    BuildShelf(paths).use(build)
    assert active_build(paths).identity != bundled_build().identity
    check_files(build)
    with (build.folder / "site" / "xllamacpp" / "xllamacpp.abi3.so").open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"flipped")
    with pytest.raises(EngineFailed, match=r"xllamacpp\.abi3\.so is gone or not as it was installed"):
        check_files(build)


def test_a_build_for_cards_that_sees_none_is_refused(index: WheelIndex, paths: Paths) -> None:
    index.files[wheel_name(tag=ANY)] = leading_wheel()
    error = refused(index, paths, choice=Choice("cuda", "asked for"))
    assert error.what == (
        f"cuda-{VERSION} was not installed: it sees no CUDA device, only CPU: on this machine it would run on the "
        "processor"
    )
    assert error.fix


@pytest.mark.parametrize(
    ("name", "wheel", "told"),
    [
        (wheel_name("2026.9.1", ANY), pack_wheel(STUB, "2026.9.1"), "for this system and Python; it has 2026.9.1"),
        (wheel_name(tag="cp310-abi3-win_amd64"), pack_wheel(STUB), f"has no xllamacpp {VERSION} for this system"),
        # The name says the right version, its content another.
        (wheel_name(tag=ANY), pack_wheel(STUB, "2026.9.1"), "is not what its name says"),
        (wheel_name(tag=ANY), pack_wheel(STUB)[:300], "is no whole wheel"),
        (wheel_name(tag=ANY), pack_wheel({**STUB, "sitecustomize.py": b""}), "more than the engine: sitecustomize.py"),
        (
            wheel_name(tag=ANY),
            pack_wheel({"xllamacpp/__init__.py": b"raise ImportError('libcudart.so.12: cannot open')"}),
            "does not load: libcudart.so.12",
        ),
    ],
)
def test_a_wheel_that_is_not_the_engine_is_refused(
    index: WheelIndex, paths: Paths, name: str, wheel: bytes, told: str
) -> None:
    index.files[name] = wheel
    error = refused(index, paths)
    assert told in error.what
    assert error.what.startswith(f"{NAME} was not installed: ")
    assert error.fix


def test_a_wheel_that_is_not_what_the_index_announced_is_refused(index: WheelIndex, paths: Paths) -> None:
    name = wheel_name(tag=ANY)
    index.files[name] = pack_wheel(STUB)
    index.hashes[name] = "0" * 64
    assert "is not what the index announced" in refused(index, paths).what


def test_a_transfer_that_breaks_off_is_refused(index: WheelIndex, paths: Paths) -> None:
    name = wheel_name(tag=ANY)
    index.files[name] = pack_wheel({**STUB, "xllamacpp/data": os.urandom(200_000)})
    index.cut = 100_000
    error = refused(index, paths)
    assert isinstance(error, Unavailable)
    # An older pip takes what came for the whole, and finds another hash.
    said = ("cannot be reached", "pip did not install", "is not what the index announced")
    assert any(words in error.what for words in said)


def test_an_index_that_is_not_there_is_told(index: WheelIndex, paths: Paths) -> None:
    index.status = 503
    keyed = index.url.replace("127.0.0.1", "me:secret@127.0.0.1")
    assert f"{index.url} answers 503" in refused(index, paths, index_url=keyed).what
    index.close()
    assert f"{index.url} cannot be reached" in refused(index, paths, index_url=keyed).what
    assert "secret" not in (paths.logs / "engine-install.log").read_text()


def test_a_full_disk_changes_nothing(index: WheelIndex, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the size of a file stands for it: what pip is told is another error, what is left is the same."""
    index.files[wheel_name(tag=ANY)] = pack_wheel({**STUB, "xllamacpp/data": os.urandom(4 << 20)})
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "from hearth.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "engine", "install", "--index-url", index.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert f"hearth: {NAME} was not installed: " in done.stderr
    assert_nothing_changed(paths)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_installation_that_is_ended_leaves_nothing(index: WheelIndex, paths: Paths, number: signal.Signals) -> None:
    """pip ends with it; after a kill its folder is left, counts for nothing, and is swept by the next command."""
    index.files[wheel_name(tag=ANY)] = pack_wheel({**STUB, "xllamacpp/data": bytes(64 << 20)})
    index.pace_s = 0.05
    command = [sys.executable, "-m", "hearth", "engine", "install", "--index-url", index.url]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert index.sending.wait(60)
    time.sleep(0.3)
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL)
    deadline = time.monotonic() + 20
    while marked(os.environ[MARK]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(os.environ[MARK]) == []
    assert BuildShelf(paths).builds() == [bundled_build()]
    if number is signal.SIGKILL:
        assert len(list(engines_folder(paths).glob(".new-*"))) == 1
        with BuildShelf(paths).making():
            pass
    assert_nothing_changed(paths)


BACKEND = f"""
import os, sys, shutil
from pathlib import Path
def build_wheel(folder, settings=None, metadata=None):
    arguments = os.environ["CMAKE_ARGS"].split()
    assert arguments == {list(NATIVE_FLAGS)!r} + ["-DOWN=1"], arguments
    assert os.environ["NPROC"] == "3"
    print("[ 50%] Building CXX object a.o", file=sys.stderr, flush=True)
    return shutil.copy(next(Path(__file__).parent.glob("*.whl")), folder).rpartition("/")[2]
"""


def sources(folder: Path, wheel: bytes, version: str = VERSION) -> Path:
    """A folder of sources as the engine's are, that come with what they are built into."""
    folder.mkdir()
    (folder / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: xllamacpp\nVersion: {version}\n")
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(system)
    (folder / "backend.py").write_text(BACKEND)
    (folder / wheel_name(tag=ANY)).write_bytes(wheel)
    return folder


def test_a_native_build_comes_from_sources(
    paths: Paths, index: WheelIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DOWN=1")
    folder = sources(tmp_path / "engine", leading_wheel())
    before = sorted(folder.rglob("*"))
    native = Choice("native", "asked for")
    steps = install_from(index, paths, choice=native, source=folder, jobs=3)
    assert steps[0].startswith("building it here, 3 compilers")
    assert index.seen == []
    assert sorted(folder.rglob("*")) == before
    build = BuildShelf(paths).find(f"native-{VERSION}")
    assert build.manifest is not None
    assert build.manifest.origin == str(folder)
    BuildShelf(paths).remove(build)


def test_sources_that_do_not_build_or_are_others_are_refused(paths: Paths, index: WheelIndex, tmp_path: Path) -> None:
    native = Choice("native", "asked for")
    # Without the owner's CMAKE_ARGS the backend refuses.
    folder = sources(tmp_path / "engine", b"")
    error = refused(index, paths, choice=native, source=folder, jobs=3)
    assert "pip did not install xllamacpp" in error.what
    assert error.fix == f"see {paths.logs / 'engine-install.log'}"
    other = sources(tmp_path / "other", b"", "2026.9.1")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(other, "xllamacpp-2026.9.1")
    (tmp_path / "text.tar.gz").write_text("nothing")
    for source, told in (
        (other, "is xllamacpp 2026.9.1"),
        (tmp_path / "other.tar.gz", "is xllamacpp 2026.9.1"),
        (tmp_path / "text.tar.gz", "is no source of the engine"),
        (tmp_path / "absent", "is no source of the engine"),
    ):
        error = refused(index, paths, choice=native, source=source)
        assert isinstance(error, UsageError)
        assert told in error.what


def test_without_pip_it_says_what_is_missing(paths: Paths, index: WheelIndex, tmp_path: Path) -> None:
    """In a Python that has all but pip, as environments of uv are."""
    script = (
        "import sys; from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name == 'pip' else super().find_spec(name, path, target)\n"
        "sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]\n"
        "from hearth.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "engine", "install", "--index-url", index.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == StateError.exit_code
    assert "pip is not installed beside hearth" in done.stderr
    assert "ensurepip" in done.stderr
    assert index.seen == []
