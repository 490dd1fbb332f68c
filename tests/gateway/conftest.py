"""A gateway on real sockets in this process, in front of pretending engines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from running_gateway import MODEL, Running, Start, eventually

import gguf_models
from hearth.gateway.app import Gateway
from hearth.gateway.connection import Connection
from hearth.gateway.keys import load_key
from hearth.gateway.server import listen_tcp, listen_unix, serve
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.runtime.pretend import PretendEngine, Script
from hearth.runtime.supervisor import Supervisor
from hearth.settings import Settings
from hearth.weights.store import ModelCard

ENGINE_KEY = "between-gateway-and-engine"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a gateway: ``await start(Script(...), beat_s=..., idle_exit_s=...)``, with ``real`` engines if wanted."""
    everything: list[tuple[Running, Supervisor]] = []

    async def begin(
        *scripts: Script,
        beat_s: float = 3.0,
        idle_exit_s: float = 0.0,
        listen: Path | None = None,
        connection: type[Connection] = Connection,
        model: str = MODEL,
        real: bool = False,
    ) -> Running:
        paths = resolve_paths(os.environ)
        paths.ensure()
        gguf_models.write_llama(paths.models / f"{MODEL}.gguf")
        engines: list[PretendEngine] = []

        def make(card: ModelCard, launch: Launch, paths: Paths) -> Engine:
            if real:
                return EmbeddedEngine(card, launch, paths)
            script = scripts[min(len(engines), len(scripts) - 1)] if scripts else Script()
            place = listen or paths.runtime / f"engine-{len(engines)}.sock"
            engines.append(PretendEngine(script, card=card, api_key=ENGINE_KEY, listen=place))
            return engines[-1]

        supervisor = Supervisor(Settings(model=model), paths, make_engine=make)
        key = load_key(paths.key_file)
        made: list[tuple[Gateway, Callable[[], None]]] = []

        def make_gateway(stop: Callable[[], None]) -> Gateway:
            gateway = Gateway(
                supervisor,
                key,
                model=model,
                socket=str(paths.socket),
                about={"version": "0", "pid": os.getpid()},
                stop=stop,
                beat_s=beat_s,
            )
            made.append((gateway, stop))
            return gateway

        tcp = listen_tcp("127.0.0.1", 0)
        port = tcp.getsockname()[1]
        doors = [listen_unix(paths.socket), tcp]
        served = asyncio.create_task(serve(make_gateway, doors, idle_exit_s=idle_exit_s, connection=connection))

        async def is_made() -> bool:
            return bool(made)

        await eventually(is_made)
        running = Running(
            paths,
            *made[0],
            served,
            f"http://127.0.0.1:{port}",
            paths.key_file.read_text().strip(),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(paths.socket))),
            aiohttp.ClientSession(),
            engines,
        )
        everything.append((running, supervisor))
        return running

    yield begin
    for running, supervisor in everything:
        await running.local.close()
        await running.remote.close()
        running.gateway.end_streams()
        running.stop()
        await running.served
        await supervisor.close()
