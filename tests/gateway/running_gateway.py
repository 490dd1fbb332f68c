"""A gateway that runs in this process, as tests see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from hearth.gateway.app import Gateway
from hearth.paths import Paths
from hearth.runtime.engine import EngineState
from hearth.runtime.pretend import PretendEngine

MODEL = "small"
QUESTION = {"role": "user", "content": "hello"}


@dataclass
class Running:
    """One gateway, its two doors and the engines that it has started."""

    paths: Paths
    gateway: Gateway
    stop: Callable[[], None]
    served: asyncio.Task[None]
    url: str
    key: str
    local: aiohttp.ClientSession
    remote: aiohttp.ClientSession
    engines: list[PretendEngine] = field(default_factory=list)

    async def chat(self, **fields: Any) -> aiohttp.ClientResponse:
        """Ask over the unix socket."""
        return await self.local.post("http://hearth/v1/chat/completions", json={"messages": [QUESTION], **fields})

    async def has_engine(self) -> bool:
        """Whether an engine has been made."""
        return bool(self.engines)

    async def busy_slots(self) -> int:
        """How many slots of the newest engine are answering, by its own account; none while it is not up yet."""
        endpoint = self.engines[-1].endpoint
        if self.engines[-1].state is not EngineState.READY:
            return 0
        connector = aiohttp.UnixConnector(str(endpoint.socket))
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            slots = await (await session.get(f"{endpoint.url}/slots")).json()
        return sum(slot["is_processing"] for slot in slots)

    async def until_busy(self, count: int) -> None:
        """Wait until so many slots are answering."""

        async def reached() -> bool:
            return bool(self.engines) and await self.busy_slots() == count

        await eventually(reached)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds, for 20 s at most."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


Start = Callable[..., Awaitable[Running]]
