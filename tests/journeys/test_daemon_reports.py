"""What is told of a daemon and its models: the doctor, the logs, when a model was used and how fast it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from running_daemon import CHAT, QUESTION, hearth, start_in_background

from hearth.ops.local import ask
from hearth.paths import Paths
from hearth.weights.store import Store
from hearth.weights.usage import Usage


async def test_doctor_finds_all_well_with_a_model_that_answers(paths: Paths) -> None:
    done = hearth("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["tiny"]["ok"], checks["tiny"]
    assert "answered" in checks["tiny"]["text"]
    assert checks["daemon"]["ok"]
    assert done.returncode == 0, done.stdout
    shown = hearth("doctor").stdout
    assert shown.splitlines()[-1] == "all well"


async def test_doctor_says_what_mends_a_missing_model(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    (paths.models / "bad.gguf").write_bytes(b"GGUF and then nonsense")
    monkeypatch.setenv("HEARTH_MODEL", "bad")
    done = hearth("doctor")
    assert done.returncode == 1
    assert "FAIL bad" in done.stdout
    assert "→ " in done.stdout
    assert "need mending" in done.stdout


async def test_logs_of_daemon_and_engine(paths: Paths) -> None:
    await start_in_background(paths)
    await ask(paths.socket, "POST", CHAT, {**QUESTION, "max_tokens": 1}, timeout_s=60)
    assert "chat tiny: HTTP 200" in hearth("logs").stdout
    assert len(hearth("logs", "tiny", "-n", "3").stdout.splitlines()) == 3
    assert "hello" not in hearth("logs", "-n", "1000").stdout


async def test_an_answer_leaves_when_it_was_and_how_fast(paths: Paths) -> None:
    await start_in_background(paths)
    long = {
        "messages": [{"role": "user", "content": "one two three four " * 200}],
        "max_tokens": 40,
        "ignore_eos": True,
    }
    store = Store(paths.models)
    assert (await ask(paths.socket, "POST", CHAT, QUESTION | {"max_tokens": 1}, timeout_s=60)).status == 200
    await eventually_used(store, lambda usage: usage.last_used > 0 and usage.decode_per_s is None)
    assert (await ask(paths.socket, "POST", CHAT, long, timeout_s=60)).status == 200
    await eventually_used(store, lambda usage: (usage.decode_per_s or 0) > 0 and (usage.prefill_per_s or 0) > 0)
    shown = hearth("models", "show", "tiny").stdout
    assert "measured here" in shown
    assert "never" not in shown


async def eventually_used(store: Store, holds: Callable[[Usage], bool]) -> None:
    """Wait until what is known of the use of "tiny" is so: it is written after the answer."""
    async with asyncio.timeout(20):
        while not holds(store.usage(store.resolve("tiny"))):
            await asyncio.sleep(0.02)
