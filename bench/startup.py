"""What starting costs: ``python -m bench.startup [--runs N] [--with-pi]``.

``hearth run hello`` is measured whole, from exec to exit, against a pretending engine that answers at once and runs in
a process of its own; with bytecode in a cache, as every start but the first has it, whatever the environment says.
``--with-pi`` installs pi (npm) into a temporary folder and measures it against the same engine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.table import Row, show

PI = "@mariozechner/pi-coding-agent"
VERSION_LIMIT_S = 0.1
RUN_LIMIT_S = 0.45


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians over the runs, of the process and the children that it waited for. Seconds."""

    cpu: float
    wall: float


def measure(commands: Sequence[tuple[Sequence[str], Mapping[str, str]]], folder: Path, runs: int) -> list[Cost]:
    """Run the commands in turn, several times, so that the machine's other load meets all alike; the first round, which
    warms caches, is not counted. Each command comes with its environment."""
    rounds = [[_run_once(*command, folder) for command in commands] for _ in range(runs + 1)][1:]
    return [
        Cost(statistics.median(cost.cpu for cost in costs), statistics.median(cost.wall for cost in costs))
        for costs in zip(*rounds, strict=True)
    ]


def _run_once(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Cost:
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.decode(errors='replace')}")
    return Cost(usage.ru_utime + usage.ru_stime, wall)


def cached(folder: Path) -> dict[str, str]:
    """What has Python keep its bytecode, in this folder. Without, each run would compile every file again."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}


@contextmanager
def pretending() -> Iterator[str]:
    """The address of a pretending engine in a process of its own."""
    command = (sys.executable, "-m", "hearth.runtime.pretend", "--port", "0")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def installed_pi(url: str) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """pi in a temporary folder, set to the endpoint: its command and environment."""
    with tempfile.TemporaryDirectory() as scratch:
        install = ("npm", "install", "--no-fund", "--no-audit", "--silent", PI)
        subprocess.run(install, cwd=scratch, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        provider = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "x", "models": [{"id": "pretend"}]}
        (Path(scratch) / "models.json").write_text(json.dumps({"providers": {"local": provider}}))
        command = (f"{scratch}/node_modules/.bin/pi", "--provider", "local", "--model", "pretend", "-p", "hello")
        yield command, {**os.environ, "PI_CODING_AGENT_DIR": scratch, "PI_OFFLINE": "1"}


def rows(runs: int = 7, with_pi: bool = False) -> list[Row]:
    """What starting costs; with pi in the same run, where npm can install it."""
    hearth = (sys.executable, "-m", "hearth")
    with tempfile.TemporaryDirectory() as scratch, pretending() as url, ExitStack() as stack:
        folder = Path(scratch) / "project"
        folder.mkdir()
        environment = {**os.environ, **cached(Path(scratch)), "HEARTH_HOME": f"{scratch}/home", "HEARTH_URL": url}
        commands = [((*hearth, "--version"), environment), ((*hearth, "run", "hello"), environment)]
        if with_pi:
            commands.append(stack.enter_context(installed_pi(url)))
        version, run, *pi = measure(commands, folder, runs)
    return [
        Row("hearth --version, CPU", version.cpu, "s", VERSION_LIMIT_S),
        Row("hearth run hello, CPU", run.cpu, "s", RUN_LIMIT_S),
        Row("hearth run hello, wall", run.wall, "s", *((pi[0].wall / 3, "(a third of pi's)") if pi else ())),
        *(Row("pi -p hello, CPU", cost.cpu, "s") for cost in pi),
        *(Row("pi -p hello, wall", cost.wall, "s") for cost in pi),
    ]


def main() -> int:
    """Print the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup")
    parser.add_argument("--runs", type=int, default=7, help="runs of each command; the median counts")
    parser.add_argument("--with-pi", action="store_true", help="install pi into a temporary folder and measure it too")
    options = parser.parse_args()
    return show(rows(options.runs, options.with_pi))


if __name__ == "__main__":
    sys.exit(main())
