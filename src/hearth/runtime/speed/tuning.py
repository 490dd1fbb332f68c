"""What was measured to run best on this machine, model by model: kept by ``hearth bench speed``, used at each load."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from hearth.paths import Paths
from hearth.runtime.launch import Launch
from hearth.weights.card import ModelCard, measure
from hearth.weights.durable import clear_temporary, explain, locked, write_durably
from hearth.weights.hardware import Machine

Field: TypeAlias = Literal["threads", "batch_threads", "batch", "micro_batch", "flash", "speculation"]
"""What may be tuned. Never what an answer or the memory for conversations depends on: context, slots, the cache's type,
where layers lie."""
FIELDS: tuple[Field, ...] = ("threads", "batch_threads", "batch", "micro_batch", "flash", "speculation")
_TOGETHER: tuple[frozenset[Field], ...] = (
    frozenset({"threads", "batch_threads"}),
    frozenset({"batch", "micro_batch"}),
    frozenset({"flash"}),
    frozenset({"speculation"}),
)
"""Fields that were measured together: all of a set are changed or none."""
FULL_PRECISION = frozenset({"f32", "f16", "bf16"})
"""Types of the cache that the engine can do without flash attention."""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a launch, before and after."""

    field: Field
    before: int | str
    after: int | str


class Tuned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was better than what it was measured against; no changes when nothing was. ``at`` is in seconds since the
    epoch, speeds in tokens a second."""

    changes: tuple[Change, ...]
    at: float = 0.0
    prefill_per_s: float = 0.0
    decode_per_s: float = 0.0

    def apply(self, launch: Launch) -> Launch:
        """The launch with what was tuned. A field that is not what it was measured against stays, and those that were
        measured with it: the owner has set it, or a later version begins elsewhere."""
        changes = {change.field: change for change in self.changes}
        fields: dict[str, int | str] = {}
        for together in _TOGETHER:
            found = [changes[field] for field in together if field in changes]
            if all(getattr(launch, change.field) == change.before for change in found):
                fields |= {change.field: change.after for change in found}
        if fields.get("flash") == "off" and launch.kv_type not in FULL_PRECISION:
            del fields["flash"]
        try:
            return msgspec.convert({**msgspec.to_builtins(launch), **fields}, Launch)
        except msgspec.ValidationError:
            return launch


def difference(before: Launch, after: Launch) -> tuple[Change, ...]:
    """The changes that lead from one launch to the other."""
    return tuple(
        Change(field, getattr(before, field), getattr(after, field))
        for field in FIELDS
        if getattr(before, field) != getattr(after, field)
    )


class _Entry(msgspec.Struct, frozen=True):
    files: tuple[tuple[str, int, int], ...]
    build: str
    machine: str
    tuned: Tuned


class _Written(msgspec.Struct, frozen=True):
    version: int
    models: dict[str, _Entry]


class TuningBook:
    """The tuned settings of every model, in one file. A damaged one counts as empty. Several processes may write at
    once."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is ``folder_of`` the home. Nothing is read yet."""
        self._file = folder / "tuning.json"
        self._lock = folder / ".tuning.lock"

    def find(self, card: ModelCard, build: str, machine: str) -> Tuned | None:
        """What was kept for this very file, engine build and machine (``mark_of``); None when that is nothing."""
        entry = self._read().get(card.name)
        if entry is None or (entry.files, entry.build, entry.machine) != (_files_of(card), build, machine):
            return None
        return entry.tuned

    def keep(self, card: ModelCard, build: str, machine: str, tuned: Tuned) -> None:
        """Keep it, in place of what there was of this name. Raises StateError when the folder cannot be written."""
        stamped = msgspec.structs.replace(tuned, at=time.time())
        entry = _Entry(_files_of(card), build, machine, stamped)
        self._change(lambda models: {**models, card.name: entry})

    def forget(self, name: str) -> bool:
        """Remove what was kept for the model; False when that is nothing. Raises StateError as ``keep``."""
        if name not in self._read():
            return False
        self._change(lambda models: {other: entry for other, entry in models.items() if other != name})
        return True

    def _read(self) -> dict[str, _Entry]:
        try:
            written = msgspec.json.decode(self._file.read_bytes(), type=_Written)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return written.models if written.version == 1 else {}

    def _change(self, change: Callable[[dict[str, _Entry]], dict[str, _Entry]]) -> None:
        folder = self._file.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self._lock):
                clear_temporary(folder)
                write_durably(self._file, msgspec.json.encode(_Written(1, change(self._read()))))
        except OSError as error:
            raise explain(f"cannot write {self._file}", error, folder) from error


def folder_of(paths: Paths) -> Path:
    """Where a home keeps what was measured of speed."""
    return paths.data / "bench"


def mark_of(machine: Machine) -> str:
    """A name for what speed depends on: processor, the cores that we may use, cards."""
    cards = [(gpu.vendor, gpu.name, gpu.total_bytes) for gpu in machine.gpus]
    return hashlib.sha256(repr((machine.cores, machine.cpu_features, cards)).encode()).hexdigest()[:16]


def _files_of(card: ModelCard) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of each of the model's files."""
    return tuple((path.name, *measure(path)) for path in (card.path, *card.more_parts))
