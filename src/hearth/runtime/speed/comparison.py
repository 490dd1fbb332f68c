"""Carries out the search: runs the pairs side by side, within a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import median

from hearth.errors import HearthError
from hearth.runtime.launch import Launch
from hearth.runtime.speed.gauge import Gauge, Work
from hearth.runtime.speed.grid import Judged
from hearth.runtime.speed.search import MARGIN, Pair, Rounds, loses, wins
from hearth.runtime.speed.sizes import COPY_PROMPT, NO_TIME, ROUNDS, Seen, Sizes
from hearth.runtime.speed.stand import Stand

MOST_ROUNDS = 7
"""Rounds that suffice however much they differ."""
ENOUGH_S = 1.0
"""Seconds of measurement for each side that are enough."""
STEP_READ, STEP_MADE = 1024, 256
"""A step of the agent, roughly: tokens that are new in its prompt, tokens of its answer. Where reading and making are
weighed against each other, this is the weight."""
_DECODE_AT = 256
"""Tokens before those that a decode is judged by."""

Say = Callable[[Pair, int], None]


class _Unjudged(Exception):
    """What was to be measured did not happen; the message says why."""


class Comparison:
    """Measures pairs until the time is up. After that every pair is answered with the reason."""

    def __init__(self, stand: Stand, seen: Seen, sizes: Sizes, until: float, say: Say) -> None:
        """``until`` is in ``time.monotonic()``. ``say`` hears of each pair before it is measured, with its number from
        1 on. Nothing is started yet."""
        self._stand = stand
        self._seen = seen
        self._sizes = sizes
        self._until = until
        self._say = say
        self._number = 0
        self._slowdowns: list[float] = []

    @property
    def slowdown(self) -> float:
        """How much longer measurements took than a first look promised: 2 is twice as long. 1 before any."""
        return median(self._slowdowns) if self._slowdowns else 1.0

    async def compare(self, pair: Pair) -> Rounds:
        """Both in turn. Raises HearthError when the base does not run; a candidate that does not is told as such."""
        least_s = self._stand.load_s + 2 * ROUNDS * self._side_s(pair.judged) * self.slowdown
        if time.monotonic() + least_s > self._until:
            return Rounds(why_not=NO_TIME)
        self._number += 1
        self._say(pair, self._number)
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                if self._stand.places > 1:
                    return await self._in_turn(pair)
                return await self._in_blocks(pair)
        except _Unjudged as error:
            return Rounds(why_not=str(error))
        except TimeoutError:
            # Both may be in the middle of an answer that nobody waits for any more.
            await self._stand.drop(pair.candidate)
            await self._stand.drop(pair.base)
            return Rounds(why_not="the time was up before it was measured")

    async def _in_turn(self, pair: Pair) -> Rounds:
        """With both loaded: round by round, the one that begins changing."""
        base = await self._stand.gauge(pair.base)
        try:
            candidate = await self._stand.gauge(pair.candidate, beside=pair.base)
        except HearthError as error:
            return Rounds(why_not=error.what)
        found: tuple[list[float], list[float]] = ([], [])
        sides = ((base, found[0]), (candidate, found[1]))
        while not _enough(*found):
            number = len(found[0])
            for gauge, seconds in sides if number % 2 == 0 else sides[::-1]:
                try:
                    seconds.append(await self._once(gauge, pair.judged, number))
                except HearthError as error:
                    if gauge is base:
                        raise
                    await self._stand.drop(pair.candidate)
                    return Rounds(why_not=error.what)
        return Rounds(tuple(found[0]), tuple(found[1]))

    async def _in_blocks(self, pair: Pair) -> Rounds:
        """Where only one has room: the base, the candidate, and when that is better the base again."""
        base = await self._block(pair.base, pair.judged)
        try:
            candidate = await self._block(pair.candidate, pair.judged)
        except HearthError as error:
            return Rounds(why_not=error.what)
        if wins(base, candidate):
            base += await self._block(pair.base, pair.judged)
        return Rounds(tuple(base), tuple(candidate))

    async def _block(self, launch: Launch, judged: Judged) -> list[float]:
        gauge = await self._stand.gauge(launch)
        return [await self._once(gauge, judged, number) for number in range(ROUNDS)]

    async def _once(self, gauge: Gauge, judged: Judged, number: int) -> float:
        """Seconds for a fixed amount of work, by what one measurement tells."""
        began = time.monotonic()
        seconds = await self._measure(gauge, judged, number)
        self._slowdowns.append((time.monotonic() - began) / self._side_s(judged))
        return seconds

    async def _measure(self, gauge: Gauge, judged: Judged, number: int) -> float:
        seed = f"{self._number}-{number}"
        read, make = self._sizes.read, self._sizes.make
        match judged:
            case "prefill":
                return STEP_READ / (await gauge.fresh(read, 1, seed)).prefill_per_s
            case "decode":
                return STEP_MADE / (await gauge.fresh(min(read, _DECODE_AT), make, seed)).decode_per_s
            case "both":
                return step_s(await gauge.fresh(read, make, seed))
            case "text":
                copied = await gauge.copy(self._sizes.copied, seed)
                if copied.made < self._sizes.copied / 2:
                    raise _Unjudged("the model does not repeat a text: its answer ends early")
                free = await gauge.fresh(min(read, _DECODE_AT), make, seed)
                return STEP_MADE / 2 / copied.decode_per_s + STEP_MADE / 2 / free.decode_per_s

    def _side_s(self, judged: Judged) -> float:
        """What one measurement is likely to take."""
        sizes, seen = self._sizes, self._seen
        short = min(sizes.read, _DECODE_AT)
        match judged:
            case "prefill":
                return sizes.read / seen.prefill_per_s
            case "decode":
                return short / seen.prefill_per_s + sizes.make / seen.decode_per_s
            case "both":
                return sizes.read / seen.prefill_per_s + sizes.make / seen.decode_per_s
            case "text":
                made = sizes.copied + sizes.make
                return (COPY_PROMPT + short) / seen.prefill_per_s + made / seen.decode_per_s


def step_s(work: Work) -> float:
    """Seconds that a step of the agent would take at these speeds."""
    return STEP_READ / work.prefill_per_s + STEP_MADE / work.decode_per_s


def _enough(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """Whether the rounds suffice: three; fewer when the candidate is clearly slower. One that is about to win must hold
    it for longer where rounds were short, or differ among themselves: of noise alone one in five would win in three
    rounds, and one in thirty in seven."""
    rounds = len(candidate)
    if loses(base, candidate) or rounds >= MOST_ROUNDS:
        return True
    if rounds < ROUNDS:
        return False
    steady = all(median(side) < (1 + MARGIN) * min(side) for side in (base, candidate))
    return not wins(base, candidate) or (steady and rounds * median(base) >= ENOUGH_S)
