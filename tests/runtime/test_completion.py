"""Work that is done whole."""

from __future__ import annotations

import asyncio

import pytest

from hearth.runtime.completion import complete


async def test_it_is_done_whole_however_often_its_caller_is_cancelled() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    done: list[bool] = []

    async def work() -> None:
        begun.set()
        await may_end.wait()
        done.append(True)

    caller = asyncio.create_task(complete(work()))
    await begun.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0.01)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == [True]
