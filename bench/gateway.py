"""What the gateway costs: CPU of a proxied request and of a streamed event. ``python -m bench.gateway``.

The gateway runs in this process, the pretending engine and the clients in processes of their own: this process's CPU
time is the gateway's alone. Wall time says nothing here, the engine in Python is the slowest part.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
import uvloop
from bench.table import Row, show

from hearth.gateway.app import Gateway
from hearth.gateway.keys import load_key
from hearth.gateway.server import listen_unix, serve
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Endpoint, EngineState, LoadProgress
from hearth.runtime.pretend import Answer, Script
from hearth.runtime.supervisor import Supervisor
from hearth.settings import Settings
from hearth.weights.store import ModelCard

REQUESTS = 1500
STREAMS = 96
EVENTS = 300
AT_ONCE = 32
BODY_BYTES = 64 * 1024


class Elsewhere:
    """An engine that somebody else started and will end."""

    state = EngineState.READY
    context_length = 1 << 20
    slots = AT_ONCE
    cause = ""
    pid = None
    kv_state = ""

    def __init__(self, card: ModelCard, socket: Path) -> None:
        self.card = card
        self.endpoint = Endpoint(socket, "http://engine", "")

    async def start(self, tell: Callable[[LoadProgress], None]) -> None:
        """It runs already."""

    async def stop(self) -> None:
        """It is not ours to stop."""

    async def wait(self) -> None:
        """It outlives us."""
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients do: so many requests, so many at once, each of this body."""

    socket: str
    stream: bool
    count: int


def rows() -> list[Row]:
    """Measure, with everything in a temporary home."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as home:
        return uvloop.run(_measure(resolve_paths({"HEARTH_HOME": home})))


async def _measure(paths: Paths) -> list[Row]:
    paths.ensure()
    (paths.models / "pretend.gguf").write_bytes(b"GGUF")
    engine_socket = paths.runtime / "engine.sock"
    script = paths.data / "script.json"
    # A piece of four characters is one event; the pause keeps events apart, as a real engine's decoding does.
    streamed = Answer(text="abc " * EVENTS, token_s=0.004)
    answers = (*(Answer(text="done") for _ in range(REQUESTS + 1)), *(streamed for _ in range(STREAMS)))
    script.write_bytes(msgspec.json.encode(Script(answers)))
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hearth.runtime.pretend", "--socket", engine_socket, "--script", script),
        *("--slots", str(AT_ONCE), "--context", str(1 << 20)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert engine.stdout is not None
    await engine.stdout.readline()
    supervisor = Supervisor(
        Settings(model="pretend"), paths, make_engine=lambda card, _settings, _paths: Elsewhere(card, engine_socket)
    )
    stops: list[Callable[[], None]] = []

    def make_gateway(stop: Callable[[], None]) -> Gateway:
        stops.append(stop)
        key = load_key(paths.key_file)
        about = {"version": "bench"}
        return Gateway(supervisor, key, model="pretend", socket=str(paths.socket), about=about, stop=stop)

    served = asyncio.create_task(serve(make_gateway, [listen_unix(paths.socket)]))
    try:
        await _cpu_of(Load(str(paths.socket), stream=False, count=1))
        whole = await _cpu_of(Load(str(paths.socket), stream=False, count=REQUESTS))
        events = await _cpu_of(Load(str(paths.socket), stream=True, count=STREAMS))
    finally:
        stops[0]()
        await served
        await supervisor.close()
        engine.terminate()
        await engine.wait()
    return [
        Row(f"gateway: CPU of a request of {BODY_BYTES // 1024} KiB", whole / REQUESTS * 1e3, "ms"),
        Row(f"gateway: CPU of a streamed event, {AT_ONCE} streams", events / (STREAMS * EVENTS) * 1e6, "µs"),
    ]


async def _cpu_of(load: Load) -> float:
    """CPU seconds of this process while another one plays the clients."""
    arguments = [load.socket, "stream" if load.stream else "whole", str(load.count)]
    clients = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.gateway", *arguments)
    began = time.process_time()
    if await clients.wait():
        raise RuntimeError("the clients failed")
    return time.process_time() - began


async def _play(load: Load) -> None:
    """The clients."""
    question = {"messages": [{"role": "user", "content": "x" * BODY_BYTES}], "stream": load.stream}
    body = msgspec.json.encode(question)
    turns = iter(range(load.count))
    connector = aiohttp.UnixConnector(load.socket, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            for _ in turns:
                async with session.post("http://hearth/v1/chat/completions", data=body) as answer:
                    seen = await answer.read()
                    if answer.status != 200 or (load.stream and seen.count(b'"content":"abc ') != EVENTS):
                        raise RuntimeError(f"HTTP {answer.status}: {seen[:500]!r}")

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(ask())


if __name__ == "__main__":
    if sys.argv[1:]:
        socket, kind, count = sys.argv[1:]
        uvloop.run(_play(Load(socket, kind == "stream", int(count))))
    else:
        sys.exit(show(rows()))
