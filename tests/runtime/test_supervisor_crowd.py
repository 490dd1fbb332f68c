"""A crowd at the supervisor: many callers for more models than have room, who leave, while engines die. Seeded."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from pathlib import Path

import pytest

import gguf_models
from hearth.errors import HearthError
from hearth.paths import resolve_paths
from hearth.runtime.engine import Engine, EngineState, LoadProgress
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import PretendEngine, Script
from hearth.runtime.restarts import Restarts
from hearth.runtime.supervisor import Supervisor
from hearth.settings import EngineSettings, Settings
from hearth.weights.hardware import describe_machine
from hearth.weights.store import ModelCard

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c", "d")
CALLERS, TURNS = 12, 3
GIB = 1 << 30


class Crowd:
    """The callers, and what must hold of what they see."""

    def __init__(self, home: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        paths = resolve_paths({"HEARTH_HOME": str(home)})
        paths.ensure()
        for name in NAMES:
            gguf_models.write_llama(paths.models / f"{name}.gguf")
        self.engines: list[PretendEngine] = []
        self._needed = 0
        # A clock that leaps at each look: nobody waits out a pause.
        self._no_pauses = Restarts(clock=itertools.count(0, 1_000_000).__next__)
        self._paths = paths
        self.supervisor = self._supervise(0.0)

    def _supervise(self, memory_gib: float) -> Supervisor:
        engine = EngineSettings(memory_gib=memory_gib, idle_unload_s=0.3)
        machine = describe_machine((), 16 * GIB)
        return Supervisor(Settings(engine=engine), self._paths, self._make, self._no_pauses, lambda: machine)

    def _make(self, card: ModelCard, _launch: Launch, _paths: object) -> Engine:
        self.engines.append(PretendEngine(Script(loading_s=self._dice.choice((0.0, 0.02))), card=card))
        return self.engines[-1]

    async def prepare(self) -> None:
        """Give it memory for two and a half of these models."""
        await self.supervisor.ready("a", quiet)
        self._needed = self.supervisor.report()[0]["held_bytes"][-1]
        await self.supervisor.close()
        self.supervisor = self._supervise(2.5 * self._needed / GIB)

    async def call(self) -> int:
        """One caller: answers that were had."""
        had = 0
        for _ in range(TURNS):
            name = self._dice.choice(NAMES)
            with contextlib.suppress(TimeoutError, HearthError):
                async with asyncio.timeout(self._dice.choice((0.01, 30, 30, 30))):
                    async with self.supervisor.lease(name, quiet) as lease:
                        assert lease.engine.card.name == name
                        self.check_memory()
                        await asyncio.sleep(self._dice.choice((0.0, 0.005, 0.02)))
                        if self._dice.random() < 0.1:
                            await self.engines_of(name)[-1].fail("struck by lightning")
                        else:
                            assert lease.engine.state is not EngineState.STOPPED, "unloaded while it was in use"
                        had += 1
            if self._dice.random() < 0.1:
                with contextlib.suppress(HearthError):
                    await self.supervisor.unload(self._dice.choice(NAMES), quiet)
        return had

    def engines_of(self, name: str) -> list[PretendEngine]:
        return [engine for engine in self.engines if engine.card.name == name]

    def check_memory(self) -> None:
        """No more than the room is taken by those that live."""
        living = [each for each in self.engines if each.state in (EngineState.STARTING, EngineState.READY)]
        assert len(living) * self._needed <= 2.5 * self._needed
        assert len({each.card.name for each in living}) == len(living)


def quiet(_progress: LoadProgress) -> None:
    return None


@pytest.mark.parametrize("seed", range(8))
async def test_everybody_is_served_and_nothing_is_overdrawn(home: Path, seed: int) -> None:
    crowd = Crowd(home, seed)
    await crowd.prepare()
    async with asyncio.timeout(60):
        had = await asyncio.gather(*(crowd.call() for _ in range(CALLERS)))
    assert sum(had) > CALLERS * TURNS // 2
    async with asyncio.timeout(20):
        for name in NAMES:
            assert (await crowd.supervisor.ready(name, quiet)).state is EngineState.READY
        while crowd.supervisor.report():
            await asyncio.sleep(0.05)
    await crowd.supervisor.close()
    assert all(each.state in (EngineState.STOPPED, EngineState.FAILED) for each in crowd.engines)
