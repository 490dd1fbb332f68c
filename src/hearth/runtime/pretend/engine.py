"""The pretending engine as an engine: in this process, for tests, benches and demonstrations."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from hearth.errors import EngineFailed, HearthError, OutOfMemory
from hearth.runtime.dialect import Dialect, LlamaServer
from hearth.runtime.engine import Activity, Endpoint, EngineState, LoadProgress, Tell
from hearth.runtime.engine_http import Refused
from hearth.runtime.llama.api import LlamaApi
from hearth.runtime.pretend.core import Core
from hearth.runtime.pretend.script import Load, Script
from hearth.runtime.pretend.server import PretendServer
from hearth.runtime.watch.vigil import Pulse
from hearth.weights.store import ModelCard

CARD = ModelCard("pretend", Path("pretend.gguf"), 0, "an engine that only pretends")
_LOADING_BEAT_S = 0.05


class PretendEngine:
    """Plays a script over llama-server's HTTP. It is an ``Engine``: see there for the contract.

    ``async with PretendEngine(script) as engine`` starts and stops it. ``requests`` holds the raw bodies of the chat
    requests, in order, ``priorities`` what each said in ``X-Hearth-Priority``.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        card: ModelCard = CARD,
        context: int = 32_768,
        slots: int = 2,
        api_key: str = "",
        listen: Path | int = 0,
        record: Path | None = None,
        core: Core | None = None,
        sees: bool = False,
    ) -> None:
        """``listen`` is a unix socket's path or a TCP port on 127.0.0.1 (0 takes a free one). With ``record``, each
        chat request is appended to that file as one JSON line ``{"body": "..."}``. ``core`` is another than one that
        pretends to compute, and to die. One that ``sees`` says that its model takes images."""
        self._card = card
        self._context = context
        self._slots = slots
        self._listen = listen
        self._record_file = record
        self._api_key = api_key
        self._sees = sees
        self._script = script or Script()
        self._endpoint = Endpoint(listen if isinstance(listen, Path) else None, "http://engine", api_key)
        self._state = EngineState.STOPPED
        self._cause = ""
        self._gone = asyncio.Event()
        self._arrived = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._server: PretendServer | None = None
        self._core = core or Core(burns=False, die=self._die)
        self._api: LlamaApi | None = None
        self._dying: asyncio.Task[None] | None = None
        self.requests: list[bytes] = []
        self.priorities: list[str] = []

    @property
    def card(self) -> ModelCard:
        """The model that it claims to serve."""
        return self._card

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        return self._endpoint

    @property
    def context_length(self) -> int:
        """Tokens that one request may hold; 0 until it is ready."""
        return self._context if self._state is EngineState.READY else 0

    @property
    def slots(self) -> int:
        """Parallel answers; 0 until it is ready."""
        return self._slots if self._state is EngineState.READY else 0

    @property
    def kv_state(self) -> str:
        """Empty: it has no state to save."""
        return ""

    @property
    def dialect(self) -> Dialect:
        """llama-server's own."""
        return LlamaServer()

    @property
    def held(self) -> dict[str, int]:
        """Nothing: it holds no model."""
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
        """None: it has no process of its own."""
        return None

    async def listen(self) -> None:
        """Open its port, without waiting for the pretended load. Raises EngineFailed when the place is taken."""
        self._server = PretendServer(
            self._script,
            self._core,
            model=self._card.name,
            slots=self._slots,
            context=self._context,
            api_key=self._api_key,
            record=self._record,
            sees=self._sees,
        )
        runner = web.AppRunner(
            self._server.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        self._runner = runner
        await runner.setup()
        try:
            if isinstance(self._listen, Path):
                self._listen.unlink(missing_ok=True)
                await web.UnixSite(runner, str(self._listen)).start()
                self._listen.chmod(0o600)
            else:
                await web.TCPSite(runner, "127.0.0.1", self._listen).start()
                if self._runner is not runner:
                    raise EngineFailed("the pretending engine was ended while it began to listen")
                self._endpoint = Endpoint(None, f"http://127.0.0.1:{runner.addresses[0][1]}", self._api_key)
        except OSError as error:
            await self._close()
            raise EngineFailed(
                f"the pretending engine cannot listen on {self._listen}: {os.strerror(error.errno or 0)}",
                "name another socket or port",
            ) from error

    async def check(self) -> None:
        """Nothing can be wrong: there is no file."""

    async def start(self, tell: Tell = lambda _progress: None) -> None:
        """Open its port and pretend to load."""
        self._state = EngineState.STARTING
        try:
            await self.listen()
            assert self._server is not None
            began = time.monotonic()
            while self._server.loading:
                tell(LoadProgress(self._card.name, "loading", time.monotonic() - began))
                await asyncio.sleep(_LOADING_BEAT_S)
                if self._state is not EngineState.STARTING:
                    raise EngineFailed(f"model {self._card.name}: its engine was stopped while it loaded")
            self._check_load()
        except BaseException as error:
            await self._close()
            self._state = EngineState.FAILED if isinstance(error, EngineFailed) else EngineState.STOPPED
            self._cause = error.what if isinstance(error, HearthError) else str(error)
            raise
        self._state = EngineState.READY
        tell(LoadProgress(self._card.name, "ready", 0.0))

    @property
    def core(self) -> Core:
        """What computes, or hangs."""
        return self._core

    def pulse(self) -> Pulse | None:
        """What it pretends to have used, in place of what the system tells of a process."""
        return Pulse(self._core.used_s) if self._state is EngineState.READY else None

    async def look(self) -> Activity | None:
        """What its slots say, over HTTP."""
        api = self._ask()
        try:
            slots, waiting = await asyncio.gather(api.slots(), api.deferred())
        except (Refused, aiohttp.ClientError) as error:
            raise ConnectionError(str(error)) from error
        working = {slot.number: slot.done for slot in slots if slot.working}
        return Activity(frozenset(working), working, waiting, self._core.used_s)

    async def canary(self) -> None:
        """One token in a slot that is idle."""
        try:
            await self._ask().decode_one(-1)
        except (Refused, aiohttp.ClientError, OSError) as error:
            raise EngineFailed(f"the pretending engine makes no token: {error or type(error).__name__}") from error

    async def stop(self) -> None:
        """Close its port and every connection."""
        if self._state is not EngineState.FAILED:
            self._state = EngineState.STOPPED
        await self._close()

    async def fail(self, cause: str) -> None:
        """Die as a crashed engine does: connections break, the state is ``failed``."""
        self._state = EngineState.FAILED
        self._cause = cause
        await self._close()

    async def wait(self) -> None:
        """Return when it has been stopped or has failed."""
        await self._gone.wait()

    async def asked(self, count: int) -> None:
        """Return when ``count`` chat requests have come since the start."""
        while len(self.requests) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _check_load(self) -> None:
        if self._script.load is Load.OUT_OF_MEMORY:
            raise OutOfMemory(f"model {self._card.name}: not enough memory", "take a smaller model")
        if self._script.load is Load.DEATH:
            raise EngineFailed(f"model {self._card.name}: the engine did not start (exit code 1)")

    def _ask(self) -> LlamaApi:
        if self._state is not EngineState.READY:
            raise ConnectionError("the engine does not run")
        if self._api is None:
            self._api = LlamaApi(self._endpoint)
        return self._api

    def _die(self) -> None:
        # Not at once: who calls is an answer of its own server, which ends with it.
        self._dying = asyncio.create_task(self.fail(f"the engine of {self._card.name} died: killed by SIGKILL"))

    async def _close(self) -> None:
        api, self._api = self._api, None
        if api is not None:
            await api.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            if isinstance(self._listen, Path):
                self._listen.unlink(missing_ok=True)
        self._gone.set()

    def _record(self, body: bytes, priority: str) -> None:
        self.requests.append(body)
        self.priorities.append(priority)
        self._arrived.set()
        if self._record_file is not None:
            with self._record_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"body": body.decode(errors="replace")}) + "\n")
