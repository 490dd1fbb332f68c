"""``hearth demo``: the whole system on a sample project, with the model in the package and no download."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hearth.agent.assemble import Start, open_session
from hearth.cli.live import LiveText
from hearth.cli.output import add_usage
from hearth.cli.run import show_turn
from hearth.errors import HearthError, WorkspaceError
from hearth.events import Event, UsageReported
from hearth.messages import Usage
from hearth.ops.daemon import ensure_daemon
from hearth.paths import resolve_paths
from hearth.sandbox.command import CommandResult, PlainShell
from hearth.settings import load_settings

PROMPT = "Fix the failing test"
TESTS = "python3 -m pytest -q --tb=short"
TESTS_LIMIT_S = 120.0

PROJECT = {
    "orchard/market.py": '''\
"""Market."""

BUSHEL = 24


def full_crates(apples, size):
    """Return apples divided by size, rounded down."""
    return apples // size


def sale_value(pears, coins):
    """Return pears times coins."""
    return pears + coins
''',
    "orchard/weather.py": '''\
"""Weather."""


def frost_risk(degrees, limit):
    """Tell whether degrees is less than limit."""
    return degrees < limit


def warm_days(readings, limit):
    """Keep the readings that are at least limit."""
    return [reading for reading in readings if reading >= limit]
''',
    "tests/test_market.py": """\
from orchard.market import full_crates, sale_value


def test_full_crates():
    assert full_crates(50, 24) == 2


def test_sale_value():
    assert sale_value(12, 3) == 36
""",
    "tests/test_weather.py": """\
from orchard.weather import frost_risk, warm_days


def test_frost_risk():
    assert frost_risk(1, 3) is True


def test_warm_days():
    assert warm_days([4, 18, 21], 18) == [18, 21]
""",
    "pyproject.toml": """\
[tool.pytest.ini_options]
pythonpath = ["."]
""",
}
"""A project with one bug: ``sale_value`` adds where its docstring and its test say that it multiplies."""

NEXT = """\
What you saw ran on this machine alone: a daemon, an engine process, and the
pilot, a tiny model that does four small chores. Next:
  hearth status                the daemon is still warm; hearth stop ends it
  hearth run "Explain NAME"    in a Python project of yours: explain a function
  hearth models list           the models on this machine
  hearth doctor                whether everything is as it should be"""


def register(subparsers: Any) -> None:
    """Add ``demo`` to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="the whole system on a sample project, no download",
        description="Let the model in the package mend a failing test in a sample project. Nothing is downloaded.",
    )
    parser.add_argument("--keep", action="store_true", help="keep the sample project (it is kept anyway when it fails)")


