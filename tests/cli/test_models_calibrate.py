"""``hearth models calibrate`` as a process: over HTTP against a model that is able, and against the pilot for real."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from able_models import AbleModel
from hearth.cli.main import main
from hearth.llm.answer import Completed
from hearth.llm.calibration.record import Calibration, Tally, load, measured, save
from hearth.llm.client import ChatClient, Endpoint
from hearth.llm.profile import profile_for
from hearth.llm.request import Request
from hearth.llm.transport import Entry
from hearth.messages import Message, ToolSpec
from hearth.paths import resolve_paths


@asynccontextmanager
async def serving(model: AbleModel) -> AsyncIterator[str]:
    """An OpenAI endpoint that answers with the model; its address."""

    async def chat(asked: web.Request) -> web.Response:
        body = await asked.json()
        tools = tuple(ToolSpec(**tool["function"]) for tool in body.get("tools", ()))
        messages = tuple(Message.from_wire(message) for message in body["messages"])
        request = Request("s", body["model"], {}, body["max_tokens"], tools, messages)
        final = [event async for event in model.answer(request)][-1]
        assert isinstance(final, Completed)
        calls = [{"index": index, **call.to_wire()} for index, call in enumerate(final.message.tool_calls)]
        choice = {"index": 0, "delta": {"content": final.message.content, "tool_calls": calls}, "finish_reason": "stop"}
        usage = {"prompt_tokens": final.usage.prompt, "completion_tokens": final.usage.generated}
        data = "".join(f"data: {json.dumps(each)}\n\n" for each in ({"choices": [choice]}, {"usage": usage}))
        return web.Response(text=data + "data: [DONE]\n\n", content_type="text/event-stream")

    async def models(asked: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "able", "max_model_len": 32_768}]})

    async def one(asked: web.Request) -> web.Response:
        return web.json_response({"id": asked.match_info["name"], "hearth": {"markers": ["<arg_key>", "tools"]}})

    application = web.Application()
    application.add_routes(
        [
            web.post("/v1/chat/completions", chat),
            web.get("/v1/models", models),
            web.get("/v1/models/{name:.*}", one),
        ]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def hearth(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hearth", "models", "calibrate", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.slow
async def test_what_is_found_is_told_kept_and_forgotten(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    async with serving(AbleModel("edit", "parallel")) as url:
        monkeypatch.setenv("HEARTH_URL", url)
        code, out, err = await hearth("able", "--json")
        assert code == 0, err
        told: dict[str, Any] = json.loads(out)
        assert told["calls"]["right"] == 3
        assert told["edits"]["replace"] == {**told["edits"]["replace"], "right": 0, "tried": 3}
        assert told["profile"] == {"parallel": False, "edit": told["profile"]["edit"]}
        assert Path(told["file"]).is_file()
        assert measured(paths.calibration, "able", url) == told["profile"]
        assert "edits as replace: 0 of 3" in err
        profile = profile_for("able", measured=measured(paths.calibration, "able", url))
        assert profile.edit == told["profile"]["edit"] != "replace"
        code, out, err = await hearth("able")
        assert "two calls in one step           0 of 2" in out
        assert "used from now on                parallel no, edit " in out
        assert (await hearth("able", "--reset"))[0] == 0
        assert load(paths.calibration, "able", url) is None


@pytest.mark.slow
async def test_what_sessions_mend_counts_as_right(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(AbleModel("leaks")) as url:
        monkeypatch.setenv("HEARTH_URL", url)
        code, out, err = await hearth("able", "--json")
    assert code == 0, err
    told: dict[str, Any] = json.loads(out)
    assert (told["dialect"], told["calls"]["right"], told["parallel"]["right"]) == ("chat", 3, 2)
    assert told["edits"]["replace"]["right"] > 0


async def test_the_template_that_an_endpoint_shows_is_asked_for() -> None:
    async with serving(AbleModel()) as url:
        markers = (await ChatClient(Endpoint(url)).transport.entry_of("a/b c ä.gguf")).template
        assert markers == "<arg_key>\ntools"
        assert profile_for("my-own-model", markers).name == "glm"
    assert await ChatClient(Endpoint(url)).transport.entry_of("able") == Entry()


def test_what_was_found_is_shown_with_the_model(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "pilot"]) == 0
    assert "calibrated" not in capsys.readouterr().out
    found = Calibration("pilot", "", "2026-11-23T10:00:00", 9.0, "chat", "replace", Tally(2, 3), Tally(2, 2))
    save(resolve_paths({"HEARTH_HOME": str(home)}).calibration, found)
    assert main(["models", "show", "pilot"]) == 0
    assert "calibrated    2026-11-23, 2 of 3 calls came through" in capsys.readouterr().out
    assert main(["models", "show", "pilot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibrated"] == {"parallel": True}


@pytest.mark.slow
async def test_a_model_that_is_not_here_is_not_measured() -> None:
    code, out, err = await hearth("nothing")
    assert (code, out) == (4, "")
    assert "there is no model 'nothing'" in err
    code, out, err = await hearth("pilot", "--minutes", "0")
    assert code == 2


@pytest.mark.slow
async def test_the_pilot_on_the_real_engine_is_measured_to_an_end(home: Path) -> None:
    """Whatever it is found to be: it ends, in bounds, and is kept; the pilot stays as it was trained."""
    code, out, err = await hearth("pilot", "--minutes", "0.5", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["calls"]["tried"] >= 1
    kept = load(resolve_paths({"HEARTH_HOME": str(home)}).calibration, "pilot")
    assert kept is not None
    assert kept.calls.tried == told["calls"]["tried"]
    assert profile_for("pilot", measured=told["profile"]).edit == "replace"
