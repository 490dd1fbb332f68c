"""Held-out chores as real sessions: the agent, the gateway, the engine and the pilot, in projects it has never seen.

Run as ``python -m hearth.pilot.evaluate``; rewrites the table in ``docs/pilot.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

from hearth.agent.assemble import Start, open_session
from hearth.events import Failed, Finished, UsageReported
from hearth.messages import Usage
from hearth.ops.daemon import ensure_daemon, stop_daemon
from hearth.paths import Paths, resolve_paths
from hearth.pilot.projects import Chore, Kind, make_chore
from hearth.pilot.words import Words
from hearth.settings import Settings, load_settings

KINDS: tuple[Kind, ...] = ("fix", "rename", "constant", "explain")
BEGIN, END = "<!-- figures: written by make bench-pilot -->", "<!-- figures end -->"
MOST_STEPS = 24


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How one chore went. ``why`` is empty when all of it was right."""

    kind: Kind
    why: str
    steps: int
    seconds: float
    usages: tuple[Usage, ...]


async def do_chore(
    chore: Chore, folder: Path, paths: Paths, settings: Settings, environment: Mapping[str, str]
) -> Outcome:
    """One real session in ``folder``; judged by the files, the tests and the answer."""
    chore.write(folder)
    session = await open_session(paths, settings, environment, Start(directory=folder))
    started = time.monotonic()
    usages: list[Usage] = []
    finished: Finished | None = None
    why = ""
    try:
        async with aclosing(session.turn(chore.prompt)) as events:
            async for event in events:
                if isinstance(event, UsageReported):
                    usages.append(event.usage)
                if isinstance(event, Failed):
                    why = event.message
                if isinstance(event, Finished):
                    finished = event
    finally:
        await session.close()
    assert finished is not None
    seconds = time.monotonic() - started
    return Outcome(chore.kind, why or judge(chore, folder, finished.text), finished.steps, seconds, tuple(usages))


def judge(chore: Chore, folder: Path, answer: str) -> str:
    """Why the chore is not done; empty when it is.

    A fix counts when the tests pass and nothing but the broken modules changed; the other kinds when every file, and
    for an explanation the answer, is word for word as it should be.
    """
    present = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".pytest_cache" not in path.parts
    }
    if extra := present - chore.files.keys():
        return f"left files behind: {', '.join(sorted(extra))}"
    if chore.kind != "fix":
        if chore.answer and answer.strip() != chore.answer:
            return f"said {answer.strip()!r}, not {chore.answer!r}"
        return "" if chore.is_done(folder, answer) else "a file is not as it should be"
    untouched = [path for path in chore.files if path not in chore.wanted]
    if any((folder / path).read_text() != chore.files[path] for path in untouched):
        return "changed a file that was right"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests = subprocess.run(command, cwd=folder, capture_output=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return "" if tests.returncode == 0 else "the tests still fail"


async def evaluate(count: int, seed: int, model: str, show: bool) -> list[Outcome]:
    """``count`` chores of each kind, the same for the same seed, under a home and a daemon of their own."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch:
        # The test command must find this interpreter's pytest.
        search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
        # Nor may it matter which plugins happen to be installed beside it: some print pages of warnings.
        plain = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment = {**kept, **plain, "PATH": search, "HEARTH_HOME": f"{scratch}/home", "HEARTH_PORT": "0"}
        paths = resolve_paths(environment)
        flags = {"model": model, "agent.max_steps": MOST_STEPS}
        settings = load_settings(paths.config_file, environment, flags)
        await ensure_daemon(paths, settings, environment, lambda text: None)
        try:
            for kind in KINDS:
                rng = random.Random(f"{seed} {kind}")
                words = Words(rng, held_out=True)
                for number in range(count):
                    chore = make_chore(rng, kind, words)
                    folder = Path(scratch) / f"{kind}-{number}"
                    outcome = await do_chore(chore, folder, paths, settings, environment)
                    outcomes.append(outcome)
                    if show:
                        print(f"{kind} {number + 1}: {outcome.why or 'right'} ({outcome.steps} steps)", flush=True)
        finally:
            await stop_daemon(paths, lambda text: None)
    return outcomes


def write_table(outcomes: list[Outcome], size: int) -> str:
    """The figures as Markdown."""
    lines = ["| chore | right | of | steps (median) | seconds (median) |", "|---|---|---|---|---|"]
    for kind in KINDS:
        mine = [outcome for outcome in outcomes if outcome.kind == kind]
        right = sum(not outcome.why for outcome in mine)
        steps = statistics.median(outcome.steps for outcome in mine)
        seconds = statistics.median(outcome.seconds for outcome in mine)
        lines.append(
            f"| {kind} | **{right}** ({100 * right / len(mine):.0f} %) | {len(mine)} | {steps:g} | {seconds:.1f} |"
        )
    usages = [usage for outcome in outcomes for usage in outcome.usages]
    generated, decode_s = sum(u.generated for u in usages), sum(u.decode_s for u in usages)
    new, prefill_s = sum(u.new for u in usages), sum(u.prefill_s for u in usages)
    reused, prompt = sum(u.reused for u in usages), sum(u.prompt for u in usages)
    decoded = f"{generated / max(decode_s, 1e-9):,.0f} tokens/s decoded"
    prefilled = f"{new / max(prefill_s, 1e-9):,.0f} tokens/s prefilled"
    kept = f"{100 * reused / max(prompt, 1):.1f} % of all prompt tokens reused"
    lines += ["", f"{len(usages):,} steps on {os.cpu_count()} CPU cores: {decoded}, {prefilled}, {kept}."]
    lines += [f"The model file has {size:,} bytes."]
    reasons = [f"{outcome.kind}: {outcome.why.split(';')[0]}" for outcome in outcomes if outcome.why]
    if reasons:
        lines += ["", "What went wrong:", "", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines)


def insert_table(page: str, table: str) -> str:
    """Put the table between the page's two marks. Raises ValueError if they are not there."""
    head, _, rest = page.partition(BEGIN)
    _, mark, tail = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Evaluate and write the page."""
    parser = argparse.ArgumentParser(prog="hearth.pilot.evaluate", description="Held-out chores as real sessions.")
    parser.add_argument("--count", type=int, default=50, help="chores of each kind")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--model", default="pilot", help="the model to evaluate, or the path of a GGUF named pilot.gguf"
    )
    parser.add_argument("--page", type=Path, default=Path("docs/pilot.md"), help="the page whose table is rewritten")
    parser.add_argument("--no-page", action="store_true", help="only print")
    options = parser.parse_args(arguments)
    outcomes = asyncio.run(evaluate(options.count, options.seed, options.model, show=True))
    packaged = Path(__file__).parent.parent / "weights" / "pilot.gguf"
    table = write_table(outcomes, (packaged if options.model == "pilot" else Path(options.model)).stat().st_size)
    print(table)
    if not options.no_page:
        options.page.write_text(insert_table(options.page.read_text(encoding="utf-8"), table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
