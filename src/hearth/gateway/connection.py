"""What a connection may cost. uvicorn waits without end for a head that does not come and for a client that does not
read, and keeps a head of any size: either holds memory, the second a slot of the engine."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hearth.gateway.refusal import Refusal, bad_request


class Connection(HttpToolsProtocol):
    """One client's connection, with the limits that uvicorn has not."""

    HEAD_S = 10.0
    """Seconds from the connection, or from a later request's first byte, to the end of the request's head."""
    HEAD_LIMIT = 64 * 1024
    """Bytes of one head, one network read more or less."""
    STALL_S = 60.0
    """Seconds that more than the transport's buffer (64 KiB) may wait for a client that does not read."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_open = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        _cancel(self._head_timer)
        _cancel(self._stall_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse a head that does not end."""
        was_open = self._head_open
        super().data_received(data)
        if was_open and self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > self.HEAD_LIMIT:
                text = f"the request's head is larger than {self.HEAD_LIMIT // 1024} KiB"
                self._end(Refusal(431, "invalid_request_error", "head_too_large", text))

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._head_bytes = 0
        self._await_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_open = False
        _cancel(self._head_timer)
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client does not read as fast as the engine writes."""
        super().pause_writing()
        _cancel(self._stall_timer)
        self._stall_timer = self.loop.call_later(self.STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It has caught up."""
        _cancel(self._stall_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered as every other refusal is."""
        self._end(bad_request("invalid_http", "this is not an HTTP request that the gateway understands"))

    def _await_head(self) -> None:
        self._head_open = True
        _cancel(self._head_timer)
        self._head_timer = self.loop.call_later(self.HEAD_S, self._head_is_late)

    def _head_is_late(self) -> None:
        text = f"the request's head did not come within {self.HEAD_S:.0f} s"
        self._end(Refusal(408, "invalid_request_error", "head_timeout", text))

    def _end(self, refusal: Refusal) -> None:
        """Refuse and hang up. Without a word when an answer is on its way: it would land in the middle of that."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            body = refusal.envelope()
            phrase = HTTPStatus(refusal.status).phrase
            head = (
                f"HTTP/1.1 {refusal.status} {phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
