"""How long a pull takes, beside ``curl | sha256sum`` of the same file from the same hub on this machine:
``python -m bench.pull [--mb 2000] [--runs 5]``.

Both take turns. The pull is a whole process: it asks the hub, fetches, verifies, forces to the disk and publishes; curl
writes to no disk. The hub is a process of its own that sends with sendfile.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.table import Row, show

ROOT = Path(__file__).resolve().parent.parent
REPO = "local/model"
FILE = "big-Q4_K_M.gguf"
LIMIT = 1.25
BLOCK = 16 << 20


def write_file(path: Path, megabytes: int) -> str:
    """A file of random bytes; its sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left = megabytes * 1_000_000
        while left:
            block = os.urandom(min(BLOCK, left))
            file.write(block)
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The endpoint of a hub with the files of this folder."""
    command = (sys.executable, str(ROOT / "tests" / "hub_server.py"), str(folder))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def pull_once(endpoint: str, models: Path) -> None:
    """What the process does that is measured."""
    from hearth.weights.fetch.hub import Hub
    from hearth.weights.fetch.pull import Puller
    from hearth.weights.fetch.wire import Access
    from hearth.weights.store import Store

    access = Access(endpoint)
    plan = Hub(access).plan("big", REPO)
    Puller(models, Store(models).publish, access, lambda _: None).pull(plan)


def rows(megabytes: int, runs: int) -> list[Row]:
    """Medians of both, and their ratio. The file that a pull leaves is checked each time."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, models = Path(scratch) / "hub", Path(scratch) / "models"
        folder.mkdir()
        sha256 = write_file(folder / FILE, megabytes)
        with serving(folder) as endpoint:
            curl = f"curl -sfL {endpoint}/{REPO}/resolve/main/{FILE} | sha256sum"
            ours = (sys.executable, "-m", "bench.pull", "--once", endpoint, str(models))
            times: dict[str, list[float]] = {"curl": [], "pull": []}
            for _ in range(runs):
                os.sync()
                times["curl"].append(_measure(("bash", "-o", "pipefail", "-c", curl), sha256))
                os.sync()
                times["pull"].append(_measure(ours))
                (found,) = (models / "files").glob(f"*/{FILE}")
                with found.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                        raise SystemExit("the pull published a wrong file")
                shutil.rmtree(models)
    curl_s, pull_s = statistics.median(times["curl"]), statistics.median(times["pull"])
    return [
        Row(f"curl {megabytes:,} MB | sha256sum", curl_s, "s"),
        Row(f"pull {megabytes:,} MB, verified and on the disk", pull_s, "s"),
        Row("pull / curl", pull_s / curl_s, "x", LIMIT),
    ]


def _measure(command: Sequence[str], expected: str = "") -> float:
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    took = time.monotonic() - started
    if done.returncode or expected not in done.stdout:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took


def main() -> int:
    """Print the rows; the exit code: 1 when the ratio is beyond its limit."""
    parser = argparse.ArgumentParser(prog="python -m bench.pull")
    parser.add_argument("--mb", type=int, default=2000, help="size of the file, in millions of bytes")
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--once", nargs=2, metavar=("ENDPOINT", "MODELS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        pull_once(options.once[0], Path(options.once[1]))
        return 0
    return show(rows(options.mb, options.runs))


if __name__ == "__main__":
    sys.exit(main())
