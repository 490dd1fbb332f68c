"""llama-server's routes that engines use: is it up, how large is it, what do its slots do, make one token."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from hearth.runtime.engine import Endpoint
from hearth.runtime.engine_http import EngineHttp, Refused

POLL_TIMEOUT_S = 10.0
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=POLL_TIMEOUT_S)
_DEFERRED = re.compile(r"^llamacpp:requests_deferred ([\d.e+]+)$", re.MULTILINE)


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
        self._http = EngineHttp(endpoint, aiohttp.ClientTimeout(total=POLL_TIMEOUT_S))

    async def is_up(self) -> bool:
        """Whether it has loaded. Not yet listening, still loading and too busy to answer all mean: not yet.

        ``/health`` is not asked, which may say anything: a server that loads refuses every other route with 503.
        """
        try:
            return await self._http.status("/props") != 503
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def size(self) -> tuple[int, int]:
        """Slots, and the context of each in tokens."""
        told = await self._http.get("/props")
        try:
            return int(told["total_slots"]), int(told["default_generation_settings"]["n_ctx"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"/props does not tell it: {error!r}") from error

    async def slots(self) -> list[SlotLook]:
        """What each slot does. Builds since about 11400 answer within a batch too; others only between two."""
        return read_slots(await self._http.get("/slots"))

    async def deferred(self) -> int:
        """Requests that wait for a slot."""
        found = _DEFERRED.search(await self._http.text("/metrics"))
        return int(float(found[1])) if found else 0

    async def decode_one(self, slot: int) -> None:
        """Have one token made in this slot, -1 for the engine's choice, however long that takes."""
        body = {
            "prompt": "1", "n_predict": 1, "id_slot": slot, "cache_prompt": False, "ignore_eos": True, "temperature": 0,
            # Builds about 10434 answer with an error when what was made is no text.
            "grammar": "root ::= [0-9A-Za-z ]+",
        }  # fmt: skip
        answer = await self._http.post("/completion", body, _NO_LIMIT)
        if not isinstance(answer, Mapping) or answer.get("tokens_predicted") != 1:
            raise Refused("it made no token")

    async def erase(self, slot: int) -> None:
        """Empty a slot. Only an engine that has a folder for slots does it."""
        await self._http.post(f"/slots/{slot}?action=erase", {})

    async def close(self) -> None:
        """Close its connections. What is asked later is refused."""
        await self._http.close()


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
