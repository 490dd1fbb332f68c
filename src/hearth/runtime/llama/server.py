"""An engine made by others: a llama-server binary that the owner has, run as one of ours.

Which version it is and which flags it has is asked of the binary itself, once for each change of its file.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path

import msgspec

from hearth.errors import EngineFailed
from hearth.paths import Paths
from hearth.runtime.engine import Endpoint
from hearth.runtime.launch import Launch
from hearth.runtime.llama.flags import LlamaBuild, read_build, write_command
from hearth.runtime.llama.process import LlamaProcess
from hearth.runtime.process import Process, describe_exit
from hearth.weights.card import ModelCard

NAME = "llama-server"
ASK_LIMIT_S = 60.0
"""How long a binary may take to print its version: one for cards looks for them first."""
_SETTING = "set engine.binary to a llama-server, or engine.kind to embedded"

log = logging.getLogger("hearth.runtime")


def find_binary(binary: str) -> Path:
    """The program that a setting names; on the PATH when it is empty or has no folder. Raises EngineFailed."""
    found = shutil.which(str(Path(binary or NAME).expanduser()))
    if found is not None:
        return Path(found).absolute()
    if not binary:
        raise EngineFailed(f"no {NAME} is on the PATH", _SETTING)
    path = Path(binary).expanduser()
    if path.is_file():
        raise EngineFailed(f"engine.binary {binary} may not be run", f"run: chmod +x {path}")
    raise EngineFailed(f"engine.binary {binary} is not there", _SETTING)


def identify_binary(binary: Path) -> str:
    """What changes when the program or a library beside it does. Raises EngineFailed when it is gone."""
    real = binary.resolve()
    try:
        files = [real, *sorted(path for path in real.parent.glob("lib*") if path.is_file())]
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise EngineFailed(f"{binary} cannot be read: {error.strerror}", _SETTING) from error
    return hashlib.sha256(repr((str(real), stamps)).encode()).hexdigest()[:32]


async def probe_binary(binary: Path, paths: Paths) -> LlamaBuild:
    """Its version and flags; kept in the cache until its file changes. Raises EngineFailed when it is no llama-server
    that runs here."""
    kept = paths.cache / "llama-server" / f"{identify_binary(binary)}.json"
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(kept.read_bytes(), type=LlamaBuild)
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    version_text, exit_text = await _printed(binary, "--version", kept.parent)
    help_text, _ = await _printed(binary, "--help", kept.parent)
    build = read_build(version_text, help_text)
    if build is None:
        said = next(filter(None, version_text.splitlines()), "it says nothing")
        raise EngineFailed(f"{binary} is no llama-server that runs here ({exit_text}): {said[:200]}", _SETTING)
    partial = kept.with_suffix(f".{secrets.token_hex(4)}")
    # What cannot be kept is asked again next time.
    with contextlib.suppress(OSError):
        partial.write_bytes(msgspec.json.encode(build))
        partial.replace(kept)
    return build


async def _printed(binary: Path, flag: str, folder: Path) -> tuple[str, str]:
    """What it prints, and how it ended."""
    file = folder / f"{secrets.token_hex(4)}.log"
    process = Process([str(binary), flag], environment=_environment(), log_file=file)
    try:
        await process.start("")
        async with asyncio.timeout(ASK_LIMIT_S):
            exit_text = describe_exit(await process.wait())
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else "", exit_text
    except TimeoutError as error:
        raise EngineFailed(f"{binary} {flag} does not end within {ASK_LIMIT_S:.0f} s", _SETTING) from error
    finally:
        await asyncio.shield(process.stop(0))
        file.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Ours, without what would set flags behind our back."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("LLAMA_ARG_", "LLAMA_API_KEY"))}


class LlamaServerEngine(LlamaProcess):
    """Runs a llama-server. It is an ``Engine``: see there for the contract."""

    def __init__(
        self,
        binary: str,
        card: ModelCard,
        launch: Launch,
        paths: Paths,
        *,
        saves: bool = True,
        load_timeout_s: float = 600.0,
    ) -> None:
        """As ``LlamaProcess``; ``binary`` is a program's path or name, empty for the one on the PATH."""
        super().__init__(card, launch, paths, saves=saves, load_timeout_s=load_timeout_s)
        self._binary = binary
        self._identity = ""

    async def check(self) -> None:
        """That there is such a program, and the header of each of the model's files."""
        await asyncio.to_thread(find_binary, self._binary)
        await super().check()

    async def _prepare(self) -> tuple[Process, str]:
        binary = find_binary(self._binary)
        build = await probe_binary(binary, self._paths)
        if not build.takes_keys:
            raise EngineFailed(f"{binary} (version {build.version}) is too old: it takes no key in secret", _SETTING)
        key, path = self._endpoint.api_key, self._endpoint.socket
        port = 0
        if not build.takes_unix_sockets:
            port = _free_port()
            self._endpoint = Endpoint(None, f"http://127.0.0.1:{port}", key)
        line = write_command(
            build,
            self._launch,
            model=str(self._card.path),
            name=self._card.name,
            host=str(path) if build.takes_unix_sockets else "127.0.0.1",
            port=port,
            slot_folder=self._slot_folder,
        )
        if "--slot-save-path" not in line.arguments:
            self._slot_folder = ""
        self._launch = line.launch
        if line.missing:
            log.warning("%s: %s %s lacks %s", self._card.name, NAME, build.version, ", ".join(line.missing))
        if self._slot_folder:
            # It refuses a folder that is not there.
            Path(self._slot_folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._identity = f"{NAME} {build.version} {identify_binary(binary)}"
        command = [
            sys.executable,
            "-P",
            "-m",
            "hearth.runtime.llama.leash",
            str(os.getpid()),
            str(binary),
            *line.arguments,
        ]
        environment = {**_environment(), "LLAMA_API_KEY": key, "PYTHONUNBUFFERED": "1", "GGML_NO_BACKTRACE": "1"}
        return Process(command, environment=environment, log_file=self._log_file), ""

    def _build(self) -> str:
        return self._identity


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
