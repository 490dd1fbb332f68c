"""The daemon's sockets and its life: from listening to the last stream's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path

import uvicorn

from hearth.errors import StateError
from hearth.gateway.app import Gateway
from hearth.gateway.connection import Connection

GRACE_S = 3.0
"""How long streams may go on after the daemon was told to stop; then each is ended with an error that says so."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def listen_unix(path: Path) -> socket.socket:
    """A listening unix socket, mode 0600 from birth. What a dead daemon left there is removed first.

    Only who holds the home may call it. Raises StateError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise StateError(f"cannot listen on {path}: {error.strerror}", f"mend or remove {path}") from error
    finally:
        os.umask(umask)
    listener.listen(socket.SOMAXCONN)
    return listener


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises OSError, with errno EADDRINUSE when the port is taken."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """uvicorn, but with our signals and without its ten wake-ups a second while nothing happens."""

    def __init__(self, config: uvicorn.Config, leave: asyncio.Event) -> None:
        super().__init__(config)
        self._leave = leave

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        await self._leave.wait()


async def serve(
    make_gateway: Callable[[Callable[[], None]], Gateway],
    sockets: list[socket.socket],
    *,
    idle_exit_s: float = 0.0,
    ready: Callable[[], None] = lambda: None,
    connection: type[Connection] = Connection,
) -> None:
    """Serve until SIGTERM, SIGINT, SIGHUP, the gateway's stop, or ``idle_exit_s`` seconds without a request (0 never).

    ``make_gateway`` gets the function that stops the daemon; ``ready`` is called when requests are taken;
    ``connection`` says what each connection may cost. A second signal ends the streams at once.
    """
    leave = asyncio.Event()
    gateway = make_gateway(leave.set)
    config = uvicorn.Config(
        gateway,
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=round(GRACE_S) + 2,
    )

    def on_signal() -> None:
        if leave.is_set():
            gateway.end_streams()
        leave.set()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    server = asyncio.create_task(_Server(config, leave).serve(sockets))
    idle = asyncio.create_task(_leave_when_idle(gateway, idle_exit_s, leave))
    try:
        loop.call_soon(ready)
        await asyncio.wait((server, asyncio.create_task(leave.wait())), return_when=asyncio.FIRST_COMPLETED)
        loop.call_later(GRACE_S, gateway.end_streams)
        await server
    finally:
        idle.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        await gateway.close()


async def _leave_when_idle(gateway: Gateway, limit_s: float, leave: asyncio.Event) -> None:
    while limit_s:
        if (left := limit_s - gateway.idle_s()) <= 0:
            leave.set()
            return
        await asyncio.sleep(max(left, 0.05))
