"""What a pretending engine can fail at, in this process and as one of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import gguf_models
from hearth.errors import EngineFailed, OutOfMemory
from hearth.paths import resolve_paths
from hearth.runtime.engine import Engine, EngineState
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import Answer, Fault, Health, Load, PretendEngine, PretendProcess, Script
from hearth.runtime.pretend.memory import count_tokens, prompt_text
from hearth.runtime.process import is_alive
from hearth.weights.card import ModelCard

STREAM: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
PATH = "/v1/chat/completions"


def nobody_hears(_progress: object) -> None:
    """A start that nobody follows."""


def in_here(script: Script) -> Engine:
    return PretendEngine(script, slots=2)


def as_child(script: Script, load_timeout_s: float = 600.0) -> PretendProcess:
    paths = resolve_paths(os.environ)
    paths.ensure()
    file = paths.models / "small.gguf"
    gguf_models.write_llama(file)
    card = ModelCard("small", file, file.stat().st_size, "")
    return PretendProcess(card, Launch(context=8192, slots=2), paths, script, load_timeout_s=load_timeout_s)


Make = Callable[[Script], Engine]
BOTH = pytest.mark.parametrize("make", [in_here, pytest.param(as_child, marks=pytest.mark.slow)])


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[aiohttp.ClientSession]:
    """The engine, started, and a way to ask it."""
    await engine.start(nobody_hears)
    socket = engine.endpoint.socket
    connector = aiohttp.UnixConnector(str(socket)) if socket else None
    headers = {"Authorization": f"Bearer {engine.endpoint.api_key}"}
    try:
        async with aiohttp.ClientSession(engine.endpoint.url, connector=connector, headers=headers) as session:
            yield session
    finally:
        await engine.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            seen = condition()
            if await seen if asyncio.iscoroutine(seen) else seen:
                return
            await asyncio.sleep(0.01)


def answers(*answers: Answer, **more: Any) -> Script:
    return Script(answers=answers, **more)


async def told(engine: Engine) -> tuple[set[int], dict[int, int]]:
    activity = await engine.look()
    assert activity is not None
    return set(activity.working), dict(activity.tokens)


@BOTH
async def test_a_look_tells_what_the_slots_do(make: Make) -> None:
    engine = make(answers(Answer(text="a long answer", token_s=0.05, fault=Fault.STALL, after=2)))
    async with running(engine) as session:
        assert await told(engine) == (set(), {})
        async with session.post(PATH, json=STREAM) as response:

            async def is_stalled() -> bool:
                working, tokens = await told(engine)
                return len(working) == 1 and sum(tokens.values()) == prompt_tokens + 2

            prompt_tokens = count_tokens(prompt_text(None, STREAM["messages"]))
            assert response.status == 200
            await until(is_stalled)
            await engine.canary()
        await until(lambda: is_idle(engine))


async def is_idle(engine: Engine) -> bool:
    return (await told(engine))[0] == set()


@BOTH
@pytest.mark.parametrize("fault", [Fault.FREEZE, Fault.FREEZE_IN_PREFILL])
async def test_a_frozen_engine_is_in_good_health_and_does_nothing(make: Make, fault: Fault) -> None:
    async with running(make(answers(Answer(text="a long answer", fault=fault)))) as session:
        frozen = asyncio.create_task(read_all(session))
        await until(lambda: hangs(session))
        assert (await session.get("/health")).status == 200
        other = asyncio.create_task(read_all(session))
        await asyncio.wait([frozen, other], timeout=0.1)
        assert not frozen.done()
        assert not other.done()
        for task in (frozen, other):
            task.cancel()


async def hangs(session: aiohttp.ClientSession) -> bool:
    """Whether its slots do not tell."""
    try:
        async with session.get("/slots", timeout=aiohttp.ClientTimeout(total=0.3)) as response:
            return response.status != 200
    except TimeoutError:
        return True


async def read_all(session: aiohttp.ClientSession) -> str:
    async with session.post(PATH, json=STREAM) as response:
        return await response.text()


@BOTH
async def test_what_is_not_scheduled_holds_no_slot(make: Make) -> None:
    engine = make(answers(Answer(fault=Fault.UNSCHEDULED)))
    async with running(engine) as session:
        lost = asyncio.create_task(read_all(session))
        await asyncio.wait([lost], timeout=0.1)
        assert await told(engine) == (set(), {})
        assert "Done" in await read_all(session)
        assert not lost.done()
        lost.cancel()


@BOTH
async def test_one_batch_tells_nothing_and_computes(make: Make) -> None:
    engine = make(answers(Answer(text="ok", prefill_s=0.8, one_batch=True)))
    async with running(engine) as session:
        reading = asyncio.create_task(read_all(session))
        await until(lambda: hangs(session))
        assert not reading.done()
        assert "[DONE]" in await reading
        working, _ = await told(engine)
        assert not working


@BOTH
async def test_a_process_that_dies_breaks_off(make: Make) -> None:
    engine = make(answers(Answer(text="a long answer", fault=Fault.DIE, after=2)))
    async with running(engine) as session:
        with pytest.raises(aiohttp.ClientError):
            await read_all(session)
        await engine.wait()
        assert engine.state is EngineState.FAILED
        assert "killed by SIGKILL" in engine.cause


@BOTH
async def test_bytes_that_dribble_are_all_there(make: Make) -> None:
    async with running(make(answers(Answer(text="slow text", token_s=0.0005, fault=Fault.DRIBBLE)))) as session:
        text = await read_all(session)
    assert text.endswith("data: [DONE]\n\n")


@BOTH
@pytest.mark.parametrize(("load", "error"), [(Load.DEATH, EngineFailed), (Load.OUT_OF_MEMORY, OutOfMemory)])
async def test_a_load_that_fails(make: Make, load: Load, error: type[EngineFailed]) -> None:
    engine = make(Script(load=load, loading_s=0.05))
    with pytest.raises(error) as raised:
        await engine.start(nobody_hears)
    assert type(raised.value) is error
    assert engine.state is EngineState.FAILED
    assert engine.pid is None


@pytest.mark.slow
async def test_a_load_without_an_end_is_given_up() -> None:
    engine = as_child(Script(load=Load.NEVER), load_timeout_s=1.0)
    with pytest.raises(EngineFailed, match="no sign of life"):
        await engine.start(nobody_hears)
    assert engine.pid is None


@pytest.mark.slow
async def test_a_child_that_does_not_listen_to_us_is_killed_and_leaves_nothing() -> None:
    engine = as_child(Script(deaf=True, otherwise=Answer(text="x", fault=Fault.FREEZE, after=0)))
    await engine.start(nobody_hears)
    pid = engine.pid
    assert pid is not None
    await engine.fail("it was stuck")
    assert not is_alive(pid)
    assert (engine.state, engine.cause) == (EngineState.FAILED, "it was stuck")
    assert engine.endpoint.socket is not None
    assert not Path(engine.endpoint.socket).exists()


@pytest.mark.slow
@pytest.mark.parametrize("health", [Health.GOOD, Health.BAD, Health.SILENT])
async def test_an_engine_is_ready_when_it_makes_a_token_whatever_its_health_says(health: Health) -> None:
    async with running(as_child(Script(health=health, loading_s=0.3))) as session:
        assert "Done" in await read_all(session)


async def test_health_lies() -> None:
    for health, status in ((Health.BAD, 503), (Health.GOOD, 200)):
        engine = PretendEngine(Script(health=health, loading_s=0.2))
        await engine.listen()
        async with aiohttp.ClientSession(engine.endpoint.url) as session:
            assert (await session.get("/health")).status == status
        await engine.stop()
    async with running(PretendEngine(Script(health=Health.SILENT))) as session:
        with pytest.raises(TimeoutError):
            await session.get("/health", timeout=aiohttp.ClientTimeout(total=0.05))
