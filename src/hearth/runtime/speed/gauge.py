"""Asks one running engine for work and tells how long it took, by its own ``timings``."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from hearth.errors import EngineFailed
from hearth.runtime.engine import Endpoint, Engine
from hearth.runtime.engine_http import Refused
from hearth.runtime.kv.slot_api import SlotApi
from hearth.runtime.speed.sizes import MESSAGE
from hearth.runtime.speed.texts import SAMPLE, random_tokens, repeating_request

SLOT = 0
_WARM_READ, _WARM_MADE = 32, 4
_LEAST_SPAN_S = 1e-6
"""The engine's clock says 0 for what takes no time at all."""
_KEPT = 0.9
"""Share of a restored prompt that must not have been read again, else it counts as not restored."""
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
_FAILURES = (Refused, aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Work:
    """One request: tokens read anew, tokens that were there, tokens made, and the seconds of each. ``tokens`` are the
    answer; ``wall_s`` is what the client waited in all."""

    read: int
    read_s: float
    reused: int
    made: int
    made_s: float
    wall_s: float
    tokens: list[int]

    @property
    def prefill_per_s(self) -> float:
        """Tokens of the prompt a second."""
        return self.read / self.read_s

    @property
    def decode_per_s(self) -> float:
        """Tokens of the answer a second; the first is a part of the reading."""
        return max(self.made - 1, 1) / self.made_s


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds until the first token of an answer: to a prompt that nothing is known of, to one more message in the same
    slot, and to one after the state was restored from the disk (None when that did not work)."""

    cold_s: float
    warm_s: float
    restored_s: float | None


class Gauge:
    """One engine, which nobody else asks. Every method raises EngineFailed when it does not answer as it should."""

    def __init__(self, engine: Engine, slot_folder: Path) -> None:
        """The engine is ready, and saves its slots in that folder. Nothing is sent yet."""
        self._engine = engine
        self._slots = SlotApi(engine.endpoint)
        self._folder = slot_folder
        self._session = _session(engine.endpoint)
        self._words: list[int] = []

    async def warm_up(self) -> None:
        """Learn the model's tokens, and have it read and make a few."""
        answer = await self._post("/tokenize", {"content": SAMPLE})
        self._words = [int(token) for token in answer["tokens"]]
        if not self._words:
            raise self._failure("it makes no tokens of a text")
        await self.work(random_tokens(self._words, _WARM_READ, "warm"), _WARM_MADE)

    async def fresh(self, read: int, make: int, seed: str) -> Work:
        """Read so many tokens that are not there, and make some."""
        return await self.work(self.tokens(read, seed), make)

    def tokens(self, count: int, seed: str) -> list[int]:
        """Tokens of the model that this seed gives."""
        return random_tokens(self._words, count, seed)

    async def work(self, tokens: list[int], make: int) -> Work:
        """Go on from what the slot holds where ``tokens`` begin with it, else anew."""
        # Drawn, not the likeliest: that would run in circles, which guessing from the prompt makes fast.
        return await self._complete(tokens, make, {"temperature": 1.0, "seed": 1, "ignore_eos": True})

    async def copy(self, make: int, seed: str) -> Work:
        """Answer a request to repeat a text with a small change, in at most so many tokens."""
        try:
            tokens = await self._slots.tokens_of(repeating_request(seed))
        except _FAILURES as error:
            raise self._failure(str(error)) from error
        return await self._complete(tokens, make, {"temperature": 0.0})

    async def walk(self, depths: Sequence[int], make: int, seed: str) -> AsyncIterator[Work]:
        """One conversation that grows from depth to depth: what was read up to each, and made there. Nothing is taken
        back, which not every model can."""
        held: list[int] = []
        for depth in depths:
            held = [*held, *self.tokens(max(depth - len(held), 1), f"{seed}-{depth}")]
            work = await self.work(held, make)
            yield work
            held = [*held, *work.tokens]

    async def waits(self, prompt: int, seed: str) -> Waits:
        """How long the first token takes in the three cases. What is saved for it is removed again."""
        await self._post(f"/slots/{SLOT}?action=erase", {})
        held = self.tokens(prompt, seed)
        cold = await self.work(held, 1)
        held = [*held, *cold.tokens, *self.tokens(MESSAGE, f"{seed}-warm")]
        warm = await self.work(held, 1)
        held = [*held, *warm.tokens]
        file = self._folder / f"bench-{secrets.token_hex(4)}.part"
        try:
            await self._slots.save(SLOT, file.name)
            await self._post(f"/slots/{SLOT}?action=erase", {})
            await self.fresh(MESSAGE, 1, f"{seed}-other")
            began = time.monotonic()
            await self._slots.restore(SLOT, file.name)
            last = await self.work([*held, *self.tokens(MESSAGE, f"{seed}-restored")], 1)
            restored_s = time.monotonic() - began
        except Refused:
            return Waits(cold.wall_s, warm.wall_s, None)
        except _FAILURES as error:
            raise self._failure(str(error)) from error
        finally:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        return Waits(cold.wall_s, warm.wall_s, restored_s if last.reused >= _KEPT * len(held) else None)

    async def close(self) -> None:
        """Close its connections."""
        await self._slots.close()
        await self._session.close()

    async def _complete(self, tokens: list[int], make: int, sampling: dict[str, Any]) -> Work:
        body = {"prompt": tokens, "n_predict": make, "id_slot": SLOT, "cache_prompt": True, "return_tokens": True}
        began = time.monotonic()
        answer = await self._post("/completion", {**body, **sampling})
        wall_s = time.monotonic() - began
        try:
            told = answer["timings"]
            return Work(
                read=int(told["prompt_n"]),
                read_s=max(float(told["prompt_ms"]) / 1000, _LEAST_SPAN_S),
                reused=int(told["cache_n"]),
                made=int(told["predicted_n"]),
                made_s=max(float(told["predicted_ms"]) / 1000, _LEAST_SPAN_S),
                wall_s=wall_s,
                tokens=[int(token) for token in answer["tokens"]],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._failure(f"its answer has no timings: {error!r}") from error

    async def _post(self, path: str, body: object) -> dict[str, Any]:
        try:
            async with self._session.post(path, json=body, timeout=_NO_LIMIT) as response:
                answer = await response.json()
                if response.status != 200:
                    raise self._failure(f"HTTP {response.status}: {str(answer)[:200]}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(str(error) or type(error).__name__) from error
        return dict(answer)

    def _failure(self, what: str) -> EngineFailed:
        name = self._engine.card.name
        return EngineFailed(self._engine.cause or f"the engine of {name} cannot be measured: {what}", "try again")


def _session(endpoint: Endpoint) -> aiohttp.ClientSession:
    connector = (
        aiohttp.UnixConnector(str(endpoint.socket), force_close=True)
        if endpoint.socket
        else aiohttp.TCPConnector(force_close=True)
    )
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    return aiohttp.ClientSession(endpoint.url, connector=connector, headers=headers, trust_env=False)
