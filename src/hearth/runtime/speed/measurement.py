"""One whole measurement of a model: a first look, the search, and the report of what it was and what it became."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hearth.errors import EngineFailed
from hearth.runtime.launch import KvType, Launch
from hearth.runtime.speed.comparison import Comparison
from hearth.runtime.speed.grid import Cores, Factor, grid
from hearth.runtime.speed.report import Candidate, Side
from hearth.runtime.speed.search import Fate, Found, Pair, Tried, search
from hearth.runtime.speed.sizes import SEARCH_SHARE, Seen, cut, merge, reach, search_sizes
from hearth.runtime.speed.stand import Stand
from hearth.runtime.speed.start import Start
from hearth.runtime.speed.survey import Survey, gain_of
from hearth.runtime.speed.tuning import difference

LEAST_LIMIT_S = 5.0
"""Seconds in which the smallest model can be measured."""
_ENDING_S = 2.0
"""Kept for ending engines that are in the middle of something."""
_FIRST_READ, _FIRST_MADE = 64, 8
_SECOND_READ, _SECOND_MADE, _SECOND_MOST_S = 512, 24, 3.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it. ``best`` is None when nothing was better; its points are missing when the time was up."""

    base: Side
    best: Side | None
    tried: tuple[Candidate, ...]
    notes: tuple[str, ...]
    rounds: int


class Measurement:
    """Finds the best launch of one model within a time. Used once."""

    def __init__(self, name: str, start: Start, cores: Cores, stand: Stand, until: float, tell: Tell) -> None:
        """``until`` is in ``time.monotonic()``; ``tell`` gets a line about each thing that is begun. Nothing is started
        yet."""
        self._name = name
        self._start = start
        self._cores = cores
        self._stand = stand
        self._tell = tell
        self._end = until - min(_ENDING_S, (until - time.monotonic()) / 5)
        self._notes: list[str] = []

    async def run(self, *, threads_are_set: bool = False, kv_types: tuple[KvType, ...] = ()) -> Measured:
        """Measure. Raises EngineFailed when the model does not run as it is, or is too slow for the time."""
        launch = self._start.launch
        try:
            async with asyncio.timeout(self._left()):
                seen = await self._look(launch)
        except TimeoutError as error:
            raise self._too_slow() from error
        if reach(seen, self._left() * (1 - SEARCH_SHARE), 2, launch.context) is None:
            raise self._too_slow()
        factors = grid(
            launch, self._start.machine, self._start.shape, self._cores,
            threads_are_set=threads_are_set, kv_types=kv_types,
        )  # fmt: skip
        found, left, seen = await self._search(seen, factors)
        sides = [launch] if found.best == launch else [launch, found.best]
        size = reach(seen, self._left(), len(sides), launch.context)
        if size is None:
            raise self._too_slow()
        self._tell(f"measuring at depths {', '.join(f'{depth:,}' for depth in size.depths)}")
        survey = Survey(self._stand, size, sides)
        await survey.run(seen, self._end)
        base = survey.side(launch)
        if not base.points:
            raise self._too_slow()
        if not survey.whole:
            self._notes.append("the time was up before all was measured as often as it should be")
        best = self._confirmed(base, survey.side(sides[-1])) if len(sides) > 1 else None
        return Measured(base, best, (*map(_told, found.tried), *_told_left(left)), tuple(self._notes), survey.rounds)

    def _confirmed(self, base: Side, best: Side) -> Side | None:
        """The best, unless together its changes do not hold what they promised one by one. Guessing ahead gains on
        texts that are not measured here, so it is believed."""
        changes = {change.field for change in difference(base.launch, best.launch)}
        if best.points and changes != {"speculation"} and gain_of(base, best) <= 0:
            self._notes.append("what was faster one by one was not so together: everything stays as it was")
            return None
        return best

    def _left(self) -> float:
        return max(self._end - time.monotonic(), 0.0)

    def _too_slow(self) -> EngineFailed:
        return EngineFailed(
            f"{self._name} is too slow on this machine to be measured in this time", "give it more: --minutes 20"
        )

    async def _look(self, launch: Launch) -> Seen:
        """How fast it is, roughly; more exactly where that takes no time."""
        self._tell(f"loading {self._name}")
        gauge = await self._stand.gauge(launch)
        works = [await gauge.fresh(_FIRST_READ, _FIRST_MADE, f"look {number}") for number in range(2)]
        # The best of each: whatever else the machine does only slows them.
        prefill, decode = max(work.prefill_per_s for work in works), max(work.decode_per_s for work in works)
        second_s = _SECOND_READ / prefill + _SECOND_MADE / decode
        if second_s < _SECOND_MOST_S and launch.context > _SECOND_READ + _SECOND_MADE:
            work = await gauge.fresh(_SECOND_READ, _SECOND_MADE, "look again")
            # Of a longer prompt it is the truer figure.
            prefill, decode = work.prefill_per_s, max(decode, work.decode_per_s)
        return Seen(self._stand.load_s, prefill, decode)

    async def _search(
        self, seen: Seen, factors: tuple[Factor, ...]
    ) -> tuple[Found, tuple[tuple[Factor, str], ...], Seen]:
        """What was found, what was not tried, and how fast the model really was. What was left out is looked at again
        when all else went faster than the first look promised."""
        found, measured = Found(self._start.launch), seen
        until = time.monotonic() + self._left() * SEARCH_SHARE
        left: tuple[tuple[Factor, str], ...] = ()
        done, count = 0, sum(len(factor.values) for factor in factors)
        while factors:
            sizes = search_sizes(measured, until - time.monotonic(), count - done, self._start.launch.context)
            chosen, left = cut(factors, sizes)
            if not chosen:
                break
            comparison = Comparison(self._stand, measured, sizes, until, self._say(done, count))
            await self._try(found, chosen, comparison)
            factors = merge(factor for factor, _ in left)
            done += sum(len(factor.values) for factor in chosen)
            measured = Seen(
                self._stand.load_s,
                measured.prefill_per_s / comparison.slowdown,
                measured.decode_per_s / comparison.slowdown,
            )
        return found, left, measured

    async def _try(self, found: Found, factors: tuple[Factor, ...], comparison: Comparison) -> None:
        pairs = search(found, factors, self._cores)
        try:
            pair = next(pairs)
            while True:
                pair = pairs.send(await comparison.compare(pair))
        except StopIteration:
            return

    def _say(self, before: int, count: int) -> Callable[[Pair, int], None]:
        def say(pair: Pair, number: int) -> None:
            self._tell(f"trying {pair.factor.replace('_', ' ')} {pair.value} · {before + number} of {count}")

        return say


def _told(tried: Tried) -> Candidate:
    return Candidate(
        tried.factor, tried.value, tried.against, tried.judged, str(tried.fate), round(tried.gain, 4), tried.why
    )


def _told_left(left: Sequence[tuple[Factor, str]]) -> list[Candidate]:
    return [
        Candidate(factor.name, value, "", factor.judged, str(Fate.LEFT_OUT), 0.0, why)
        for factor, why in left
        for value in factor.values
    ]
