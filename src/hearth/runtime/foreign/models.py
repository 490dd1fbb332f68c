"""The models of engines that somebody else runs, as cards beside those on this disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

from hearth.errors import HearthError
from hearth.runtime.foreign.engine import base_url, nobody_answers, split_name
from hearth.settings import ForeignSettings
from hearth.weights.card import ModelCard

LIST_S = 3.0
"""How long a server may take to name its models; those of a slower one are not listed, but can be asked for."""
FRESH_S = 10.0

ListModels = Callable[[ForeignSettings, str], Awaitable[Sequence[str]]]


class ForeignModels:
    """Which models there are at the owner's other engines. No server is asked that the settings do not name."""

    def __init__(self, engines: Mapping[str, ForeignSettings], listers: Mapping[str, ListModels]) -> None:
        """``listers`` maps each kind of engine to what asks one for its models."""
        self._engines = engines
        self._listers = listers
        self._heard: dict[str, tuple[str, ...]] = {}
        self._heard_at = float("-inf")
        self.trouble: dict[str, str] = {}
        """Why an engine did not name its models, by its name."""

    def cards(self) -> list[ModelCard]:
        """A card for each model that the settings name, or that its engine named when it was last asked."""
        return [
            card_of(f"{model}@{name}", engine)
            for name, engine in self._engines.items()
            for model in engine.models or self._heard.get(name, ())
        ]

    def resolve(self, name: str) -> tuple[ModelCard, ForeignSettings] | None:
        """The card of ``MODEL@NAME`` and the settings of its engine; None when the settings name no such engine, or
        not this model of it. Whether it is really there says its engine's ``check``."""
        model, where = split_name(name)
        engine = self._engines.get(where)
        if engine is None or not model or (engine.models and model not in engine.models):
            return None
        return card_of(name, engine), engine

    async def refresh(self) -> None:
        """Ask the engines whose models the settings leave open, unless they were asked a moment ago. Never raises:
        one that does not answer keeps its earlier list, and ``trouble`` says why."""
        if time.monotonic() - self._heard_at < FRESH_S:
            return
        self._heard_at = time.monotonic()
        await asyncio.gather(*(self._ask(name, each) for name, each in self._engines.items() if not each.models))

    async def _ask(self, name: str, engine: ForeignSettings) -> None:
        try:
            async with asyncio.timeout(LIST_S):
                models = await self._listers[engine.kind](engine, name)
        except aiohttp.ClientConnectorError as error:
            self.trouble[name] = nobody_answers(base_url(engine), error)
            return
        except (HearthError, aiohttp.ClientError, OSError, TimeoutError) as error:
            self.trouble[name] = str(error) or f"{base_url(engine)} did not answer within {LIST_S:.0f} s"
            return
        self.trouble.pop(name, None)
        self._heard[name] = tuple(model for model in models if model.isprintable())


def card_of(name: str, engine: ForeignSettings) -> ModelCard:
    """The card of ``MODEL@NAME``. It has no file: its path is its name, and its size is not known."""
    return ModelCard(name, Path(name), 0, f"at {base_url(engine)} ({engine.kind})")
