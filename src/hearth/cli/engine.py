"""``hearth engine``: builds of llama.cpp for this machine's cards or processor, and the way back."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import msgspec

from hearth.cli.models.text import memory_text, table
from hearth.errors import HearthError, Unavailable, UsageError
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import BUNDLED, LIBRARY, Build, Gain, needed_version
from hearth.runtime.builds.choice import DEVICES, KINDS, Choice, Kind, Refusal, choose_build
from hearth.runtime.builds.facts import read_facts
from hearth.runtime.builds.install import Order, check_files, install, try_build
from hearth.runtime.builds.shelf import BuildShelf, folder_bytes
from hearth.runtime.builds.trial import look
from hearth.runtime.builds.wheels import Step, without_keys
from hearth.weights.store import Store

_FLAGS = {
    "cuda": "for NVIDIA cards",
    "rocm": "for AMD cards with ROCm",
    "vulkan": "for any card with a Vulkan driver",
    "native": "built here from source, for this processor",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its verbs."""
    parser = subparsers.add_parser("engine", help="builds of the engine for this machine's cards or processor")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    new = verbs.add_parser("install", help="the build that fits this machine: fetched, tried, measured, in use")
    kinds = new.add_mutually_exclusive_group()
    for kind, text in _FLAGS.items():
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=text)
    new.add_argument("--index-url", default="", metavar="URL", help="take it from this index of wheels instead")
    new.add_argument(
        "--source", type=Path, metavar="PATH", help="with --native: the engine's sources, .tar.gz or folder"
    )
    new.add_argument("--model", default="", metavar="NAME", help="measure the gain on this model, not on a random one")
    new.add_argument("--no-measure", action="store_true", help="do not measure the gain")
    new.add_argument("--dry-run", action="store_true", help="only say what would be taken, and why")
    listed = verbs.add_parser("list", help="the builds on this machine")
    listed.add_argument("--json", action="store_true", help="print JSON")
    used = verbs.add_parser("use", help=f"start engines with this build; {BUNDLED} is the one in the package")
    checked = verbs.add_parser("check", help="whether a build is whole, loads and answers")
    removed = verbs.add_parser("remove", help="delete a build")
    for verb, count in ((used, None), (checked, "?"), (removed, None)):
        verb.add_argument("name", nargs=count, default="", metavar="NAME", help="its name, see: hearth engine list")


def run(args: argparse.Namespace) -> int:
    """Run one verb. A daemon may run meanwhile: the models that it has loaded stay with their build."""
    paths = resolve_paths(os.environ)
    shelf = BuildShelf(paths)
    match args.verb:
        case "install":
            return _install(args, paths, shelf)
        case "list":
            return _list(shelf, as_json=args.json)
        case "use":
            return _use(shelf, shelf.find(args.name), paths)
        case "check":
            return _check(shelf.find(args.name) if args.name else shelf.active, paths)
        case _:
            build = shelf.find(args.name)
            freed = shelf.remove(build)
            print(f"removed {build.name}, {memory_text(freed)}", file=sys.stderr)
            return 0


def _install(args: argparse.Namespace, paths: Paths, shelf: BuildShelf) -> int:
    order = _order(args, paths)
    print(f"{order.name}: {order.choice.because}")
    if args.dry_run:
        print(_origin(order))
        return 0
    paths.ensure()
    shelf.refuse_second(order.name)
    line = _Line(sys.stderr)
    try:
        build = asyncio.run(install(order, paths, line.show))
    finally:
        line.close()
    manifest = build.manifest
    assert manifest is not None, "an installed build has a manifest"
    print(f"it loads and answers; devices: {', '.join(manifest.devices)}")
    if manifest.gain is not None:
        print("\n".join(_gain_lines(build.name, manifest.gain)))
    elif order.measured:
        print("the build in the package does not run on this machine: there is nothing to compare it with")
    if manifest.gain is not None and not manifest.gain.worth:
        print(f"it is not faster here, and not in use; hearth engine use {build.name} takes it all the same")
        return 0
    shelf.use(build)
    print(f"in use from the next load of a model on; hearth engine use {BUNDLED} goes back")
    return 0


def _origin(order: Order) -> str:
    index = without_keys(order.index_url or order.choice.index_url)
    if order.choice.kind != "native":
        return f"it would come from {index}"
    return f"it would be built here; its sources would come from {order.source or index or 'the package index'}"


