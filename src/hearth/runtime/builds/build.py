"""One build of the engine, and which one is in use.

A build is a folder ``data/engines/NAME`` that holds the library alone: a worker process gets it in front of its path,
so that it is imported instead of the library in the package. That one is the build ``bundled``, and always there.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from hearth.errors import EngineFailed, HearthError, ModelUnavailable
from hearth.paths import Paths

BUNDLED = "bundled"
"""The name of the build in the package."""
LIBRARY = "xllamacpp"
SITE = "site"
MANIFEST = "manifest.json"
ACTIVE = "active"
GO_BACK = "run: hearth engine use bundled"
_LONGEST_NAME = 64


class Rates(msgspec.Struct, frozen=True):
    """Tokens a second, the best of several rounds."""

    prefill: float
    decode: float


class Gain(msgspec.Struct, frozen=True):
    """The same model on both builds, by turns on this machine. It is ``rough`` when a side's turns were far apart: then
    something else was at work."""

    model: str
    bundled: Rates
    build: Rates
    rough: bool = False

    @property
    def prefill(self) -> float:
        """How many times as fast prompts are read."""
        return self.build.prefill / self.bundled.prefill

    @property
    def decode(self) -> float:
        """How many times as fast answers come."""
        return self.build.decode / self.bundled.decode

    @property
    def worth(self) -> bool:
        """Whether it is faster on the whole: reading and answering weigh the same."""
        return self.prefill * self.decode > 1.0


class Manifest(msgspec.Struct, frozen=True):
    """What is known of an installed build. ``device`` is how the engine's names of the cards begin that it is for
    (``CUDA``), empty for the processor; ``sha256`` is the wheel's; ``origin`` where that came from, without keys."""

    name: str
    kind: str
    version: str
    device: str
    origin: str
    wheel: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    installed_at: float
    devices: tuple[str, ...] = ()
    gain: Gain | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """One build. ``folder`` is None for the bundled one; ``trouble`` says why it cannot be used, else empty."""

    name: str
    version: str
    folder: Path | None = None
    manifest: Manifest | None = None
    trouble: str = ""

    @property
    def device(self) -> str:
        """How the names of the cards begin that it MUST see (``CUDA``); empty when it needs none."""
        return self.manifest.device if self.manifest else ""

    @property
    def identity(self) -> str:
        """What a KV state or a measurement of this build depends on."""
        return f"{self.name}:{self.manifest.sha256}" if self.manifest else self.version

    @property
    def python_path(self) -> str:
        """The folder that comes first on the path of its processes; empty for the bundled one."""
        return str(self.folder / SITE) if self.folder else ""

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that loads this build."""
        if not self.folder:
            return dict(base)
        return {**base, "PYTHONPATH": os.pathsep.join(filter(None, (self.python_path, base.get("PYTHONPATH"))))}

    def check(self) -> None:
        """Raise EngineFailed when it is known that it cannot be used. Nothing is loaded."""
        if self.trouble:
            raise EngineFailed(f"the engine build {self.name} cannot be used: {self.trouble}", GO_BACK)

    def blame(self, error: HearthError) -> HearthError:
        """The same error of a start, with the way back when this build may be what broke it."""
        if self.folder is None or self.trouble or isinstance(error, ModelUnavailable):
            return error
        here = f"if the build is at fault: hearth engine check {self.name}, and back: hearth engine use bundled"
        return type(error)(f"{error.what} (engine build {self.name})", "; ".join(filter(None, (error.fix, here))))


def needed_version() -> str:
    """The version of the engine that this hearth is made for: that of the library in the package."""
    return importlib.metadata.version(LIBRARY)


def bundled_build() -> Build:
    """The build in the package."""
    return Build(BUNDLED, needed_version())


def engines_folder(paths: Paths) -> Path:
    """Where builds are."""
    return paths.data / "engines"


def active_build(paths: Paths) -> Build:
    """The build that the next engine is to be started with. Never raises: see ``check``."""
    folder = engines_folder(paths)
    try:
        name = (folder / ACTIVE).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return bundled_build()
    except (OSError, UnicodeDecodeError) as error:
        return Build("?", "", folder, trouble=f"{folder / ACTIVE} cannot be read: {error}")
    return bundled_build() if name == BUNDLED else read_build(folder, name)


def read_build(engines: Path, name: str) -> Build:
    """The build of this name as its folder tells it, with its ``trouble``. Never raises."""
    folder = engines / name
    if not is_name(name):
        return Build(name[:_LONGEST_NAME], "", folder, trouble="that is no name of a build")
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        return Build(name, "", folder, trouble="it is not there")
    except (OSError, msgspec.DecodeError) as error:
        return Build(name, "", folder, trouble=f"its manifest cannot be read: {error}")
    return Build(name, manifest.version, folder, manifest, _trouble(folder, name, manifest))


def _trouble(folder: Path, name: str, manifest: Manifest) -> str:
    needed = needed_version()
    if manifest.name != name:
        return f"its folder belongs to {manifest.name[:_LONGEST_NAME]!r}"
    # A local part (``+cu128``) tells how it was made, not what it is.
    if manifest.version.partition("+")[0] != needed:
        return f"it is of version {manifest.version}, this hearth needs {needed}: install it anew"
    if not (folder / SITE / LIBRARY).is_dir():
        return "its library is gone"
    return ""


def is_name(name: str) -> bool:
    """Whether a build may be called so: letters, digits, dots and dashes, as a folder."""
    plain = all(letter.isascii() and (letter.isalnum() or letter in "._-+") for letter in name)
    return bool(name) and plain and name[0].isalnum() and len(name) <= _LONGEST_NAME and name not in (BUNDLED, ACTIVE)
