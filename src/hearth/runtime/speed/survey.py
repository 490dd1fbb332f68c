"""What is reported of a launch, or of two side by side: speeds at several depths, and waits for the first token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median

from hearth.runtime.launch import Launch
from hearth.runtime.speed.comparison import STEP_MADE, STEP_READ
from hearth.runtime.speed.gauge import Gauge, Waits, Work
from hearth.runtime.speed.report import FirstToken, Point, Side
from hearth.runtime.speed.sizes import ROUNDS, Reach, Seen
from hearth.runtime.speed.stand import Stand

_HARDER = 1.5
"""How much longer a round may take than a first look promises."""


class Survey:
    """Measures some launches within a time. What it has by then is its result."""

    def __init__(self, stand: Stand, size: Reach, sides: Sequence[Launch]) -> None:
        """Nothing is started yet."""
        self._stand = stand
        self._size = size
        self._sides = tuple(sides)
        self._works: dict[Launch, list[list[Work]]] = {side: [[] for _ in size.depths] for side in sides}
        self._waits: dict[Launch, list[Waits]] = {side: [] for side in sides}
        self.whole = True
        """Whether all was measured as often as it should be."""

    @property
    def rounds(self) -> int:
        """How often the least measured launch was, of those that were at all."""
        return min((len(works[0]) for works in self._works.values() if works[0]), default=0)

    async def run(self, seen: Seen, until: float) -> None:
        """Measure until all is done or the time, in ``time.monotonic()``, is up. Raises what an engine's failure
        raises."""
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0.0)):
                for side, number in self._order(seen, until):
                    began = time.monotonic()
                    await self._measure(side, number)
                    if all(works[-1] for works in self._works.values()) and 2 * time.monotonic() - began > until:
                        # The next would take as long.
                        break
        except TimeoutError:
            self.whole = False

    def side(self, launch: Launch) -> Side:
        """What is known of a launch; with fewer points, or none, when the time was up before."""
        points = [
            Point(depth, median(work.prefill_per_s for work in works), median(work.decode_per_s for work in works))
            for depth, works in zip(self._size.depths, self._works[launch], strict=True)
            if works
        ]
        waits = self._waits[launch]
        return Side(launch, tuple(points), self._first_token(waits) if waits else None)

    def _order(self, seen: Seen, until: float) -> list[tuple[Launch, int]]:
        """In turn where both are loaded; else one after the other, for each change is a load."""
        if self._stand.places > 1 or len(self._sides) == 1:
            return [(side, number) for number in range(ROUNDS) for side in self._sides]
        size = self._size
        once = (size.depths[-1] + size.prompt) / seen.prefill_per_s + len(size.depths) * size.make / seen.decode_per_s
        share_s = (until - time.monotonic()) / len(self._sides) - seen.load_s
        rounds = max(1, min(ROUNDS, int(share_s / (_HARDER * once))))
        return [(side, number) for side in self._sides for number in range(rounds)]

    async def _measure(self, side: Launch, number: int) -> None:
        other = next((each for each in self._sides if each != side), None)
        gauge: Gauge = await self._stand.gauge(side, beside=other)
        place = 0
        async for work in gauge.walk(self._size.depths, self._size.make, f"walk-{number}"):
            self._works[side][place].append(work)
            place += 1
        if self._size.prompt:
            self._waits[side].append(await gauge.waits(self._size.prompt, f"waits-{number}"))

    def _first_token(self, waits: Sequence[Waits]) -> FirstToken:
        restored = [each.restored_s for each in waits if each.restored_s is not None]
        return FirstToken(
            self._size.prompt,
            median(each.cold_s for each in waits),
            median(each.warm_s for each in waits),
            median(restored) if restored else None,
        )


def gain_of(base: Side, best: Side) -> float:
    """How much faster a step of the agent is, over all depths that both were measured at: 0.1 is a tenth. 0 when there
    is none."""
    pairs = list(zip(base.points, best.points, strict=False))
    if not pairs:
        return 0.0
    return sum(_step_s(one) for one, _ in pairs) / sum(_step_s(other) for _, other in pairs) - 1


def _step_s(point: Point) -> float:
    return STEP_READ / point.prefill_per_s + STEP_MADE / point.decode_per_s
