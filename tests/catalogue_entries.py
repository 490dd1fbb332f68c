"""Entries of the catalogue that a test needs to be there."""

from __future__ import annotations

from hearth.weights.catalogue import Catalogue, Entry


def one(catalogue: Catalogue, name: str) -> Entry:
    """The entry of this name or alias."""
    entry = catalogue.find(name)
    assert entry is not None, name
    return entry
