"""The models that the owner wants to stay loaded."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hearth.weights.durable import clear_temporary, explain, locked, write_whole


class Pins:
    """Names of models, in one file. A damaged one counts as empty. Several processes may write at once."""

    def __init__(self, models: Path) -> None:
        """``models`` is the folder of models."""
        self._file = models / "pins.json"
        self._lock = models / ".pins.lock"

    def read(self) -> frozenset[str]:
        """The pinned names."""
        try:
            return frozenset(msgspec.json.decode(self._file.read_bytes(), type=list[str]))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return frozenset()

    def set(self, name: str, pinned: bool) -> bool:
        """Pin it or let it go: whether that changed anything. Raises StateError when the folder cannot be written."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self._lock):
                clear_temporary(self._file.parent)
                before = self.read()
                after = before | {name} if pinned else before - {name}
                if after != before:
                    write_whole(self._file, msgspec.json.encode(sorted(after)))
                return after != before
        except OSError as error:
            raise explain(f"cannot write {self._file}", error, self._file.parent) from error
