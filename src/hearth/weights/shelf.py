"""Where fetched and imported models lie, and how they come and go so that a crash leaves the old model or the new.

``manifests/NAME.json`` says that a model is there, ``files/ID/`` holds its files, ``.incoming/ID/`` is where they are
gathered. A folder that no manifest names is nobody's. Decision record 0004 tells why.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hearth.errors import StateError, UsageError
from hearth.weights.durable import clear_temporary, explain, locked, sync, write_durably
from hearth.weights.manifest import (
    Manifest,
    decode_manifest,
    encode_manifest,
    manifest_file_name,
    read_manifest,
    write_manifest,
)

KEEP_INCOMING_S = 30 * 86_400.0
"""How long a broken-off download is kept for a resume after its last byte."""

_JOURNAL = ".manifest.json"
_BUSY = ".busy"
_OWN = "import-"
_LONGEST_FILE_NAME = 255


class Shelf:
    """The manifests of one models folder and the files that belong to them. Several processes may change it at once:
    each change is made under one lock."""

    def __init__(self, models: Path) -> None:
        """Nothing is made yet."""
        self.models = models
        self.manifests = models / "manifests"
        self.files = models / "files"
        self.incoming = models / ".incoming"
        self._lock = models / ".lock"

    def read(self) -> tuple[list[Manifest], list[StateError]]:
        """Every manifest by name, and what is wrong with those that cannot be read."""
        manifests, damaged = [], []
        try:
            paths = self._manifest_files()
        except OSError as error:
            return [], [explain(f"cannot read {self.manifests}", error, self.manifests)]
        for path in paths:
            try:
                manifests.append(read_manifest(path))
            except FileNotFoundError:
                continue
            except StateError as error:
                damaged.append(error)
        return sorted(manifests, key=lambda manifest: manifest.name), damaged

    def find(self, name: str) -> Manifest | None:
        """The manifest of this model. Raises StateError when there is one that cannot be read."""
        try:
            file = manifest_file_name(name)
            return read_manifest(self.manifests / file) if len(file) <= _LONGEST_FILE_NAME else None
        except (FileNotFoundError, UnicodeEncodeError):  # a name of bytes that are no text has no file
            return None

    def folder_of(self, manifest: Manifest) -> Path:
        """Where the model's own files lie."""
        return self.files / manifest.folder

    @contextmanager
    def gathering(self) -> Iterator[Path]:
        """A new folder below ``incoming``, which nobody clears away while the context is open. When it ends, what was
        not published is removed; so is, at its begin, what a crash left of an earlier one. Raises StateError."""
        folder = self.incoming / f"{_OWN}{os.urandom(8).hex()}"
        with contextlib.ExitStack() as stack:
            with self._explained(f"cannot make {folder}"):
                self.incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
                with locked(self._lock):
                    for left in _folders(self.incoming):
                        if left.name.startswith(_OWN):
                            _remove_stale(left, 0.0)
                    folder.mkdir(mode=0o700)
                    stack.enter_context(locked(folder / _BUSY))
                    stack.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder

    def publish(self, manifest: Manifest, incoming: Path | None) -> Manifest:
        """Make the model be there: its files, whole in ``incoming``, and its manifest, which replaces an earlier one of
        the name at one moment. ``incoming`` is None when every file is a reference; else it must lie in our folder
        ``incoming``, and is gone afterwards. Returns the manifest as it was written.

        Raises StateError when a file is not whole or the disk refuses, UsageError when another model's name differs in
        capitals only. A crash leaves the old model or the new; one between the two is finished by ``settle``.
        """
        with self._explained(f"cannot publish model {manifest.name}"):
            for folder in (self.manifests, self.files):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync(self.models)
            if incoming is not None:
                manifest = msgspec.structs.replace(manifest, folder=self._free_id(incoming))
                _force(manifest, incoming)
            with locked(self._lock):
                self._settle()
                self._refuse_capitals(manifest.name)
                if incoming is not None:
                    incoming.rename(self.files / manifest.folder)
                    sync(self.files)
                    sync(incoming.parent)
                self._put(manifest)
        return manifest

    def settle(self) -> list[str]:
        """Finish what a crash left half published; returns the names of those models. Raises StateError."""
        if not self.files.is_dir():
            return []
        with self._explained(f"cannot mend {self.models}"), locked(self._lock):
            return self._settle()

    def take_off(self, name: str) -> int:
        """Remove the model and what nobody else uses of its files; returns the bytes that came free. A manifest that
        cannot be read is removed too. Files taken in place stay where they are. Raises StateError."""
        with self._explained(f"cannot remove model {name}"), locked(self._lock):
            self._settle()
            try:
                manifest = self.find(name)
            except StateError:
                manifest = None
            (self.manifests / manifest_file_name(name)).unlink(missing_ok=True)
            sync(self.manifests)
            dropped = self._drop_orphans([manifest.folder] if manifest else [])
            return dropped.get(manifest.folder, 0) if manifest else sum(dropped.values())

    def collect_garbage(self, keep_incoming_s: float = KEEP_INCOMING_S) -> int:
        """Remove what nobody needs: folders without a manifest, remains of writes and of imports, and downloads that
        nobody took up again for ``keep_incoming_s``; returns the bytes that came free. While a manifest cannot be read
        no folder of files is removed: it may be that model's. Raises StateError."""
        if not self.models.is_dir():
            return 0
        with self._explained(f"cannot clear {self.models}"), locked(self._lock):
            self._settle()
            clear_temporary(self.manifests)
            freed = sum(self._drop_orphans([]).values())
            freed += sum(_remove_stale(folder, keep_incoming_s) for folder in _folders(self.incoming))
            for lock in self.incoming.glob("*.lock"):
                if not lock.with_suffix("").exists():
                    _remove_lock(lock)
            return freed

    def _manifest_files(self) -> list[Path]:
        try:
            return sorted(path for path in self.manifests.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            return []

    def _free_id(self, incoming: Path) -> str:
        taken = (self.files / incoming.name).exists()
        return f"{incoming.name}-{os.urandom(4).hex()}" if taken else incoming.name

    def _refuse_capitals(self, name: str) -> None:
        # On a disk that does not tell capitals apart the one manifest would replace the other.
        ours = manifest_file_name(name)
        for path in self._manifest_files():
            if path.name != ours and path.name.casefold() == ours.casefold():
                raise UsageError(
                    f"there is a model {path.stem}, and {name!r} differs in capitals only", "choose another name"
                )

    def _settle(self) -> list[str]:
        finished = []
        for folder in _folders(self.files):
            journal = folder / _JOURNAL
            if not journal.exists():
                continue
            try:
                manifest = decode_manifest(journal.read_bytes(), journal)
            except StateError:
                continue  # of a newer hearth, perhaps: what is not understood is left alone
            if manifest.folder == folder.name:
                if not self._is_current(manifest):
                    finished.append(manifest.name)
                self._put(manifest)
        return finished

    def _is_current(self, manifest: Manifest) -> bool:
        try:
            return self.find(manifest.name) == manifest
        except StateError:
            return False

    def _put(self, manifest: Manifest) -> None:
        """Write the manifest of a model whose files are in place, and clear up behind it."""
        before = None
        with contextlib.suppress(StateError):
            before = self.find(manifest.name)
        if before != manifest:
            write_manifest(self.manifests, manifest)
        if manifest.folder:
            folder = self.folder_of(manifest)
            kept = {_JOURNAL, *(file.name for file in manifest.files if not file.path)}
            for path in folder.iterdir():
                if path.name not in kept:
                    path.unlink()
            # The journal goes last: it says that there is something left to do. Were it to come back after a power
            # failure, it would bring back a model removed since.
            (folder / _JOURNAL).unlink(missing_ok=True)
            sync(folder)
        # The model is there. What cannot be cleared away now is garbage, and collected as such.
        with contextlib.suppress(OSError):
            self._drop_orphans([before.folder] if before else [])

    def _drop_orphans(self, candidates: Collection[str]) -> dict[str, int]:
        """Remove the folders that no manifest names; returns the bytes that came free with each. While a manifest
        cannot be read, only ``candidates`` go, and of those only what is not even mentioned there."""
        manifests, damaged = self.read()
        named = {manifest.folder for manifest in manifests}
        there = [each for each in _folders(self.files) if each.name not in named and not (each / _JOURNAL).exists()]
        if damaged:
            unread = b"\n".join(path.read_bytes() for path in self._manifest_files())
            there = [each for each in there if each.name in candidates and os.fsencode(each.name) not in unread]
        return {folder.name: _remove_folder(folder) for folder in there}

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explain(what, error, self.models) from error


def _force(manifest: Manifest, incoming: Path) -> None:
    """Bring the files to the disk, and the journal by which a crash is mended."""
    for file in manifest.files:
        if file.path:
            continue
        status = (incoming / file.name).lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.size_bytes:
            raise StateError(f"{incoming / file.name} is not whole", "fetch or import the model again")
        sync(incoming / file.name)
    write_durably(incoming / _JOURNAL, encode_manifest(manifest))


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_stale(folder: Path, keep_s: float) -> int:
    """Remove a folder that nobody works in and nobody will take up again; returns the bytes that came free."""
    # Whoever gathered there may end just now, and take it away.
    with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as stack:
        # An import holds a file in the folder, a download one beside it. We hold them meanwhile: nobody begins again.
        for busy in (folder / _BUSY, folder.with_name(f"{folder.name}.lock")):
            if not stack.enter_context(_held(busy)):
                return 0
        latest = max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
        if folder.name.startswith(_OWN) or latest < time.time() - keep_s:
            return _remove_folder(folder)
    return 0


def _remove_lock(lock: Path) -> None:
    """Remove what a killed download left beside its folder, unless somebody has taken it up."""
    with _held(lock) as free:
        if free:
            lock.unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold the lock of this file, if there is one; yields whether nobody else has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _remove_folder(folder: Path) -> int:
    """Remove it; returns the bytes of the files that had no other name. What cannot be removed raises OSError."""
    freed = 0
    for path in folder.rglob("*"):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            freed += status.st_size
    shutil.rmtree(folder)
    return freed
