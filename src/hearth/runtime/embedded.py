"""The engine in the package: llama.cpp in a child process of ours."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import re
import secrets
import sys
import time
from pathlib import Path

import aiohttp
import msgspec

from hearth.errors import EngineFailed, HearthError
from hearth.paths import Paths
from hearth.runtime.dialect import Dialect, LlamaServer
from hearth.runtime.engine import Activity, Endpoint, EngineState, LoadProgress, Tell
from hearth.runtime.launch import Launch
from hearth.runtime.loadlog import load_error
from hearth.runtime.process import Process, describe_exit, is_alive
from hearth.runtime.worker_options import WorkerOptions
from hearth.weights.card import ModelCard, measure
from hearth.weights.gguf import read_header

GRACE_S = 5.0
"""How long an engine may take to end by itself."""
_FIRST_POLL_S = 0.02
_SLOWEST_POLL_S = 0.1
_POLL_TIMEOUT_S = 10.0


class EmbeddedEngine:
    """Runs ``hearth.runtime.worker`` and knows whether it answers. It is an ``Engine``: see there for the contract."""

    def __init__(
        self, card: ModelCard, launch: Launch, paths: Paths, *, saves: bool = True, load_timeout_s: float = 600.0
    ) -> None:
        """Nothing is started or written yet. ``saves`` says whether KV states may be saved; ``load_timeout_s`` is how
        long a load may go without a sign of life."""
        self._slot_folder = str(paths.kv) if saves else ""
        self._files = _identify(card)
        self._card = card
        self._launch = launch
        self._load_timeout_s = load_timeout_s
        self._paths = paths
        name = f"engine-{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._socket = paths.runtime / name
        self._endpoint = Endpoint(self._socket, "http://engine", secrets.token_urlsafe(32))
        self._log_file = paths.engine_log(card.name)
        self._process = Process(
            # -P: modules of the folder that the daemon was started in must not shadow ours.
            [sys.executable, "-P", "-m", "hearth.runtime.worker"],
            environment={**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"},
            log_file=self._log_file,
        )
        self._state = EngineState.STOPPED
        self._cause = ""
        self._context_length = 0
        self._slots = 0
        self._watch: asyncio.Task[None] | None = None

    @property
    def card(self) -> ModelCard:
        """The model that it serves."""
        return self._card

    @property
    def endpoint(self) -> Endpoint:
        """Its unix socket and key."""
        return self._endpoint

    @property
    def context_length(self) -> int:
        """Tokens of one slot, as the engine itself says; 0 until it is ready."""
        return self._context_length

    @property
    def slots(self) -> int:
        """Parallel sequences, as the engine itself says; 0 until it is ready."""
        return self._slots

    @property
    def kv_state(self) -> str:
        """The files, the engine's build and the types of the cache."""
        if not self._slot_folder:
            return ""
        # As they were before they were loaded; a file that was replaced meanwhile is none that we know.
        if self._files != _identify(self._card) or (0, 0) in [each[1:] for each in self._files]:
            return ""
        return repr((self._files, importlib.metadata.version("xllamacpp"), self._launch.kv_type))

    @property
    def dialect(self) -> Dialect:
        """llama-server's own."""
        return LlamaServer()

    @property
    def held(self) -> dict[str, int]:
        """Nothing that it tells."""
        return {}

    @property
    def state(self) -> EngineState:
        """Where it is in its life."""
        return self._state

    @property
    def cause(self) -> str:
        """Why it failed."""
        return self._cause

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        return self._process.pid

    async def check(self) -> None:
        """Read the header of each of its files."""
        await asyncio.to_thread(_read_headers, self._card)

    async def start(self, tell: Tell) -> None:
        """Check the file, start the worker, wait until it answers. Raises as the contract says."""
        self._state = EngineState.STARTING
        try:
            await asyncio.to_thread(_read_headers, self._card)
            _sweep(self._paths.runtime)
            self._paths.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
            options = WorkerOptions(
                model=str(self._card.path),
                name=self._card.name,
                socket=str(self._endpoint.socket),
                api_key=self._endpoint.api_key,
                parent=os.getpid(),
                launch=self._launch,
                slot_folder=self._slot_folder,
            )
            await self._process.start(msgspec.json.encode(options).decode())
            await self._until_it_answers(tell)
        except HearthError as error:
            await self._clear_away()
            self._fail(error.what)
            raise
        except BaseException:
            await asyncio.shield(self._clear_away())
            self._state = EngineState.STOPPED
            raise
        self._state = EngineState.READY
        self._watch = asyncio.create_task(self._watch_for_death())
        tell(LoadProgress(self._card.name, "ready", 0.0))

    async def look(self) -> Activity | None:
        """Not asked yet."""
        return None

    async def canary(self) -> None:
        """Not asked yet."""

    async def fail(self, cause: str) -> None:
        """Kill the worker."""
        self._fail(cause)
        await asyncio.shield(self._clear_away(0.0))

    async def stop(self) -> None:
        """End the worker; its socket is removed."""
        if self._state in (EngineState.STARTING, EngineState.READY):
            self._state = EngineState.STOPPING
        await self._clear_away()
        if self._state is EngineState.STOPPING:
            self._state = EngineState.STOPPED

    async def wait(self) -> None:
        """Return when the worker is gone; at once when it was never started."""
        if self._watch is not None:
            await asyncio.shield(self._watch)

    async def _until_it_answers(self, tell: Tell) -> None:
        began = time.monotonic()
        pause = _FIRST_POLL_S
        gone = asyncio.ensure_future(self._process.wait())
        timeout = aiohttp.ClientTimeout(total=_POLL_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._endpoint.api_key}"}
        connector = aiohttp.UnixConnector(str(self._socket))
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            while not await _answers(session):
                last_line = self._process.tail[-1] if self._process.tail else ""
                tell(LoadProgress(self._card.name, "loading", time.monotonic() - began, last_line))
                await asyncio.wait([gone], timeout=pause)
                if self._state is not EngineState.STARTING:
                    raise EngineFailed(f"model {self._card.name}: its engine was stopped while it loaded")
                if gone.done():
                    raise self._load_error(describe_exit(gone.result()))
                self._check_signs_of_life()
                pause = min(pause * 1.25, _SLOWEST_POLL_S)
            self._slots, self._context_length = await _properties(session, self._card.name)
        gone.cancel()

    def _check_signs_of_life(self) -> None:
        silent = time.monotonic() - self._process.heard_at
        if silent > self._load_timeout_s:
            raise EngineFailed(
                f"model {self._card.name}: the engine gave no sign of life for {silent:.0f} s while loading",
                f"see {self._log_file}; a slow disk needs a larger engine.load_timeout_s",
            )

    def _load_error(self, exit_text: str) -> HearthError:
        return load_error(self._process.tail, self._card.name, exit_text, str(self._log_file))

    async def _watch_for_death(self) -> None:
        code = await self._process.wait()
        if self._state is EngineState.READY:
            self._fail(f"the engine of {self._card.name} died: {describe_exit(code)}")
            self._remove_socket()

    async def _clear_away(self, grace_s: float = GRACE_S) -> None:
        await self._process.stop(grace_s)
        self._remove_socket()

    def _remove_socket(self) -> None:
        # The folder may be gone or closed to us by now; a stale socket is swept at the next start.
        with contextlib.suppress(OSError):
            self._socket.unlink(missing_ok=True)

    def _fail(self, cause: str) -> None:
        if self._state in (EngineState.STARTING, EngineState.READY):
            self._state = EngineState.FAILED
            self._cause = cause


