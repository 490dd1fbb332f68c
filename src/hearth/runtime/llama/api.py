"""llama-server's routes that engines use: is it up, how large is it, what do its slots do, make one token."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from hearth.runtime.engine import Endpoint

POLL_TIMEOUT_S = 10.0
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=POLL_TIMEOUT_S)
_DEFERRED = re.compile(r"^llamacpp:requests_deferred ([\d.e+]+)$", re.MULTILINE)


class Refused(Exception):
    """The engine answered, but did not do it; the message is its own."""


@dataclass(frozen=True, slots=True)
class SlotLook:
    """One slot as the engine tells of it: ``done`` are the tokens that it read and made for whoever it answers,
    ``held`` those that are in it."""

    number: int
    working: bool
    done: int
    held: int


class LlamaApi:
    """One engine's routes. Every call raises Refused, aiohttp.ClientError, TimeoutError or OSError."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Nothing is sent yet. It belongs to the event loop that it is first used in."""
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def is_up(self) -> bool:
        """Whether it has loaded. Not yet listening, still loading and too busy to answer all mean: not yet.

        ``/health`` is not asked, which may say anything: a server that loads refuses every other route with 503.
        """
        try:
            async with self._open().get(self._endpoint.url + "/props") as response:
                return response.status != 503
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def size(self) -> tuple[int, int]:
        """Slots, and the context of each in tokens."""
        told = await self._get("/props")
        try:
            return int(told["total_slots"]), int(told["default_generation_settings"]["n_ctx"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"/props does not tell it: {error!r}") from error

    async def slots(self) -> list[SlotLook]:
        """What each slot does. Builds since about 11400 answer within a batch too; others only between two."""
        return read_slots(await self._get("/slots"))

    async def deferred(self) -> int:
        """Requests that wait for a slot."""
        async with self._open().get(self._endpoint.url + "/metrics") as response:
            found = _DEFERRED.search(await response.text())
        return int(float(found[1])) if found else 0

    async def decode_one(self, slot: int) -> None:
        """Have one token made in this slot, -1 for the engine's choice, however long that takes."""
        body = {
            "prompt": "1", "n_predict": 1, "id_slot": slot, "cache_prompt": False, "ignore_eos": True, "temperature": 0,
            # Builds about 10434 answer with an error when what was made is no text.
            "grammar": "root ::= [0-9A-Za-z ]+",
        }  # fmt: skip
        answer = await self._post("/completion", body, _NO_LIMIT)
        if not isinstance(answer, Mapping) or answer.get("tokens_predicted") != 1:
            raise Refused("it made no token")

    async def erase(self, slot: int) -> None:
        """Empty a slot. Only an engine that has a folder for slots does it."""
        await self._post(f"/slots/{slot}?action=erase", {})

    async def close(self) -> None:
        """Close its connections. What is asked later is refused."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str) -> Any:
        async with self._open().get(self._endpoint.url + path) as response:
            return await _read(response, path)

    async def _post(self, path: str, body: Any, timeout: aiohttp.ClientTimeout | None = None) -> Any:
        session = self._open()
        async with session.post(self._endpoint.url + path, json=body, timeout=timeout or session.timeout) as response:
            return await _read(response, path)

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
                timeout=aiohttp.ClientTimeout(total=POLL_TIMEOUT_S),
                trust_env=False,
            )
        return self._session


def read_slots(told: object) -> list[SlotLook]:
    """The answer of ``/slots``, of any build. Raises Refused for what is none."""
    if not isinstance(told, Sequence) or not all(isinstance(slot, Mapping) and "id" in slot for slot in told):
        raise Refused("/slots is no list of slots")
    return [
        SlotLook(
            int(slot["id"]),
            bool(slot.get("is_processing")),
            _count(slot.get("n_prompt_tokens_processed")) + _decoded(slot.get("next_token")),
            _count(slot.get("n_prompt_tokens")),
        )
        for slot in told
    ]


def _decoded(told: object) -> int:
    """Builds before 10000 tell one object, later ones a list of one."""
    if isinstance(told, Sequence) and told:
        told = told[0]
    return _count(told.get("n_decoded")) if isinstance(told, Mapping) else 0


def _count(told: object) -> int:
    return told if isinstance(told, int) and told > 0 else 0


async def _read(response: aiohttp.ClientResponse, path: str) -> Any:
    try:
        answer = await response.json()
    except ValueError as error:
        raise Refused(f"{path.partition('?')[0]} gave HTTP {response.status} and no JSON") from error
    if response.status != 200:
        error_told = answer.get("error") if isinstance(answer, Mapping) else None
        message = error_told.get("message") if isinstance(error_told, Mapping) else None
        raise Refused(str(message or f"HTTP {response.status}"))
    return answer
