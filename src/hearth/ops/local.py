"""One request to the daemon over its unix socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hearth.llm import http

LARGEST_ANSWER = 16 * 1024 * 1024


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
        body = b"" if data is None else msgspec.json.encode(data)
        headers = {"Content-Type": "application/json"}
        url = f"http://hearth{path}"
        async with http.request(method, url, timeout_s, socket=socket, headers=headers, body=body) as response:
            raw = await response.read(LARGEST_ANSWER)
    try:
        return Answer(response.status, msgspec.json.decode(raw) if raw else None)
    except msgspec.DecodeError:
        return Answer(response.status, None)
