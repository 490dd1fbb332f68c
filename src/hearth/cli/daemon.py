"""``hearth stop``, ``hearth status`` and ``hearth logs``: the daemon seen from outside."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from hearth.cli.models.text import count_text, memory_text
from hearth.errors import DaemonUnavailable, StateError, UsageError
from hearth.ops.daemon import log_file, silent, stop_daemon
from hearth.ops.local import ask
from hearth.ops.logs import follow, last_lines
from hearth.ops.record import home_is_taken, version_note
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import BUNDLED, GO_BACK, Build, active_build

NOT_RUNNING = 4


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands."""
    subparsers.add_parser("stop", help="stop the daemon")
    status = subparsers.add_parser("status", help="what runs; exit code 4 when no daemon does")
    status.add_argument("--json", action="store_true", help="print JSON")
    logs = subparsers.add_parser("logs", help="what the daemon, or a model's engine, wrote")
    logs.add_argument("model", nargs="?", default="", metavar="MODEL", help="the model whose engine's log is shown")
    logs.add_argument("-n", type=int, default=50, metavar="LINES", help="how many lines (50)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    """Run one of them."""
    paths = resolve_paths(os.environ)
    if args.command == "stop":
        return _stop(paths)
    if args.command == "status":
        return _status(paths, as_json=args.json)
    return _logs(paths, args.model, args.n, go_on=args.follow)


def _stop(paths: Paths) -> int:
    def tell(text: str) -> None:
        print(text, file=sys.stderr)

    stopped = asyncio.run(stop_daemon(paths, tell))
    print("the daemon has stopped" if stopped else "no daemon runs", file=sys.stderr)
    return 0


def _status(paths: Paths, *, as_json: bool) -> int:
    if not home_is_taken(paths):
        print('{"running":false}' if as_json else "no daemon runs · hearth run, or hearth serve, starts one")
        return NOT_RUNNING
    try:
        answer = asyncio.run(ask(paths.socket, "GET", "/hearth/status"))
    except (OSError, TimeoutError) as error:
        raise silent(paths) from error
    if answer.status != 200:
        raise DaemonUnavailable(f"the daemon answers HTTP {answer.status}", "run: hearth stop")
    if as_json:
        print(msgspec.json.encode({"running": True, **answer.data, "build": active_build(paths).name}).decode())
    else:
        print("\n".join(describe(answer.data, time.time(), active_build(paths))))
    return 0


def describe(status: dict[str, Any], now: float, build: Build | None = None) -> list[str]:
    """The lines of ``hearth status`` for the daemon's own report. ``now`` is Unix time in seconds, ``build`` the engine
    build in use."""
    kind = "in the background" if status["background"] else "by hearth serve"
    address = status["address"] or f"none ({status['no_address_because']})"
    since = _span(now - status["started"])
    note = version_note(status["version"])
    lines = [
        f"daemon   pid {status['pid']}, version {status['version']}, up {since}, started {kind}",
        f"address  {address}",
        f"socket   {status['socket']}",
        f"API key  {status['key_file']}",
        f"model    {status['model']} unless a request names another",
        f"requests {status['requests']} now",
    ]
    if note:
        lines.insert(1, f"version  {note}; hearth stop ends it, the next command starts the new one")
    if build and build.name != BUNDLED:
        lines.append(f"build    {build.name}{f': {build.trouble}' if build.trouble else ''}; {GO_BACK[5:]} goes back")
    lines += _memory(status)
    for engine in status["engines"]:
        parts = [f"engine   {engine['model']}: {engine['state']}"]
        parts += ["pinned"] if engine.get("pinned") else []
        if engine["pid"]:
            parts.append(f"pid {engine['pid']}")
        if engine["context"]:
            parts.append(f"context {engine['context']:,} tokens a request")
        if engine["slots"]:
            parts.append(count_text(engine["slots"], "slot"))
        if engine["rss_bytes"]:
            parts.append(f"{memory_text(engine['rss_bytes'])} of RAM")
        if kv := engine.get("kv"):
            parts.append(f"KV states: {kv['saved']:,} saved, {kv['restored']:,} restored")
            parts += [f"NOT SAVED: {kv['trouble']}"] if kv["trouble"] else []
        if (watch := engine.get("watch")) and watch["why"]:
            parts.append(f"{watch['health']}: {watch['why']}")
        if engine["cause"]:
            parts.append(engine["cause"])
        lines.append(", ".join(parts))
    return lines if status["engines"] else [*lines, "engine   none loaded; a request loads one"]


def _memory(status: dict[str, Any]) -> list[str]:
    """A line for each device: what is free of it, what our models may take in all, and what each was given."""
    lines = []
    for index, device in enumerate(status.get("memory", ())):
        held = [(engine["model"], engine["held_bytes"][index]) for engine in status["engines"] if _has(engine, index)]
        given = ", ".join(f"{model} {memory_text(size)}" for model, size in held if size)
        free, total, room = (memory_text(device[f"{what}_bytes"]) for what in ("free", "total", "room"))
        line = f"memory   {device['name']}: {free} of {total} free, models may take {room}"
        lines.append(f"{line}: {given}" if given else line)
    return lines


def _has(engine: dict[str, Any], device: int) -> bool:
    return device < len(engine["held_bytes"]) and engine["state"] not in ("failed", "stopped")


def _span(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{whole} s"


def _logs(paths: Paths, model: str, count: int, *, go_on: bool) -> int:
    if count < 0:
        raise UsageError(f"-n {count}: must be 0 or more", "run: hearth logs --help")
    path = _log_of(paths, model)
    try:
        _show(last_lines(path, count))
        if go_on:
            follow(path, _show)
    except BrokenPipeError:
        raise
    except FileNotFoundError as error:
        raise StateError(f"there is no log yet at {path}", "run: hearth status") from error
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}", f"mend {path}") from error
    return 0


def _show(data: bytes) -> None:
    sys.stdout.write(data.decode("utf-8", "replace"))
    sys.stdout.flush()


def _log_of(paths: Paths, model: str) -> Path:
    """The file of this model's engine, the daemon's own when no model is named. Raises UsageError."""
    if not model:
        return log_file(paths)
    if (path := paths.engine_log(model)).exists():
        return path
    known = {path.stem.removeprefix("engine-"): path for path in sorted(paths.logs.glob("engine-*.log"))}
    if model not in known:
        raise UsageError(f"there is no log of {model!r}", f"there are: {', '.join(known)}" if known else "none has run")
    return known[model]
