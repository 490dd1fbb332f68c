"""JSON to and from one engine, for its own routes: a refusal is told apart from a connection that breaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from hearth.runtime.engine import Endpoint


class Refused(Exception):
    """The engine answered, but did not do it; the message is its own."""


class EngineHttp:
    """One engine's HTTP. Every call raises Refused, aiohttp.ClientError, TimeoutError or OSError."""

    def __init__(self, endpoint: Endpoint, timeout: aiohttp.ClientTimeout) -> None:
        """Nothing is sent yet. It belongs to the event loop that it is first used in."""
        self._endpoint = endpoint
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def status(self, path: str) -> int:
        """The HTTP status of a GET."""
        async with self._open().get(self._endpoint.url + path) as response:
            return response.status

    async def text(self, path: str) -> str:
        """What a GET answers, whatever its status."""
        async with self._open().get(self._endpoint.url + path) as response:
            return await response.text()

    async def get(self, path: str) -> Any:
        """The decoded JSON of a GET."""
        async with self._open().get(self._endpoint.url + path) as response:
            return await _read(response, path)

    async def post(self, path: str, body: object, timeout: aiohttp.ClientTimeout | None = None) -> Any:
        """The decoded JSON of a POST. ``timeout`` is in place of the usual one."""
        session = self._open()
        url = self._endpoint.url + path
        async with session.post(url, json=body, timeout=timeout or self._timeout) as response:
            return await _read(response, path)

    async def close(self) -> None:
        """Close its connections. What is asked later is refused."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConnectionError("the engine was let go of")
        if self._session is None:
            socket = self._endpoint.socket
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(socket), force_close=True)
                if socket
                else aiohttp.TCPConnector(force_close=True),
                headers={"Authorization": f"Bearer {self._endpoint.api_key}"},
                timeout=self._timeout,
                trust_env=False,
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, path: str) -> Any:
    try:
        answer = await response.json()
    except ValueError as error:
        raise Refused(f"{path.partition('?')[0]} gave HTTP {response.status} and no JSON") from error
    if response.status != 200:
        told = answer.get("error") if isinstance(answer, Mapping) else None
        message = told.get("message") if isinstance(told, Mapping) else None
        raise Refused(str(message or f"HTTP {response.status}"))
    return answer