def _identify(card: ModelCard) -> list[tuple[str, int, int]]:
    """Name, size and time of each of its files."""
    return [(path.name, *measure(path)) for path in (card.path, *card.more_parts)]


def _read_headers(card: ModelCard) -> None:
    for path in (card.path, *card.more_parts):
        read_header(path)


async def _answers(session: aiohttp.ClientSession) -> bool:
    """Whether it is up. Not yet listening, still loading and too busy to answer all mean: not yet."""
    try:
        async with session.get("http://engine/health") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _properties(session: aiohttp.ClientSession, model: str) -> tuple[int, int]:
    """Slots, and the context of each in tokens."""
    try:
        async with session.get("http://engine/props") as response:
            response.raise_for_status()
            properties = await response.json()
        return int(properties["total_slots"]), int(properties["default_generation_settings"]["n_ctx"])
    except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError) as error:
        raise EngineFailed(
            f"model {model}: the engine does not tell its context: {error!r}", "run: hearth doctor"
        ) from error


def _sweep(runtime: Path) -> None:
    """Remove the sockets that a killed daemon left: those whose maker is gone."""
    for socket in runtime.glob("engine-*-*.sock"):
        maker = re.fullmatch(r"engine-(\d+)-\w+\.sock", socket.name)
        if maker and not is_alive(int(maker[1])):
            socket.unlink(missing_ok=True)
