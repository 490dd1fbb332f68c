"""The embedded engine: starts a real worker on a real file, or says why not."""

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import gguf_models
from hearth.errors import CorruptModel, EngineFailed, HearthError, ModelUnavailable
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import LARGEST_OWN_CONTEXT, Engine, EngineState, LoadProgress
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.runtime.llama.presets import plain_launch
from hearth.runtime.process import is_alive
from hearth.settings import EngineSettings
from hearth.weights.card import card_of_file
from hearth.weights.gguf import read_header
from hearth.weights.store import ModelCard, Store
from suspended import suspend


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


def engine_for(path: Path, paths: Paths, **changes: Any) -> EmbeddedEngine:
    """As the settings ask for it, ``load_timeout_s`` among them."""
    load_timeout_s = changes.pop("load_timeout_s", 600.0)
    try:
        native = read_header(path).context_length
    except HearthError:
        native = 0
    launch = plain_launch(EngineSettings(**changes), native)
    return EmbeddedEngine(ModelCard(path.stem, path, 0, ""), launch, paths, load_timeout_s=load_timeout_s)


def quiet(_progress: LoadProgress) -> None:
    return None


async def ask(engine: Engine, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3, **more}
    headers = {"Authorization": f"Bearer {engine.endpoint.api_key}"}
    connector = aiohttp.UnixConnector(str(engine.endpoint.socket))
    async with (
        aiohttp.ClientSession(engine.endpoint.url, connector=connector, headers=headers) as session,
        session.post("/v1/chat/completions", json=body) as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


async def completion(engine: Engine, **body: Any) -> dict[str, Any]:
    """A plain completion, as the gateway's own calls are made."""
    headers = {"Authorization": f"Bearer {engine.endpoint.api_key}"}
    connector = aiohttp.UnixConnector(str(engine.endpoint.socket))
    async with (
        aiohttp.ClientSession(engine.endpoint.url, connector=connector, headers=headers) as session,
        session.post("/completion", json={"ignore_eos": True, "temperature": 0, **body}) as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


async def failed_start(engine: EmbeddedEngine) -> HearthError:
    with pytest.raises(HearthError) as caught:
        await engine.start(quiet)
    assert engine.state is EngineState.FAILED
    assert engine.cause == caught.value.what
    assert engine.pid is None
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_start_tells_its_progress_and_knows_the_real_context(paths: Paths) -> None:
    told: list[LoadProgress] = []
    engine: Engine = engine_for(gguf_models.write_lfm2(paths.models / "m.gguf", context=1000), paths, slots=3)
    assert (engine.state, engine.context_length, engine.pid) == (EngineState.STOPPED, 0, None)
    await engine.start(told.append)
    assert (engine.state, engine.context_length, engine.slots) == (EngineState.READY, 1000, 3)
    assert (await ask(engine))["usage"]["completion_tokens"] <= 3
    assert told[0].phase == "loading"
    assert told[-1].phase == "ready"
    pid = engine.pid
    assert pid is not None
    await engine.stop()
    await engine.wait()
    assert (engine.state, engine.pid, is_alive(pid)) == (EngineState.STOPPED, None, False)
    assert list(paths.runtime.iterdir()) == []
    assert "serving on" in (paths.logs / "engine-m.log").read_text()


@pytest.mark.parametrize(
    ("trained", "wanted", "context"),
    [(1_000_000, 0, LARGEST_OWN_CONTEXT), (2048, 512, 512), (2048, 1, 256), (512, 0, 512)],
)
async def test_an_explicit_context_wins(paths: Paths, trained: int, wanted: int, context: int) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf", context=trained)
    engine = engine_for(path, paths, context=wanted)
    await engine.start(quiet)
    assert engine.context_length == context
    await engine.stop()


async def test_no_file_and_a_folder(paths: Paths) -> None:
    assert type(await failed_start(engine_for(paths.models / "gone.gguf", paths))) is ModelUnavailable
    assert type(await failed_start(engine_for(paths.models, paths))) is ModelUnavailable


async def test_junk_and_a_cut_file(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf")
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cut short" in (await failed_start(engine_for(path, paths))).what
    path.write_bytes(b"<html>not found</html>")
    error = await failed_start(engine_for(path, paths))
    assert type(error) is CorruptModel
    assert "not a GGUF" in error.what


async def test_an_architecture_that_the_engine_does_not_know(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf", architecture="oddity")
    error = await failed_start(engine_for(path, paths))
    assert type(error) is CorruptModel
    assert "does not know the architecture 'oddity'" in error.what


async def test_a_header_that_only_the_engine_finds_damaged(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf")
    path.write_bytes(path.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    error = await failed_start(engine_for(path, paths))
    assert type(error) is CorruptModel
    assert "blk.1.attn_q.weight" in error.what
    assert list(paths.runtime.iterdir()) == []


async def test_not_enough_memory(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf", context=1 << 22)
    engine = engine_for(path, paths, context=1 << 22, slots=1)

    def limit(_progress: LoadProgress) -> None:
        if engine.pid is not None:
            # Told again in the moment of its death, it may be gone.
            with suppress(ProcessLookupError):
                resource.prlimit(engine.pid, resource.RLIMIT_AS, (2 << 30, 2 << 30))

    with pytest.raises(EngineFailed, match="not enough memory for a buffer of 2,048 MiB") as caught:
        await engine.start(limit)
    assert "HEARTH_CONTEXT" in caught.value.fix


def test_a_context_beyond_reason_is_refused_before_it_hurts() -> None:
    with pytest.raises(EngineFailed, match="1,048,576 tokens in 64 slots is more than an engine can hold"):
        plain_launch(EngineSettings(context=1 << 20, slots=64), 0)


async def test_the_death_of_the_worker_is_a_failure_with_its_cause(paths: Paths) -> None:
    engine = engine_for(gguf_models.write_llama(paths.models / "m.gguf"), paths)
    await engine.start(quiet)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    await engine.wait()
    assert engine.state is EngineState.FAILED
    assert engine.cause == "the engine of m died: killed by SIGKILL"
    assert list(paths.runtime.iterdir()) == []
    await engine.stop()
    assert engine.state is EngineState.FAILED


async def test_modules_of_the_working_folder_do_not_shadow_ours(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_for(gguf_models.write_lfm2(paths.models / "tiny.gguf"), paths)
    (tmp_path / "msgspec.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    await engine.start(lambda progress: None)
    assert engine.state is EngineState.READY
    await engine.stop()


async def test_a_cancelled_start_leaves_nothing(paths: Paths) -> None:
    engine = engine_for(gguf_models.write_llama(paths.models / "m.gguf"), paths)
    spawned = asyncio.Event()
    start = asyncio.create_task(engine.start(lambda _progress: spawned.set()))
    await spawned.wait()
    pid = engine.pid
    assert pid is not None
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert (engine.state, engine.pid, is_alive(pid)) == (EngineState.STOPPED, None, False)
    assert list(paths.runtime.iterdir()) == []


async def test_stop_during_the_start_ends_it(paths: Paths) -> None:
    engine = engine_for(gguf_models.write_llama(paths.models / "m.gguf"), paths)
    spawned = asyncio.Event()
    start = asyncio.create_task(engine.start(lambda _progress: spawned.set()))
    await spawned.wait()
    await asyncio.gather(engine.stop(), engine.stop())
    with pytest.raises(EngineFailed, match="was stopped while it loaded"):
        await start
    assert (engine.state, engine.pid) == (EngineState.STOPPED, None)


@pytest.mark.slow
async def test_silence_while_loading_fails_after_the_limit(paths: Paths) -> None:
    engine = engine_for(gguf_models.write_llama(paths.models / "m.gguf"), paths, load_timeout_s=0.2)
    paused = False

    def pause(_progress: LoadProgress) -> None:
        nonlocal paused
        if engine.pid is not None and not paused:
            suspend(engine.pid)
            paused = True

    with pytest.raises(EngineFailed, match="no sign of life"):
        await engine.start(pause)
    assert (engine.state, engine.pid) == (EngineState.FAILED, None)


async def test_sockets_of_killed_daemons_are_swept(paths: Paths) -> None:
    stale = paths.runtime / f"engine-{1 << 22}-abcd.sock"
    foreign = paths.runtime / f"engine-{os.getppid()}-abcd.sock"
    stale.touch()
    foreign.touch()
    engine = engine_for(gguf_models.write_llama(paths.models / "m.gguf"), paths)
    await engine.start(quiet)
    assert (stale.exists(), foreign.exists()) == (False, True)
    await engine.stop()


async def test_an_odd_name_makes_a_plain_log_file(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "tiny model (v2) ä.gguf")
    engine = engine_for(path, paths)
    await engine.start(quiet)
    await engine.stop()
    (log,) = paths.logs.iterdir()
    assert log == paths.engine_log(path.stem)
    assert log.name.startswith("engine-tiny_model__v2__ä-")


async def test_a_split_model_is_loaded_by_its_first_part_and_each_part_is_checked(paths: Paths) -> None:
    gguf_models.write_llama(paths.models / "big.gguf", tensors_a_part=8)
    card = Store(paths.models, paths.data / "no-pilot").resolve("big")
    assert len(card.more_parts) > 1
    engine = EmbeddedEngine(card, Launch(context=512), paths)
    await engine.start(quiet)
    try:
        assert (await ask(engine))["usage"]["completion_tokens"] >= 1
    finally:
        await engine.stop()
    whole = card.more_parts[-1].read_bytes()
    card.more_parts[-1].write_bytes(whole[:-100])
    with pytest.raises(CorruptModel, match=r"-of-\d+\.gguf is cut short"):
        await EmbeddedEngine(card, Launch(context=512), paths).check()
    card.more_parts[-1].unlink()
    error = await failed_start(EmbeddedEngine(card, Launch(context=512), paths))
    assert str(card.more_parts[-1]) in error.what


MODELS = [gguf_models.write_llama, gguf_models.write_gemma3, gguf_models.write_lfm2]


@pytest.mark.parametrize("write", MODELS)
@pytest.mark.parametrize("spare", [True, False])
async def test_a_canary_touches_no_conversation(paths: Paths, write: Any, spare: bool) -> None:
    path = write(paths.models / "m.gguf", context=2048)
    engine = EmbeddedEngine(card_of_file("m", path), Launch(context=1024, slots=2, spare=spare, threads=1), paths)
    await engine.start(quiet)
    prompts = [[5 + (number * 7 + i) % 200 for i in range(300)] for number in range(2)]
    try:
        assert engine.slots == 2
        assert engine.context_length == 1024
        for slot, prompt in enumerate(prompts):
            # The first token and the canaries left nothing behind.
            assert (await completion(engine, prompt=prompt, n_predict=1, id_slot=slot))["timings"]["cache_n"] == 0
            await engine.canary()
            await engine.canary()
        for slot, prompt in enumerate(prompts):
            again = await completion(engine, prompt=[*prompt, 9, 10], n_predict=1, id_slot=slot)
            # A window and a state go back to a checkpoint, four tokens before the end.
            assert again["timings"]["cache_n"] >= 295
        assert not list(paths.kv.glob("*.part"))
    finally:
        await engine.stop()
    with pytest.raises(EngineFailed, match="makes no token"):
        await engine.canary()


async def test_a_canary_where_the_engine_chooses_slots_itself(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf")
    launch = Launch(context=1024, slots=1, spare=True, cache_ram_mib=64, threads=1)
    engine = EmbeddedEngine(card_of_file("m", path), launch, paths, saves=False)
    await engine.start(quiet)
    prompt = [5 + i % 200 for i in range(300)]
    try:
        assert engine.slots == 1
        await completion(engine, prompt=prompt, n_predict=1)
        await engine.canary()
        # It lay in the host's memory meanwhile.
        assert (await completion(engine, prompt=[*prompt, 9, 10], n_predict=1))["timings"]["cache_n"] >= 299
    finally:
        await engine.stop()


@pytest.mark.slow
async def test_looking_shows_what_it_reads_and_makes(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf", context=8192, blocks=4, width=256, inner=512)
    launch = Launch(context=8192, slots=2, spare=True, batch=256, micro_batch=256, threads=1)
    engine = EmbeddedEngine(card_of_file("m", path), launch, paths)
    await engine.start(quiet)
    try:
        idle = await engine.look()
        assert idle is not None
        assert (idle.working, dict(idle.tokens), idle.waiting) == (frozenset(), {}, 0)
        prompt = [5 + i % 200 for i in range(3000)]
        asked = [asyncio.create_task(completion(engine, prompt=prompt, n_predict=2000, id_slot=1)) for _ in range(2)]
        seen: list[int] = []
        waited = False
        while not seen or seen[-1] <= 3000 + 10:
            activity = await engine.look()
            assert activity is not None
            assert activity.working <= {1}
            waited = waited or activity.waiting == 1
            seen += activity.tokens.values()
        assert seen == sorted(seen)
        assert any(0 < count < 3000 for count in seen)
        assert waited
        if sys.platform == "linux":
            assert activity.cpu_s is not None
            assert idle.cpu_s is not None
            assert activity.cpu_s > idle.cpu_s
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    finally:
        await engine.stop()
    with pytest.raises(OSError, match=r"."):
        await engine.look()


@pytest.mark.slow
async def test_a_look_at_an_engine_that_hangs_comes_to_an_end(paths: Paths) -> None:
    engine = EmbeddedEngine(
        card_of_file("m", gguf_models.write_llama(paths.models / "m.gguf")), Launch(context=512), paths
    )
    await engine.start(quiet)
    assert engine.pid is not None
    suspend(engine.pid)
    try:
        with pytest.raises(TimeoutError):
            await engine.look()
    finally:
        await engine.fail("it hung")
    assert (engine.state, engine.cause, engine.pid) == (EngineState.FAILED, "it hung", None)


async def test_what_it_took_is_told_by_device(paths: Paths) -> None:
    path = gguf_models.write_llama(paths.models / "m.gguf", context=4096)
    engine = EmbeddedEngine(card_of_file("m", path), Launch(context=4096, slots=2), paths)
    assert engine.held == {}
    await engine.start(quiet)
    try:
        (size,) = engine.held.values()
        assert set(engine.held) == {"CPU"}
        # Keys and values: two layers of 64 elements each, two bytes an element.
        assert size > path.stat().st_size * 0.9 + 8192 * 2 * 2 * 64 * 2
    finally:
        await engine.stop()
