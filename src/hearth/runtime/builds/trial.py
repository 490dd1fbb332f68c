"""Tries a build: loads its library, has it answer, and measures how fast it reads and answers.

The processes are those of every engine, with the build's folder on their path.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from hearth.errors import EngineFailed
from hearth.runtime.builds.build import Build, Rates, needed_version
from hearth.runtime.launch import Launch
from hearth.runtime.llama.loadlog import load_error
from hearth.runtime.llama.worker_options import WorkerOptions
from hearth.runtime.process import Process, describe_exit

MARK = "hearth look: "
"""How the line begins by which ``look_worker`` tells what it saw."""

LOOK_LIMIT_S = 180.0
"""How long loading the library may take: a driver that wakes its cards takes seconds."""

SILENCE_LIMIT_S = 600.0
"""How long a load or an answer may take. At the first start a driver may translate the code for its card."""

CONTEXT = 2048
PROMPT_TOKENS = 512
ANSWER_TOKENS = 32
_FIRST_IDS = 100, 900
"""Tokens that every vocabulary has, and that are no special ones."""
_GRACE_S = 5.0
_POLL_S = 0.05
_NO_LIBRARY = re.compile(r"(?:ImportError|OSError|ModuleNotFoundError): (.*)")


class Device(msgspec.Struct, frozen=True):
    """One device as the engine sees it: ``CUDA0``, ``CPU``."""

    name: str
    description: str
    total_bytes: int


class Seen(msgspec.Struct, frozen=True):
    """What a library is that was loaded, from where, and its devices."""

    version: str
    file: str
    devices: tuple[Device, ...]


async def look(build: Build, log_file: Path) -> Seen:
    """Load the library of this build and see whether it is the one, of the needed version, with the device that it is
    for. Raises EngineFailed; the output of a failed load is in ``log_file``."""
    process = Process(
        [sys.executable, "-P", "-m", "hearth.runtime.builds.look_worker"],
        environment=_environment(build),
        log_file=log_file,
    )
    await process.start("")
    try:
        async with asyncio.timeout(LOOK_LIMIT_S):
            code = await process.wait()
    except TimeoutError as error:
        raise EngineFailed(f"the engine's library did not load within {LOOK_LIMIT_S:.0f} s") from error
    finally:
        await asyncio.shield(process.stop(0))
    told = next((line for line in process.tail if line.startswith(MARK)), None)
    if code or told is None:
        raise EngineFailed(f"the engine's library does not load: {_why(process, code)}", f"see {log_file}")
    seen = msgspec.json.decode(told[len(MARK) :], type=Seen)
    return judge(build, seen)


def judge(build: Build, seen: Seen) -> Seen:
    """The same, when that is what the build is to be. Raises EngineFailed. Pure."""
    if build.python_path and not Path(seen.file).is_relative_to(build.python_path):
        raise EngineFailed(f"another library is loaded instead of this build: {seen.file}")
    if seen.version.partition("+")[0] != needed_version():
        raise EngineFailed(f"it is of version {seen.version}, this hearth needs {needed_version()}")
    if build.device and not any(device.name.startswith(build.device) for device in seen.devices):
        others = ", ".join(device.name for device in seen.devices) or "none"
        raise EngineFailed(
            f"it sees no {build.device} device, only {others}: on this machine it would run on the processor",
            "run: hearth doctor, and see whether the card's driver answers",
        )
    return seen


class Served:
    """A model that a build serves at the moment."""

    def __init__(self, session: aiohttp.ClientSession, name: str) -> None:
        """``session`` leads to its worker."""
        self._session = session
        self._name = name

    async def greet(self) -> int:
        """Have it answer a word; returns the tokens of the answer. Raises EngineFailed."""
        question = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
        told = await self._ask("/v1/chat/completions", question)
        tokens = int((told.get("usage") or {}).get("completion_tokens", 0))
        if tokens < 1:
            raise EngineFailed(f"{self._name} answered nothing")
        return tokens

    async def rates(self, *, prompt: int = PROMPT_TOKENS, answer: int = ANSWER_TOKENS, seed: int = 0) -> Rates:
        """Read a prompt of so many random tokens and answer so many. Raises EngineFailed."""
        ids = random.Random(seed).choices(range(*_FIRST_IDS), k=prompt)
        asked = {"prompt": ids, "n_predict": answer, "cache_prompt": False, "ignore_eos": True, "temperature": 0}
        timings = (await self._ask("/completion", asked)).get("timings") or {}
        try:
            return Rates(float(timings["prompt_per_second"]), float(timings["predicted_per_second"]))
        except (KeyError, TypeError, ValueError) as error:
            raise EngineFailed(f"{self._name}: the engine does not tell how long it took") from error

    async def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            async with self._session.post(f"http://engine{path}", json=body) as response:
                told = await response.json()
                if response.status != 200 or not isinstance(told, dict):
                    raise EngineFailed(f"{self._name}: the engine answers {response.status}: {str(told)[:200]}")
                return told
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EngineFailed(f"{self._name}: the engine broke off: {error!r}") from error


@asynccontextmanager
async def serving(build: Build, model: Path, runtime: Path, log_file: Path) -> AsyncIterator[Served]:
    """Have this build serve a model file while the context lasts; its socket is made in ``runtime``. Raises
    EngineFailed and CorruptModel when it does not load."""
    socket = runtime / f"engine-{os.getpid()}-{secrets.token_hex(4)}.sock"
    key = secrets.token_urlsafe(32)
    options = WorkerOptions(
        model=str(model), name=model.stem, socket=str(socket), api_key=key, parent=os.getpid(), launch=Launch(CONTEXT)
    )
    process = Process(
        [sys.executable, "-P", "-m", "hearth.runtime.llama.worker"], environment=_environment(build), log_file=log_file
    )
    timeout = aiohttp.ClientTimeout(total=SILENCE_LIMIT_S)
    try:
        await process.start(msgspec.json.encode(options).decode())
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket)), timeout=timeout, headers={"Authorization": f"Bearer {key}"}
        ) as session:
            await _until_ready(session, process, model.stem, log_file)
            yield Served(session, model.stem)
    finally:
        await asyncio.shield(process.stop(_GRACE_S))
        socket.unlink(missing_ok=True)


async def _until_ready(session: aiohttp.ClientSession, process: Process, name: str, log_file: Path) -> None:
    gone = asyncio.ensure_future(process.wait())
    try:
        async with asyncio.timeout(SILENCE_LIMIT_S):
            while not await _is_ready(session):
                await asyncio.wait([gone], timeout=_POLL_S)
                if gone.done():
                    raise load_error(process.tail, name, describe_exit(gone.result()), str(log_file))
    except TimeoutError as error:
        raise EngineFailed(f"{name} was not loaded within {SILENCE_LIMIT_S:.0f} s", f"see {log_file}") from error
    finally:
        gone.cancel()


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("http://engine/health") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _environment(build: Build) -> dict[str, str]:
    return {**build.environment(os.environ), "GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"}


def _why(process: Process, code: int) -> str:
    if code < 0:
        return f"{describe_exit(code)}: it is not made for this processor or driver"
    text = "\n".join(process.tail)
    found = _NO_LIBRARY.findall(text)
    last: str = (found or [line for line in process.tail if line.strip()] or [describe_exit(code)])[-1]
    return last[:300]
