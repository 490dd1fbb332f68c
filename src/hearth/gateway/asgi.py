"""The little of ASGI that the gateway needs: one request, read within limits, and a JSON answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from hearth.gateway.refusal import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

BODY_LIMIT = 32 * 1024 * 1024
BODY_PAUSE_S = 30.0
JSON = b"application/json"


class ClientGone(Exception):
    """The client closed its connection before it had asked its question."""


class Request:
    """One HTTP request. ``trusted`` says that it came over the unix socket, whose file mode is the key."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, trusted: bool) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.local_host = str(scope["server"][0]) if scope.get("server") else ""
        self.trusted = trusted
        self.receive = receive
        self.send = send
        self._headers: Headers = scope["headers"]

    def header(self, name: bytes) -> str:
        """The first value of a header, empty when it is absent. ``name`` is lower case."""
        for key, value in self._headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    async def body(self) -> bytes:
        """The whole body, at most ``BODY_LIMIT`` bytes with pauses of at most ``BODY_PAUSE_S``.

        Raises Refusal 413 or 408, ClientGone.
        """
        if self.header(b"content-length").isdigit() and int(self.header(b"content-length")) > BODY_LIMIT:
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > BODY_LIMIT:
                raise _too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(BODY_PAUSE_S):
                return await self.receive()
        except TimeoutError:
            raise Refusal(
                408, "invalid_request_error", "body_timeout", f"the body stopped for {BODY_PAUSE_S:.0f} s"
            ) from None

    async def answer(self, status: int, body: bytes, *, content_type: bytes = JSON, headers: Headers = ()) -> None:
        """Send a whole answer."""
        start = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": start})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, refusal: Refusal) -> None:
        """Send an error as a whole answer."""
        await self.answer(refusal.status, refusal.envelope(), headers=refusal.headers)


def _too_large() -> Refusal:
    return Refusal(
        413,
        "invalid_request_error",
        "body_too_large",
        f"the body is larger than {BODY_LIMIT // (1024 * 1024)} MiB",
        headers=((b"connection", b"close"),),
    )
