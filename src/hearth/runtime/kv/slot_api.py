"""llama-server's routes that save, restore and fill one slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from hearth.runtime.engine import Endpoint

_TIMEOUT = aiohttp.ClientTimeout(total=120.0, sock_connect=10.0)
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)


class SlotRefused(Exception):
    """The engine did not do it; the message is its own."""


class SlotApi:
    """The slots of one engine. Every call raises SlotRefused, aiohttp.ClientError, TimeoutError or OSError."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Nothing is sent yet."""
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def save(self, slot: int, file_name: str) -> tuple[int, int]:
        """Write what the slot holds into the engine's folder of slots: tokens, and bytes written."""
        answer = await self._post(f"/slots/{slot}?action=save", {"filename": file_name})
        return int(answer["n_saved"]), int(answer["n_written"])

    async def restore(self, slot: int, file_name: str) -> int:
        """Load a file into the slot: how many tokens it holds now. It must have been checked: see ``entry``."""
        answer = await self._post(f"/slots/{slot}?action=restore", {"filename": file_name})
        return int(answer["n_restored"])

    async def prefill(self, slot: int, tokens: list[int]) -> None:
        """Read these tokens into the slot and generate nothing, however long that takes."""
        body = {"prompt": tokens, "n_predict": 0, "id_slot": slot, "cache_prompt": True}
        await self._post("/completion", body, _NO_LIMIT)

    async def tokens_of(self, request: Mapping[str, Any]) -> list[int]:
        """The tokens of a chat request's prompt."""
        prompt = (await self._post("/apply-template", request))["prompt"]
        answer = await self._post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
        return [int(token) for token in answer["tokens"]]

    async def close(self) -> None:
        """Close its connections. What is asked later is refused."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, path: str, body: Any, timeout: aiohttp.ClientTimeout = _TIMEOUT) -> dict[str, Any]:
        if self._closed:
            raise ConnectionError("the engine was let go of")
        if self._session is None:
            socket = self._endpoint.socket
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(socket), force_close=True)
                if socket
                else aiohttp.TCPConnector(force_close=True),
                headers={"Authorization": f"Bearer {self._endpoint.api_key}"},
                trust_env=False,
            )
        async with self._session.post(self._endpoint.url + path, json=body, timeout=timeout) as response:
            try:
                answer = await response.json()
            except ValueError as error:
                raise SlotRefused(f"{path.partition('?')[0]} gave HTTP {response.status} and no JSON") from error
            if response.status != 200:
                raise SlotRefused(_message(answer) or f"HTTP {response.status}")
            if not isinstance(answer, dict):
                raise SlotRefused(f"{path.partition('?')[0]} did not answer with an object")
            return answer


def _message(answer: object) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""
