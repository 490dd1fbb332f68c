"""When a model was last used, and how fast it was on this machine. Kept apart from the manifests: they are written once
and must not be lost; this is written often and may be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from hearth.weights.durable import clear_temporary, explain, locked, write_whole

MOST_SPEEDS = 9
"""Measurements that are kept of each model; what is shown is their median."""


class Speed(msgspec.Struct, frozen=True):
    """One measurement: tokens in a second while the prompt is read and while the answer is made; seconds since the
    epoch."""

    prefill_per_s: float
    decode_per_s: float
    at: float


# The year 9999 is the last that a date can have.
Moment = Annotated[float, msgspec.Meta(ge=0, lt=253_000_000_000)]


class Usage(msgspec.Struct, frozen=True):
    """``last_used`` is in seconds since the epoch, 0 for never. ``speeds`` belong to the files of ``changed_ns``."""

    last_used: Moment = 0.0
    changed_ns: int = 0
    speeds: tuple[Speed, ...] = ()

    @property
    def prefill_per_s(self) -> float | None:
        """The median of what was measured; None when nothing was."""
        return _median([speed.prefill_per_s for speed in self.speeds])

    @property
    def decode_per_s(self) -> float | None:
        """The median of what was measured; None when nothing was."""
        return _median([speed.decode_per_s for speed in self.speeds])


class _Written(msgspec.Struct, frozen=True):
    version: int
    models: dict[str, Usage]


class UsageBook:
    """The usage of every model, in one file. A damaged one counts as empty. Several processes may write at once."""

    def __init__(self, models: Path) -> None:
        """``models`` is the folder of models."""
        self._file = models / "usage.json"
        self._lock = models / ".usage.lock"

    def read(self) -> dict[str, Usage]:
        """What is known, by the model's name."""
        try:
            written = msgspec.json.decode(self._file.read_bytes(), type=_Written)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return written.models if written.version == 1 else {}

    def touch(self, name: str) -> None:
        """It is used now. Raises StateError when the folder cannot be written."""
        now = time.time()
        self._change(name, lambda usage: msgspec.structs.replace(usage, last_used=now))

    def add_speed(self, name: str, changed_ns: int, prefill_per_s: float, decode_per_s: float) -> None:
        """It is used now, and was so fast; speeds of other files under this name are dropped. Raises StateError as
        ``touch``."""
        speed = Speed(prefill_per_s, decode_per_s, time.time())

        def add(usage: Usage) -> Usage:
            before = usage.speeds if usage.changed_ns == changed_ns else ()
            return Usage(speed.at, changed_ns, (*before, speed)[-MOST_SPEEDS:])

        self._change(name, add)

    def forget(self, name: str) -> None:
        """The model is no more. Raises StateError as ``touch``."""
        if name in self.read():
            self._change(name, lambda usage: None)

    def _change(self, name: str, change: Callable[[Usage], Usage | None]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self._lock):
                clear_temporary(self._file.parent)
                models = self.read()
                after = change(models.pop(name, Usage()))
                if after is not None:
                    models[name] = after
                write_whole(self._file, msgspec.json.encode(_Written(1, models)))
        except OSError as error:
            raise explain(f"cannot write {self._file}", error, self._file.parent) from error


def _median(values: list[float]) -> float | None:
    """The one in the middle, of an even number the lower; the module ``statistics`` takes 10 ms to load."""
    return sorted(values)[(len(values) - 1) // 2] if values else None
