"""Ollama as an engine, against the stand-in: met, refused for what it would do in silence, and left as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from hearth.errors import EngineFailed, HearthError, ModelUnavailable
from hearth.runtime.engine import Engine, EngineState, LoadProgress
from hearth.runtime.foreign.models import card_of
from hearth.runtime.foreign.ollama import OllamaEngine, list_models
from hearth.runtime.pretend.ollama import PretendModel, PretendOllama
from hearth.runtime.pretend.script import Answer, Script
from hearth.settings import ForeignSettings


def engine_at(url: str, model: str = "qwen3:4b", **fields: Any) -> OllamaEngine:
    settings = ForeignSettings(kind="ollama", url=url, **fields)
    return OllamaEngine(card_of(f"{model}@shop", settings), settings, beat_s=0.05)


def quiet(_progress: LoadProgress) -> None:
    return None


async def refused(engine: Engine) -> HearthError:
    with pytest.raises(HearthError) as caught:
        await engine.start(quiet)
    assert engine.state is EngineState.FAILED
    assert engine.cause == caught.value.what
    assert caught.value.fix
    assert "\n" not in str(caught.value)
    return caught.value


async def test_it_is_met_with_the_context_spelt_out_and_left_as_it_was() -> None:
    told: list[LoadProgress] = []
    async with PretendOllama() as server:
        engine: Engine = engine_at(server.url)
        assert (engine.state, engine.context_length, engine.slots, engine.pid) == (EngineState.STOPPED, 0, 0, None)
        await engine.check()
        await engine.start(told.append)
        assert (engine.state, engine.context_length, engine.slots) == (EngineState.READY, 16_384, 1)
        assert server.loaded == {"qwen3:4b": 16_384}
        assert engine.held == {"CPU": 1_500_000_000, "GPU": 1_500_000_000}
        assert (engine.kv_state, await engine.look()) == ("", None)
        assert [each.phase for each in told][-1] == "ready"
        await engine.canary()
        assert server.loaded == {"qwen3:4b": 16_384}
        await asyncio.gather(engine.stop(), engine.stop())
        assert server.loaded == {}
    await engine.wait()
    assert engine.state is EngineState.STOPPED


async def test_what_others_had_loaded_stays() -> None:
    async with PretendOllama() as server:
        first = engine_at(server.url)
        await first.start(quiet)
        second = engine_at(server.url)
        await second.start(quiet)
        await second.stop()
        assert server.loaded == {"qwen3:4b": 16_384}
        await first.stop()
        assert server.loaded == {}


async def test_what_others_have_loaded_anew_stays() -> None:
    async with PretendOllama() as server:
        ours = engine_at(server.url)
        await ours.start(quiet)
        others = engine_at(server.url, context=8192)
        await others.start(quiet)
        await ours.stop()
        assert server.loaded == {"qwen3:4b": 8192}
        await others.stop()


@pytest.mark.parametrize("version", ["0.5.7", "0.12.3"])
async def test_a_version_that_cuts_prompts_is_refused(version: str) -> None:
    async with PretendOllama(version=version, honest=False) as server:
        assert "cuts prompts" in (await refused(engine_at(server.url))).what
        assert server.loaded == {}


@pytest.mark.parametrize("version", ["0.34.0", "0.0.0", "main"])
async def test_one_that_cuts_a_prompt_whatever_its_version_is_refused(version: str) -> None:
    async with PretendOllama(version=version, honest=False) as server:
        assert "without a word" in (await refused(engine_at(server.url))).what
        assert server.loaded == {}


@pytest.mark.parametrize(
    ("models", "model", "fields", "error", "what"),
    [
        ({"a": PretendModel()}, "b", {}, ModelUnavailable, "has no model 'b'"),
        ({"a": PretendModel(context=8192)}, "a", {"context": 16_384}, EngineFailed, "holds 8,192 tokens"),
        ({"a": PretendModel(capabilities=("embedding",))}, "a", {}, ModelUnavailable, "answers no chats"),
        ({"a": PretendModel(remote="https://ollama.com")}, "a", {}, ModelUnavailable, "runs at https://ollama.com"),
        ({"a": PretendModel()}, "a", {"api_key": "env:NOT_SET_ANYWHERE"}, EngineFailed, "the key of engine shop"),
        ({"a": PretendModel()}, "a", {"api_key": "file:/nowhere/key"}, EngineFailed, "the key of engine shop"),
    ],
)
async def test_what_cannot_be_is_refused(
    models: Mapping[str, PretendModel], model: str, fields: dict[str, Any], error: type[HearthError], what: str
) -> None:
    async with PretendOllama(models=models) as server:
        said = await refused(engine_at(server.url, model, **fields))
        assert isinstance(said, error)
        assert what in said.what
        assert server.loaded == {}


async def test_a_model_elsewhere_is_used_when_its_owner_names_it() -> None:
    async with PretendOllama(models={"a": PretendModel(remote="https://ollama.com")}) as server:
        engine = engine_at(server.url, "a", models=("a",))
        await engine.start(quiet)
        await engine.stop()


async def test_a_runner_that_knows_no_context_is_not_tried() -> None:
    async with PretendOllama(models={"a": PretendModel(format="safetensors")}) as server:
        engine = engine_at(server.url, "a")
        await engine.start(quiet)
        assert len(server.requests) == 1
        await engine.stop()


async def test_a_small_model_gets_its_own_context() -> None:
    async with PretendOllama(models={"a": PretendModel(context=2048)}) as server:
        engine = engine_at(server.url, "a", slots=3)
        await engine.start(quiet)
        assert (engine.context_length, engine.slots) == (2048, 3)
        await engine.stop()


async def test_nobody_there_and_no_ollama_there(free_port: int) -> None:
    said = await refused(engine_at(f"http://127.0.0.1:{free_port}"))
    assert "nobody answers at" in said.what
    assert "engines.shop.url" in said.fix


async def test_a_start_that_is_cancelled_gives_the_model_back() -> None:
    async with PretendOllama(Script(loading_s=0.2)) as server:
        engine = engine_at(server.url)
        starting = asyncio.create_task(engine.start(quiet))
        while not server.requests:
            await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.wait([starting])
        assert engine.state is EngineState.STOPPED
        await engine.stop()
        assert server.loaded == {}


async def test_a_load_that_takes_too_long_is_given_up() -> None:
    async with PretendOllama(Script(otherwise=Answer(text="late", token_s=30))) as server:
        settings = ForeignSettings(kind="ollama", url=server.url, timeout_s=0.3)
        said = await refused(OllamaEngine(card_of("qwen3:4b@shop", settings), settings))
        assert "gave no answer in time" in said.what


async def test_it_fails_by_itself_when_the_server_is_gone() -> None:
    async with PretendOllama() as server:
        engine = engine_at(server.url)
        await engine.start(quiet)
        waiting = asyncio.create_task(engine.wait())
        await asyncio.sleep(0.2)
        assert engine.state is EngineState.READY
    async with asyncio.timeout(20):
        await waiting
    assert engine.state is EngineState.FAILED
    assert "any more" in engine.cause
    await engine.stop()
    assert engine.state is EngineState.FAILED


async def test_whoever_waits_hears_of_it_at_once() -> None:
    async with PretendOllama() as server:
        settings = ForeignSettings(kind="ollama", url=server.url)
        engine = OllamaEngine(card_of("qwen3:4b@shop", settings), settings, beat_s=3600)
        await engine.start(quiet)
    async with asyncio.timeout(20):
        await engine.wait()
    assert engine.state is EngineState.FAILED


async def test_failed_is_failed_at_once() -> None:
    async with PretendOllama() as server:
        engine = engine_at(server.url)
        await engine.start(quiet)
        failing = asyncio.create_task(engine.fail("stuck"))
        await asyncio.sleep(0)
        assert (engine.state, engine.cause) == (EngineState.FAILED, "stuck")
        await failing
        await engine.wait()
        assert server.loaded == {}


async def test_its_models_are_listed() -> None:
    async with PretendOllama(models={"a": PretendModel(), "b": PretendModel()}) as server:
        assert list(await list_models(ForeignSettings(kind="ollama", url=server.url + "/"), "shop")) == ["a", "b"]
