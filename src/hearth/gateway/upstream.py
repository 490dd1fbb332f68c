"""HTTP to engines, over their unix sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from hearth.runtime.completion import complete
from hearth.runtime.engine import Endpoint

# An engine answers when it can: what limits a request is its client, who may leave, and the engine's death.
_NO_LIMIT = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=10.0)
_SESSIONS_KEPT = 8


class Upstream:
    """One client session for each engine socket. Every request has its own connection: llama.cpp closes idle ones
    after 5 s, and a request that meets that moment would fail for nothing."""

    def __init__(self) -> None:
        self._sessions: dict[Endpoint, aiohttp.ClientSession] = {}
        self._users: Counter[Endpoint] = Counter()

    @asynccontextmanager
    async def post(self, endpoint: Endpoint, path: str, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send JSON. The connection is closed on leaving, read to its end or not: that frees the engine's slot.

        Raises aiohttp.ClientError or OSError when the engine cannot be reached or breaks off.
        """
        self._users[endpoint] += 1
        try:
            session = await self._session(endpoint)
            headers = {"Content-Type": "application/json"}
            if endpoint.api_key:
                headers["Authorization"] = f"Bearer {endpoint.api_key}"
            # A conversation goes where the owner has said, and nowhere from there.
            response = await session.post(endpoint.url + path, data=body, headers=headers, allow_redirects=False)
            try:
                yield response
            finally:
                response.close()
        finally:
            self._users[endpoint] -= 1

    async def _session(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        session = self._sessions.get(endpoint)
        if session is None:
            session = self._sessions[endpoint] = aiohttp.ClientSession(
                connector=_connector(endpoint), timeout=_NO_LIMIT, auto_decompress=False, trust_env=False
            )
            unused = [each for each in self._sessions if not self._users[each]]
            surplus = unused[: max(0, len(self._sessions) - _SESSIONS_KEPT)]
            for old in [self._sessions.pop(each) for each in surplus]:
                await complete(old.close())
        return session

    async def close(self) -> None:
        """Close all sessions and their connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


def _connector(endpoint: Endpoint) -> aiohttp.BaseConnector:
    if endpoint.socket is not None:
        return aiohttp.UnixConnector(str(endpoint.socket), force_close=True, limit=0)
    return aiohttp.TCPConnector(force_close=True, limit=0)
