"""vLLM and servers like it as engines, against the stand-ins: what they are and can is asked, not assumed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hearth.errors import EngineFailed, HearthError, ModelUnavailable
from hearth.runtime.engine import Activity, Engine, EngineState, LoadProgress
from hearth.runtime.foreign.dialects.openai_chat import OpenAIChat, RemoteLlama
from hearth.runtime.foreign.engine import base_url, read_key, split_name
from hearth.runtime.foreign.models import ForeignModels, card_of
from hearth.runtime.foreign.ollama import list_models as list_ollama
from hearth.runtime.foreign.openai_server import OpenAIServer, list_models, read_activity
from hearth.runtime.pretend import PretendEngine
from hearth.runtime.pretend.ollama import PretendModel, PretendOllama
from hearth.runtime.pretend.script import Answer, Fault, Script
from hearth.runtime.pretend.vllm import PretendVllm
from hearth.settings import ForeignSettings

MODEL = "Qwen/Qwen3-4B"
LISTERS = {"ollama": list_ollama, "vllm": list_models, "openai": list_models}


def engine_at(url: str, model: str = MODEL, kind: Any = "openai", **fields: Any) -> OpenAIServer:
    settings = ForeignSettings(kind=kind, url=url, **fields)
    return OpenAIServer(card_of(f"{model}@shop", settings), settings, beat_s=0.05)


def quiet(_progress: LoadProgress) -> None:
    return None


async def refused(engine: Engine) -> HearthError:
    with pytest.raises(HearthError) as caught:
        await engine.start(quiet)
    assert (engine.state, engine.cause) == (EngineState.FAILED, caught.value.what)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", ["vllm", "openai"])
async def test_a_vllm_is_known_by_its_own_account(kind: str) -> None:
    async with PretendVllm(context=9000, api_key="k") as server:
        engine: Engine = engine_at(server.url + "/v1/", kind=kind, api_key="k")
        await engine.check()
        await engine.start(quiet)
        assert (engine.state, engine.context_length, engine.slots) == (EngineState.READY, 9000, 32)
        assert isinstance(engine.dialect, OpenAIChat)
        assert (engine.endpoint.url, engine.endpoint.api_key) == (server.url, "k")
        assert (engine.pid, engine.kv_state, dict(engine.held)) == (None, "", {})
        first = await engine.look()
        assert first is not None
        assert (first.working, first.waiting) == (frozenset(), 0)
        await engine.canary()
        second = await engine.look()
        assert second is not None
        assert second.tokens[0] > first.tokens[0]
        await asyncio.gather(engine.stop(), engine.stop())
    assert engine.state is EngineState.STOPPED


async def test_a_llama_server_elsewhere_keeps_its_own_words() -> None:
    async with PretendEngine(context=5000, slots=3, api_key="k") as server:
        engine = engine_at(server.endpoint.url, "pretend", api_key="k")
        await engine.start(quiet)
        assert (engine.context_length, engine.slots) == (5000, 3)
        assert isinstance(engine.dialect, RemoteLlama)
        assert await engine.look() == Activity(frozenset(), {0: (await _tokens(engine))}, 0)
        await engine.stop()


async def _tokens(engine: Engine) -> int:
    seen = await engine.look()
    assert seen is not None
    return seen.tokens[0]


async def test_a_server_that_still_loads_is_waited_for() -> None:
    told: list[LoadProgress] = []
    server = PretendEngine(Script(loading_s=0.7))
    await server.listen()
    engine = engine_at(server.endpoint.url, "pretend")
    await engine.start(told.append)
    assert told[0].phase == "loading"
    await engine.stop()
    await server.stop()


async def test_a_server_that_does_not_tell_its_context_must_be_told() -> None:
    async with PretendVllm(plain=True, context=9000) as server:
        assert "does not tell the context" in (await refused(engine_at(server.url))).what
        engine = engine_at(server.url, context=8000, slots=2)
        await engine.start(quiet)
        assert (engine.context_length, engine.slots, await engine.look()) == (8000, 2, None)
        await engine.stop()


@pytest.mark.parametrize(
    ("model", "fields", "error", "what"),
    [
        ("nope", {"api_key": "k"}, ModelUnavailable, "has no model 'nope'"),
        (MODEL, {"api_key": "wrong"}, EngineFailed, "wants another key"),
        (MODEL, {"api_key": "k", "context": 9001}, EngineFailed, "gives Qwen/Qwen3-4B 9,000 tokens"),
    ],
)
async def test_what_cannot_be_is_refused(
    model: str, fields: dict[str, Any], error: type[HearthError], what: str
) -> None:
    async with PretendVllm(context=9000, api_key="k") as server:
        said = await refused(engine_at(server.url, model, **fields))
        assert isinstance(said, error)
        assert what in said.what
        assert said.fix


async def test_no_such_server(free_port: int) -> None:
    assert "nobody answers at" in (await refused(engine_at(f"http://127.0.0.1:{free_port}"))).what
    async with PretendOllama() as server:
        assert isinstance(await refused(engine_at(server.url)), ModelUnavailable)
    async with PretendVllm(Script(otherwise=Answer(fault=Fault.HTTP_500))) as broken:
        assert "was told to fail" in (await refused(engine_at(broken.url))).what


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/v1/models")

    application = web.Application()
    application.router.add_get("/v1/models", elsewhere)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assert "HTTP 307" in (await refused(engine_at(f"http://127.0.0.1:{runner.addresses[0][1]}"))).what
    await runner.cleanup()


async def test_it_fails_by_itself_when_the_server_is_gone_and_not_when_it_is_busy() -> None:
    async with PretendVllm(Script(answers=(Answer(text="ok"),), otherwise=Answer(fault=Fault.STALL))) as server:
        engine = engine_at(server.url)
        await engine.start(quiet)
        canary = asyncio.create_task(engine.canary())
        while not server.busy:
            await asyncio.sleep(0.01)
        seen = await engine.look()
        assert seen is not None
        assert seen.working == {0}
        await asyncio.sleep(0.3)
        assert engine.state is EngineState.READY
    async with asyncio.timeout(20):
        await engine.wait()
    assert engine.state is EngineState.FAILED
    with pytest.raises(EngineFailed):
        await canary


def test_metrics_of_several_engines_and_models_are_told_apart() -> None:
    metrics = (
        '# HELP vllm:num_requests_running x\nvllm:num_requests_running{engine="0",model_name="a"} 2.0\n'
        'vllm:num_requests_running{engine="1",model_name="a"} 1.0\n'
        'vllm:num_requests_running{engine="0",model_name="b"} 9.0\n'
        'vllm:num_requests_waiting{engine="0",model_name="a"} 4.0\n'
        'vllm:prompt_tokens_total{engine="0",model_name="a"} 1.5e+06\n'
        'vllm:generation_tokens_total{engine="0",model_name="a"} NaN\n'
    )
    assert read_activity(metrics, "a") == Activity(frozenset({0}), {0: 1_500_000}, 4)
    assert read_activity("# nothing\nprocess_open_fds 5\n", "a") is None


def test_names_addresses_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert split_name("qwen3:4b@shop") == ("qwen3:4b", "shop")
    assert split_name("a@b@shop") == ("a@b", "shop")
    assert split_name("pilot") == ("pilot", "")
    assert base_url(ForeignSettings(kind="openai", url="https://x/api/v1/")) == "https://x/api"
    assert base_url(ForeignSettings(kind="ollama")) == "http://127.0.0.1:11434"
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("A_KEY", "other")
    assert [read_key(text, "shop") for text in ("", "sk-1", f"file:{tmp_path}/key", "env:A_KEY")] == [
        "", "sk-1", "secret", "other",
    ]  # fmt: skip


async def test_models_of_all_engines_are_listed_and_found(free_port: int) -> None:
    async with PretendOllama(models={"a": PretendModel()}) as ollama, PretendVllm() as vllm:
        models = ForeignModels(
            {
                "home": ForeignSettings(kind="ollama", url=ollama.url),
                "shop": ForeignSettings(kind="vllm", url=vllm.url),
                "named": ForeignSettings(kind="openai", url="http://127.0.0.1:9", models=("x",)),
                "gone": ForeignSettings(kind="openai", url=f"http://127.0.0.1:{free_port}"),
            },
            LISTERS,
        )
        assert [card.name for card in models.cards()] == ["x@named"]
        await models.refresh()
        assert [card.name for card in models.cards()] == ["a@home", f"{MODEL}@shop", "x@named"]
        assert list(models.trouble) == ["gone"]
        found = models.resolve("anything@home")
        assert found is not None
        assert (found[0].name, found[1].kind) == ("anything@home", "ollama")
        assert found[0].description == f"at {ollama.url} (ollama)"
        assert [models.resolve(name) for name in ("pilot", "a@b", "y@named", "@home")] == [None] * 4
