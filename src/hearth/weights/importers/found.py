"""GGUFs that another program keeps, sorted into models: parts belong together, a projector belongs to its model."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.weights.gguf import MAGIC
from hearth.weights.manifest import PART, Role

Program = Literal["ollama", "lm-studio", "llama.cpp", "hugging-face", "folder"]
"""Whose store it is; a ``folder`` is anybody's."""

Say = Callable[[str], None]
"""Takes one line about what could not be looked at, or was left out and why. MUST NOT raise."""

DEEPEST = 8
"""Folders below each other that are looked into."""

UNFINISHED = (".part", ".partial", ".incomplete", ".downloadInProgress", ".aria2", ".crdownload", ".tmp")
"""What downloaders append to the name of a file that is not whole, or of a note that they keep beside it."""

_PREFERRED = ("f16", "bf16", "f32")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file in place. ``name`` is the one that it would have in our store; ``sha256`` what its owner says that it
    hashes to, empty when nobody does."""

    path: Path
    name: str
    size_bytes: int
    role: Role = "model"
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One model in another program's store. ``where`` is what that program calls its place; ``aliases`` are further
    names of the same file; ``note`` is a line for a person, may be empty."""

    name: str
    program: Program
    where: str
    files: tuple[FoundFile, ...]
    aliases: tuple[str, ...] = ()
    note: str = ""

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


def walk(root: Path, say: Say) -> Iterator[list[Path]]:
    """The GGUFs of each folder below, whole as far as one sees without reading them. Links to folders are followed,
    once each; a folder that cannot be read is told."""
    seen: set[tuple[int, int]] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            paths = sorted(folder.iterdir())
        except OSError as error:
            say(f"cannot read {folder}: {error.strerror}")
            continue
        if ggufs := list(ggufs_among(paths, say)):
            yield ggufs
        if depth < DEEPEST:
            waiting += [(path, depth + 1) for path in reversed(paths) if _is_folder(path)]


def ggufs_among(paths: Sequence[Path], say: Say) -> Iterator[Path]:
    """Those of one folder's files that are GGUFs by name and first bytes, and that nobody is downloading."""
    names = {path.name for path in paths}
    for path in paths:
        if path.suffix.lower() != ".gguf" or path.name.startswith(".") or _is_folder(path):
            continue
        if any(path.name + ending in names for ending in UNFINISHED):
            say(f"{path} is not whole yet")
        elif is_gguf(path, say):
            yield path


def is_gguf(path: Path, say: Say) -> bool:
    """Whether it is a plain file, or a link to one, that begins as a GGUF does and whose name can be said."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        say(f"cannot read {path}: {error.strerror}")
        return False
    if start != MAGIC:
        say(f"{path} is not a GGUF")
    elif not str(path).isprintable():
        say(f"the name of {str(path)!r} cannot be said: rename it")
    else:
        return True
    return False


def models_among(paths: Sequence[Path], say: Say) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """The models that these GGUFs of one folder make, projectors aside: each with its name and its files, of a split
    one the first part first. Those that lack a part are told."""
    parts: dict[tuple[str, int], dict[int, Path]] = {}
    for path in paths:
        if is_projector(path.name):
            continue
        part = PART.fullmatch(path.stem)
        if part is None:
            yield path.stem, (path,)
        else:
            parts.setdefault((part[1], int(part[3])), {})[int(part[2])] = path
    for (stem, count), found in parts.items():
        if len(found) == count and set(found) == set(range(1, count + 1)):
            yield stem, tuple(found[number] for number in range(1, count + 1))
        else:
            say(f"{next(iter(found.values())).parent}: {stem} lacks {count - len(found)} of its {count} parts")


def is_projector(name: str) -> bool:
    """Whether a file of this name is the projector of a model that sees or hears."""
    return "mmproj" in name.casefold()


def best_projector(paths: Sequence[Path]) -> Path | None:
    """The one to take of several precisions: F16, as llama.cpp's own tools do."""
    return min((path for path in paths if is_projector(path.name)), key=_rank, default=None)


def files_of(paths: Sequence[Path], projector: Path | None, sha256_of: Callable[[Path], str]) -> tuple[FoundFile, ...]:
    """One model's files with their roles. Raises OSError when one went away meanwhile."""
    roles: list[tuple[Path, Role]] = [(path, "part" if index else "model") for index, path in enumerate(paths)]
    if projector is not None:
        roles.append((projector, "mmproj"))
    return tuple(FoundFile(path, path.name, path.stat().st_size, role, sha256_of(path)) for path, role in roles)


def _rank(path: Path) -> tuple[int, str]:
    words = re.split(r"[^a-z0-9]+", path.stem.casefold())
    rank = next((rank for rank, word in enumerate(_PREFERRED) if word in words), len(_PREFERRED))
    return rank, path.name


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a loop of links
        return False


def read_text(path: Path, most_bytes: int = 1 << 20) -> bytes:
    """A small file of another program; empty when it is not there or cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(most_bytes) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""
