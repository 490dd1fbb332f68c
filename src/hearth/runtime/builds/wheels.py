"""Brings the engine's library into a folder by pip: a wheel from an index, or one that is built here from source."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from hearth.errors import StateError, Unavailable, UsageError
from hearth.runtime.builds.build import LIBRARY, SITE, needed_version
from hearth.runtime.builds.complaints import complaint, no_pip
from hearth.runtime.process import Process

NATIVE_FLAGS = (
    "-DGGML_NATIVE=ON",
    # Each of these would fetch sources from a host that nobody named. What is lost: HTTPS inside the engine and its own
    # pages, which hearth turns off, and LLGuidance; grammars are llama.cpp's own then.
    "-DLLAMA_LLGUIDANCE=OFF",
    "-DLLAMA_BUILD_BORINGSSL=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)
"""For cmake. The owner's CMAKE_ARGS come after them, and win."""

_KEPT = ("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES")
"""Of pip's variables those that say how a host is reached, not which."""
# Only so does pip say why an index has nothing.
_ALWAYS = ("--no-input", "--disable-pip-version-check", "--no-cache-dir", "-vv")
_RAW_PROGRESS = (24, 1)
_FETCHED = re.compile(r"Progress (\d{1,15}) of (\d{1,15})$")
_BUILT = re.compile(r"\[ *(\d{1,3})%\] (?:Building|Linking|Built)")
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Step:
    """What is done now, in a few words. A ``passing`` one only says how far the last one is."""

    text: str
    passing: bool = False


Tell = Callable[[Step], None]
"""Who is told what is done. MUST NOT raise."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A library that lies in a folder: its version, the wheel's file name and SHA-256."""

    version: str
    wheel: str
    sha256: str


