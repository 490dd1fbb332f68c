"""Who is next."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.runtime.line import Places


async def settle() -> None:
    """Let everybody who can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def served(places: Places, ranks: list[int]) -> list[int]:
    """In which order those of these ranks are served, when they all wait for one place."""
    order: list[int] = []

    async def ask(number: int, rank: int) -> None:
        async with places.held(rank):
            order.append(number)
            await asyncio.sleep(0)

    await places.acquire()
    asking = [asyncio.create_task(ask(number, rank)) for number, rank in enumerate(ranks)]
    await settle()
    places.release()
    await asyncio.gather(*asking)
    return order


@pytest.mark.parametrize(
    ("ranks", "order"),
    [([0, 0, 0], [0, 1, 2]), ([2, 1, 0], [2, 1, 0]), ([1, 2, 0, 1], [2, 0, 3, 1]), ([], [])],
)
async def test_the_lowest_rank_first_then_in_order_of_arrival(ranks: list[int], order: list[int]) -> None:
    assert await served(Places(1), ranks) == order


@given(st.lists(st.integers(0, 2), max_size=8), st.sets(st.integers(0, 7)), st.integers(1, 3))
def test_no_place_is_lost_however_many_leave(ranks: list[int], leaving: set[int], count: int) -> None:
    async def play() -> None:
        places = Places(count)
        for _ in range(count):
            await places.acquire()
        waiting = [asyncio.create_task(places.acquire(rank)) for rank in ranks]
        await settle()
        places.release()
        # The first of them has been given the place and does not know it yet.
        for number, task in enumerate(waiting):
            if number in leaving:
                task.cancel()
        for _ in range(count - 1):
            places.release()
        served = 0
        while any(not task.done() for task in waiting):
            await settle()
            got = sum(task.done() and not task.cancelled() for task in waiting)
            for _ in range(got - served):
                places.release()
            served = got
        async with asyncio.timeout(20):
            for _ in range(count):
                await places.acquire()

    asyncio.run(play())
