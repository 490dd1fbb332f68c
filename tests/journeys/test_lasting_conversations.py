"""A conversation across restarts, crashes and other models, as clients of a real daemon see it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from running_daemon import CHAT, hearth, start_in_background, status

import gguf_models
from hearth.ops.daemon import is_alive, stop_daemon
from hearth.ops.local import ask
from hearth.ops.record import read_record
from hearth.paths import Paths, resolve_paths
from hearth.runtime.process import is_alive as lives

pytestmark = pytest.mark.slow
SYSTEM = {"role": "system", "content": "You are a careful assistant. " * 40}


@pytest.fixture
def paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home with two models; conversations are saved almost at once."""
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    found.config_file.write_text("[kv]\nrest_s = 0.05\n[engine]\ncontext = 4096\nthreads = 1\n")
    gguf_models.write_lfm2(found.models / "tiny.gguf", context=8192)
    gguf_models.write_llama(found.models / "other.gguf", context=8192, seed=1)
    monkeypatch.setenv("HEARTH_MODEL", "tiny")
    return found


async def say(paths: Paths, messages: list[dict[str, Any]], text: str, **fields: Any) -> dict[str, int]:
    """Ask as a client that knows nothing of sessions; the answer joins the messages. The engine's timings."""
    messages.append({"role": "user", "content": text})
    question = {"messages": messages, "max_tokens": 8, "temperature": 0, **fields}
    answer = await ask(paths.socket, "POST", CHAT, question, timeout_s=60)
    assert answer.status == 200, answer.data
    messages.append({"role": "assistant", "content": answer.data["choices"][0]["message"]["content"]})
    timings: dict[str, int] = answer.data["timings"]
    return timings


def held(timings: dict[str, int]) -> int:
    return timings["cache_n"] + timings["prompt_n"]


async def test_a_conversation_goes_on_after_the_daemon_was_stopped(paths: Paths) -> None:
    await start_in_background(paths)
    messages: list[dict[str, Any]] = [SYSTEM]
    before = await say(paths, messages, "tell me of the harbour " * 20)
    await stop_daemon(paths, lambda _text: None)
    await start_in_background(paths)
    after = await say(paths, messages, "and then?")
    assert after["cache_n"] >= 0.98 * held(before)
    assert (await status(paths))["engines"][0]["kv"]["restored"] == 1
    # The recorded history of another client, which begins alike.
    foreign = [dict(message) for message in messages[:3]]
    assert (await say(paths, foreign, "something else"))["cache_n"] >= 0.95 * held(before)


async def test_a_conversation_goes_on_after_another_model(paths: Paths) -> None:
    await start_in_background(paths)
    messages: list[dict[str, Any]] = [SYSTEM]
    before = await say(paths, messages, "tell me of the harbour " * 20)
    await say(paths, [SYSTEM], "hello", model="other")
    assert (await say(paths, messages, "and then?"))["cache_n"] >= 0.98 * held(before)


async def test_what_rested_outlives_a_daemon_that_was_killed(paths: Paths) -> None:
    await start_in_background(paths)
    messages: list[dict[str, Any]] = [SYSTEM]
    before = await say(paths, messages, "tell me of the harbour " * 20)
    async with asyncio.timeout(20):
        while not any(entry["messages"] == 2 for entry in saved(paths)):
            await asyncio.sleep(0.05)
    record = read_record(paths)
    assert record is not None
    engines = [engine["pid"] for engine in (await status(paths))["engines"]]
    os.kill(record.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while any(lives(pid) for pid in engines) or await is_alive(paths.socket):
            await asyncio.sleep(0.02)
    await start_in_background(paths)
    assert (await say(paths, messages, "and then?"))["cache_n"] >= 0.98 * held(before)
    assert not list(paths.kv.glob("*.part"))


def saved(paths: Paths) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(hearth("kv", "list", "--json").stdout)
    return rows


async def test_without_it_nothing_is_saved(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_KV", "0")
    await start_in_background(paths)
    messages: list[dict[str, Any]] = [SYSTEM]
    await say(paths, messages, "tell me of the harbour " * 20)
    await stop_daemon(paths, lambda _text: None)
    assert not paths.kv.exists() or not list(paths.kv.iterdir())


async def test_a_folder_that_is_no_folder_costs_no_answer(paths: Paths) -> None:
    paths.kv.write_text("in the way")
    await start_in_background(paths)
    assert held(await say(paths, [SYSTEM], "hello")) > 0
    shown = hearth("doctor").stdout
    assert "FAIL kv" in shown
    assert "→ " in shown
