"""``hearth serve``: the daemon, put together here and run until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from importlib import import_module
from logging.handlers import RotatingFileHandler

import msgspec

from hearth import __version__
from hearth.errors import StateError
from hearth.gateway.app import Gateway
from hearth.gateway.keys import ApiKey, load_key
from hearth.gateway.server import listen_tcp, listen_unix, serve
from hearth.ops.daemon import log_file
from hearth.ops.ports import port_holder
from hearth.ops.record import Claim, DaemonRecord, claim_home
from hearth.paths import Paths, resolve_paths
from hearth.runtime.supervisor import Supervisor
from hearth.settings import GatewaySettings, Settings, load_settings

LOG_BYTES = 5 * 1024 * 1024
LOG_FILES = 3

log = logging.getLogger("hearth")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``serve``."""
    parser = subparsers.add_parser("serve", help="run the daemon in this terminal")
    parser.add_argument("--port", type=int, help="TCP port on 127.0.0.1; 0 listens on the unix socket alone")
    parser.add_argument("-m", "--model", help="the model that answers when a request names none")
    parser.add_argument("--background", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal or ``hearth stop``; in the background also until nobody has asked for long enough."""
    paths = resolve_paths(os.environ)
    flags = {"gateway.port": args.port, "model": args.model}
    settings = load_settings(paths.config_file, os.environ, {k: v for k, v in flags.items() if v is not None})
    paths.ensure()
    os.umask(0o077)
    claim = claim_home(paths)
    try:
        _open_log(paths, to_terminal=not args.background)
        return _serve(paths, settings, claim, background=args.background)
    finally:
        claim.release()


def _serve(paths: Paths, settings: Settings, claim: Claim, *, background: bool) -> int:
    key = load_key(paths.key_file)
    tcp, why_not = _listen_tcp(settings.gateway, background=background)
    record = DaemonRecord(os.getpid(), time.time(), __version__, background, _url(tcp), why_not)
    unix = listen_unix(paths.socket)
    try:
        claim.write(record)
        log.info("hearth %s: %s, socket %s, API key in %s", __version__, record, paths.socket, paths.key_file)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_live(paths, settings, record, key, [unix] if tcp is None else [unix, tcp]))
    finally:
        if claim.holds:
            paths.socket.unlink(missing_ok=True)
    log.info("stopped")
    return 0


async def _live(
    paths: Paths, settings: Settings, record: DaemonRecord, key: ApiKey, sockets: list[socket.socket]
) -> None:
    supervisor = Supervisor(settings, paths)
    about = {**msgspec.structs.asdict(record), "socket": str(paths.socket), "key_file": str(paths.key_file)}

    def make_gateway(stop: Callable[[], None]) -> Gateway:
        return Gateway(
            supervisor,
            key,
            model=settings.model,
            socket=str(paths.socket),
            about=about,
            stop=stop,
            names=frozenset({settings.gateway.host.lower(), socket.gethostname().lower()}),
        )

    # Who types hearth serve has it stay; one in the background came for a request, and leaves when idle.
    pinned = asyncio.create_task(supervisor.load_pinned()) if not record.background else None
    try:
        await serve(make_gateway, sockets, idle_exit_s=settings.gateway.idle_exit_s if record.background else 0.0)
    finally:
        if pinned is not None:
            pinned.cancel()
        await supervisor.close()


def _listen_tcp(gateway: GatewaySettings, *, background: bool) -> tuple[socket.socket | None, str]:
    """The TCP listener, or None and why there is none. Raises StateError when a person at a terminal asked for it."""
    if not gateway.port:
        return None, "the port is set to 0"
    taken = False
    try:
        return listen_tcp(gateway.host, gateway.port), ""
    except UnicodeError:  # a name of the length of no host name
        why = f"{gateway.host[:80]!r} is no host name"
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = f"{port_holder(gateway.port)} has port {gateway.port}" if taken else f"{gateway.host}: {error.strerror}"
    if background:
        log.warning("no TCP address: %s", why)
        return None, why
    fix = "run: hearth serve --port 8889" if taken else "give gateway.host an address of this machine"
    raise StateError(f"cannot listen on {gateway.host[:80]}:{gateway.port}: {why}", fix)


def _url(listener: socket.socket | None) -> str:
    if listener is None:
        return ""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open_log(paths: Paths, *, to_terminal: bool) -> None:
    """The log file, rotated by size; and this terminal, when there is a person at it."""
    path = log_file(paths)
    # On a full disk the logs stop, and nothing else: logging's own word would be a traceback for every line.
    logging.raiseExceptions = False
    try:
        outlets: list[logging.Handler] = [RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)]
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}", f"mend or remove {path}") from error
    if to_terminal:
        outlets.append(logging.StreamHandler(sys.stderr))
    for outlet in outlets:
        outlet.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
        logging.getLogger().addHandler(outlet)
    logging.getLogger().setLevel(logging.WARNING)
    log.setLevel(logging.INFO)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one (not on Windows, nor on every new Python), else asyncio's own loop."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
