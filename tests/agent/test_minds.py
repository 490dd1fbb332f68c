"""Which models a session may speak with, and how each is spoken to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hearth.agent.minds import Minds
from hearth.errors import Denied, SettingsError, Unavailable
from hearth.llm.calibration.record import Calibration, Tally, save
from hearth.llm.client import ChatClient
from hearth.llm.dialects.harmony.client import HarmonyClient
from hearth.llm.dialects.text.model import TextDialect
from hearth.llm.profile import PILOT
from hearth.paths import Paths, resolve_paths
from hearth.settings import ProfileSettings, load_settings

LISTED: dict[str, dict[str, Any]] = {
    "gpt-oss-20b": {"context_length": 32_768},
    "qwen3:8b": {"meta": {"n_ctx": 16_384, "n_ctx_train": 262_144}},
    "house-model": {"max_model_len": 8_000, "architecture": {"input_modalities": ["text", "image"]}},
    "gpt-oss-20b@shop": {},
}


@pytest.fixture
def paths(home: Path) -> Paths:
    return resolve_paths({"HEARTH_HOME": str(home)})


@asynccontextmanager
async def serving(owner: str = "hearth", markers: tuple[str, ...] = ()) -> AsyncIterator[str]:
    """A server that lists these models, and shows the same template of each."""

    async def listing(asked: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name, "owned_by": owner, **of} for name, of in LISTED.items()]})

    async def entry(asked: web.Request) -> web.Response:
        if not markers:
            raise web.HTTPNotFound
        return web.json_response({"id": asked.match_info["name"], "hearth": {"markers": list(markers)}})

    application = web.Application()
    application.add_routes([web.get("/v1/models", listing), web.get("/v1/models/{name}", entry)])
    async with standing(application) as url:
        yield url


@asynccontextmanager
async def standing(application: web.Application) -> AsyncIterator[str]:
    """A server of our own on this machine."""
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def knowing(
    paths: Paths, owner: str = "hearth", markers: tuple[str, ...] = (), **flags: object
) -> AsyncIterator[Minds]:
    async with serving(owner, markers) as url:
        minds = Minds(paths, load_settings(paths.config_file, {"HEARTH_URL": url}, flags))
        await minds.look()
        yield minds


async def test_windows_and_sight_are_what_the_endpoint_says(paths: Paths) -> None:
    async with knowing(paths) as minds:
        assert [minds.window(name) for name in (*LISTED, "unknown")] == [32_768, 16_384, 8_000, 0, 0]
        assert await minds.ask_window("qwen3:8b") == 16_384
        assert [name for name in LISTED if minds.sees(name)] == ["house-model"]


async def test_a_window_is_what_is_planned_until_an_engine_has_said_it(paths: Paths) -> None:
    listed = [{"id": "new", "loaded": False}, {"id": "gone", "loaded": False, "context_length": 9_000}]

    async def listing(_asked: web.Request) -> web.Response:
        return web.json_response({"data": [{**each, "owned_by": "hearth"} for each in listed]})

    async def entry(_asked: web.Request) -> web.Response:
        return web.json_response({"id": "new", "context_planned": 12_000, "hearth": None})

    application = web.Application()
    application.add_routes([web.get("/v1/models", listing), web.get("/v1/models/new", entry)])
    async with standing(application) as url:
        minds = Minds(paths, load_settings(paths.config_file, {"HEARTH_URL": url}))
        await minds.look()
        assert [minds.window(name) for name in ("new", "gone")] == [0, 9_000]
        for name in ("new", "gone"):
            await minds.meet(name)
        assert [minds.window(name) for name in ("new", "gone")] == [12_000, 9_000]
        assert not minds.is_sure("new")
        assert not minds.is_sure("gone")
        listed[0].update(loaded=True, context_length=4_096)
        assert await minds.ask_window("new") == 4_096
        assert (minds.window("new"), minds.is_sure("new")) == (4_096, True)
        listed.clear()
        assert await minds.ask_window("new") == 4_096, "who is sure does not ask again"


def test_a_local_model_that_is_not_loaded_gets_what_the_owner_says(paths: Paths) -> None:
    assert Minds(paths, load_settings(paths.config_file, {"HEARTH_CONTEXT": "4096"})).window("qwen3:8b") == 4_096
    assert Minds(paths, load_settings(paths.config_file, {})).window("qwen3:8b") == 0


async def test_the_model_is_the_wished_one_else_the_first(paths: Paths) -> None:
    async with knowing(paths) as minds:
        assert minds.choose() == "gpt-oss-20b"
    async with knowing(paths, model="anything") as minds:
        assert minds.choose() == "anything"
    assert Minds(paths, load_settings(paths.config_file, {})).choose() == "pilot"


async def test_harmony_is_spoken_only_where_raw_prompts_are_completed(paths: Paths) -> None:
    for owner, model, dialect in (
        ("hearth", "gpt-oss-20b", "harmony"),
        ("llamacpp", "gpt-oss-20b", "harmony"),
        ("vllm", "gpt-oss-20b", "chat"),
        ("hearth", "qwen3:8b", "chat"),
    ):
        async with knowing(paths, owner) as minds:
            profile = await minds.profile(model)
            assert (profile.dialect, bool(profile.names)) == (dialect, dialect == "harmony"), (owner, model)
            kind = HarmonyClient if dialect == "harmony" else ChatClient
            assert isinstance(minds.speak(profile), kind)
    # MODEL@NAME is an engine that somebody else runs, if one of that name is set.
    shop = {"engines.shop.kind": "vllm", "engines.shop.url": "http://x"}
    async with knowing(paths, **shop) as minds:
        assert (await minds.profile("gpt-oss-20b@shop")).dialect == "chat"


async def test_a_template_without_tools_means_text(paths: Paths) -> None:
    async with knowing(paths, markers=("<|im_start|>",)) as minds:
        profile = await minds.profile("house-model")
        assert (profile.dialect, profile.edit) == ("text", "search_replace")
        assert isinstance(minds.speak(profile), TextDialect)
    async with knowing(paths, markers=("<|im_start|>", "tools", "<tool_call>")) as minds:
        assert (await minds.profile("house-model")).dialect == "chat"


async def test_calibration_counts_over_the_package_and_the_owner_over_both(paths: Paths) -> None:
    async with serving() as url:
        found = Calibration("house-model", url, "2026", 9.0, "chat", "replace", calls=Tally(0, 3))
        save(paths.calibration, found)
        settings = load_settings(paths.config_file, {"HEARTH_URL": url}, {})
        minds = Minds(paths, settings)
        await minds.look()
        assert (await minds.profile("house-model")).dialect == "text"
        assert (await minds.profile("house-model", fresh=True)).dialect == "chat"
        assert (await minds.profile("qwen3:8b")).dialect == "chat"
        path = paths.config_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('[profiles.house-model]\ndialect = "chat"\nmax_tokens = 300\n')
        owned = load_settings(path, {"HEARTH_URL": url}, {})
        assert owned.profiles["house-model"] == ProfileSettings(dialect="chat", max_tokens=300)
        minds = Minds(paths, owned)
        await minds.look()
        profile = await minds.profile("house-model")
        assert (profile.dialect, profile.max_tokens) == ("chat", 300)
        # Of the pilot everything is known, whoever says something else.
        assert (await Minds(paths, load_settings(paths.config_file, {})).profile("pilot")) is PILOT


async def test_who_does_not_answer_and_who_refuses(paths: Paths) -> None:
    with pytest.raises(Unavailable):
        await Minds(paths, load_settings(paths.config_file, {"HEARTH_URL": "http://127.0.0.1:1"})).look()

    async def refuse(asked: web.Request) -> web.Response:
        raise web.HTTPForbidden

    application = web.Application()
    application.add_routes([web.get("/v1/models", refuse)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with pytest.raises(Denied):
        await Minds(paths, load_settings(paths.config_file, {"HEARTH_URL": url})).look()
    await runner.cleanup()
    with pytest.raises(SettingsError, match="no HTTP address"):
        Minds(paths, load_settings(paths.config_file, {"HEARTH_URL": "file:///etc"}))
