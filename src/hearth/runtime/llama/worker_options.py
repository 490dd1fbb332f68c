"""How a worker is told what to serve. Apart from the worker, so that the daemon need not load the engine's library."""

from __future__ import annotations

from typing import Annotated

import msgspec

from hearth.runtime.launch import Launch


class WorkerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which model is served, where, and how."""

    model: str
    name: str
    socket: str
    api_key: Annotated[str, msgspec.Meta(min_length=16)]
    parent: int
    launch: Launch
    slot_folder: str = ""
    device: str = ""
    """How the names of the cards begin that the library MUST see (``CUDA``); empty when it needs none."""
