"""Engines are started with the build that is in use, and say so when it fails them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.errors import CorruptModel, EngineFailed
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import Build, Manifest, active_build, bundled_build, needed_version
from hearth.runtime.builds.shelf import BuildShelf
from hearth.runtime.builds.yardstick import Shape, write_yardstick
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.weights.card import card_of_file
from wheel_index import leading_files


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


def take_into_use(paths: Paths, files: dict[str, bytes], device: str = "") -> Build:
    shelf = BuildShelf(paths)
    with shelf.making() as folder:
        for name, data in files.items():
            (folder / "site" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "site" / name).write_bytes(data)
        manifest = Manifest("other-1", "own", needed_version(), device, "https://index", "a.whl", "0" * 64, 1.0)
        build = shelf.add(folder, manifest)
    shelf.use(build)
    return build


def engine_for(paths: Paths) -> EmbeddedEngine:
    write_yardstick(paths.models / "small.gguf", Shape(256, 1, 256, 1024))
    return EmbeddedEngine(card_of_file("small", paths.models / "small.gguf"), Launch(context=512), paths)


async def failure(engine: EmbeddedEngine) -> EngineFailed:
    with pytest.raises(EngineFailed) as caught:
        await engine.start(lambda _progress: None)
    assert engine.pid is None
    return caught.value


async def test_an_engine_is_started_with_the_build_in_use(paths: Paths) -> None:
    first_line = b"import sys; print('the other build', file=sys.stderr, flush=True)\n"
    files = leading_files()
    files["xllamacpp/__init__.py"] = first_line + files["xllamacpp/__init__.py"]
    before = engine_for(paths).kv_state
    build = take_into_use(paths, files)
    engine = engine_for(paths)
    await engine.start(lambda _progress: None)
    try:
        assert "the other build" in paths.engine_log("small").read_text()
        assert build.identity in engine.kv_state
        assert engine.kv_state != before
        # What is taken into use now is for the next engine: the states of this one are this build's.
        BuildShelf(paths).use(bundled_build())
        assert build.identity in engine.kv_state
    finally:
        await engine.stop()


async def test_a_build_that_sees_no_card_does_not_run_on_the_processor(paths: Paths) -> None:
    take_into_use(paths, leading_files(), "CUDA")
    error = await failure(engine_for(paths))
    assert "this build of the engine sees no CUDA device" in error.what
    assert "(engine build other-1)" in error.what
    assert "hearth engine use bundled" in error.fix


async def test_a_build_that_does_not_load_names_the_way_back(paths: Paths) -> None:
    take_into_use(paths, {"xllamacpp/__init__.py": b"raise ImportError('libcuda.so.1: gone')"})
    error = await failure(engine_for(paths))
    assert "libcuda.so.1: gone" in error.what
    assert "hearth engine use bundled" in error.fix
    assert active_build(paths).folder is not None
    (active_build(paths).folder or Path()).rename(paths.data / "elsewhere")
    error = await failure(engine_for(paths))
    assert error.what == "the engine build other-1 cannot be used: it is not there"


async def test_a_broken_model_is_no_fault_of_the_build(paths: Paths) -> None:
    take_into_use(paths, leading_files())
    engine = engine_for(paths)
    data = (paths.models / "small.gguf").read_bytes()
    (paths.models / "small.gguf").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptModel) as caught:
        await engine.start(lambda _progress: None)
    assert "bundled" not in caught.value.fix
    assert list(paths.runtime.iterdir()) == []
