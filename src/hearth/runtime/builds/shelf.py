"""The builds of one home: listed, taken into use, added and removed, each step whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hearth.errors import StateError, UsageError
from hearth.paths import Paths
from hearth.runtime.builds.build import (
    ACTIVE,
    BUNDLED,
    MANIFEST,
    Build,
    Manifest,
    active_build,
    bundled_build,
    engines_folder,
    is_name,
    read_build,
)
from hearth.weights.durable import explain, sync, write_durably

_LOCK = ".lock"
_BESIDE = ".new-"
_GONE = ".gone-"


class BuildShelf:
    """The folder of builds. Nothing is created before something is added."""

    def __init__(self, paths: Paths) -> None:
        """``paths`` are those of the home."""
        self._paths = paths
        self._folder = engines_folder(paths)

    @property
    def active(self) -> Build:
        """The build that the next engine is started with."""
        return active_build(self._paths)

    def builds(self) -> list[Build]:
        """All of them, the bundled one first, then by name; also those that cannot be used."""
        try:
            names = sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir() and is_name(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError as error:
            raise explain(f"cannot read {self._folder}", error, self._folder) from error
        return [bundled_build(), *(read_build(self._folder, name) for name in names)]

    def find(self, name: str) -> Build:
        """The build of this name. Raises UsageError when there is none."""
        found = [build for build in self.builds() if build.name == name]
        if not found:
            raise UsageError(f"there is no engine build {name[:100]!r}", "run: hearth engine list")
        return found[0]

    def use(self, build: Build) -> None:
        """Have the next engines started with it. Raises EngineFailed when it cannot be used, StateError."""
        build.check()
        try:
            if build.name == BUNDLED:
                (self._folder / ACTIVE).unlink(missing_ok=True)
            else:
                write_durably(self._folder / ACTIVE, f"{build.name}\n".encode())
        except OSError as error:
            raise explain(f"cannot write {self._folder / ACTIVE}", error, self._folder) from error

    def remove(self, build: Build) -> int:
        """Remove it; returns the bytes that it had. Raises UsageError for the bundled one and the one in use,
        StateError."""
        if build.folder is None:
            raise UsageError("the build in the package stays: it is the way back")
        if build.name == self.active.name:
            raise UsageError(f"the engine build {build.name} is in use", "run first: hearth engine use bundled")
        with self._alone():
            size = folder_bytes(build.folder)
            try:
                # Under another name first: a removal that is killed leaves no half build that counts.
                gone = build.folder.rename(self._folder / f"{_GONE}{secrets.token_hex(4)}")
                shutil.rmtree(gone)
            except OSError as error:
                raise explain(f"cannot remove {build.folder}", error, self._folder) from error
            return size

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A new folder beside the builds for one that is to be added; gone at the end of the context, unless it was
        added. One at a time: raises StateError while another process makes one."""
        with self._alone():
            folder = self._folder / f"{_BESIDE}{secrets.token_hex(4)}"
            try:
                folder.mkdir(mode=0o700)
            except OSError as error:
                raise explain(f"cannot write {self._folder}", error, self._folder) from error
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def refuse_second(self, name: str) -> None:
        """Raise UsageError when there is a build of this name, whole or not."""
        if (self._folder / name).exists():
            fix = f"run: hearth engine use {name}, or first: hearth engine remove {name}"
            raise UsageError(f"the engine build {name} is installed already", fix)

    def add(self, folder: Path, manifest: Manifest) -> Build:
        """Make a build of a folder of ``making``: it is there as a whole, on the disk, or not. Raises StateError."""
        self.refuse_second(manifest.name)
        try:
            write_durably(folder / MANIFEST, msgspec.json.encode(manifest))
            for path in folder.rglob("*"):
                if not path.is_symlink():
                    sync(path)
            folder.rename(self._folder / manifest.name)
            sync(self._folder)
        except OSError as error:
            raise explain(f"cannot install the engine build {manifest.name}", error, self._folder) from error
        return read_build(self._folder, manifest.name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock, with the leftovers of killed processes swept."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explain(f"cannot write {self._folder}", error, self._folder) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateError("another hearth engine command is at work", "wait for it, or end it") from error
            for left in (*self._folder.glob(f"{_BESIDE}*"), *self._folder.glob(f"{_GONE}*")):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
