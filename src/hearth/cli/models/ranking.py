"""``hearth models recommend``: the ranking as lines or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from hearth.cli.models.text import memory_text, size_text, table
from hearth.errors import UsageError
from hearth.paths import Paths
from hearth.weights.catalogue import load_catalogue
from hearth.weights.fit import Request, usable_gpu_bytes, usable_ram_bytes
from hearth.weights.hardware import Machine
from hearth.weights.recommend import Suggestion, recommend


def show_ranking(args: argparse.Namespace, paths: Paths, machine: Machine) -> int:
    """Print the best models for the purpose on this machine."""
    if args.n < 1:
        raise UsageError(f"-n {args.n}: must be 1 or more", "run: hearth models recommend --help")
    context = 0 if args.ctx is None else Request(args.ctx).context
    entries = load_catalogue(paths.config / "models.toml").entries
    shown = recommend(entries, machine, args.purpose, context)[: args.n]
    if args.json:
        print(msgspec.json.encode([as_json(each) for each in shown]).decode())
        return 0
    print(machine_line(machine), file=sys.stderr)
    if not shown:
        with_context = f" with {context:,} tokens" if context else ""
        smaller = "a smaller --ctx" if context else "" if args.purpose == "quick" else "smaller models: --for quick"
        print(
            f"no model of the catalogue serves this purpose here{with_context}" + (smaller and f" · try {smaller}"),
            file=sys.stderr,
        )
        return 0
    print("\n".join(describe(shown)))
    print("speeds are estimates until they are measured here · run: hearth models pull NAME", file=sys.stderr)
    return 0


def machine_line(machine: Machine) -> str:
    """What is counted with, in one line."""
    cards = [f"{gpu.name} {memory_text(usable_gpu_bytes(gpu))} usable" for gpu in machine.gpus]
    return ", ".join([*cards, f"RAM {memory_text(usable_ram_bytes(machine))} usable"])


def describe(found: Sequence[Suggestion]) -> list[str]:
    """A table, and below each model why."""
    rows = [
        (
            f"{number}. {each.name}",
            each.quant,
            size_text(each.size_bytes),
            f"{each.context:,} tokens",
            f"{each.kv_type} KV",
            f"~{each.speed.decode:,.0f} tokens/s",
            f"~{each.speed.prefill:,.0f} tokens/s prefill",
        )
        for number, each in enumerate(found, 1)
    ]
    lines: list[str] = []
    for line, each in zip(table(rows, frozenset({2, 3, 5, 6})), found, strict=True):
        lines += [line, f"   {each.why}"]
        lines += [f"   mind: {each.warning}"] if each.warning else []
    return lines


def as_json(suggestion: Suggestion) -> dict[str, Any]:
    """One suggestion as ``--json`` prints it; speeds in tokens a second."""
    verdict = suggestion.verdict
    return {
        "name": suggestion.name,
        "quant": suggestion.quant,
        "repo": suggestion.repo,
        "size_bytes": suggestion.size_bytes,
        "context": suggestion.context,
        "largest_context": verdict.largest_context,
        "kv": suggestion.kv_type,
        "verdict": str(verdict.outcome),
        "gpu_layers": verdict.placement.gpu_layers,
        "host_expert_layers": verdict.placement.host_expert_layers,
        "speed": asdict(suggestion.speed),
        "measured": False,
        "why": suggestion.why,
        "warning": suggestion.warning,
    }
