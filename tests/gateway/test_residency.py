"""The owner's orders which models are loaded, and what becomes of them when who gave them leaves."""

from __future__ import annotations

import asyncio

from running_gateway import MODEL, Start, eventually

import gguf_models
from hearth.runtime.pretend import Answer, Script


async def test_a_load_tells_of_the_engine_of_this_model(start: Start) -> None:
    running = await start()
    gguf_models.write_llama(running.paths.models / "other.gguf")
    for name in (MODEL, "other"):
        answer = await running.local.post("http://hearth/hearth/models/load", json={"model": name})
        assert answer.status == 200
        assert (await answer.json())["engine"]["model"] == name


async def test_who_leaves_takes_the_order_along(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text="word " * 50, token_s=60)))

    async def state_is(wanted: str) -> bool:
        told = await (await running.local.get("http://hearth/hearth/status")).json()
        return [engine["state"] for engine in told["engines"]] == [wanted]

    asking = asyncio.create_task(running.chat(stream=True))
    await running.until_busy(1)
    order = asyncio.create_task(running.local.post("http://hearth/hearth/models/unload", json={"model": MODEL}))
    await eventually(lambda: state_is("draining"))
    order.cancel()
    await asyncio.wait([order])
    await eventually(lambda: state_is("busy"))
    (await asking).close()
