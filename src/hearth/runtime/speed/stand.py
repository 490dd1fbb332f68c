"""The engines that are measured: at most two at once, started when they are asked for, none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hearth.runtime.engine import Engine, LoadProgress
from hearth.runtime.launch import Launch
from hearth.runtime.speed.gauge import Gauge

MakeEngine = Callable[[Launch], Engine]


@dataclass(frozen=True, slots=True)
class _Place:
    engine: Engine
    gauge: Gauge


class Stand:
    """Engines of one model by their launches. As an async context it ends them all, however it is left."""

    def __init__(self, make_engine: MakeEngine, places: int, slot_folder: Path) -> None:
        """Nothing is started yet. ``places`` is how many may run at once, 1 or 2; ``slot_folder`` where they save their
        slots: it is there."""
        self._make_engine = make_engine
        self._folder = slot_folder
        self._running: dict[Launch, _Place] = {}
        self.places = places
        self.load_s = 0.0
        """Seconds that the slowest load took."""

    async def __aenter__(self) -> Stand:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.shield(asyncio.gather(*(self._end(launch) for launch in list(self._running))))

    async def gauge(self, launch: Launch, beside: Launch | None = None) -> Gauge:
        """The engine of this launch, warm; of those that run the one ``beside`` is not ended to make place for it.
        Raises what the engine's start does, and as ``Gauge``."""
        if launch not in self._running:
            keep = beside if self.places > 1 else None
            for other in [other for other in self._running if other != keep]:
                await self._end(other)
            engine = self._make_engine(launch)
            began = time.monotonic()
            try:
                await engine.start(_quiet)
                gauge = Gauge(engine, self._folder)
            except BaseException:
                await asyncio.shield(engine.stop())
                raise
            self._running[launch] = _Place(engine, gauge)
            await gauge.warm_up()
            self.load_s = max(self.load_s, time.monotonic() - began)
        return self._running[launch].gauge

    async def drop(self, launch: Launch) -> None:
        """End the engine of this launch if it runs: it may be in the middle of something."""
        await self._end(launch)

    async def _end(self, launch: Launch) -> None:
        place = self._running.pop(launch, None)
        if place is not None:
            with contextlib.suppress(Exception):
                await place.gauge.close()
            await asyncio.shield(place.engine.stop())


def _quiet(_progress: LoadProgress) -> None:
    """Nobody is told of a load's progress: each is announced before it begins."""
