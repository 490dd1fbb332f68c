"""Names of models at the owner's other engines, ``MODEL@NAME``. Nothing heavy is loaded for it: ``hearth run`` asks."""

from __future__ import annotations

from hearth.errors import ModelUnavailable, UsageError
from hearth.settings import ForeignSettings, Settings


def find_elsewhere(name: str, settings: Settings) -> ForeignSettings | None:
    """The engine that runs this model; None when the settings name no such engine. Nobody is asked.

    Raises ModelUnavailable when they name the engine's models, and not this one.
    """
    model, _, where = name.rpartition("@")
    engine = settings.engines.get(where)
    if engine is None or not model:
        return None
    if engine.models and model not in engine.models:
        known = ", ".join(f"{each}@{where}" for each in engine.models)
        raise ModelUnavailable(f"engines.{where}.models does not name {model[:200]!r}", f"there are: {known}")
    return engine


def refuse_elsewhere(name: str, settings: Settings, why: str) -> None:
    """Raise UsageError for a model of another engine: what is asked can only be done with one of this disk."""
    if find_elsewhere(name, settings) is not None:
        raise UsageError(f"{name[:200]} is a model of another engine: {why}", "hearth models list shows which are here")
