"""Models of the owner's other engines, ``MODEL@NAME``: what the commands say of them."""

from __future__ import annotations

import asyncio

from hearth.cli.models.address import find_elsewhere
from hearth.paths import Paths
from hearth.settings import ForeignSettings, Settings
from hearth.weights.card import ModelCard
from hearth.weights.store import Store


def resolve(name: str, settings: Settings, store: Store) -> ModelCard:
    """The model of this name, here or elsewhere. Raises ModelUnavailable, StateError."""
    engine = find_elsewhere(name, settings)
    return store.resolve(name) if engine is None else card_elsewhere(name, engine)


def card_elsewhere(name: str, engine: ForeignSettings) -> ModelCard:
    """The card of ``MODEL@NAME``."""
    # The engines' own library is only loaded where there are any.
    from hearth.runtime.foreign.models import card_of

    return card_of(name, engine)


def list_elsewhere(settings: Settings, paths: Paths, store: Store) -> tuple[list[ModelCard], dict[str, str]]:
    """The models of all other engines, which are asked for them where the settings leave that open; and what is wrong
    with those that do not answer, by name."""
    if not settings.engines:
        return [], {}
    from hearth.runtime.engines import Engines

    engines = Engines(settings, paths, store)
    trouble = asyncio.run(engines.trouble())
    silent = {name: what for name, what in trouble.items() if name in settings.engines}
    return [card for card in engines.cards() if engines.is_foreign(card)], silent