class Pip:
    """pip beside this Python, told to use one index and nothing else."""

    def __init__(self, folder: Path, log_file: Path, environment: Mapping[str, str]) -> None:
        """``folder`` is an empty folder that is whoever's asks to remove: all that pip writes is below it. Its output
        goes to ``log_file``."""
        self._folder = folder
        self._log_file = log_file
        self._environment = environment

    async def install(self, index_url: str, tell: Tell) -> Installed:
        """Fetch the wheel of the needed version from this index into ``folder/site``. Raises StateError,
        Unavailable."""
        arguments = [f"{LIBRARY}=={needed_version()}", "--only-binary", ":all:"]
        return await self._install(arguments, self._index(index_url), without_keys(index_url), tell)

    async def build(self, source: Path | None, index_url: str, jobs: int, tell: Tell) -> Installed:
        """Build the wheel from source, ``jobs`` compilers at a time, and put it into ``folder/site``. ``source`` is an
        archive or a folder; None fetches it. An empty ``index_url`` is pip's own configuration. Raises UsageError for a
        source of another version, StateError, Unavailable."""
        wanted = f"{LIBRARY}=={needed_version()}"
        if source is not None:
            check_source(source)
            wanted = str(await asyncio.to_thread(self._copy, source))
        wheels = self._folder / "wheels"
        arguments = ["wheel", wanted, "--no-deps", "--no-binary", LIBRARY, "--wheel-dir", str(wheels)]
        flags = [*NATIVE_FLAGS, self._environment.get("CMAKE_ARGS", "")]
        build = {"CMAKE_ARGS": " ".join(filter(None, flags)), "NPROC": str(jobs)}
        environment = {**(self._index(index_url) if index_url else self._environment), **build}
        origin = str(source or without_keys(index_url) or "the package index")
        await self._run(arguments, environment, origin, tell)
        made = [str(path) for path in wheels.glob("*.whl")]
        return await self._install([*made, "--no-index"], self._index(""), origin, tell)

    def _copy(self, source: Path) -> Path:
        """Sources are built in their folder: not in the owner's."""
        try:
            if source.is_dir():
                return shutil.copytree(source, self._folder / "source", ignore=shutil.ignore_patterns("build", ".git"))
            return Path(shutil.copy(source, self._folder))
        except (OSError, shutil.Error) as error:
            raise StateError(f"cannot copy {source}: {error}", "make room, and try again") from error

    def _index(self, index_url: str) -> dict[str, str]:
        """An environment in which pip knows this index alone. By a variable, as an address may hold a key, and what is
        on a command line is public."""
        own = {name: text for name, text in self._environment.items() if not name.startswith("PIP_") or name in _KEPT}
        own |= {"PIP_CONFIG_FILE": os.devnull, "PIP_KEYRING_PROVIDER": "disabled"}
        return {**own, "PIP_INDEX_URL": index_url} if index_url else own

    async def _install(
        self, arguments: Sequence[str], environment: Mapping[str, str], origin: str, tell: Tell
    ) -> Installed:
        report = self._folder / "report.json"
        target = ["--no-deps", "--target", str(self._folder / SITE), "--report", str(report)]
        await self._run(["install", *arguments, *target], environment, origin, tell)
        installed = read_report(report)
        check_content(self._folder / SITE)
        return installed

    async def _run(self, arguments: Sequence[str], environment: Mapping[str, str], origin: str, tell: Tell) -> None:
        if importlib.util.find_spec("pip") is None:
            raise no_pip()
        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        process = Process(
            [sys.executable, "-P", "-m", "hearth.runtime.builds.installer", *arguments, *_ALWAYS, *_progress()],
            environment={**environment, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"},
            log_file=self._log_file,
        )
        await process.start("")
        try:
            gone = asyncio.ensure_future(process.wait())
            while not gone.done():
                await asyncio.wait([gone], timeout=_POLL_S)
                if text := progress_text(process.tail):
                    tell(Step(text, passing=True))
            if gone.result():
                raise complaint(process.tail, f"{LIBRARY} {needed_version()}", origin, str(self._log_file))
        finally:
            await asyncio.shield(process.stop(0))


def check_source(source: Path) -> None:
    """Raise UsageError when this is no source of the engine, or one of another version. Its PKG-INFO tells."""
    try:
        if source.is_dir():
            text = (source / "PKG-INFO").read_text(encoding="utf-8", errors="replace")
        else:
            with tarfile.open(source) as archive:
                names = (name for name in archive.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
                member = archive.extractfile(next(names, ""))
                text = member.read().decode(errors="replace") if member else ""
    except (OSError, KeyError, tarfile.TarError) as error:
        fix = "name the archive (.tar.gz) of the engine's sources, or the folder of its PKG-INFO"
        raise UsageError(f"{source} is no source of the engine: {error}", fix) from error
    told = dict(re.findall(r"^(Name|Version): *(\S+)", text, re.MULTILINE))
    if told.get("Name") != LIBRARY or told.get("Version") != needed_version():
        what = f"{told.get('Name', 'something')} {told.get('Version', '')}".strip()
        raise UsageError(f"{source} is {what}", f"this hearth needs {LIBRARY} {needed_version()}")


def read_report(path: Path) -> Installed:
    """What pip says that it installed. Raises Unavailable when that is not one library with a hash."""
    try:
        told: Any = msgspec.json.decode(path.read_bytes())
        (only,) = told["install"]
        info = only["download_info"]
        return Installed(
            only["metadata"]["version"], info["url"].rsplit("/", 1)[-1], info["archive_info"]["hashes"]["sha256"]
        )
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise Unavailable(f"pip does not tell what it installed: {error!r}", "update pip to 23.1 or later") from error


def check_content(site: Path) -> None:
    """Raise Unavailable when a wheel brought more than the library: it would stand before ours on the path."""
    strange = sorted(path.name for path in site.iterdir() if not path.name.startswith((LIBRARY, "__pycache__")))
    if strange:
        raise Unavailable(f"the wheel holds more than the engine: {', '.join(strange[:3])}", "name another index")


def without_keys(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def progress_text(tail: Sequence[str]) -> str:
    """How far pip is, of its last lines; empty when they do not tell."""
    for line in reversed(tail):
        if found := _FETCHED.search(line):
            return f"fetched {int(found[1]) / 1e6:.1f} of {int(found[2]) / 1e6:.1f} MB"
        if found := _BUILT.search(line):
            return f"compiled {found[1]} % of a part"
    return ""


def _progress() -> tuple[str, ...]:
    version = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("pip"))
    knows = version is not None and (int(version[1]), int(version[2])) >= _RAW_PROGRESS
    return ("--progress-bar", "raw" if knows else "off")