def _order(args: argparse.Namespace, paths: Paths) -> Order:
    """What the flags ask for. Raises UsageError for flags that contradict one another, Unavailable with the reason
    where it cannot run on this machine."""
    kind: Kind | None = args.kind
    if args.source is not None and kind != "native":
        raise UsageError("--source goes with --native", "run: hearth engine install --native --source PATH")
    if args.source is not None and not args.source.exists():
        raise UsageError(f"--source {args.source}: there is nothing", "name a .tar.gz or a folder")
    if args.model and args.no_measure:
        raise UsageError("--model says what to measure, --no-measure not to", "leave one of them out")
    _check_url(args.index_url)
    facts = read_facts()
    found: Choice | Refusal
    if args.index_url and kind in (*DEVICES, None):
        # The tables are about the wheels of the engine's makers: of others, the trial decides.
        found = Choice(kind or "own", "from the index that you named")
    else:
        found = choose_build(facts, kind)
    if isinstance(found, Refusal):
        what = f"--{kind} cannot work here" if kind in KINDS else "no other build is better here"
        raise Unavailable(f"{what}: {found.why}", found.way_out)
    model = Store(paths.models).resolve(args.model).path if args.model else None
    return Order(found, args.index_url, args.source, not args.no_measure, model, facts.jobs)


def _check_url(url: str) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("https", "http", "file") and (parts.hostname or parts.scheme == "file")
    except ValueError:
        known = False
    if not known or not url.isprintable():
        raise UsageError(f"--index-url {url[:200]!r} is no address", "an index begins with https://")


def _use(shelf: BuildShelf, build: Build, paths: Paths) -> int:
    """Take a build into use; one that does not load is refused, and nothing changes."""
    build.check()
    if build.folder is not None:
        paths.ensure()
        try:
            asyncio.run(look(build, paths.logs / "engine-install.log"))
        except HearthError as error:
            raise type(error)(f"{build.name} stays out of use: {error.what}", error.fix) from error
    shelf.use(build)
    print(f"{build.name} is in use from the next load of a model on", file=sys.stderr)
    return 0


def _check(build: Build, paths: Paths) -> int:
    build.check()
    paths.ensure()
    check_files(build)
    try:
        seen = asyncio.run(try_build(build, paths, paths.logs / "engine-install.log"))
    except HearthError as error:
        raise build.blame(error) from error
    devices = ", ".join(f"{device.name} {device.description}" for device in seen.devices)
    print(f"{build.name} is whole, loads and answers; {LIBRARY} {seen.version}; devices: {devices}")
    return 0


def _list(shelf: BuildShelf, *, as_json: bool) -> int:
    active = shelf.active
    builds = shelf.builds()
    if as_json:
        print(msgspec.json.encode([_row(build, active) for build in builds]).decode())
        return 0
    rows = [
        (
            "*" if build.name == active.name else " ",
            build.name,
            build.version or "-",
            memory_text(folder_bytes(build.folder)) if build.folder else "-",
            _note(build),
        )
        for build in builds
    ]
    print("\n".join(table(rows, right=frozenset({3}))))
    if active.trouble:
        raise Unavailable(f"the build in use, {active.name}: {active.trouble}", f"run: hearth engine use {BUNDLED}")
    return 0


def _note(build: Build) -> str:
    if build.trouble:
        return build.trouble
    if build.manifest is None:
        return "in the package"
    gain = build.manifest.gain
    return f"prefill {gain.prefill:.2f}x, decode {gain.decode:.2f}x of {BUNDLED}" if gain else build.manifest.origin


def _row(build: Build, active: Build) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": build.name,
        "active": build.name == active.name,
        "version": build.version,
        "needed": needed_version(),
        "usable": not build.trouble,
        "trouble": build.trouble,
        "bytes": folder_bytes(build.folder) if build.folder else 0,
    }
    if build.manifest is not None:
        told: dict[str, Any] = msgspec.to_builtins(build.manifest)
        row |= {key: told[key] for key in ("kind", "origin", "wheel", "sha256", "installed_at", "devices", "gain")}
        gain = build.manifest.gain
        row |= {"prefill_ratio": gain.prefill if gain else None, "decode_ratio": gain.decode if gain else None}
    return row


def _gain_lines(name: str, gain: Gain) -> list[str]:
    """Both sides and how they compare."""
    rows = [("", "prefill", "decode")]
    for side, rates in ((BUNDLED, gain.bundled), (name, gain.build)):
        rows.append((side, f"{rates.prefill:,.1f} tok/s", f"{rates.decode:,.1f} tok/s"))
    rows.append(("ratio", f"{gain.prefill:.2f}x", f"{gain.decode:.2f}x"))
    note = ["the machine was busy with something else: these figures are rough"] if gain.rough else []
    return [f"measured on {gain.model}, best of each:", *table(rows, right=frozenset({1, 2})), *note]


class _Line:
    """Steps as lines; on a terminal the last line moves with what is only passing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._moves = stream.isatty()
        self._open = False

    def show(self, step: Step) -> None:
        """Say a step."""
        if not step.passing:
            self.close()
            print(step.text, file=self._stream, flush=True)
        elif self._moves:
            print(f"\r\x1b[K{step.text}", end="", file=self._stream, flush=True)
            self._open = True

    def close(self) -> None:
        """Leave the line that moves."""
        if self._open:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._open = False
