"""``hearth bench speed``: finds the fastest settings of a model on this machine, and keeps them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

import msgspec

from hearth.cli.bench.plot import draw
from hearth.cli.bench.text import describe
from hearth.cli.models.address import refuse_elsewhere
from hearth.cli.models.text import memory_text
from hearth.errors import StateError, UsageError
from hearth.ops.record import home_is_taken
from hearth.paths import Paths
from hearth.runtime.builds.build import active_build
from hearth.runtime.engines import seen_by
from hearth.runtime.launch import KvType, Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.runtime.llama.presets import preset
from hearth.runtime.llama.probe import Probe
from hearth.runtime.speed.fast_cores import find_cores
from hearth.runtime.speed.measurement import Measured, Measurement
from hearth.runtime.speed.quiet import QUIET_SHARE, busy_share
from hearth.runtime.speed.report import SpeedReport
from hearth.runtime.speed.stand import Stand
from hearth.runtime.speed.start import Start, find_start
from hearth.runtime.speed.tuning import Tuned, TuningBook, difference, folder_of, mark_of
from hearth.settings import Settings, load_settings
from hearth.weights.card import ModelCard
from hearth.weights.durable import explain, write_whole
from hearth.weights.hardware import Machine, measure_machine
from hearth.weights.shape import ModelShape
from hearth.weights.store import Store

_LEAST_MINUTES = 0.1
_LONGEST_MINUTES = 120.0


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Measure one model, keep what was found, show it."""
    began = time.monotonic()
    book = TuningBook(folder_of(paths))
    if args.reset:
        forgotten = book.forget(args.model)
        print(f"forgot what was found for {args.model}" if forgotten else "nothing was kept", file=sys.stderr)
        return 0
    limit_s = args.minutes * 60
    if not _LEAST_MINUTES <= args.minutes <= _LONGEST_MINUTES:
        raise UsageError(
            f"--minutes {args.minutes:g}: must be from {_LEAST_MINUTES:g} to {_LONGEST_MINUTES:g}",
            "run: hearth bench speed --help",
        )
    kv_types = _kv_types(args.kv)
    settings = load_settings(paths.config_file, environment)
    refuse_elsewhere(args.model, settings, "its speed is that engine's")
    if home_is_taken(paths) and not args.force:
        raise StateError("a daemon runs, whose models would disturb the measurement", "run: hearth stop (or --force)")
    if settings.engine.kind != "embedded":
        raise UsageError(
            f"engine.kind is {settings.engine.kind}: only the embedded engine is tuned", "set engine.kind to embedded"
        )
    paths.ensure()
    plot = _place_of_plot(args.model, paths, args.plot)
    store = Store(paths.models)
    card = store.resolve(args.model)
    build = active_build(paths).identity
    start, measured, busy = asyncio.run(_measure(card, store, settings, paths, kv_types, began + limit_s))
    report = _report(card, build, start, measured, time.monotonic() - began, limit_s)
    stored = busy < QUIET_SHARE or args.force
    if stored:
        book.keep(card, report.build, mark_of(start.machine), report.tuned)
        store.note_speed(card.name, report.tuned.prefill_per_s, report.tuned.decode_per_s)
    notes = report.notes if busy < QUIET_SHARE else (*report.notes, _busy_note(busy))
    report = msgspec.structs.replace(report, stored=stored, notes=notes)
    report = _draw(report, plot)
    print(msgspec.json.encode(report).decode() if args.json else "\n".join(describe(report)))
    return 0


def _busy_note(busy: float) -> str:
    return f"other programs kept {busy:.0%} of the processors busy: measure again when it is quiet (--force keeps it)"


def _kv_types(names: list[str]) -> tuple[KvType, ...]:
    known = get_args(KvType)
    for name in names:
        if name not in known:
            raise UsageError(f"there is no KV type {name!r}", f"one of {', '.join(known)}")
    return tuple(cast(KvType, name) for name in dict.fromkeys(names))


async def _measure(
    card: ModelCard, store: Store, settings: Settings, paths: Paths, kv_types: tuple[KvType, ...], until: float
) -> tuple[Start, Measured, float]:
    """On engines of our own; last is the share of the processors that others used. ``until`` is in
    ``time.monotonic()``."""
    busy = await busy_share()

    def measure() -> Machine:
        return seen_by(active_build(paths), measure_machine())

    start = await find_start(card, settings.engine, store, _untuned, measure, Probe(paths))
    _make_folder(paths.kv)

    def make_engine(launch: Launch) -> EmbeddedEngine:
        return EmbeddedEngine(card, launch, paths, load_timeout_s=settings.engine.load_timeout_s)

    try:
        async with Stand(make_engine, start.places, paths.kv) as stand:
            cores = find_cores(start.machine.cores)
            measurement = Measurement(card.name, start, cores, stand, until, _tell)
            measured = await measurement.run(threads_are_set=bool(settings.engine.threads), kv_types=kv_types)
    finally:
        with contextlib.suppress(OSError):
            # Only if it is empty: it was made for this.
            paths.kv.rmdir()
    return start, measured, busy


def _untuned(_card: ModelCard, shape: ModelShape, launch: Launch, machine: Machine) -> Launch:
    return preset(shape, launch, machine)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise explain(f"cannot create {folder}", error, folder.parent) from error


def _report(
    card: ModelCard, build: str, start: Start, measured: Measured, took_s: float, limit_s: float
) -> SpeedReport:
    best = measured.best or measured.base
    # The middle of what was measured; a best that there was no time to measure is no slower than the base.
    points = best.points or measured.base.points
    point = points[len(points) // 2]
    tuned = Tuned(
        difference(measured.base.launch, best.launch),
        prefill_per_s=round(point.prefill_per_s, 2),
        decode_per_s=round(point.decode_per_s, 2),
    )
    return SpeedReport(
        model=card.name,
        build=build,
        machine=_machine_text(start.machine),
        file_bytes=card.size_bytes,
        base=measured.base,
        best=measured.best,
        tuned=tuned,
        tried=measured.tried,
        notes=measured.notes,
        rounds=measured.rounds,
        took_s=round(took_s, 1),
        limit_s=limit_s,
    )


def _machine_text(machine: Machine) -> str:
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    cards = ", ".join(gpu.name for gpu in machine.gpus) or "no graphics card"
    return f"{cores}, {memory_text(machine.ram_bytes)} of RAM, {cards}"


def _place_of_plot(model: str, paths: Paths, wanted: str) -> Path:
    """Where the plot goes: where it was wanted, or into the home. Raises UsageError before minutes are spent on it."""
    if not wanted:
        return folder_of(paths) / f"{paths.engine_log(model).stem.removeprefix('engine-')}.svg"
    file = Path(wanted).expanduser().absolute()
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"--plot {wanted}: no file can be written there", "name a file in a folder that you can write")
    return file


def _draw(report: SpeedReport, file: Path) -> SpeedReport:
    """The report with its plot; without it, and a note why, where it cannot be written: the figures count more."""
    try:
        write_whole(file, draw(report).encode())
    except OSError as error:
        return msgspec.structs.replace(report, notes=(*report.notes, f"no plot: cannot write {file}: {error.strerror}"))
    return msgspec.structs.replace(report, plot=str(file))
