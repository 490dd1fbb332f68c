"""The real engine, stopped in the middle of its work, and left alone while it reads a long prompt."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import gguf_models
from engine_faults import MODEL, Question, exchange
from hearth.gateway.app import Gateway
from hearth.gateway.keys import load_key
from hearth.paths import Paths, resolve_paths
from hearth.runtime.process import is_alive
from hearth.runtime.supervisor import Supervisor
from hearth.settings import EngineSettings, Settings
from suspended import suspend

STUCK_S = 2.0


@dataclass
class Served:
    """A gateway over the real engine."""

    gateway: Gateway
    supervisor: Supervisor
    paths: Paths

    def pid(self) -> int:
        """The engine's process."""
        pid = self.supervisor.report()[0]["pid"]
        assert isinstance(pid, int)
        return pid

    async def ask(self, question: Question, text: str, **more: Any) -> None:
        """To the end of its answer."""
        body = {"messages": [{"role": "user", "content": text}], "stream": question.stream, **more}
        async with asyncio.timeout(120):
            await exchange(self.gateway, question, json.dumps(body).encode())


@asynccontextmanager
async def serving(**shape: int) -> AsyncIterator[Served]:
    """A home with one model of this shape, and nothing left of it."""
    paths = resolve_paths(os.environ)
    paths.ensure()
    gguf_models.write_llama(paths.models / f"{MODEL}.gguf", **shape)
    supervisor = Supervisor(
        Settings(model=MODEL, engine=EngineSettings(stuck_s=STUCK_S, context=4096, threads=1)), paths
    )
    gateway = Gateway(
        supervisor, load_key(paths.key_file), model=MODEL, socket="s", about={"version": "0"}, stop=lambda: None
    )
    try:
        yield Served(gateway, supervisor, paths)
    finally:
        await gateway.close()
        await supervisor.close()


def question(*, stream: bool) -> Question:
    return Question("", 0.0, stream=stream, progress=False, leaves_after_s=None, reads_after_s=0.0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_stopped_engine_is_replaced(stream: bool) -> None:
    async with serving(context=4096) as served:
        first = question(stream=False)
        await served.ask(first, "hello", max_tokens=1)
        assert first.status == 200
        pid = served.pid()
        asked = question(stream=stream)
        asking = asyncio.create_task(
            served.ask(asked, "hello again", max_tokens=3000 if stream else 400, ignore_eos=True)
        )
        await until((lambda: b"content" in asked.body) if stream else (lambda: served.supervisor.report()[0]["users"]))
        suspend(pid)
        await asking
        assert not is_alive(pid)
        if stream:
            assert asked.error["code"] == "engine_lost"
            assert "was stuck" in asked.error["message"]
            assert asked.error["partial"]["events"] >= 1
        else:
            # Nothing of it had been sent: the next engine answered.
            assert asked.status == 200, asked.body
        last = question(stream=True)
        await served.ask(last, "hello once more", max_tokens=5)
        assert last.body.rstrip().endswith(b"[DONE]")
        assert served.pid() != pid
        [file] = served.paths.logs.glob("stuck-*.json")
        told = json.loads(file.read_text())
        assert "stopped" in told["processes"][0]["status"]
        assert any("load" in line for line in told["log"])
        assert "hello again" not in file.read_text()


async def test_one_that_is_stopped_over_a_system_text_is_replaced_too() -> None:
    """Which is read, and saved, before the request itself is sent."""
    async with serving(context=4096, blocks=8, width=1024) as served:
        asked = question(stream=True)
        messages = [
            {"role": "system", "content": "the boat and the water " * 60},
            {"role": "user", "content": "hello"},
        ]
        asking = asyncio.create_task(served.ask(asked, "", messages=messages, max_tokens=3))
        await until(lambda: any(each["state"] == "busy" for each in served.supervisor.report()))
        # It takes seconds. Should it be over by now, the request itself is met.
        await asyncio.sleep(0.5)
        suspend(served.pid())
        await asking
        assert asked.body.rstrip().endswith(b"[DONE]")
        assert len(list(served.paths.logs.glob("stuck-*.json"))) == 1


async def test_a_long_prompt_is_read_to_its_end() -> None:
    async with serving(context=4096, blocks=8, width=1024) as served:
        asked = question(stream=False)
        await served.ask(asked, "the boat and the water " * 140, max_tokens=4)
        # On one thread some ten seconds: far more than an answer may be silent.
        assert json.loads(asked.body)["timings"]["prompt_n"] > 2000
        assert not list(served.paths.logs.glob("stuck-*.json"))
