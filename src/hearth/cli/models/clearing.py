"""What every change of the models ends with: nothing is left lying about that nobody needs."""

from __future__ import annotations

from typing import TextIO

from hearth.errors import StateError
from hearth.weights.store import Store


def clear_up(store: Store, err: TextIO) -> None:
    """Remove what nobody needs. What was asked for is done already: that this fails is said, and is no failure."""
    try:
        store.collect_garbage()
    except StateError as error:
        print(f"not all was cleared up: {error}", file=err)
