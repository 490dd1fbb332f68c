"""One request to the daemon over its unix socket, by hand: a face need not import an HTTP library to start one."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status and the decoded JSON (None when it is not JSON)."""

    status: int
    data: Any


async def ask(socket: Path, method: str, path: str, data: object = None, *, timeout_s: float = 5.0) -> Answer:
    """Send one request, read the whole answer. ``data`` goes as JSON when it is not None.

    Raises OSError when nobody listens or the answer is no HTTP, TimeoutError after ``timeout_s``.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        try:
            body = b"" if data is None else msgspec.json.encode(data)
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: hearth\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode("ascii") + body)
            await writer.drain()
            return _parse(await reader.read())
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _parse(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not head.startswith(b"HTTP/1.") or not status or not status[0].isdigit():
        raise ConnectionError("the socket does not speak HTTP")
    try:
        return Answer(int(status[0]), msgspec.json.decode(body) if body else None)
    except msgspec.DecodeError:
        return Answer(int(status[0]), None)
