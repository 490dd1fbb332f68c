"""``hearth models load``, ``unload``, ``pin`` and ``unpin``: which models stay in memory."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from hearth.cli.models.elsewhere import resolve
from hearth.cli.models.text import count_text, memory_text
from hearth.errors import EngineFailed, ModelUnavailable, UsageError
from hearth.ops.daemon import ensure_daemon, is_alive
from hearth.ops.local import ask
from hearth.paths import Paths
from hearth.settings import load_settings
from hearth.weights.pins import Pins
from hearth.weights.store import Store

LIMIT_S = 86_400.0
"""A load may take its time, and an unload waits for whoever uses the model."""


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Run one of the four."""
    match args.verb:
        case "load":
            return _load(args.name, paths, environment)
        case "unload":
            return _unload(args.name, paths)
        case _:
            return _pin(args.name, paths, environment, pinned=args.verb == "pin")


def _load(name: str, paths: Paths, environment: Mapping[str, str]) -> int:
    settings = load_settings(paths.config_file, environment)
    if settings.gateway.url:
        raise UsageError(f"{settings.gateway.url} answers here, whose models are its own", "unset HEARTH_URL")
    resolve(name, settings, Store(paths.models))
    told = asyncio.run(_order(paths, "load", name, lambda: ensure_daemon(paths, settings, environment, _say_first)))
    engine = told.get("engine") or {}
    parts = [f"context {engine['context']:,} tokens a request"] if engine.get("context") else []
    parts += [count_text(engine["slots"], "slot")] if engine.get("slots") else []
    parts += [f"{memory_text(engine['rss_bytes'])} of RAM"] if engine.get("rss_bytes") else []
    _say(f"{name} is loaded: {', '.join(parts)}" if parts else f"{name} is loaded")
    return 0


def _unload(name: str, paths: Paths) -> int:
    if not asyncio.run(is_alive(paths.socket)):
        raise ModelUnavailable(f"model {name[:200]!r} is not loaded: no daemon runs")
    asyncio.run(_order(paths, "unload", name))
    _say(f"{name} is unloaded")
    return 0


def _pin(name: str, paths: Paths, environment: Mapping[str, str], *, pinned: bool) -> int:
    if pinned:
        resolve(name, load_settings(paths.config_file, environment), Store(paths.models))
    changed = Pins(paths.models).set(name, pinned)
    if pinned:
        _say(f"{name} {'is pinned' if changed else 'was pinned already'}: once loaded it stays")
    else:
        _say(f"{name[:200]} {'is no longer pinned' if changed else 'was not pinned'}")
    return 0


async def _order(paths: Paths, verb: str, name: str, before: Any = None) -> dict[str, Any]:
    """What the daemon answers. Raises EngineFailed, ModelUnavailable with its words."""
    if before is not None:
        await before()
    asking = asyncio.create_task(
        ask(paths.socket, "POST", f"/hearth/models/{verb}", {"model": name}, timeout_s=LIMIT_S)
    )
    done, _ = await asyncio.wait([asking], timeout=1.0)
    if not done:
        _say(f"waiting until {name} is {verb}ed")
    try:
        answer = await asking
    except OSError as error:
        raise EngineFailed(f"the daemon broke off: {error}", "run: hearth logs") from error
    data = answer.data if isinstance(answer.data, dict) else {}
    if answer.status == 200:
        return data
    said = data.get("error") or {}
    kind = ModelUnavailable if answer.status == 404 else EngineFailed
    raise kind(str(said.get("message") or f"the daemon answers HTTP {answer.status}"), str(said.get("fix") or ""))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _say_first(text: str) -> None:
    """What is waited for, once: not how long by now."""
    if "·" not in text:
        _say(text)
