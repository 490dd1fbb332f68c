"""``hearth models fit`` and ``recommend``: what fits a machine, this one or one that is described."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import msgspec

from hearth.cli.models.address import refuse_elsewhere
from hearth.cli.models.fetch import FIT_CONTEXT
from hearth.cli.models.text import memory_text, size_text, table
from hearth.paths import Paths
from hearth.runtime.llama.probe import Answer, Probe
from hearth.settings import load_settings
from hearth.weights.catalogue import load_catalogue
from hearth.weights.fetch.hub import read_access
from hearth.weights.fit import Outcome, Part, Request, Verdict, judge, missing_bytes, usable_gpu_bytes, usable_ram_bytes
from hearth.weights.fit_room import RAM_RESERVE_BYTES
from hearth.weights.hardware import Machine, describe_machine, measure_machine, parse_gpu_memory, parse_size
from hearth.weights.hardware.ram_speed import measure_ram_bandwidth
from hearth.weights.store import Store
from hearth.weights.subject import Subject, find_subject

_BAR_WIDTH = 48
_LEAST_BAR_WIDTH = 18
_MARKS = {"weights": "█", "kv": "▓", "recurrent": "▓", "compute": "▒", "cache": "▒", "overhead": "░"}
_WORDS = {
    "weights": "weights",
    "kv": "KV cache",
    "recurrent": "state",
    "compute": "compute",
    "cache": "kept prompts",
    "overhead": "overhead",
}


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Run one of the two."""
    machine, described = find_machine(args)
    if args.verb == "recommend":
        from hearth.cli.models.ranking import show_ranking

        if not described and machine.memory_bandwidth is None:
            machine = replace(machine, memory_bandwidth=measure_ram_bandwidth(machine.cores or 1))
        return show_ranking(args, paths, machine)
    catalogue = load_catalogue(paths.config / "models.toml")
    store = Store(paths.models)
    settings = load_settings(paths.config_file, environment)
    refuse_elsewhere(args.name, settings, "it takes no memory here")
    if not described:
        machine = _limited(machine, settings.engine.memory_gib)
    subject = find_subject(args.name, store, catalogue, lambda: read_access(environment))
    native = subject.shape.native_context or FIT_CONTEXT
    slots = settings.engine.slots
    request = Request(
        min(FIT_CONTEXT, native) if args.ctx is None else args.ctx,
        args.kv.lower(),
        slots if args.slots is None else args.slots,
        projector_bytes=subject.projector_bytes,
    )
    verdict = judge(subject.shape, subject.file_bytes, request, machine)
    answer = None if described else _ask_engine(subject, verdict, machine, paths)
    if answer is not None and answer.measured:
        verdict = replace(verdict, breakdown=answer.breakdown)
        if missing := missing_bytes(answer.breakdown, machine):
            why = f"{memory_text(missing)} too little by the engine's own account"
            verdict = replace(verdict, missing_bytes=missing, outcome=Outcome.DOES_NOT_FIT, why=why, largest_context=0)
    if args.json:
        print(msgspec.json.encode(as_json(subject, verdict, machine, answer)).decode())
    else:
        print("\n".join(describe(subject, verdict, machine, answer)))
    return 0


def find_machine(args: argparse.Namespace, here: Callable[[], Machine] = measure_machine) -> tuple[Machine, bool]:
    """The machine that is asked for, and whether it is only described. A part that is not described is that of the
    machine ``here``, all of it free; but for graphics that share the RAM."""
    if not args.gpu_memory and not args.ram:
        return here(), False
    cards = parse_gpu_memory(args.gpu_memory) if args.gpu_memory else ()
    ram = parse_size(args.ram) if args.ram else 0
    if args.gpu_memory:
        return describe_machine(cards, ram or here().ram_bytes), True
    own = tuple(replace(gpu, free_bytes=gpu.total_bytes) for gpu in here().gpus if not gpu.shared)
    return replace(describe_machine((), ram), gpus=own), True


def _limited(machine: Machine, memory_gib: float) -> Machine:
    """The machine with no more RAM free than the owner lets all models take; 0 is no limit."""
    if not memory_gib:
        return machine
    free = min(machine.ram_free_bytes, machine.ram_bytes - 1, int(memory_gib * (1 << 30)) + RAM_RESERVE_BYTES)
    note = f"engine.memory_gib lets models take {memory_gib:g} GiB of the RAM"
    return replace(machine, ram_free_bytes=free, notes=(*machine.notes, note))