def run(args: argparse.Namespace) -> int:
    """Run the demonstration; 0 if the tests went from failing to passing."""
    if find_spec("pytest") is None:
        raise HearthError("the demo runs a project's tests and needs pytest", "run: pip install 'hearth-code[demo]'")
    folder = Path(tempfile.mkdtemp(prefix="hearth-demo-")).resolve()
    screen = LiveText(sys.stdout)
    kept = True
    try:
        with tempfile.TemporaryDirectory(prefix="hearth-python-") as bin_folder:
            environment = python_first(os.environ, Path(sys.executable), Path(bin_folder))
            code = asyncio.run(_demonstrate(folder, environment, screen))
        kept = args.keep or code != 0
        return code
    finally:
        screen.close()
        if kept:
            screen.say(f"the sample project is kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def write_project(folder: Path) -> None:
    """Write the sample project below ``folder``."""
    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def python_first(environment: Mapping[str, str], python: Path, bin_folder: Path) -> dict[str, str]:
    """The environment in which ``python3`` is this interpreter, and pytest runs without the plugins around it.

    ``bin_folder`` gets a ``python3`` when the interpreter's own folder has none.
    """
    first = python.parent
    if not (first / "python3").exists():
        first = bin_folder
        script = first / "python3"
        # A symlink would lose the virtual environment: Python looks for pyvenv.cfg beside the name it was called by.
        script.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n', encoding="utf-8")
        script.chmod(0o700)
    left_out = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONPATH", "PYTHONHOME")
    passed = {name: value for name, value in environment.items() if name not in left_out}
    path = os.pathsep.join([str(first), environment.get("PATH", os.defpath)])
    return {**passed, "PATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def changes(folder: Path) -> list[str]:
    """What has become of the sample project, as the lines of a unified diff."""
    lines: list[str] = []
    for name, before in PROJECT.items():
        path = folder / name
        after = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        lines += difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    return lines


def verdict(result: CommandResult) -> str:
    """The last line of a test run: ``1 failed, 3 passed in 0.02s``."""
    return (result.output.rstrip().splitlines() or ["no output"])[-1]


class _Figures:
    """Shows events, and adds up what the steps cost."""

    def __init__(self, screen: LiveText) -> None:
        self._screen = screen
        self.steps = 0
        self.usage = Usage()

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, UsageReported):
            self.steps += 1
            self.usage = add_usage(self.usage, event.usage)
        self._screen.show(event)

    def tell(self, line: str) -> None:
        """Say what is waited for."""
        self._screen.tell(line)

    def close(self) -> None:
        """Take the status line away."""
        self._screen.close()

    def lines(self, seconds: float) -> list[str]:
        """What the turn cost, for a person."""
        usage = self.usage
        share = 100 * usage.reused / usage.prompt if usage.prompt else 0.0
        speed = usage.generated / usage.decode_s if usage.decode_s > 0 else 0.0
        return [
            f"{self.steps} steps in {seconds:.1f} s · generated {usage.generated:,} tokens at {speed:,.0f} tokens/s",
            f"prompts of {usage.prompt:,} tokens in all: {usage.reused:,} reused ({share:.0f} %), "
            f"{usage.new:,} computed in {usage.prefill_s:.1f} s",
        ]


async def _demonstrate(folder: Path, environment: Mapping[str, str], screen: LiveText) -> int:
    write_project(folder)
    shell = PlainShell(folder, environment)
    screen.say(f"A sample project with a bug, in {folder}", "bold")
    before = await shell.run(TESTS, TESTS_LIMIT_S)
    screen.say(f"its tests before: {verdict(before)}", "red")
    if before.code != 1:
        raise WorkspaceError(
            f"the sample project's tests do not run as they should: {verdict(before)}", f"try: {TESTS}"
        )
    screen.say(f'\nhearth run -m pilot "{PROMPT}"', "bold")
    figures = _Figures(screen)
    paths = resolve_paths(environment)
    settings = load_settings(paths.config_file, environment, {"model": "pilot"})
    await ensure_daemon(paths, settings, environment, screen.tell)
    session = await open_session(paths, settings, environment, Start("auto", folder))
    started = time.monotonic()
    try:
        code = await show_turn(session, PROMPT, figures)
    finally:
        await session.close()
    seconds = time.monotonic() - started
    after = await shell.run(TESTS, TESTS_LIMIT_S)
    _show_outcome(screen, changes(folder), after)
    screen.say("")
    for line in figures.lines(seconds):
        screen.say(line)
    screen.say(f"transcript: {paths.sessions / session.id}.jsonl", "dim")
    if code == 0 and after.code == 0:
        screen.say(f"\n{NEXT}")
        return 0
    screen.say("\nthe tests do not pass: the pilot did not get there this time", "red")
    return code or 1


def _show_outcome(screen: LiveText, diff: list[str], after: CommandResult) -> None:
    screen.say("\nThe change", "bold")
    for line in diff or ["nothing was changed"]:
        colour = {"+": "green", "-": "red"}.get(line[0], "dim")
        screen.glimpse(f"  {line}", colour)
    screen.say("\nThe tests, run again", "bold")
    for line in after.output.rstrip().splitlines()[-12:]:
        screen.glimpse(f"  {line}", "green" if after.code == 0 else "red")
