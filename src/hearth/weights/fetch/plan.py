"""What is to be fetched: the files of one model, each with its address, size and hash."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from hearth.errors import ModelUnavailable, UsageError
from hearth.weights.manifest import Origin, Role, check_model_name, check_plain

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_OID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to fetch. ``name`` is plain: the one it gets in the store.

    ``sha256`` is what the file must hash to, in hexadecimal digits. A small file that the hub keeps in git itself has
    ``git_oid`` instead: the id of its blob. One of the two is always there, or the file is not fetched at all.
    """

    url: str
    name: str
    size_bytes: int
    sha256: str = ""
    role: Role = "model"
    git_oid: str = ""

    @property
    def identity(self) -> str:
        """What tells this content from every other: its hash, with the kind of hash before it."""
        return f"sha256:{self.sha256}" if self.sha256 else f"git:{self.git_oid}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One model to fetch, whole or not at all. Raises UsageError for a name that cannot be, ModelUnavailable for files
    that cannot be verified or cannot lie in one folder."""

    name: str
    origin: Origin
    files: tuple[RemoteFile, ...]

    def __post_init__(self) -> None:
        try:
            check_model_name(self.name)
        except ValueError as error:
            raise UsageError(str(error), "give it another name") from error
        where = self.origin.where
        names = [file.name.casefold() for file in self.files]
        if not names or len(set(names)) < len(names):
            raise ModelUnavailable(f"{where} has files of the same name in different folders", "name one quantisation")
        for file in self.files:
            try:
                check_plain(file.name)
            except ValueError as error:
                raise ModelUnavailable(f"{where}: {error}", "fetch another file") from error
            if file.size_bytes < 0 or not (_SHA256.fullmatch(file.sha256) or _GIT_OID.fullmatch(file.git_oid)):
                raise ModelUnavailable(
                    f"{where} tells no sha256 of {file.name}: it could not be verified", "fetch it from elsewhere"
                )

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def incoming_id(self) -> str:
        """The name of the folder that the files arrive in. It follows from the files alone, so that a later pull of
        the same content goes on there, also when the branch has moved or the model is called otherwise."""
        parts = "\n".join(f"{file.name} {file.size_bytes} {file.identity}" for file in self.files)
        return hashlib.sha256(parts.encode()).hexdigest()[:24]


class Digest:
    """The hash of a file that is read in order."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        # A git blob's id is the SHA-1 of a header and the content.
        self._git = None if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)

    @property
    def sha256(self) -> str:
        """In hexadecimal digits."""
        return self._sha256.hexdigest()

    @property
    def matches(self) -> bool:
        """Whether this is the content that the file must have."""
        if self._git is not None:
            return self._git.hexdigest() == self._file.git_oid
        return self.sha256 == self._file.sha256
