"""Sketches kept on the disk from session to session: one file a project, outside of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

import hearth
from hearth.workspace.repomap.sketch import Sketch

FORMAT = 2
"""Raised when the sketches of a file may come out otherwise than before."""
MOST_PROJECTS = 20
"""Projects that are kept, the last used ones."""
LARGEST_CACHE = 256 * 1024 * 1024
"""Bytes of a cache file that is still read."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A sketch and the file that it was made of: size in bytes, time of change, digest of the content.

    ``changed_ns`` is 0 where the file was so new that it might have changed again within the same tick.
    """

    size: int
    changed_ns: int
    digest: bytes
    sketch: Sketch


class _Whole(msgspec.Struct, array_like=True):
    format: int
    release: str
    files: dict[str, Kept]


class SketchCache:
    """The kept sketches of one project, of this release of hearth: another one may read a file otherwise.

    Nothing here raises: a cache that cannot be read is empty, one that cannot be written is left as it was.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        name = blake2b(os.fsencode(root), digest_size=10).hexdigest()
        self._file = folder / f"{name}.map"

    def load(self) -> dict[str, Kept]:
        """What is kept, by path; {} if there is none, or none that holds."""
        with suppress(OSError, msgspec.MsgspecError, ValueError, RecursionError):
            if self._file.stat().st_size > LARGEST_CACHE:
                return {}
            whole = msgspec.msgpack.decode(self._file.read_bytes(), type=_Whole)
            if whole.format == FORMAT and whole.release == hearth.__version__:
                return whole.files
        return {}

    def save(self, files: Mapping[str, Kept]) -> None:
        """Keep these instead of what was there; whoever reads meanwhile finds the one or the other."""
        # What is lost with the power is made again: nothing is synced. Names that are no text are read each time.
        named = {path: kept for path, kept in files.items() if _is_text(path)}
        data = msgspec.msgpack.encode(_Whole(FORMAT, hearth.__version__, named))
        spare = self._file.with_name(f"{self._file.name}.{secrets.token_hex(4)}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            spare.write_bytes(data)
            spare.replace(self._file)
            self._forget_old()
        except OSError:
            with suppress(OSError):
                spare.unlink()

    def touch(self) -> None:
        """Note that the project was used."""
        with suppress(OSError):
            os.utime(self._file)

    def _forget_old(self) -> None:
        files = sorted(self._file.parent.glob("*.map*"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[MOST_PROJECTS:]:
            with suppress(OSError):
                file.unlink()


def _is_text(path: str) -> bool:
    """Whether a file's name is UTF-8: bytes that are not are half surrogate pairs here."""
    return path.isascii() or path.encode("utf-8", "ignore") == os.fsencode(path)
