"""``hearth models list``, ``show`` and ``remove``: what is on this disk."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from hearth.cli.models.address import find_elsewhere, refuse_elsewhere
from hearth.cli.models.clearing import clear_up
from hearth.cli.models.elsewhere import card_elsewhere, list_elsewhere
from hearth.cli.models.text import memory_text, size_text, table
from hearth.llm.calibration.record import load, measured
from hearth.ops.local import ask
from hearth.paths import Paths
from hearth.runtime.engine import own_context
from hearth.settings import Settings, load_settings
from hearth.weights.catalogue import load_catalogue
from hearth.weights.importers import consequence
from hearth.weights.parts import read_parts
from hearth.weights.pins import Pins
from hearth.weights.portrait import Portrait, portray
from hearth.weights.store import ModelCard, Store
from hearth.weights.usage import Usage


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Run one of the three."""
    settings = load_settings(paths.config_file, environment)
    if args.verb == "remove":
        refuse_elsewhere(args.name, settings, "nothing of it is here")
        return _remove(args.name, paths)
    if args.verb == "show":
        return _show(args.name, paths, settings, as_json=args.json)
    return _list(paths, settings, as_json=args.json)


def _list(paths: Paths, settings: Settings, *, as_json: bool) -> int:
    """List them. No daemon is started for it; one that runs adds what is loaded."""
    chosen = settings.model
    store = Store(paths.models)
    elsewhere, silent = list_elsewhere(settings, paths, store)
    cards = [*store.cards(chosen), *elsewhere]
    loaded = asyncio.run(loaded_models(paths))
    pinned = Pins(paths.models).read()
    rows = [row(card, chosen=chosen, pinned=pinned, loaded=loaded) for card in cards]
    for path in store.unnameable():
        print(f"left out, rename it: {str(path)!r}", file=sys.stderr)
    for error in store.damaged():
        print(f"left out: {error}", file=sys.stderr)
    for name, what in silent.items():
        print(f"left out, the models of {name}: {what}", file=sys.stderr)
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return 0
    print("\n".join(table([_line(each) for each in rows], frozenset({1}))))
    if chosen not in {card.name for card in cards} and find_elsewhere(chosen, settings) is None:
        print(f"the default model {chosen!r} is not here · run: hearth models pull {chosen}", file=sys.stderr)
    return 0


def _line(row: dict[str, Any]) -> tuple[str, str, str]:
    notes = [row["description"] if row["description"] != f"{row['name']}.gguf" else ""]
    notes.append("the default" if row["default"] else "")
    notes.append(f"loaded, context {row['context_length']:,} tokens" if row["loaded"] else "")
    notes.append("pinned" if row["pinned"] else "")
    size = "elsewhere" if row["size_bytes"] is None else size_text(row["size_bytes"])
    return row["name"], size, "; ".join(filter(None, notes))


def row(card: ModelCard, *, chosen: str, pinned: Collection[str], loaded: Mapping[str, int]) -> dict[str, Any]:
    """One model as ``--json`` shows it. ``loaded`` maps the loaded ones to their context in tokens. A model of another
    engine has neither path nor size."""
    here = bool(card.size_bytes) or str(card.path) != card.name
    return {
        "name": card.name,
        "path": str(card.path) if here else None,
        "size_bytes": card.size_bytes if here else None,
        "description": card.description,
        "default": card.name == chosen,
        "loaded": bool(loaded.get(card.name)),
        "context_length": loaded.get(card.name) or None,
        "pinned": card.name in pinned,
    }


