"""What is written down of a model that was fetched or imported: where it came from, and which files it is made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from hearth.errors import StateError
from hearth.weights.durable import write_durably

VERSION = 1
"""Of the format on disk. A file of another version is left alone, and told."""

LONGEST_NAME = 200
"""Bytes that the names of our files may have: file systems take 255."""

Role = Literal["model", "part", "mmproj", "draft"]
"""What a file is for: ``model`` is given to the engine (of a split model the first part), ``part`` a further part that
the engine finds beside it, ``mmproj`` the projector of a model that sees or hears, ``draft`` a model that guesses."""

How = Literal["own", "link", "reflink", "reference"]
"""How a file came here. ``own``: it was fetched or copied. ``link``: a hard link to a file of another program's store;
it takes no more disk, and stays when it is deleted there. ``reflink``: a file of our own that shares its blocks with
another's. ``reference``: the file lies in the other store, and is gone when it is deleted there."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]

# How llama.cpp's gguf-split names the parts of one model; the engine is given the first and finds the others.
PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
"""The stem of a part's file name: the model's, the part's number from 1, how many there are."""

_UNQUOTED = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model came from.

    ``where`` is the hub's ``owner/name``, the address, or the path in the other program's store; ``revision`` the
    hub's commit, or the name of that program (``ollama``), may be empty.
    """

    kind: Literal["hub", "url", "import"]
    where: str
    revision: str = ""


class StoredFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model.

    ``name`` is plain, without a folder. ``sha256`` is in hexadecimal digits, empty when nobody told it and it was not
    read. ``path`` is absolute for a ``reference`` and empty for every other; ``changed_ns`` goes with it: the file's
    last change in nanoseconds since the epoch, when it was taken.
    """

    name: str
    size_bytes: Count
    sha256: Sha256 = ""
    role: Role = "model"
    path: str = ""
    how: How = "own"
    changed_ns: int = 0

    def __post_init__(self) -> None:
        check_plain(self.name)
        if (self.how == "reference") != bool(self.path) or (self.path and not self.path.startswith("/")):
            raise ValueError(f"file {self.name!r}: an absolute path belongs to a reference, and to nothing else")
        if not self.path.isprintable():
            raise ValueError(f"file {self.name!r}: its path holds a control character or bytes that are no text")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. ``folder`` below ``files/`` holds its files, empty when all are references; ``added`` is in seconds
    since the epoch. Exactly one file is the ``model``."""

    name: str
    origin: Origin
    files: tuple[StoredFile, ...]
    folder: str = ""
    added: float = 0.0

    def __post_init__(self) -> None:
        check_model_name(self.name)
        if self.folder:
            check_plain(self.folder)
        elif not all(file.path for file in self.files):
            raise ValueError("files of our own are in a folder, and none is named")
        if [file.role for file in self.files].count("model") != 1:
            raise ValueError("exactly one file has the role of the model")
        names = [file.name.casefold() for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have the same name")

    def file_of(self, role: Role) -> StoredFile | None:
        """The first file with this role."""
        return next((file for file in self.files if file.role == role), None)

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    model: Manifest


class _Version(msgspec.Struct, frozen=True):
    version: int


def check_model_name(name: str) -> None:
    """Raise ValueError unless a model may be called so: text on one line, not a path of a file, not hidden."""
    if not name or not name.isprintable() or name != name.strip() or len(manifest_file_name(name)) > LONGEST_NAME:
        raise ValueError(f"a model cannot be called {name[:80]!r}")
    if name.startswith(("/", "-", ".")):
        raise ValueError(f"a model's name cannot begin with {name[0]!r}")


def check_plain(name: str) -> None:
    """Raise ValueError unless this is the name of a file: no folder, not hidden, text on one line of 200 bytes."""
    if not name or name.startswith(".") or "/" in name or not name.isprintable():
        raise ValueError(f"{name[:80]!r} is no plain file name")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"the file name {name[:60]!r}… is too long")


def with_model_role(files: tuple[StoredFile, ...]) -> tuple[StoredFile, ...]:
    """The files with exactly one ``model``: of a split model the first part has that role, the others are parts."""
    parts = [(file, PART.fullmatch(file.name.removesuffix(".gguf"))) for file in files]
    firsts = [file for file, part in parts if part and int(part[2]) == 1]
    if len(firsts) != 1:
        return files
    return tuple(
        msgspec.structs.replace(file, role="model" if file is firsts[0] else "part")
        if file.role in ("model", "part")
        else file
        for file in files
    )


def manifest_file_name(model: str) -> str:
    """The file's name for this model: what is neither letter, digit nor ``_ . -`` is written as ``%XX``, so that no
    two models share one."""
    return "".join(chr(byte) if byte in _UNQUOTED else f"%{byte:02X}" for byte in model.encode()) + ".json"


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of its file: JSON, indented for a person."""
    return msgspec.json.format(msgspec.json.encode(_Written(1, manifest)), indent=2) + b"\n"


def decode_manifest(data: bytes, path: Path) -> Manifest:
    """The manifest in these bytes. Raises StateError naming ``path`` when they are damaged or of another version."""
    try:
        version = msgspec.json.decode(data, type=_Version).version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    if version != VERSION:
        raise StateError(
            f"{path} has version {version}; this hearth reads version {VERSION}",
            "use the hearth that wrote it, or remove the file and fetch the model again",
        )
    try:
        return msgspec.json.decode(data, type=_Written).model
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error


def read_manifest(path: Path) -> Manifest:
    """The manifest in this file.

    Raises FileNotFoundError when there is none, StateError naming the file when it cannot be read, is damaged, of
    another version, or says another name than the file's.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}", f"run: chmod u+r {path}") from error
    manifest = decode_manifest(data, path)
    if manifest_file_name(manifest.name) != path.name:
        raise _damaged(path, f"it is the manifest of {manifest.name!r}")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it into the folder of manifests, replacing the model's earlier one atomically. Raises OSError."""
    write_durably(folder / manifest_file_name(manifest.name), encode_manifest(manifest))


def _damaged(path: Path, why: str) -> StateError:
    return StateError(f"{path} is damaged: {why}", "remove the file and fetch or import the model again")
