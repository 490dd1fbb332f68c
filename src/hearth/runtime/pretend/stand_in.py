"""What the stand-ins for other people's servers have in common: a port, a script, and slots to answer in."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from hearth.runtime.pretend.memory import Memory, Seating, Slot, count_tokens, pieces, prompt_text
from hearth.runtime.pretend.script import Answer, Script

LARGEST_BODY = 64 << 20
STALL_S = 86_400.0

Json = dict[str, Any]


class StandIn(ABC):
    """A server that plays a script. ``async with`` opens its port and closes it with every connection.

    ``requests`` holds what it was asked in chats, in order.
    """

    def __init__(self, script: Script | None, slots: int) -> None:
        self.url = ""
        self.requests: list[Json] = []
        self._script = script or Script()
        self._asked = 0
        self._memory = Memory([Slot(number) for number in range(slots)])
        self._free = asyncio.Semaphore(slots)
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    @property
    def busy(self) -> int:
        """Requests that it is answering."""
        return sum(slot.processing for slot in self._memory.slots)

    def play(self, script: Script) -> None:
        """From here on play this one, from its first answer."""
        self._script, self._asked = script, 0

    @abstractmethod
    def application(self) -> web.Application:
        """Its routes."""

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1."""
        runner = self._runner = web.AppRunner(
            self.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close its port and break every connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _next(self) -> Answer:
        number, self._asked = self._asked, self._asked + 1
        return self._script.answer(number)

    @asynccontextmanager
    async def _seat(self, text: str) -> AsyncIterator[Seating]:
        """A slot for this prompt, in order of arrival; free again however the answer ends."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        seating = self._memory.seat(text)
        try:
            yield seating
        finally:
            seating.slot.processing = False
            self._free.release()


def count_prompt(body: Json) -> tuple[str, int]:
    """A request's prompt as one text, and its tokens."""
    text = prompt_text(body.get("tools"), body["messages"])
    return text, count_tokens(text)


def cut_answer(answer: Answer, stops: list[str], limit: int) -> tuple[list[str], list[str], str]:
    """The pieces of its reasoning and of its text, cut at a stop string or at ``limit`` tokens, and why it ends:
    ``stop`` or ``length``. Calls are only made when nothing was cut."""
    text = answer.text
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    text = text[: min(ends)] if ends else text
    reasoning, said = pieces(answer.reasoning), pieces(text)
    if len(reasoning) + len(said) <= limit:
        return reasoning, said, "stop"
    return reasoning[:limit], said[: max(limit - len(reasoning), 0)], "length"


def hang_up(request: web.Request) -> None:
    """Break the connection as a process that dies does."""
    if request.transport is not None:
        request.transport.abort()