def _show(name: str, paths: Paths, settings: Settings, *, as_json: bool) -> int:
    store = Store(paths.models)
    if engine := find_elsewhere(name, settings):
        return _show_elsewhere(card_elsewhere(name, engine), paths, settings, as_json=as_json)
    card = store.resolve(name)
    entry = load_catalogue(paths.config / "models.toml").find(name)
    first, *more = read_parts(card)
    portrait = portray(card, first, entry, *more)
    loaded = asyncio.run(loaded_models(paths))
    pinned = Pins(paths.models).read()
    context = loaded.get(card.name, 0)
    usage = store.usage(card)
    manifest = store.manifest(name)
    note = consequence(manifest) if manifest else ""
    if as_json:
        whole = {
            **row(card, chosen=settings.model, pinned=pinned, loaded=loaded),
            **asdict(portrait),
            "last_used": usage.last_used or None,
            "prefill_per_s": usage.prefill_per_s,
            "decode_per_s": usage.decode_per_s,
            "origin": msgspec.to_builtins(manifest.origin) if manifest else None,
            "files": msgspec.to_builtins(manifest.files) if manifest else None,
            "note": note or (entry.note if entry else ""),
            "calibrated": measured(paths.calibration, card.name),
        }
        print(msgspec.json.encode(whole).decode())
        return 0
    rows = [
        ("name", card.name),
        ("file", str(card.path)),
        ("size", f"{size_text(card.size_bytes)}, {card.description}"),
    ]
    chosen = context or own_context(portrait.native_context, settings.engine.context)
    rows += _described(portrait, chosen, loaded=context > 0)
    rows += _used(usage)
    if found := load(paths.calibration, card.name):
        rows.append(("calibrated", f"{found.when[:10]}, {found.calls.right} of {found.calls.tried} calls came through"))
    rows += [("note", text) for text in (note, entry.note if entry else "") if text]
    print("\n".join(table(rows)))
    return 0


def _show_elsewhere(card: ModelCard, paths: Paths, settings: Settings, *, as_json: bool) -> int:
    loaded = asyncio.run(loaded_models(paths))
    shown = row(card, chosen=settings.model, pinned=Pins(paths.models).read(), loaded=loaded)
    if as_json:
        print(msgspec.json.encode(shown).decode())
        return 0
    context = f"{shown['context_length']:,} tokens a request" if shown["loaded"] else "told when it is used"
    print("\n".join(table([("name", card.name), ("runs", card.description), ("context", context)])))
    return 0


def _described(portrait: Portrait, context: int, *, loaded: bool) -> list[tuple[str, str]]:
    chosen = f"{context:,} tokens a request" + ("" if loaded else " when it is loaded")
    kv = f"{memory_text(portrait.kv_bytes * 1000)} for 1,000 tokens at f16" if portrait.kv_bytes else "none, or unknown"
    sampling = ", ".join(f"{name} {value:g}" for name, value in portrait.sampling.items())
    native = f"{portrait.native_context:,} tokens" if portrait.native_context else "unknown"
    return [
        ("kind", f"{portrait.architecture}, {_parameters_text(portrait.parameters)}"),
        ("quantisation", " with ".join((portrait.kinds[0], ", ".join(portrait.kinds[1:]))).removesuffix(" with ")),
        ("context", f"{native} native; {chosen}"),
        ("KV cache", kv),
        (
            "tool calls",
            {"yes": "its template knows tools", "no": "its template knows no tools"}.get(
                portrait.tools, "it has no chat template"
            ),
        ),
        ("sampling", sampling or "unknown"),
        ("licence", portrait.licence or "unknown"),
    ]


def _parameters_text(count: int) -> str:
    return f"{count / 1e9:.2f} billion parameters" if count >= 1e8 else f"{count / 1e6:.2f} million parameters"


def _used(usage: Usage) -> list[tuple[str, str]]:
    last = datetime.datetime.fromtimestamp(usage.last_used).strftime("%Y-%m-%d %H:%M") if usage.last_used else "never"
    if usage.decode_per_s is None or usage.prefill_per_s is None:
        return [("last used", last), ("speed", "not measured yet")]
    speed = f"{usage.prefill_per_s:,.0f} tokens/s prefill, {usage.decode_per_s:,.1f} tokens/s decode, measured here"
    return [("last used", last), ("speed", speed)]


def _remove(name: str, paths: Paths) -> int:
    store = Store(paths.models)
    removed = store.remove(name, asyncio.run(loaded_models(paths)))
    if name in (pins := Pins(paths.models)).read():
        pins.set(name, pinned=False)
    clear_up(store, sys.stderr)
    kept = f"; {size_text(removed.kept_bytes)} stay, others use them" if removed.kept_bytes else ""
    print(f"removed {removed.name}: {size_text(removed.freed_bytes)} free{kept}", file=sys.stderr)
    return 0


async def loaded_models(paths: Paths) -> dict[str, int]:
    """The loaded models and their context in tokens, 0 while they are loading; none when no daemon runs."""
    try:
        answer = await ask(paths.socket, "GET", "/hearth/status")
    except (OSError, TimeoutError):
        return {}
    engines = answer.data["engines"] if answer.status == 200 else []
    return {each["model"]: each["context"] for each in engines if each["state"] not in ("failed", "stopped")}
