"""One answer on its way to a client: whole events only, comments while nothing comes, errors that say their source.

Server-sent events end with an empty line. Bytes go through as the engine sent them, but an unfinished event is
held back until its end arrives: so a comment, or the error of an engine that died, never lands inside one.
"""

from __future__ import annotations

import asyncio
import time

from hearth.gateway.asgi import Message, Request
from hearth.gateway.refusal import Refusal, engine_lost

BEAT_S = 3.0
"""Seconds of silence after which a stream gets a comment. Before its first byte an error still has its status."""

EVENT_LIMIT = 16 * 1024 * 1024
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Exchange:
    """The client's side of one request. ``model`` is for messages; ``stream`` says what the client asked for."""

    def __init__(self, request: Request, model: str, *, stream: bool, beat_s: float = BEAT_S) -> None:
        self.model = model
        self.status = 0
        """What was answered, 0 until then. A stream that broke keeps its 200."""
        self.broken = ""
        """Why a stream that had begun ended early, for the log."""
        self.waiting_for = ""
        """What the next comment says."""
        self.over = False
        """Whether the client has its whole answer, or error."""
        self.events = 0
        """How many events of an answer a stream has had; those that tell of its prompt are none."""
        self._request = request
        self._stream = stream
        self._beat_s = beat_s
        self._held = b""
        self._last = b""
        self._sent_at = time.monotonic()

    @property
    def untouched(self) -> bool:
        """Whether the client has nothing of an answer yet: comments are none, nor is how far its prompt is read."""
        return not self.over and not self.events and not self._held

    async def until_gone(self) -> None:
        """Return when the client is gone, or has its whole answer. Keeps a silent stream alive meanwhile."""
        while True:
            try:
                async with asyncio.timeout(self._beat_s):
                    message: Message = await self._request.receive()
            except TimeoutError:
                await self._beat()
                continue
            if message["type"] == "http.disconnect":
                return

    async def _beat(self) -> None:
        if self._stream and not self.over and time.monotonic() - self._sent_at >= self._beat_s * 0.9:
            await self._begin()
            said = " ".join(self.waiting_for.split()) or "waiting"
            await self._write(f": {said}\n\n".encode())

    async def begin(self) -> None:
        """The engine has taken the request: the stream's headers go out, if they have not yet."""
        self.waiting_for = "working"
        await self._begin()

    async def _begin(self) -> None:
        if not self.status:
            self.status = 200
            await self._request.send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})

    async def _write(self, data: bytes) -> None:
        self._sent_at = time.monotonic()
        await self._request.send({"type": "http.response.body", "body": data, "more_body": True})

    async def pass_on(self, chunk: bytes) -> None:
        """Send the whole events of what the engine sent."""
        if self._held or not chunk.endswith(b"\n\n"):
            chunk = self._held + chunk
            end = _end_of_events(chunk)
            self._held = chunk[end:]
            chunk = chunk[:end]
            if len(self._held) > EVENT_LIMIT:
                raise engine_lost(
                    self.model, f"the engine of {self.model} sent an event of more than {EVENT_LIMIT >> 20} MiB"
                )
        if chunk:
            self._last = chunk
            self.events += sum(b'"prompt_progress"' not in event for event in chunk.split(b"\n\n") if event)
            await self._write(chunk)

    async def finish(self) -> None:
        """The engine closed its stream. One that ended without ``[DONE]`` or an error of its own was cut: say so."""
        end = (self._last + self._held).rstrip()
        if not end.endswith(b"[DONE]") and b'"error"' not in end:
            raise engine_lost(self.model, f"the engine of {self.model} ended its stream before the answer")
        if self._held:
            await self._write(self._held)
        await self._close()

    async def answer(self, body: bytes) -> None:
        """The whole answer of a request that is not streamed."""
        self.status = 200
        self.over = True
        await self._request.answer(200, body)

    async def refuse(self, refusal: Refusal) -> None:
        """End with an error: by status when nothing was sent yet, else as the stream's last event."""
        if self.over:
            return
        if not self.status:
            self.status = refusal.status
            self.over = True
            await self._request.refuse(refusal)
            return
        self.broken = str(refusal)
        await self._write(refusal.event(self.events))
        await self._close()

    async def _close(self) -> None:
        self.over = True
        await self._request.send({"type": "http.response.body", "body": b""})


def _end_of_events(data: bytes) -> int:
    """Where the last whole event ends, 0 when there is none."""
    plain, windows = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(plain + 2 if plain >= 0 else 0, windows + 4 if windows >= 0 else 0)
