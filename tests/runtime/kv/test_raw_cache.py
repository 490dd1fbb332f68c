"""Raw prompts in the slots of engines: nothing is computed twice, and who may not wait goes first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running_cache import Answered, Running, running

import harmony_model
from hearth.paths import Paths, resolve_paths
from hearth.runtime.kv.cache import PrefixCache
from hearth.runtime.kv.store import KvStore
from hearth.runtime.pretend import PretendEngine, Script

HEAD = (
    "<|start|>system<|message|>You are a careful assistant. " + "Be careful. " * 150 + "<|end|>"
    "<|start|>developer<|message|># Instructions\n\nBe brief.<|end|>"
)
OPEN = "<|start|>assistant"


def user(text: str) -> str:
    return f"<|start|>user<|message|>{text}<|end|>"


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


async def complete(at: Running, prompt: str) -> Answered:
    request: dict[str, Any] = {"prompt": prompt, "max_tokens": 8, "temperature": 0}
    async with at.cache.place("owner", request) as place:
        body = {**request, "id_slot": place.slot}
        async with at.session.post("http://engine/v1/completions", json=body) as response:
            assert response.status == 200, await response.text()
            answer = await response.json()
        timings = answer["timings"]
        place.reused, place.read, place.made = timings["cache_n"], timings["prompt_n"], timings["predicted_n"]
    return Answered(answer["choices"][0]["text"], place.reused, place.read, place)


@pytest.mark.slow
async def test_a_raw_conversation_outlives_its_engine(paths: Paths) -> None:
    harmony_model.write_harmony(paths.models / "m.gguf")
    async with running(paths) as first:
        one = await complete(first, HEAD + user("tell me of the harbour " * 20) + OPEN)
        grown = HEAD + user("tell me of the harbour " * 20) + OPEN + one.text + "<|end|>" + user("and then?") + OPEN
        two = await complete(first, grown)
        assert two.reused > one.read
    async with running(paths) as second:
        three = await complete(second, grown + two.text + "<|end|>" + user("go on") + OPEN)
        assert three.place.promised > 0
        assert three.reused >= 0.95 * (two.reused + two.read)
        assert second.store.damaged == 0


@pytest.mark.slow
async def test_a_new_raw_conversation_begins_with_the_saved_system_text(paths: Paths) -> None:
    harmony_model.write_harmony(paths.models / "m.gguf")
    async with running(paths) as first:
        cold = await complete(first, HEAD + user("good morning") + OPEN)
        assert cold.reused > 0.9 * cold.read, "it was read by itself first"
    async with running(paths) as second:
        new = await complete(second, HEAD + user("something else") + OPEN)
        assert second.cache.restored == 1
        assert new.read < 0.1 * new.reused


async def test_the_slots_go_to_the_lowest_rank_first(paths: Paths, tmp_path: Path) -> None:
    order: list[int] = []
    store = KvStore(tmp_path / "kv", 0)
    store.open()
    async with PretendEngine(Script(), slots=1) as engine:
        cache = PrefixCache(engine, store, rest_s=600)

        async def ask(number: int, rank: int) -> None:
            async with cache.place("owner", {"prompt": f"number {number}"}, rank):
                order.append(number)

        async with cache.place("owner", {"prompt": "first"}):
            asking = [asyncio.create_task(ask(number, rank)) for number, rank in enumerate((2, 1, 0, 2, 0))]
            await asyncio.sleep(0)
        await asyncio.gather(*asking)
        await cache.close()
    assert order == [2, 4, 1, 0, 3]