def _ask_engine(subject: Subject, verdict: Verdict, machine: Machine, paths: Paths) -> Answer | None:
    """The engine's own account, for a file that is here and would be laid out as the engine does it by itself."""
    by_itself = verdict.outcome in (Outcome.FITS, Outcome.QUANTISED) and verdict.placement.cards is None
    if subject.card is None or not by_itself:
        return None
    probe = Probe(paths)
    card, request = subject.card, verdict.request
    return asyncio.run(
        probe.answer(card.path, subject.shape, subject.file_bytes, request, machine, more_parts=card.more_parts)
    )


def describe(subject: Subject, verdict: Verdict, machine: Machine, answer: Answer | None) -> list[str]:
    """The breakdown as a bar and a table for each device, and the verdict."""
    request = verdict.request
    slots = f" in each of {request.slots} slots" if request.slots > 1 else ""
    width = min(_BAR_WIDTH, max(shutil.get_terminal_size().columns - 2, _LEAST_BAR_WIDTH))
    lines = [
        f"{subject.name} · {size_text(subject.file_bytes)} · {request.context:,} tokens{slots}, {request.kv_type} KV",
        _by_whom(subject, answer),
        "",
    ]
    for title, part, room in _devices(verdict, machine):
        lines += [
            f"{title}: {memory_text(part.total)} of {memory_text(room)}",
            bar(part, room, width),
            *_rows(part),
            "",
        ]
    lines.append(f"{verdict.outcome} · {verdict.why}")
    if verdict.warning:
        lines.append(verdict.warning)
    if verdict.largest_context:
        lines.append(f"largest context that fits so: {verdict.largest_context:,} tokens")
    lines += [f"note: {note}" for note in machine.notes]
    return lines


def bar(part: Part, room: int, width: int = _BAR_WIDTH) -> str:
    """One line of ``width`` columns and two: what of the room each kind of memory takes; beyond its end when it is too
    much."""
    scale = width / max(room, part.total, 1)
    text = ""
    used = 0
    for name, mark in _MARKS.items():
        used += getattr(part, name)
        text += mark * (round(used * scale) - len(text))
    limit = round(room * scale)
    return f"[{text[:limit]}|{text[limit:]}" if part.total > room else f"[{text.ljust(width, '·')}]"


def _devices(verdict: Verdict, machine: Machine) -> list[tuple[str, Part, int]]:
    found = [
        (f"card {gpu.index}, {gpu.name}", part, usable_gpu_bytes(gpu))
        for gpu, part in zip(machine.gpus, verdict.breakdown.gpus, strict=True)
    ]
    return [*found, ("RAM", verdict.breakdown.host, usable_ram_bytes(machine))]


def _rows(part: Part) -> list[str]:
    rows = [
        (f"  {_MARKS[name]} {word}", memory_text(getattr(part, name)))
        for name, word in _WORDS.items()
        if getattr(part, name)
    ]
    return table(rows, frozenset({1}))


def _by_whom(subject: Subject, answer: Answer | None) -> str:
    if answer is not None and answer.measured:
        return "counted by the engine itself"
    known = {"file": "the file's header", "catalogue": "the catalogue", "hub": "the header on the hub"}
    why = f"; the engine was asked in vain: {answer.reason}" if answer is not None else ""
    return f"estimated from {known[subject.known_from]}{why}"


def as_json(subject: Subject, verdict: Verdict, machine: Machine, answer: Answer | None) -> dict[str, Any]:
    """What ``--json`` prints: sizes in bytes."""
    return {
        "name": subject.name,
        "file_bytes": subject.file_bytes,
        "known_from": subject.known_from,
        "measured": answer is not None and answer.measured,
        "fits": verdict.outcome.fits,
        "verdict": str(verdict.outcome),
        "why": verdict.why,
        "warning": verdict.warning,
        "context": verdict.request.context,
        "kv": verdict.request.kv_type,
        "slots": verdict.request.slots,
        "largest_context": verdict.largest_context,
        "missing_bytes": verdict.missing_bytes,
        "gpu_layers": verdict.placement.gpu_layers,
        "host_expert_layers": verdict.placement.host_expert_layers,
        "devices": [
            {"name": title, "room": room, "total": part.total, **asdict(part)}
            for title, part, room in _devices(verdict, machine)
        ],
        "notes": machine.notes,
    }
