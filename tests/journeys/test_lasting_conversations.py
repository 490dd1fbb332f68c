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
    settle(found)
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


def settle(paths: Paths, **engine: float) -> None:
    """Write the settings, with these for the engine too."""
    lines = "".join(f"{name} = {value}\n" for name, value in {"context": 4096, "threads": 1, **engine}.items())
    paths.config_file.write_text(f"[kv]\nrest_s = 0.05\n[engine]\n{lines}")


async def several(paths: Paths) -> tuple[list[list[dict[str, Any]]], list[int]]:
    """Three conversations, one more than there are slots, of two turns each; how many tokens each has."""
    talks: list[list[dict[str, Any]]] = [[SYSTEM] for _ in range(3)]
    for number, talk in enumerate(talks):
        await say(paths, talk, f"tell me of harbour number {number} " * 20)
    return talks, [held(await say(paths, talk, "and its boats?")) for talk in talks]


async def test_conversations_go_on_after_another_model_took_the_memory(paths: Paths) -> None:
    gguf_models.write_lfm2(paths.models / "twin.gguf", context=8192, seed=1)
    await start_in_background(paths)
    await say(paths, [SYSTEM], "hello")
    needed = (await status(paths))["engines"][0]["held_bytes"][-1]
    await stop_daemon(paths, lambda _text: None)
    settle(paths, memory_gib=1.5 * needed / 2**30)
    await start_in_background(paths)
    talks, tokens = await several(paths)
    for _ in range(2):
        await say(paths, [SYSTEM], "hello", model="twin")
        assert [engine["model"] for engine in (await status(paths))["engines"]] == ["twin"]
        for number, talk in enumerate(talks):
            after = await say(paths, talk, "and then?")
            assert after["cache_n"] >= 0.98 * tokens[number]
            tokens[number] = held(after)


async def test_conversations_go_on_after_their_model_was_unloaded(paths: Paths) -> None:
    await start_in_background(paths)
    talks, tokens = await several(paths)
    assert hearth("models", "unload", "tiny").returncode == 0
    await say(paths, [SYSTEM], "hello", model="other")
    assert [engine["model"] for engine in (await status(paths))["engines"]] == ["other"]
    for talk, before in zip(talks, tokens, strict=True):
        assert (await say(paths, talk, "and then?"))["cache_n"] >= 0.98 * before


async def test_a_recorded_history_of_another_client_is_known_after_a_restart(paths: Paths, tmp_path: Path) -> None:
    await start_in_background(paths)
    messages: list[dict[str, Any]] = [SYSTEM]
    for question in ("tell me of the harbour " * 20, "and its boats?", "and the tide? " * 20, "and the wind?"):
        before = await say(paths, messages, question)
    record = tmp_path / "history.json"
    record.write_text(json.dumps(messages))
    await stop_daemon(paths, lambda _text: None)
    await start_in_background(paths)
    # Its client names no session, orders its fields in another way, says what it leaves out, and samples otherwise.
    replayed = [
        {"tool_calls": None, "content": message["content"], "refusal": None, "role": message["role"]}
        for message in json.loads(record.read_text())
    ]
    after = await say(paths, replayed, "and what else?", stream=False, temperature=0.7, user="somebody")
    assert after["cache_n"] >= 0.95 * held(before)


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
