"""``hearth models``: the models on this machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

import msgspec

from hearth.ops.local import ask
from hearth.paths import Paths, resolve_paths
from hearth.settings import load_settings
from hearth.weights.store import ModelCard, Store


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``models``."""
    parser = subparsers.add_parser("models", help="the models on this machine")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="every model that can be asked for")
    listing.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List them. No daemon is started for it; one that runs adds what is loaded."""
    paths = resolve_paths(os.environ)
    chosen = load_settings(paths.config_file, os.environ).model
    store = Store(paths.models)
    cards = store.cards(chosen)
    loaded = asyncio.run(_loaded(paths))
    rows = [row(card, chosen=chosen, context=loaded.get(card.name, 0)) for card in cards]
    for path in store.unnameable():
        print(f"left out, rename it: {str(path)!r}", file=sys.stderr)
    if args.json:
        print(msgspec.json.encode(rows).decode())
        return 0
    width = max((len(each["name"]) for each in rows), default=0)
    for each in rows:
        notes = [each["description"], "the default" if each["default"] else ""]
        notes.append(f"loaded, context {each['context_length']:,} tokens" if each["loaded"] else "")
        print(f"{each['name']:{width}}  {size_text(each['size_bytes']):>9}  {'; '.join(filter(None, notes))}")
    if chosen not in {card.name for card in cards}:
        print(f"the default model {chosen!r} is not here · put a .gguf into {paths.models}", file=sys.stderr)
    return 0


def row(card: ModelCard, *, chosen: str, context: int) -> dict[str, Any]:
    """One model as ``--json`` shows it. ``context`` is the running engine's figure in tokens, 0 when not loaded."""
    return {
        "name": card.name,
        "path": str(card.path),
        "size_bytes": card.size_bytes,
        "description": card.description,
        "default": card.name == chosen,
        "loaded": context > 0,
        "context_length": context or None,
    }


def size_text(size: int) -> str:
    """Bytes for a person: decimal units, as model pages use them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


async def _loaded(paths: Paths) -> dict[str, int]:
    """The loaded models and their context in tokens; none when no daemon runs."""
    try:
        answer = await ask(paths.socket, "GET", "/hearth/status")
    except (OSError, TimeoutError):
        return {}
    return {each["model"]: each["context"] for each in answer.data["engines"]} if answer.status == 200 else {}
