"""``hearth models calibrate``: measure in a minute how a model calls tools and edits files, and keep it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from hearth.agent.equipment import make_toolbox
from hearth.agent.minds import Minds
from hearth.cli.models.elsewhere import resolve
from hearth.cli.models.text import table
from hearth.errors import UsageError
from hearth.llm.calibration.measure import Subject, measure
from hearth.llm.calibration.record import Calibration, Tally, forget, save, verdict
from hearth.llm.families import Dialect
from hearth.llm.profile import PILOT
from hearth.ops.daemon import ensure_daemon
from hearth.paths import Paths
from hearth.settings import Settings, load_settings
from hearth.tools.toolbox import Toolbox
from hearth.weights.store import Store


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Measure, keep, and say what was found."""
    settings = load_settings(paths.config_file, environment)
    if not settings.gateway.url:
        resolve(args.name, settings, Store(paths.models))
    if args.reset:
        there = forget(paths.calibration, args.name, settings.gateway.url)
        print(f"{args.name}: {'forgotten' if there else 'nothing was kept'}", file=sys.stderr)
        return 0
    if args.minutes <= 0:
        raise UsageError(f"--minutes {args.minutes:g} leaves no time", "give a number above 0")
    found = asyncio.run(_measure(args.name, args.minutes * 60, paths, settings, environment))
    file = save(paths.calibration, found)
    if args.json:
        whole = {**msgspec.to_builtins(found), "profile": verdict(found), "file": str(file)}
        print(msgspec.json.encode(whole).decode())
        return 0
    print("\n".join(table(_rows(found))))
    return 0


async def _measure(
    name: str, limit_s: float, paths: Paths, settings: Settings, environment: Mapping[str, str]
) -> Calibration:
    await ensure_daemon(paths, settings, environment, _say)
    minds = Minds(paths, settings)
    await minds.look()
    profile = await minds.profile(name, fresh=True)
    dialects: tuple[Dialect, ...] = ("chat", "text", "harmony") if minds.completes(name) else ("chat", "text")
    # As sessions ask it: what is mended there counts as right here.
    ways = {dialect: minds.mend(replace(profile, dialect=dialect)) for dialect in dialects}
    subject = Subject(name, settings.gateway.url, profile, ways)
    return await measure(subject, _tools, datetime.now().astimezone(), limit_s, _say)


def _tools(folder: Path, tool: str) -> Toolbox:
    return make_toolbox(("read", tool), folder)


def _rows(found: Calibration) -> list[tuple[str, str]]:
    rows = [
        ("a call and its result", _count(found.calls)),
        ("two calls in one step", _count(found.parallel)),
        ("reasons before it calls", _count(found.reasoning)),
        ("a long argument, byte for byte", _count(found.long)),
    ]
    if found.prefix.possible:
        kept = f"{found.prefix.reused:,} of {found.prefix.possible:,} tokens reused"
        without = f"without it {found.prefix.reused_without:,} of {found.prefix.possible_without:,}"
        rows.append(("reasoning sent back", f"{kept}; {without}" if found.prefix.possible_without else kept))
    for form, tally in found.edits.items():
        rows.append((f"edits as {form}", f"{_count(tally)}, {tally.tokens // max(tally.tried, 1):,} tokens each"))
    rows.append(("took", f"{found.seconds:.0f} s" + (f"; {found.ended}" if found.ended else "")))
    fields = ", ".join(f"{name} {_shown(value)}" for name, value in verdict(found).items())
    kept_as = "nothing: the pilot stays as it was trained" if found.model == PILOT.name else fields or "nothing"
    return [*rows, ("used from now on", kept_as)]


def _count(tally: Tally) -> str:
    text = f"{tally.right} of {tally.tried}" if tally.tried else "not tried"
    return f"{text} ({tally.note})" if tally.note else text


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
