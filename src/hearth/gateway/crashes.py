"""Which requests engines have died of: one may be asked again by itself, and no request ends engine after engine."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from shlex import quote

from hearth.gateway.refusal import Refusal

MOST_DEATHS = 2
"""Engines that may die of one request; the next time it is refused."""
REMEMBERED = 1000
"""Requests that are remembered, the latest."""
REMEMBERED_S = 600.0
"""For how long: who has given the engine more memory, say, may ask again."""


class Crashes:
    """Counts, for each request by its model and body, the engines that died while they answered it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def check(self, model: str, body: bytes) -> None:
        """Raise Refusal when engines have died of this request again and again."""
        if (deaths := self._count(_key(model, body))) >= MOST_DEATHS:
            raise Refusal(
                422,
                "engine_error",
                "engine_poison",
                f"{deaths} engines of {model} died while they answered this very request: it is not asked again",
                fix=f"change the request; hearth logs {quote(model)} shows what the engines said",
            )

    def note(self, model: str, body: bytes) -> int:
        """An engine died of it: how many have by now."""
        key = _key(model, body)
        count = self._count(key) + 1
        self._deaths.pop(key, None)
        self._deaths[key] = count, self._clock()
        while len(self._deaths) > REMEMBERED:
            self._deaths.popitem(last=False)
        return count

    def _count(self, key: bytes) -> int:
        count, at = self._deaths.get(key, (0, 0.0))
        return count if self._clock() - at < REMEMBERED_S else 0


def _key(model: str, body: bytes) -> bytes:
    return hashlib.blake2b(model.encode() + b"\0" + body, digest_size=16).digest()
