"""llama-server's routes that save, restore and fill one slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from hearth.runtime.engine import Endpoint
from hearth.runtime.engine_http import EngineHttp, Refused

_TIMEOUT = aiohttp.ClientTimeout(total=120.0, sock_connect=10.0)
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)


class SlotApi:
    """The slots of one engine. Every call raises Refused, aiohttp.ClientError, TimeoutError or OSError."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Nothing is sent yet."""
        self._http = EngineHttp(endpoint, _TIMEOUT)

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
        return await self.tokens_of_text((await self._post("/apply-template", request))["prompt"])

    async def tokens_of_text(self, prompt: str) -> list[int]:
        """The tokens of a raw prompt, special ones included."""
        answer = await self._post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
        return [int(token) for token in answer["tokens"]]

    async def close(self) -> None:
        """Close its connections. What is asked later is refused."""
        await self._http.close()

    async def _post(self, path: str, body: object, timeout: aiohttp.ClientTimeout = _TIMEOUT) -> dict[str, Any]:
        answer = await self._http.post(path, body, timeout)
        if not isinstance(answer, dict):
            raise Refused(f"{path.partition('?')[0]} did not answer with an object")
        return answer
