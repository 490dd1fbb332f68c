"""``hearth models scan`` and ``import``: models that other programs have on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

import msgspec

from hearth.cli.models.progress import Bar
from hearth.cli.models.text import size_text, table
from hearth.errors import ModelUnavailable, UsageError
from hearth.paths import Paths
from hearth.weights.importers import (
    Place,
    consequence,
    import_model,
    imported_as,
    in_full,
    place_of,
    scan,
    usual_places,
)
from hearth.weights.importers.found import Found
from hearth.weights.store import Store


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Scan, or import."""
    store = Store(paths.models)
    if args.verb == "import":
        return _import(args, paths, environment, store)
    places = _places(args.folders, environment)
    found = scan(places, _say)
    if args.json:
        print(msgspec.json.encode([_row(each, store) for each in found]).decode())
        return 0
    if not found:
        where = ", ".join(str(place.path) for place in places) or "there is no store of Ollama, LM Studio or llama.cpp"
        print(f"no models found: {where}", file=sys.stderr)
        return 0
    rows = [
        (
            each.name,
            size_text(each.size_bytes),
            each.program,
            "; ".join(filter(None, (f"here as {here}" if (here := imported_as(each, store)) else "", each.note))),
        )
        for each in found
    ]
    print("\n".join(table(rows, frozenset({1}))))
    print("take one over, without a second copy: hearth models import NAME", file=sys.stderr)
    return 0


def _import(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str], store: Store) -> int:
    paths.ensure()
    folders = args.folders or _folder_of(args.name)
    found = scan(_places(folders, environment), _say)
    model = _pick(args.name, found)
    bar = Bar(sys.stderr)
    try:
        manifest = import_model(model, store, args.how, args.new_name, bar.show)
    finally:
        bar.close()
    print(f"{manifest.name} · {size_text(manifest.size_bytes)} · {consequence(manifest)}", file=sys.stderr)
    print(f"run: hearth run -m {quote(manifest.name)}", file=sys.stderr)
    return 0


def _folder_of(name: str) -> list[str]:
    """The folder of a file that was named by its path; none when it is a model's name, or no such file."""
    given = in_full(Path(name)) if name.endswith(".gguf") else None
    try:
        return [str(given.parent)] if given and given.is_file() else []
    except OSError:  # a name that is too long
        return []


def _pick(name: str, found: Sequence[Found]) -> Found:
    """The model that was meant. Raises ModelUnavailable naming those that there are."""
    path = None
    with suppress(UsageError):
        path = in_full(Path(name))
    for each in found:
        if name in (each.name, *each.aliases) or any(file.path == path for file in each.files):
            return each
    close = get_close_matches(name, [each.name for each in found], 3)
    fix = f"did you mean {' or '.join(map(quote, close))}" if close else "run: hearth models scan"
    raise ModelUnavailable(f"no model {name!r} was found on this machine", fix)


def _places(folders: Sequence[str], environment: Mapping[str, str]) -> list[Place]:
    return [place_of(Path(folder)) for folder in folders] if folders else usual_places(environment, Path.home())


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _row(found: Found, store: Store) -> dict[str, object]:
    return {
        "name": found.name,
        "aliases": found.aliases,
        "program": found.program,
        "where": found.where,
        "size_bytes": found.size_bytes,
        "files": [{"path": str(file.path), "role": file.role, "size_bytes": file.size_bytes} for file in found.files],
        "imported_as": imported_as(found, store) or None,
        "note": found.note,
    }
