"""An engine that somebody else runs: it is asked, never started or ended. What all of them have in common."""

from __future__ import annotations

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import msgspec

from hearth.errors import EngineFailed, HearthError, ModelUnavailable
from hearth.runtime.capabilities import Capabilities
from hearth.runtime.dialect import Dialect, LlamaServer
from hearth.runtime.engine import Activity, Endpoint, EngineState, LoadProgress, Tell
from hearth.settings import ForeignSettings
from hearth.weights.card import ModelCard

OLLAMA_URL = "http://127.0.0.1:11434"
"""Where Ollama listens unless it is told otherwise."""
PROBE_S = 10.0
"""How long such an engine may take to say what it is."""
BEAT_S = 5.0
"""How often it is asked whether it is still there."""
_AGAIN_S = 0.2
_STRIKES = 2

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What was learned of an engine when it was met: how it is spoken to, tokens of one request, requests at once."""

    dialect: Dialect
    context: int
    slots: int
    held: Mapping[str, int]


class ForeignEngine(ABC):
    """The life of an engine without a process of ours. Each kind says how it is met. It is an ``Engine``: see there.

    It turns ``failed`` when nobody listens at its address any more; one that is busy and slow to answer does not.
    """

    capabilities: ClassVar[Capabilities]
    _alive_path: ClassVar[str]

    def __init__(self, card: ModelCard, settings: ForeignSettings, *, beat_s: float = BEAT_S) -> None:
        """``card`` is that of ``MODEL@NAME``, ``settings`` those of ``engines.NAME``. Nothing is asked yet."""
        self._card = card
        self._model, self._name = split_name(card.name)
        self._settings = settings
        self._beat_s = beat_s
        self._endpoint = Endpoint(None, base_url(settings), "")
        self._found = Found(LlamaServer(), 0, 0, {})
        self._state = EngineState.STOPPED
        self._cause = ""
        self._gone = asyncio.Event()
        self._doubt = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def card(self) -> ModelCard:
        """The model that is asked for."""
        return self._card

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        return self._endpoint

    @property
    def context_length(self) -> int:
        """Tokens that one request may hold, by the engine's account; 0 until it is ready."""
        return self._found.context if self._state is EngineState.READY else 0

    @property
    def slots(self) -> int:
        """Requests at once; 0 until it is ready."""
        return self._found.slots if self._state is EngineState.READY else 0

    @property
    def kv_state(self) -> str:
        """Empty: what it holds cannot be saved."""
        return ""

    @property
    def dialect(self) -> Dialect:
        """What was found that it speaks."""
        return self._found.dialect

    @property
    def held(self) -> Mapping[str, int]:
        """What it said that the model takes, if it says so and is on this machine."""
        return self._found.held if self._state is EngineState.READY else {}

    @property
    def state(self) -> EngineState:
        """Where it is in its life with us."""
        return self._state

    @property
    def cause(self) -> str:
        """Why it failed."""
        return self._cause

    @property
    def pid(self) -> int | None:
        """None: its process is not ours."""
        return None

    async def check(self) -> None:
        """Ask whether it has the model."""
        async with self._session() as session:
            await self._said(self._check(session))

    async def start(self, tell: Tell) -> None:
        """Meet it, and have it decode a token. Raises as the contract says."""
        self._state = EngineState.STARTING
        try:
            async with asyncio.timeout(self._settings.timeout_s), self._session() as session:
                found = await self._said(self._meet(session, tell))
            if self._state is not EngineState.STARTING:
                raise EngineFailed(f"model {self._card.name}: its engine was stopped while it was met")
        except (HearthError, TimeoutError) as error:
            said = error if isinstance(error, HearthError) else self._silent()
            self._fail(said.what)
            await asyncio.shield(self._part())
            raise said from error
        except BaseException:
            self._state = EngineState.STOPPED
            self._gone.set()
            raise
        self._found = found
        self._state = EngineState.READY
        self._watch = asyncio.create_task(self._watch_over())
        tell(LoadProgress(self._card.name, "ready", 0.0))

    async def look(self) -> Activity | None:
        """None: it cannot be asked."""
        return None

    async def canary(self) -> None:
        """Have one token decoded."""
        await self._said(self._first_token(self._found.dialect))

    async def fail(self, cause: str) -> None:
        """Ask it no more."""
        self._fail(cause)
        await asyncio.shield(self._part())

    async def stop(self) -> None:
        """Ask it no more, and give back what it keeps for us."""
        if self._state in (EngineState.STARTING, EngineState.READY):
            self._state = EngineState.STOPPING
        await asyncio.shield(self._part())
        if self._state is EngineState.STOPPING:
            self._state = EngineState.STOPPED

    async def wait(self) -> None:
        """Return when it is asked no more; at once when it never was. Who waits makes it being looked at now: a caller
        whose connection broke wants to know at once."""
        if self._state in (EngineState.STOPPED, EngineState.FAILED):
            return
        self._doubt.set()
        await self._gone.wait()

    @abstractmethod
    async def _meet(self, session: aiohttp.ClientSession, tell: Tell) -> Found:
        """Learn what it is and see it decode a token. Raises HearthError, aiohttp.ClientError, OSError."""

    @abstractmethod
    async def _check(self, session: aiohttp.ClientSession) -> None:
        """Raise ModelUnavailable unless it has the model."""

    async def _let_go(self, session: aiohttp.ClientSession) -> None:
        """Give back what it keeps for us. Nothing, unless a kind says otherwise."""
        return

    async def _part(self) -> None:
        """End the watch and let go, once, however often it is called."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._part_once())
        await asyncio.shield(self._ending)

    async def _part_once(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        with contextlib.suppress(HearthError, aiohttp.ClientError, OSError, TimeoutError, ValueError):
            async with asyncio.timeout(PROBE_S), self._session() as session:
                await self._let_go(session)
        self._gone.set()

    def _session(self, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
        """Raises EngineFailed when its key cannot be had."""
        key = read_key(self._settings.api_key, self._name)
        self._endpoint = Endpoint(None, self._endpoint.url, key)
        return open_session(key, timeout)

    async def _first_token(self, dialect: Dialect) -> None:
        """Have it decode a token, however long that takes. Raises EngineFailed with its own words when it refuses."""
        asked = {"model": self._card.name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        body = msgspec.json.encode(asked)
        headers = {"Content-Type": "application/json"}
        address = self._endpoint.url + dialect.path
        patient = aiohttp.ClientTimeout(total=None, sock_connect=PROBE_S)
        async with (
            self._session(patient) as session,
            session.post(address, data=dialect.request(body), headers=headers, allow_redirects=False) as response,
        ):
            raw = await response.read()
        answer = dialect.translation(body)
        told = answer.whole(raw) if response.status == 200 else answer.error(response.status, raw)[1]
        try:
            error = msgspec.json.decode(told).get("error")
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            error = {"message": "it sent what is no answer"}
        if error is not None:
            raise EngineFailed(
                f"model {self._card.name}: {error.get('message')}", f"see what {self._endpoint.url} itself says"
            )

    async def _get(self, session: aiohttp.ClientSession, path: str) -> Json:
        return await ask_json(session, "GET", self._endpoint.url + path, self._name)

    async def _post(self, session: aiohttp.ClientSession, path: str, body: Json) -> Json:
        return await ask_json(session, "POST", self._endpoint.url + path, self._name, body)

    async def _said(self, asking: Any) -> Any:
        """What was asked for, a connection that fails told as it is to be read."""
        try:
            return await asking
        except aiohttp.ClientConnectorError as error:
            raise EngineFailed(
                nobody_answers(self._endpoint.url, error),
                f"start the engine there, or see engines.{self._name}.url",
            ) from error
        except TimeoutError as error:
            raise self._silent() from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed(
                f"{self._endpoint.url} broke off: {error or type(error).__name__}", "see its own log"
            ) from error

    def _silent(self) -> EngineFailed:
        return EngineFailed(
            f"model {self._card.name}: {self._endpoint.url} gave no answer in time",
            f"see its own log; a slow one needs a larger engines.{self._name}.timeout_s",
        )

    async def _watch_over(self) -> None:
        """Fail when nobody listens any more, twice in a row. A full or slow server answers late, or with an error: both
        are signs of life."""
        strikes = 0
        while strikes < _STRIKES:
            if strikes:
                await asyncio.sleep(_AGAIN_S)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._beat_s):
                        await self._doubt.wait()
                self._doubt.clear()
            strikes = 0 if await self._listens() else strikes + 1
        self._fail(f"nobody answers at {self._endpoint.url} any more")
        self._gone.set()

    async def _listens(self) -> bool:
        try:
            async with (
                self._session() as session,
                session.get(self._endpoint.url + self._alive_path, allow_redirects=False),
            ):
                return True
        except aiohttp.ClientConnectionError as error:
            return isinstance(error, TimeoutError)
        except (aiohttp.ClientError, TimeoutError, HearthError):
            return True

    def _fail(self, cause: str) -> None:
        if self._state in (EngineState.STARTING, EngineState.READY):
            self._state = EngineState.FAILED
            self._cause = cause


def split_name(name: str) -> tuple[str, str]:
    """``MODEL@NAME`` in its parts; the second is empty when there is no ``@``."""
    model, found, engine = name.rpartition("@")
    return (model, engine) if found else (name, "")


def base_url(settings: ForeignSettings) -> str:
    """Its address without a slash at the end and without ``/v1``, which people copy from examples."""
    return (settings.url or OLLAMA_URL).rstrip("/").removesuffix("/v1").rstrip("/")


def nobody_answers(url: str, error: aiohttp.ClientConnectorError) -> str:
    """Why no connection came about, in the system's words."""
    number = error.os_error.errno or 0
    # A name that is not known has a number of its own kind, below zero.
    why = os.strerror(number) if number > 0 else error.os_error.strerror or str(error)
    return f"nobody answers at {url}: {why}"


