"""``hearth kv``: the saved states of conversations."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from hearth.cli.models.text import count_text, memory_text, table
from hearth.errors import StateError, UsageError
from hearth.paths import resolve_paths
from hearth.runtime.kv.entry import DamagedEntry, check_state
from hearth.runtime.kv.store import Entry, KvStore
from hearth.settings import load_settings

SHOWN_NAME = 8
"""Characters of an entry's name that are shown, and enough to name it."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its verbs."""
    parser = subparsers.add_parser("kv", help="the saved states of conversations")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listed = verbs.add_parser("list", help="what is saved")
    shown = verbs.add_parser("show", help="one of them, its bytes checked")
    shown.add_argument("name", metavar="NAME", help="the name, or its beginning")
    prune = verbs.add_parser("prune", help="remove what was not used for longest")
    prune.add_argument("--to", type=float, metavar="GIB", help="until so many GiB are left (the quota)")
    clear = verbs.add_parser("clear", help="remove all, or one model's")
    clear.add_argument("model", nargs="?", default="", metavar="MODEL", help="only the states of this model")
    for verb in (listed, shown):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run one verb. The daemon may run meanwhile: what is removed under it is read anew."""
    paths = resolve_paths(os.environ)
    settings = load_settings(paths.config_file, os.environ)
    store = KvStore(paths.kv, int(settings.kv.quota_gib * (1 << 30)))
    try:
        if paths.kv.is_dir():
            store.read()
        return _run(args, store)
    except OSError as error:
        raise StateError(f"cannot use {paths.kv}: {error.strerror}", f"run: chmod -R u+rwX {paths.kv}") from error


def _run(args: argparse.Namespace, store: KvStore) -> int:
    if args.verb == "list":
        return _list(store, as_json=args.json)
    if args.verb == "show":
        return _show(store, args.name, as_json=args.json)
    if args.verb == "clear":
        return _tell_removed(store.clear(args.model))
    if args.to is not None and not 0 <= args.to < 1 << 30:
        raise UsageError(f"--to {args.to:g}: must be 0 or more GiB", "run: hearth kv prune --help")
    if not store.entries():
        return _tell_removed([])
    return _tell_removed(store.prune(None if args.to is None else int(args.to * (1 << 30))))


def _list(store: KvStore, *, as_json: bool) -> int:
    entries = store.entries()
    if as_json:
        print(msgspec.json.encode([_row(entry) for entry in entries]).decode())
        return 0
    rows = [
        (
            entry.record.name[:SHOWN_NAME],
            entry.record.model,
            f"{entry.record.tokens:,} tokens",
            _size(entry.bytes),
            _time(entry.used_at),
            "system text and tools" if entry.record.base else count_text(len(entry.record.links), "message"),
        )
        for entry in entries
    ]
    print("\n".join(table(rows, right=frozenset({2, 3}))) if rows else "nothing is saved")
    if rows:
        total = sum(entry.bytes for entry in entries)
        print(f"{_size(total)} of {memory_text(store.quota())} in {store.folder}", file=sys.stderr)
    return 0


def _show(store: KvStore, name: str, *, as_json: bool) -> int:
    """One entry. Exit code 1 when its bytes are not what they were."""
    found = [entry for entry in store.entries() if entry.record.name.startswith(name)]
    if len(found) != 1:
        what = "no saved state" if not found else f"{len(found)} saved states"
        raise UsageError(f"{what} of the name {name!r}", "run: hearth kv list")
    entry = found[0]
    path = store.path_of(entry.record.name)
    try:
        check_state(path, entry.record)
        whole = True
    except DamagedEntry:
        whole = False
    if as_json:
        print(msgspec.json.encode({**_row(entry), "path": str(path), "whole": whole}).decode())
        return 0 if whole else 1
    rows = [
        ("name", entry.record.name),
        ("file", str(path)),
        ("model", entry.record.model),
        ("holds", f"{entry.record.tokens:,} tokens, {count_text(len(entry.record.links), 'message')}"),
        ("size", _size(entry.bytes)),
        ("made", _time(entry.record.made_at)),
        ("last used", _time(entry.used_at)),
        ("state", "whole" if whole else "damaged: it is removed when it is met"),
    ]
    print("\n".join(table(rows)))
    return 0 if whole else 1


def _row(entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        "name": record.name,
        "model": record.model,
        "tokens": record.tokens,
        "messages": len(record.links),
        "base": record.base,
        "bytes": entry.bytes,
        "made": record.made_at,
        "used": entry.used_at,
    }


def _tell_removed(removed: Sequence[Entry]) -> int:
    freed = _size(sum(entry.bytes for entry in removed))
    print(
        f"removed {count_text(len(removed), 'saved state')}, {freed}" if removed else "nothing to remove",
        file=sys.stderr,
    )
    return 0


def _size(size: int) -> str:
    return memory_text(size) if size >= 1 << 20 else f"{size / 2**10:.0f} KiB"


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
