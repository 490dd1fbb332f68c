"""The watchdog over pretending engines, with its limits a fiftieth as long."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Activity, EngineState
from hearth.runtime.pretend import Answer, Fault, PretendEngine, Script
from hearth.runtime.watch.diagnosis import MOST_KEPT, read_pulse, write_diagnosis
from hearth.runtime.watch.vigil import Limits, Pulse
from hearth.runtime.watch.watchdog import GivenUp, Watchdog

LIMITS = Limits().scaled(1 / 50)
SECRET = "the owner's own words"


@asynccontextmanager
async def watched(engine: PretendEngine, *, ours: bool = True) -> AsyncIterator[Watchdog]:
    """The engine, started, and its watchdog."""
    paths = resolve_paths(os.environ)
    await engine.start()
    watch = Watchdog(engine, LIMITS, paths, pulse=(lambda _engine: engine.pulse()) if ours else None)
    try:
        yield watch
    finally:
        await watch.close()
        await engine.stop()


async def ask(engine: PretendEngine, watch: Watchdog, slot: int | None = None, *, stream: bool = True) -> bytes:
    """What comes, as the gateway reads it."""
    told = b""
    body = {"messages": [{"role": "user", "content": SECRET}], "stream": stream}
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession(engine.endpoint.url) as session,
        watch.follow(slot) as followed,
        session.post("/v1/chat/completions", json=body) as response,
    ):
        followed.began()
        if not stream:
            return await followed.hear_whole(response.read())
        async for piece in followed.hear(response.content.iter_any()):
            told += piece
    return told


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def playing(*answers: Answer, **more: Any) -> PretendEngine:
    return PretendEngine(Script(answers, **more))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [Fault.FREEZE, Fault.FREEZE_IN_PREFILL, Fault.STALL, Fault.STALL_IN_PREFILL])
async def test_an_engine_that_is_stuck_is_ended(fault: Fault, stream: bool) -> None:
    engine = playing(Answer(text="a long answer", fault=fault))
    async with watched(engine) as watch:
        with pytest.raises(aiohttp.ClientError):
            await ask(engine, watch, stream=stream)
        assert engine.state is EngineState.FAILED
        assert "was stuck: no sign of progress for" in engine.cause
        assert "it computes nothing" in engine.cause
        # Who waits to be let in goes on, to the engine that comes after it.
        await asyncio.wait_for(watch.admitted(), 20)


async def test_an_engine_that_tells_nonsense_of_its_slots_is_watched_all_the_same() -> None:
    class Babbling(PretendEngine):
        async def look(self) -> Activity | None:
            raise ValueError("slot one point two")

    engine = Babbling(Script((Answer(text="a long answer", fault=Fault.FREEZE),)))
    async with watched(engine) as watch:
        with pytest.raises(aiohttp.ClientError):
            await ask(engine, watch)
        assert "it computes nothing" in engine.cause


async def test_nobody_waits_to_be_let_in_when_the_watch_itself_fails() -> None:
    class Unreadable(PretendEngine):
        readable = True

        def pulse(self) -> Pulse | None:
            if not self.readable:
                raise RuntimeError("no pulse can be read")
            return super().pulse()

    engine = Unreadable(Script((Answer(text="a long answer", fault=Fault.FREEZE),)))
    async with watched(engine) as watch:
        asking = asyncio.create_task(ask(engine, watch))
        await until(lambda: not watch.admitting)
        engine.readable = False
        await asyncio.wait_for(watch.admitted(), 20)
        asking.cancel()
        await asyncio.wait([asking])


async def test_what_it_was_at_is_kept_for_the_owner_without_a_word_of_anybody() -> None:
    engine = playing(Answer(text="a long answer", fault=Fault.FREEZE))
    paths = resolve_paths(os.environ)
    async with watched(engine) as watch:
        with pytest.raises(aiohttp.ClientError):
            await ask(engine, watch, 0)
    [file] = paths.logs.glob("stuck-pretend-*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    told = json.loads(file.read_text())
    assert SECRET not in file.read_text()
    assert told["cause"] == engine.cause
    assert told["found_after_s"] > LIMITS.decode_s
    assert told["requests"][0]["slot"] == 0
    assert told["requests"][0]["pieces"] >= 1
    assert [look["answered"] for look in told["looks"]] == [False] * len(told["looks"])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("one_batch", [True, False])
async def test_a_prompt_that_takes_minutes_is_read_to_its_end(stream: bool, one_batch: bool) -> None:
    engine = playing(Answer(text="done", prefill_s=2.5 * LIMITS.prefill_s, one_batch=one_batch))
    async with watched(engine) as watch:
        assert b"done" in await ask(engine, watch, stream=stream)
        assert watch.admitting
        assert engine.state is EngineState.READY


async def test_a_client_that_does_not_read_is_not_held_against_the_engine() -> None:
    engine = playing(Answer(text="one two three"))
    async with watched(engine) as watch:

        async def slow(pieces: AsyncIterator[bytes]) -> int:
            count = 0
            async for _ in pieces:
                count += 1
                if count == 2:
                    await asyncio.sleep(3 * LIMITS.decode_s)
            return count

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b"one", b"two", b"three"):
                yield piece

        async with watch.follow(0) as followed:
            assert await slow(followed.hear(pieces())) == 3
        assert engine.state is EngineState.READY


async def test_who_is_not_begun_is_given_up_while_others_are_answered() -> None:
    engine = playing(Answer(text="word " * 200, token_s=LIMITS.decode_s / 100), Answer(fault=Fault.UNSCHEDULED))
    async with watched(engine) as watch:
        other = asyncio.create_task(ask(engine, watch, 0))
        await engine.asked(1)
        with pytest.raises(GivenUp, match="did not begin the request") as raised:
            await ask(engine, watch, 1)
        assert raised.value.again
        assert not watch.admitting
        assert watch.report()["health"] == "suspect"
        assert b"[DONE]" in await other
        # The token that it was asked for came: it was that request alone.
        await asyncio.wait_for(watch.admitted(), 20)
        assert engine.state is EngineState.READY
        assert watch.report() == {"health": "healthy", "why": "", "silent_s": None, "given_up": 1}


async def test_one_whose_token_does_not_come_after_that_is_ended() -> None:
    class Dumb(PretendEngine):
        async def canary(self) -> None:
            await asyncio.Event().wait()

    engine = Dumb(Script((Answer(text="word " * 100, token_s=LIMITS.decode_s / 100), Answer(fault=Fault.UNSCHEDULED))))
    async with watched(engine) as watch:
        other = asyncio.create_task(ask(engine, watch, 0))
        await engine.asked(1)
        with pytest.raises(GivenUp):
            await ask(engine, watch, 1)
        assert b"[DONE]" in await other
        await asyncio.wait_for(engine.wait(), 20)
        assert "no token comes when it is asked for one" in engine.cause


async def test_an_engine_of_somebody_else_is_left_alone() -> None:
    short = Limits(quiet_s=0.02, look_every_s=0.02, look_s=0.05, unseen_s=0.3)
    engine = playing(Answer(text="a long answer", fault=Fault.FREEZE))
    async with watched(engine, ours=False):
        watch = Watchdog(engine, short, resolve_paths(os.environ))
        with pytest.raises(GivenUp, match="no sign of progress") as raised:
            await ask(engine, watch)
        assert not raised.value.again
        assert engine.state is EngineState.READY
        assert watch.admitting
        await watch.close()


async def test_while_nobody_waits_nobody_looks() -> None:
    looks = 0

    class Shy(PretendEngine):
        async def look(self) -> Activity | None:
            nonlocal looks
            looks += 1
            return await super().look()

    engine = Shy(Script(otherwise=Answer(text="word " * 50, token_s=LIMITS.quiet_s / 20)))
    async with watched(engine) as watch:
        await ask(engine, watch)
        await asyncio.sleep(3 * LIMITS.quiet_s)
        assert looks == 0


async def test_without_limits_it_only_listens() -> None:
    engine = playing(Answer(text="a long answer", fault=Fault.FREEZE))
    async with watched(engine):
        watch = Watchdog(engine, None, resolve_paths(os.environ))
        asked = asyncio.create_task(ask(engine, watch))
        await asyncio.wait([asked], timeout=3 * LIMITS.decode_s)
        assert not asked.done()
        asked.cancel()
        await asyncio.wait([asked])
        await watch.close()


def test_a_pulse_is_that_of_the_whole_group() -> None:
    group = os.getpgid(0)
    before = read_pulse(group)
    assert before is not None
    sum(number * number for number in range(3_000_000))
    after = read_pulse(group)
    assert after is not None
    assert after.cpu_s > before.cpu_s
    assert read_pulse(2**22 + 1) is None


def test_ten_diagnoses_are_kept(home: Paths) -> None:
    paths = resolve_paths(os.environ)
    log = paths.engine_log("small")
    paths.logs.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(500)))
    files = [write_diagnosis(paths.logs, "small", os.getpgid(0), {"number": n}, log) for n in range(MOST_KEPT + 3)]
    left = sorted(paths.logs.glob("stuck-*.json"))
    assert len(left) == MOST_KEPT
    assert files[-1] in left
    told = json.loads(files[-1].read_text())
    assert told["log"][-1] == "line 499"
    assert len(told["log"]) == 100
    assert "State:" in told["processes"][0]["status"]
    assert told["processes"][0]["threads"]
