"""Which models make room for another: by the bytes of each device, never a busy one, never a pinned one. Pure.

What a model takes is not a number alone: with less room it may still run, more slowly, with layers in the RAM or a
smaller context. A model is placed as well as it could be if only the pinned ones stayed, and as few as possible go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Bytes: TypeAlias = tuple[int, ...]
"""For each device: the cards in their order, then the RAM."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that is loaded, or loading. ``used_at`` orders them by their last use."""

    name: str
    held: Bytes
    busy: bool
    pinned: bool
    used_at: float


@dataclass(frozen=True, slots=True)
class Fit:
    """One way to run a model. ``rank`` is how well, 0 the best; ``held`` what it takes; ``how`` is the caller's."""

    rank: int
    held: Bytes
    how: Any = None


@dataclass(frozen=True, slots=True)
class Load:
    """It can be loaded once these are unloaded, all of them idle."""

    fit: Fit
    unload: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """It can be loaded when these, busy now, have become idle and are unloaded, and those idle now with them."""

    drain: tuple[str, ...]
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """It cannot be loaded here; or only without these, which are pinned."""

    pinned: tuple[str, ...]


Decision: TypeAlias = Load | Wait | Refuse


def decide(residents: Sequence[Resident], room: Bytes, fit: Callable[[Bytes], Fit | None]) -> Decision:
    """What has to happen before a model can be loaded.

    ``room`` is what our models may take of each device in all; ``fit`` finds the best way to run the wanted model in
    what is left of it, None when there is none. More room never makes it worse.
    """
    pinned = [resident for resident in residents if resident.pinned]
    best = best_fit(residents, room, fit)
    if best is None:
        return Refuse(tuple(resident.name for resident in pinned) if fit(room) else ())
    others = [resident for resident in residents if not resident.pinned]
    # The idle first, each group from the one that was not used for longest.
    order = sorted(others, key=lambda resident: (resident.busy, resident.used_at))
    going = _fewest(order, pinned, room, fit, best.rank)
    busy = tuple(resident.name for resident in going if resident.busy)
    if busy:
        return Wait(busy, tuple(resident.name for resident in going if not resident.busy))
    kept = [resident for resident in residents if resident not in going]
    found = fit(left(room, kept))
    assert found is not None, "the fewest were counted with the same room"
    return Load(found, tuple(resident.name for resident in going))


def best_fit(residents: Sequence[Resident], room: Bytes, fit: Callable[[Bytes], Fit | None]) -> Fit | None:
    """How well a model can be placed, if only the pinned ones stay."""
    return fit(left(room, [resident for resident in residents if resident.pinned]))


def left(room: Bytes, residents: Collection[Resident]) -> Bytes:
    """What these leave of the room, on each device; never below 0."""
    return tuple(
        max(0, whole - sum(resident.held[device] for resident in residents)) for device, whole in enumerate(room)
    )


def _fewest(
    order: Sequence[Resident], pinned: Sequence[Resident], room: Bytes, fit: Callable[[Bytes], Fit | None], rank: int
) -> list[Resident]:
    """The first of the order that have to go, less those whose going turns out not to help."""

    def enough(kept: Sequence[Resident]) -> bool:
        found = fit(left(room, [*pinned, *kept]))
        return found is not None and found.rank <= rank

    count = next(count for count in range(len(order) + 1) if enough(order[count:]))
    going = list(order[:count])
    for resident in order[: max(0, count - 1)]:
        spared = [other for other in order if other is resident or other not in going]
        if enough(spared):
            going.remove(resident)
    return going