def read_key(text: str, name: str) -> str:
    """The key that ``engines.NAME.api_key`` means. Raises EngineFailed when it is not where it should be."""
    kind, found, place = text.partition(":")
    if not found or kind not in ("env", "file"):
        return text
    try:
        key = os.environ[place] if kind == "env" else Path(place).expanduser().read_text(encoding="utf-8")
    except (KeyError, OSError, UnicodeDecodeError, RuntimeError) as error:
        why = "it is not set" if isinstance(error, KeyError) else error
        raise EngineFailed(
            f"the key of engine {name} cannot be read from {text}: {why}", f"set it there, or engines.{name}.api_key"
        ) from error
    if not key.strip().isprintable():
        raise EngineFailed(f"the key of engine {name} in {text} is no text on one line", "write it there alone")
    return key.strip()


def open_session(key: str, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
    """A client that goes nowhere but where it is told: no proxy of the environment's, no connection kept."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=timeout or aiohttp.ClientTimeout(total=PROBE_S),
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=False,
    )


async def ask_json(session: aiohttp.ClientSession, method: str, url: str, name: str, body: Json | None = None) -> Json:
    """The JSON object at this address. Raises ModelUnavailable for 404, EngineFailed for every other answer, and
    aiohttp.ClientError, OSError or TimeoutError when there is none."""
    async with session.request(method, url, json=body, allow_redirects=False) as response:
        raw = await response.read()
    if response.status in (401, 403):
        raise EngineFailed(f"{url} wants another key (HTTP {response.status})", f"set engines.{name}.api_key")
    said = raw[:200].decode("utf-8", "replace").strip()
    if response.status == 404:
        raise ModelUnavailable(f"{url} is not known there: {said}", f"see engines.{name}.kind and engines.{name}.url")
    if response.status != 200:
        raise EngineFailed(f"{url} answers HTTP {response.status}: {said}", "see its own log")
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise EngineFailed(
            f"{url} answers what is no JSON object: {said}", f"see engines.{name}.kind and engines.{name}.url"
        )
    return found
