"""Bringing files of another store into ours, without a second copy where that can be, and reading them to verify."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from hearth.errors import ModelUnavailable, StateError
from hearth.weights.durable import explain
from hearth.weights.fetch.progress import Progress, Report, Speed, eta_s
from hearth.weights.importers.found import Found, FoundFile

Way = Literal["link", "reflink", "reference", "copy"]
"""How a file is taken: a second name of it, a file that shares its blocks, its path, a copy."""

_FICLONE = 0x40049409
"""``_IOW(0x94, 9, int)`` of linux/fs.h: let one file have the blocks of another."""

_CHUNK = 4 << 20
_BEAT_S = 0.2
_IMPOSSIBLE = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
"""What a system says that does not do it here: another file system, another owner, not offered at all."""

_WORDS = {"link": "hard links", "reflink": "shared blocks", "reference": "references", "copy": "a copy"}


class Reading:
    """Reads the files of one import, and tells how far it is. Files are read once each: to hash, or to copy."""

    def __init__(self, files: Sequence[FoundFile], report: Report) -> None:
        """``files`` are those that will be read; ``report`` is told a few times a second."""
        self._report = report
        self._files = {file.name: number for number, file in enumerate(files, 1)}
        self._size = sum(file.size_bytes for file in files)
        self._done = 0
        self._speed = Speed()
        self._told = 0.0
        self._hashes: dict[str, str] = {}

    def hash_of(self, file: FoundFile, path: Path) -> str:
        """The sha256 of the file as it lies in ``path``. Raises ModelUnavailable when it cannot be read."""
        if file.name not in self._hashes:
            self._read(file, path, lambda data: None)
        return self._hashes[file.name]

    def copy(self, file: FoundFile, path: Path) -> None:
        """Write a copy of the file to ``path``. Raises OSError when that cannot be written."""
        with path.open("xb") as target:
            self._read(file, file.path, target.write)

    def _read(self, file: FoundFile, path: Path, take: Callable[[bytes], object]) -> None:
        digest = hashlib.sha256()
        try:
            source: BinaryIO = path.open("rb", buffering=0)
        except OSError as error:
            raise ModelUnavailable(f"cannot read {path}: {error.strerror}", "scan again") from error
        with source:
            while data := source.read(_CHUNK):
                digest.update(data)
                take(data)
                self._done += len(data)
                self._tell(file)
        self._hashes[file.name] = digest.hexdigest()

    def _tell(self, file: FoundFile) -> None:
        now = time.monotonic()
        if now - self._told < _BEAT_S and self._done < self._size:
            return
        self._told = now
        speed = self._speed.note(now, self._done)
        number, left = self._files[file.name], self._size - self._done
        self._report(Progress(file.name, number, len(self._files), self._done, self._size, speed, eta_s(left, speed)))


def take(found: Found, folder: Path, ways: Sequence[Way], reading: Reading) -> list[tuple[FoundFile, Path, Way]]:
    """Bring all files into ``folder`` in the first of ``ways`` that is possible for every one, or leave them where they
    are (``reference``). Returns each with its place and the way.

    Raises StateError when none is possible, ModelUnavailable when a file is gone.
    """
    refusals = []
    for way in ways:
        try:
            return [(file, _bring(file, folder, way, reading, found.size_bytes), way) for file in found.files]
        except FileNotFoundError as error:
            raise ModelUnavailable(f"{error.filename} is gone", "scan again") from error
        except OSError as error:
            for file in found.files:
                (folder / file.name).unlink(missing_ok=True)
            if error.errno not in _IMPOSSIBLE:
                raise explain(f"cannot import {found.name}", error, folder) from error
            refusals.append(f"{_WORDS[way]}: {error.strerror}")
    raise StateError(
        f"cannot import {found.name} by {'; '.join(refusals)}", "import it in another way, or let hearth choose"
    )


def _bring(file: FoundFile, folder: Path, way: Way, reading: Reading, all_bytes: int) -> Path:
    ours = folder / file.name
    match way:
        case "reference":
            # The path as the other program gives it: of a split model the engine looks for the parts beside it.
            return file.path.absolute()
        case "link":
            # Of the file itself: where names are links, as in the hub's cache, one of ours to a link would hang on it.
            ours.hardlink_to(file.path.resolve(strict=True))
        case "reflink":
            _share_blocks(file.path, ours)
        case "copy":
            free = shutil.disk_usage(folder).free
            if free < all_bytes:
                raise OSError(errno.ENOSPC, f"{all_bytes:,} bytes are needed and {free:,} are free")
            reading.copy(file, ours)
    return ours


def _share_blocks(path: Path, ours: Path) -> None:
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "not offered on this system")
    with path.open("rb") as source, ours.open("xb") as target:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
