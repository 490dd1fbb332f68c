"""One llama.cpp server in a process of ours, whoever built it: started, watched, asked, ended.

How its process is begun is all that ``embedded`` and ``llama_server`` add.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import time
from abc import ABC, abstractmethod
from pathlib import Path

import aiohttp
import msgspec

from hearth.errors import EngineFailed, HearthError
from hearth.paths import Paths
from hearth.runtime.dialect import Dialect, LlamaServer
from hearth.runtime.engine import Activity, Endpoint, EngineState, LoadProgress, Tell
from hearth.runtime.engine_http import Refused
from hearth.runtime.kv.slot_api import SlotApi
from hearth.runtime.launch import Launch
from hearth.runtime.llama.api import LlamaApi
from hearth.runtime.llama.loadlog import load_error
from hearth.runtime.llama.loadstage import held_bytes, load_stage
from hearth.runtime.process import Process, describe_exit, is_alive, resident_bytes
from hearth.weights.card import ModelCard, measure
from hearth.weights.gguf import read_header

GRACE_S = 5.0
"""How long an engine may take to end by itself."""
LOOK_LIMIT_S = 5.0
_FIRST_POLL_S = 0.02
_SLOWEST_POLL_S = 0.1
_LAST_WORDS_S = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")
_FAILURES = (Refused, aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError)


class LlamaProcess(ABC):
    """All of an ``Engine`` but how its process begins: see there for the contract."""

    def __init__(
        self, card: ModelCard, launch: Launch, paths: Paths, *, saves: bool = True, load_timeout_s: float = 600.0
    ) -> None:
        """Nothing is started or written yet. ``saves`` says whether KV states may be saved; ``load_timeout_s`` is how
        long a load may go without a sign of life."""
        self._card = card
        # Without saves the engine itself chooses slots, and would give the spare one to a request.
        self._launch = launch if saves else msgspec.structs.replace(launch, spare=False)
        self._paths = paths
        self._slot_folder = str(paths.kv) if saves else ""
        self._files = _identify(card)
        self._load_timeout_s = load_timeout_s
        self._log_file = paths.engine_log(card.name)
        socket = paths.runtime / f"engine-{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._endpoint = Endpoint(socket, "http://engine", secrets.token_urlsafe(32))
        self._process: Process | None = None
        self._api: LlamaApi | None = None
        self._state = EngineState.STOPPED
        self._cause = ""
        self._context_length = 0
        self._slots = 0
        self._spare: int | None = None
        self._held: dict[str, int] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def card(self) -> ModelCard:
        """The model that it serves."""
        return self._card

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers, and its key."""
        return self._endpoint

    @property
    def context_length(self) -> int:
        """Tokens of one slot, as the engine itself says; 0 until it is ready."""
        return self._context_length

    @property
    def slots(self) -> int:
        """Parallel sequences that requests may go to, as the engine itself says; 0 until it is ready. The spare one
        is not among them."""
        return self._slots

    @property
    def kv_state(self) -> str:
        """The files, the engine's build and the types of the cache."""
        if not self._slot_folder:
            return ""
        # As they were before they were loaded; a file that was replaced meanwhile is none that we know.
        if self._files != _identify(self._card) or (0, 0) in [each[1:] for each in self._files]:
            return ""
        return repr((self._files, self._build(), self._launch.kv_type))

    @property
    def dialect(self) -> Dialect:
        """llama-server's own."""
        return LlamaServer()

    @property
    def held(self) -> dict[str, int]:
        """As its log told while it loaded."""
        return dict(self._held)

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
        """Its process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def check(self) -> None:
        """Read the header of each of its files."""
        await asyncio.to_thread(_read_headers, self._card)

    async def start(self, tell: Tell) -> None:
        """Check the files, start the process, wait until it has made a token. Raises as the contract says."""
        self._state = EngineState.STARTING
        try:
            await self.check()
            _sweep(self._paths.runtime)
            self._paths.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
            process, first_line = await self._prepare()
            self._check_still_wanted()
            self._process = process
            await process.start(first_line)
            self._api = LlamaApi(self._endpoint)
            await self._until_it_answers(process, self._api, tell)
        except HearthError as error:
            await self._clear_away()
            blamed = self._blame(error)
            self._fail(blamed.what)
            if blamed is error:
                raise
            raise blamed from error
        except BaseException:
            await asyncio.shield(self._clear_away())
            self._state = EngineState.STOPPED
            raise
        self._state = EngineState.READY
        self._watch = asyncio.create_task(self._watch_for_death(process))
        tell(LoadProgress(self._card.name, "ready", 0.0))

    async def look(self) -> Activity | None:
        """What its slots and its processor time say; the spare slot is no conversation. Prompt tokens are counted by
        the batch, answers by the token."""
        if self._api is None:
            raise ConnectionError("the engine does not run")
        try:
            async with asyncio.timeout(LOOK_LIMIT_S):
                slots, waiting = await asyncio.gather(self._api.slots(), self._api.deferred())
        except (Refused, aiohttp.ClientError, TypeError, ValueError) as error:
            raise ConnectionError(str(error)) from error
        working = {slot.number: slot.done for slot in slots if slot.working and slot.number != self._spare}
        return Activity(frozenset(working), working, waiting, _cpu_s(self.pid))

    async def canary(self) -> None:
        """One token in the spare slot, which no conversation goes to: nothing else is touched.

        Where there is none (what it costs, ``presets`` says), an empty slot serves, or the idle one that holds least,
        which is saved before and restored after; when that is refused, no token is asked for. An engine that chooses
        slots by itself chooses here too, as for any request: what the slot held moves to the host's memory, if there
        is some for it.
        """
        if self._api is None:
            raise EngineFailed(f"the engine of {self._card.name} does not run")
        try:
            if self._spare is not None or not self._slot_folder:
                await self._api.decode_one(-1 if self._spare is None else self._spare)
            else:
                await self._decode_aside(self._api)
        except _FAILURES as error:
            why = str(error) or type(error).__name__
            raise EngineFailed(f"the engine of {self._card.name} makes no token: {why}") from error

    async def fail(self, cause: str) -> None:
        """Kill the process."""
        self._fail(cause)
        await asyncio.shield(self._clear_away(0.0))

    async def stop(self) -> None:
        """End the process; its socket is removed."""
        if self._state in (EngineState.STARTING, EngineState.READY):
            self._state = EngineState.STOPPING
        await self._clear_away()
        if self._state is EngineState.STOPPING:
            self._state = EngineState.STOPPED

    async def wait(self) -> None:
        """Return when the process is gone; at once when it was never started."""
        if self._watch is not None:
            await asyncio.shield(self._watch)

    @abstractmethod
    async def _prepare(self) -> tuple[Process, str]:
        """The process, not started, and the first line of its standard input. It may set ``_endpoint`` and
        ``_launch``."""

    @abstractmethod
    def _build(self) -> str:
        """Which engine it is: another, and saved states are of no use."""

    def _blame(self, error: HearthError) -> HearthError:
        """The error of a start, with what is to be said of the engine's build."""
        return error

    async def _until_it_answers(self, process: Process, api: LlamaApi, tell: Tell) -> None:
        began, pause = time.monotonic(), _FIRST_POLL_S
        gone = asyncio.ensure_future(process.wait())
        coming = asyncio.create_task(self._come_up(api))
        try:
            while not coming.done():
                detail = load_stage(
                    process.tail, self._card.size_bytes, resident_bytes(process.pid) if process.pid else None
                )
                tell(LoadProgress(self._card.name, "loading", time.monotonic() - began, detail))
                await asyncio.wait([gone, coming], timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                self._check_still_wanted()
                if coming.done() and coming.exception() is not None:
                    # Most often it died over it, and what it said then says more.
                    await asyncio.wait([gone], timeout=_LAST_WORDS_S)
                if gone.done():
                    exit_text = describe_exit(gone.result())
                    raise load_error(process.tail, self._card.name, exit_text, str(self._log_file))
                self._check_signs_of_life(process)
                pause = min(pause * 1.25, _SLOWEST_POLL_S)
            await coming
        finally:
            for task in (gone, coming):
                task.cancel()
        self._held = held_bytes(process.tail)

    async def _come_up(self, api: LlamaApi) -> None:
        """Wait until it is up, learn its size, have the first token made."""
        pause = _FIRST_POLL_S
        while not await api.is_up():
            await asyncio.sleep(pause)
            pause = min(pause * 1.25, _SLOWEST_POLL_S)
        try:
            slots, self._context_length = await api.size()
            self._slots = min(slots, self._launch.slots)
            self._spare = slots - 1 if self._launch.spare and slots > self._slots else None
            await api.decode_one(0 if self._spare is None else self._spare)
            if self._spare is None and self._slot_folder:
                await api.erase(0)
        except _FAILURES as error:
            why = str(error) or type(error).__name__
            raise EngineFailed(
                f"model {self._card.name}: the engine is up and does not work: {why}", f"see {self._log_file}"
            ) from error

    async def _decode_aside(self, api: LlamaApi) -> None:
        idle = sorted((slot.held, slot.number) for slot in await api.slots() if not slot.working)
        if not idle:
            await api.decode_one(-1)
            return
        held, number = idle[0]
        if not held:
            await api.decode_one(number)
            await api.erase(number)
            return
        part = Path(self._slot_folder) / f"canary-{os.getpid()}-{secrets.token_hex(4)}.part"
        part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        states = SlotApi(self._endpoint)
        try:
            try:
                await states.save(number, part.name)
            except Refused:
                # A full disk, most often: no fault of an engine that answers, and no reason to lose a conversation.
                return
            await api.decode_one(number)
            await states.restore(number, part.name)
        finally:
            await states.close()
            part.unlink(missing_ok=True)

    def _check_still_wanted(self) -> None:
        if self._state is not EngineState.STARTING:
            raise EngineFailed(f"model {self._card.name}: its engine was stopped while it loaded")

    def _check_signs_of_life(self, process: Process) -> None:
        silent = time.monotonic() - process.heard_at
        if silent > self._load_timeout_s:
            raise EngineFailed(
                f"model {self._card.name}: the engine gave no sign of life for {silent:.0f} s while loading",
                f"see {self._log_file}; a slow disk needs a larger engine.load_timeout_s",
            )

    async def _watch_for_death(self, process: Process) -> None:
        code = await process.wait()
        if self._state is EngineState.READY:
            self._fail(f"the engine of {self._card.name} died: {describe_exit(code)}")
            await self._let_go()

    async def _clear_away(self, grace_s: float = GRACE_S) -> None:
        if self._process is not None:
            await self._process.stop(grace_s)
        await self._let_go()

    async def _let_go(self) -> None:
        # The folder may be gone or closed to us by now; a stale socket is swept at the next start.
        if self._endpoint.socket is not None:
            with contextlib.suppress(OSError):
                self._endpoint.socket.unlink(missing_ok=True)
        if self._api is not None:
            await self._api.close()

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


def _cpu_s(pid: int | None) -> float | None:
    """Processor time of a process so far; None where the system does not tell."""
    try:
        # The name, in brackets, may hold anything; user and system time are fields 14 and 15.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    except (OSError, ValueError, IndexError):
        return None


def _sweep(runtime: Path) -> None:
    """Remove the sockets that a killed daemon left: those whose maker is gone."""
    for socket in runtime.glob("engine-*-*.sock"):
        maker = re.fullmatch(r"engine-(\d+)-\w+\.sock", socket.name)
        if maker and not is_alive(int(maker[1])):
            socket.unlink(missing_ok=True)
