"""Conversations in the slots of real engines, dense, with a window, hybrid: nothing is computed twice."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from running_cache import MODELS, SYSTEM, Running, ask, running

from hearth.paths import Paths, resolve_paths
from hearth.runtime.kv.cache import PrefixCache
from hearth.runtime.kv.entry import MAGIC, Record
from hearth.runtime.kv.store import PART, KvStore
from suspended import suspend

pytestmark = pytest.mark.slow


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, paths: Paths) -> str:
    MODELS[request.param](paths.models / "m.gguf")
    return request.param


@pytest.fixture
def dense(paths: Paths) -> None:
    MODELS["dense"](paths.models / "m.gguf")


async def test_a_conversation_outlives_its_engine(paths: Paths, model: str) -> None:
    async with running(paths) as first:
        talk = first.begin()
        before = await talk.say("tell me of the harbour and its boats", 20)
        messages = [*talk.messages, ask("and then?")]
        warm = await first.chat(messages)
    async with running(paths) as second:
        again = await second.chat(messages)
        assert again.place.promised > 0
        assert again.text == warm.text
        assert again.reused >= 0.98 * (before.reused + before.read)
    assert second.store.damaged == 0


async def test_a_new_conversation_begins_with_the_system_text_of_another(paths: Paths, model: str) -> None:
    async with running(paths) as first:
        cold = await first.begin().say("good morning")
        new = await first.begin().say("something else altogether")
        assert new.read < 0.2 * (cold.read + cold.reused)
    async with running(paths) as second:
        later = await second.begin().say("a third thing")
        assert later.read < 0.2 * (cold.read + cold.reused)
        assert sum(entry.record.base for entry in second.store.entries()) == 1


async def test_more_conversations_than_slots_read_nothing_twice(paths: Paths, model: str) -> None:
    async with running(paths) as engine:
        talks = [engine.begin() for _ in range(5)]
        held = [0] * len(talks)
        for turn in range(3):
            for number, talk in enumerate(talks):
                answer = await talk.say(f"conversation {number}, turn {turn}: how is the weather over there?", 4)
                if turn:
                    assert answer.reused >= 0.97 * held[number], (turn, number)
                held[number] = answer.reused + answer.read


async def test_a_rested_conversation_is_saved_by_itself(paths: Paths, dense: None) -> None:
    async with running(paths, rest_s=0.05, save=False) as first:
        talk = first.begin()
        before = await talk.say("tell me of the harbour", 20)
        async with asyncio.timeout(20):
            while sum(not entry.record.base for entry in first.store.entries()) == 0:
                await asyncio.sleep(0.02)
    async with running(paths) as second:
        again = await second.chat([*talk.messages, ask("go on")])
        assert again.reused >= 0.98 * (before.reused + before.read)


async def test_a_fork_in_the_middle_goes_on_from_there(paths: Paths, dense: None) -> None:
    async with running(paths) as engine:
        talk = engine.begin()
        await talk.say("first question", 30)
        middle = list(talk.messages)
        await talk.say("second question", 30)
        fork = await engine.chat([*middle, ask("another second question")])
        assert fork.reused > 0.8 * (fork.reused + fork.read)
        back = await engine.chat([*talk.messages, ask("third question")])
        assert back.reused > 0.8 * (back.reused + back.read)


async def test_what_one_owner_has_said_is_not_offered_to_another(paths: Paths, dense: None) -> None:
    async with running(paths) as engine:
        talk = engine.begin("anna")
        await talk.say("my secret", 40)
    async with running(paths) as engine:
        stranger = await engine.chat([*talk.messages, ask("go on")], "bert")
        assert stranger.place.entry == ""
        assert stranger.reused < 5 or stranger.place.promised == 0
        assert engine.cache.restored == 0
        assert (await engine.chat([*talk.messages, ask("go on")], "anna")).place.entry


async def spoil(paths: Paths, change: bytes | None, at: float) -> None:
    """Save a conversation, then damage all entries: cut, or other bytes at this share of the file."""
    async with running(paths) as first:
        await first.begin().say("tell me of the harbour", 30)
    for path in paths.kv.glob("*.kv"):
        data = bytearray(path.read_bytes())
        place = int(len(data) * at)
        path.write_bytes(data[:place] if change is None else data[:place] + change + data[place + len(change) :])


@pytest.mark.parametrize(
    ("change", "at"), [(None, 0.5), (None, 0.0), (b"\xff\x00\xff", 0.3), (b"x" * 8, 0.999), (MAGIC, 0.0)]
)
async def test_a_damaged_state_is_never_restored(paths: Paths, dense: None, change: bytes | None, at: float) -> None:
    await spoil(paths, change, at)
    async with running(paths) as second:
        talk = second.begin()
        answer = await talk.say("tell me of the harbour", 30)
        assert answer.reused <= len(SYSTEM["content"])
        assert second.cache.restored == 0
        assert second.store.damaged > 0
    async with running(paths) as third:
        assert third.store.damaged == 0
        assert (await third.chat([*talk.messages, ask("go on")])).place.entry


async def test_a_client_that_leaves_keeps_the_slot_usable(paths: Paths, dense: None) -> None:
    async with running(paths, slots=1) as engine:
        talk = engine.begin()
        first = await talk.say("a question", 30)
        talk.messages.append(ask("a long answer please"))
        task = asyncio.create_task(engine.chat(talk.messages, max_tokens=3000, ignore_eos=True))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        again = await engine.chat(talk.messages)
        assert again.reused >= 0.95 * (first.reused + first.read)


async def test_requests_beyond_the_slots_wait_for_one(paths: Paths, dense: None) -> None:
    async with running(paths, slots=2) as engine:
        answers = await asyncio.gather(*(engine.begin().say(f"question {number}", 10) for number in range(6)))
        assert {answer.place.slot for answer in answers} == {0, 1}


async def test_a_folder_that_cannot_be_written_costs_no_answer(
    paths: Paths, dense: None, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("hearth.runtime")
    logger.addHandler(caplog.handler)
    async with running(paths) as engine:
        paths.kv.rename(paths.kv.with_name("away"))
        talks = [engine.begin() for _ in range(3)]
        for number, talk in enumerate(talks * 2):
            await talk.say(f"question {number % 3} that is long enough to be saved", 30)
        assert engine.cache.saved == 0
        # Depending on what ran before, a record reaches the handler by one way or by two.
        warnings = {record.created for record in caplog.records if "cannot be saved" in record.message}
        assert len(warnings) == 1
        assert engine.cache.trouble
        paths.kv.with_name("away").rename(paths.kv)
        for talk in talks:
            await talk.say("and again")
        assert engine.cache.saved > 0
        assert not engine.cache.trouble
    logger.removeHandler(caplog.handler)


async def test_a_client_that_leaves_while_a_neighbour_is_saved_leaves_nothing_half_done(
    paths: Paths, dense: None
) -> None:
    async with running(paths, slots=1) as engine:
        talk = engine.begin()
        first = await talk.say("a question", 30)
        for pause in (0.0, 0.0005, 0.001, 0.002, 0.004):
            stranger = asyncio.create_task(engine.chat([SYSTEM, ask(f"another {pause}", 20)]))
            await asyncio.sleep(pause)
            stranger.cancel()
            await asyncio.wait([stranger])
        again = await engine.chat([*talk.messages, ask("go on")])
        assert again.reused >= 0.95 * (first.reused + first.read)
        assert not list(paths.kv.glob("*.part"))


async def test_a_smaller_context_keeps_what_does_not_fit_into_it(paths: Paths, dense: None) -> None:
    async with running(paths) as first:
        talk = first.begin()
        await talk.say("a question", 60)
        before = {entry.record.name for entry in first.store.entries()}
    async with running(paths, context=512) as small:
        assert (await small.chat([ask("hello")])).read > 0
        async with small.cache.place("owner", {"messages": [*talk.messages, ask("go on")]}) as place:
            assert place.entry == ""
    async with running(paths) as second:
        assert before <= {entry.record.name for entry in second.store.entries()}
        assert (await second.chat([*talk.messages, ask("go on")])).place.entry


async def test_an_engine_that_died_costs_no_entry(paths: Paths, dense: None) -> None:
    async with running(paths) as first:
        talk = first.begin()
        await talk.say("a question", 30)
    async with running(paths, save=False) as second:
        before = {entry.record.name for entry in second.store.entries()}
        assert second.engine.pid is not None
        os.kill(second.engine.pid, signal.SIGKILL)
        await second.engine.wait()
        with pytest.raises(aiohttp.ClientError):
            await second.chat([*talk.messages, ask("go on")])
        assert {entry.record.name for entry in second.store.entries()} == before
        assert second.store.damaged == 0


async def test_several_answers_at_once_upset_no_neighbour(paths: Paths, dense: None) -> None:
    async with running(paths, slots=2) as engine:
        talk = engine.begin()
        first = await talk.say("a question", 30)
        await engine.chat([SYSTEM, ask("several, please", 20)], n=2)
        again = await engine.chat([*talk.messages, ask("go on")])
        assert again.reused >= 0.95 * (first.reused + first.read)
    assert engine.store.damaged == 0


async def test_a_state_beyond_the_quota_is_not_written_again_and_again(paths: Paths, dense: None) -> None:
    async with running(paths, quota_bytes=400_000) as engine:
        for number in range(4):
            await engine.begin().say(f"conversation {number}", 60)
        assert sum(entry.bytes for entry in engine.store.entries()) <= 400_000
        assert "quota" in engine.cache.trouble or "left" in engine.cache.trouble
        assert not list(paths.kv.glob("*.part"))


class SlowDisk(KvStore):
    """A store of which each file is there before it is written."""

    def new_part(self) -> Path:
        self.last = super().new_part()
        self.last.write_bytes(b"half")
        return self.last


async def test_an_engine_that_ends_leaves_alone_what_another_is_writing(paths: Paths, dense: None) -> None:
    async with running(paths, save=False) as engine:
        store = SlowDisk(paths.kv)
        one = Running(engine.engine, PrefixCache(engine.engine, store, rest_s=600), store, engine.session)
        await one.begin().say("a question", 30)
        others = engine.store.new_part()
        others.write_bytes(b"half of a state of another engine")
        assert engine.engine.pid is not None
        suspend(engine.engine.pid)
        await one.cache.save_all(0.2)
        assert store.last.exists()
        os.kill(engine.engine.pid, signal.SIGKILL)
        await engine.engine.wait()
        one.cache.clear_parts()
        assert (store.last.exists(), others.exists()) == (False, True)
        await one.cache.close()


class OvertakenStore(KvStore):
    """A store in which a longer entry takes the place of one that is about to be restored, once."""

    overtaken = False

    def check(self, name: str) -> Record | None:
        record = super().check(name)
        if record is not None and not record.base and not self.overtaken:
            self.overtaken = True
            part = self.new_part()
            part.write_bytes(self.path_of(name).read_bytes()[: record.state_bytes])
            links = {**record.links, "one more message": record.tokens}
            self.add(part, record.state_bytes, record.model, links, record.tokens)
        return record


async def test_an_entry_that_is_overtaken_while_it_is_restored_costs_nothing(paths: Paths, model: str) -> None:
    async with running(paths) as first:
        talk = first.begin()
        before = await talk.say("tell me of the harbour", 30)
    async with running(paths) as engine:
        store = OvertakenStore(paths.kv)
        store.open()
        one = Running(engine.engine, PrefixCache(engine.engine, store, rest_s=600), store, engine.session)
        again = await one.chat([*talk.messages, ask("go on")])
        assert (store.overtaken, store.damaged, one.cache.restored) == (True, 0, 1)
        assert again.reused >= 0.98 * (before.reused + before.read)
        await one.cache.close()


class RivalStore(KvStore):
    """A store from which each entry is gone as soon as the engine was told to read it."""

    dropped = 0

    def lend(self, name: str) -> str:
        loan = super().lend(name)
        self.drop(name)
        self.dropped += 1
        return loan


async def test_an_entry_that_is_dropped_while_the_engine_reads_it_is_read_whole(paths: Paths, model: str) -> None:
    async with running(paths) as first:
        talk = first.begin()
        before = await talk.say("tell me of the harbour", 30)
    async with running(paths) as engine:
        store = RivalStore(paths.kv)
        store.open()
        one = Running(engine.engine, PrefixCache(engine.engine, store, rest_s=600), store, engine.session)
        again = await one.chat([*talk.messages, ask("go on")])
        assert (store.dropped, store.damaged, one.cache.restored) == (1, 0, 1)
        assert again.reused >= 0.98 * (before.reused + before.read)
        await one.cache.close()
        assert not list(paths.kv.glob(f"*{PART}"))


class HeldDisk(KvStore):
    """A disk that takes in a conversation when it is allowed to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = threading.Event()
        self.allowed = threading.Event()

    def add(self, *args: Any, **fields: Any) -> str:
        if not fields.get("base"):
            self.asked.set()
            assert self.allowed.wait(60)
        return super().add(*args, **fields)


async def test_a_conversation_that_goes_on_while_it_is_saved_stays_where_it_is(paths: Paths, model: str) -> None:
    async with running(paths, save=False) as engine:
        store = HeldDisk(paths.kv)
        store.open()
        one = Running(engine.engine, PrefixCache(engine.engine, store, rest_s=0.02), store, engine.session)
        talk = one.begin()
        before = await talk.say("tell me of the harbour", 120)
        assert await asyncio.to_thread(store.asked.wait, 60)
        asyncio.get_running_loop().call_later(0.3, store.allowed.set)
        again = await talk.say("go on")
        assert again.place.slot == before.place.slot
        assert again.reused >= 0.98 * (before.reused + before.read)
        await one.cache.close()
