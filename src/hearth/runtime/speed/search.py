"""One factor after the other: what is compared next, and what is kept of it. Pure.

Whoever drives it measures: it is given pairs to compare and told what came of it. The better of two goes on as the base
of the next pair.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from hearth.runtime.launch import Launch
from hearth.runtime.speed.grid import KV_TYPE, Cores, Factor, Judged, change, value_of

MARGIN = 0.03
"""Share of the time that a candidate must save to replace the base: what differs by less is taken for noise."""
FEWEST_ROUNDS = 2
"""Rounds after which one that is clearly slower need not be measured any more."""


class Fate(StrEnum):
    """What became of a candidate. The type of the cache is only told of: it is bought with precision."""

    KEPT = "kept"
    NO_BETTER = "no better"
    TOLD = "only told"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two launches to be compared by the seconds that each takes for the same work; they differ by one factor."""

    base: Launch
    candidate: Launch
    factor: str
    value: int | str
    judged: Judged


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds of each round, the two measured in turn; or why there are none."""

    base: tuple[float, ...] = ()
    candidate: tuple[float, ...] = ()
    why_not: str = ""

    @property
    def gain(self) -> float:
        """How much faster the candidate is by the medians: 0.1 is a tenth. 0 when nothing was measured."""
        if not self.base or not self.candidate:
            return 0.0
        return median(self.base) / median(self.candidate) - 1


@dataclass(frozen=True, slots=True)
class Tried:
    """One value of one factor, and what became of it. ``gain`` is of what the factor is judged by."""

    factor: str
    value: int | str
    against: int | str
    judged: Judged
    fate: Fate
    gain: float
    why: str = ""


@dataclass(slots=True)
class Found:
    """Where the search stands: at its end, or where it was broken off."""

    best: Launch
    tried: list[Tried] = field(default_factory=list)


def wins(base: Sequence[float], candidate: Sequence[float], margin: float = MARGIN) -> bool:
    """Whether the candidate, in the middle of its rounds, beats the best round of the base by more than the margin.

    What else the machine does only slows: the best round is the truest, and a base that is disturbed loses nothing.
    """
    return median(candidate) < (1 - margin) * min(base)


def loses(base: Sequence[float], candidate: Sequence[float], margin: float = MARGIN) -> bool:
    """Whether it is slower by more than the margin in each round."""
    pairs = list(zip(base, candidate, strict=False))
    return len(pairs) >= FEWEST_ROUNDS and all(after * (1 - margin) > before for before, after in pairs)


def search(found: Found, factors: Sequence[Factor], cores: Cores) -> Generator[Pair, Rounds, None]:
    """Pairs to compare until all is tried; ``found`` is kept up to date between them. Candidates for which there is no
    time are to be answered with ``why_not``."""
    for factor in factors:
        for value in factor.values:
            against = value_of(found.best, factor.name, cores)
            if value == against:
                continue
            candidate = change(found.best, factor.name, value, cores)
            rounds = yield Pair(found.best, candidate, factor.name, value, factor.judged)
            if rounds.why_not or not rounds.base or not rounds.candidate:
                fate = Fate.LEFT_OUT
            elif factor.name == KV_TYPE:
                fate = Fate.TOLD
            elif wins(rounds.base, rounds.candidate):
                fate = Fate.KEPT
                found.best = candidate
            else:
                fate = Fate.NO_BETTER
            noisy = fate is Fate.NO_BETTER and rounds.gain > MARGIN
            why = "within the noise: its rounds differ more" if noisy else rounds.why_not
            found.tried.append(Tried(factor.name, value, against, factor.judged, fate, rounds.gain, why))
