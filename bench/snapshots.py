"""What a snapshot costs: a project of 100,000 files, most of them made by tools. Writes docs/undo-bench.md."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.table import Row, markdown, show

from hearth.workspace.snapshots import Restored, Snapshots
from hearth.workspace.snapshots.state import RACY_NS

PAGE = Path("docs/undo-bench.md")
HEAD = """\
# What undo costs

Made by `make bench-snapshots`: a project of 100,000 files in 12,000 folders (20,000 are sources, 80,000 lie in
`node_modules` and `.venv`), on this machine's disk; seconds of the wall clock, medians where a line is measured more
than once, while other work ran on the same two cores. A turn that only looks takes no snapshot; any other takes two.

"""
SOURCES, TOOLS = 20_000, 80_000
IN_FOLDER = 8


def make_project(root: Path) -> None:
    """Files of about 1 KB, as sources are, in folders three deep."""
    for number in range((SOURCES + TOOLS) // IN_FOLDER):
        top = "src" if number < SOURCES // IN_FOLDER else ("node_modules", ".venv/lib")[number % 2]
        folder = root / top / f"part{number % 50}" / f"module{number}"
        folder.mkdir(parents=True)
        for place in range(IN_FOLDER):
            (folder / f"file{place}.py").write_text(f"value = {number * IN_FOLDER + place}\n" * 50)


def took(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def measure(folder: Path) -> list[Row]:
    """All figures."""
    root, store = folder / "project", folder / "store"
    root.mkdir()
    make_project(root)
    time.sleep(RACY_NS / 1e9)
    snapshots = Snapshots(root, store)
    rows = [Row("first snapshot of 100,000 files", took(snapshots.capture), "s", 60)]
    rows.append(Row("store after it", snapshots.size() / 1e6, "MB", note="of 91 MB"))
    rows.append(Row("nothing changed", statistics.median(took(snapshots.capture) for _ in range(5)), "s", 2))
    fresh = [Snapshots(root, store) for _ in range(5)]
    rows.append(Row("nothing changed, a new process", statistics.median(took(one.capture) for one in fresh), "s", 3))
    # The same without what tools made: what leaving those folders out would spare.
    lean = Snapshots(root, folder / "lean", ["node_modules", ".venv"])
    rows.append(Row("first snapshot without node_modules and .venv", took(lean.capture), "s"))
    rows.append(Row("nothing changed, without them", statistics.median(took(lean.capture) for _ in range(5)), "s"))
    rows += measure_turns(root, snapshots)
    rows.append(
        Row("pruning to what one session names", took(lambda: snapshots.prune([snapshots.capture()], 1 << 34)), "s")
    )
    return rows


def measure_turns(root: Path, snapshots: Snapshots) -> list[Row]:
    """Turns of several sizes, and back."""
    rows = []
    first = snapshots.capture()
    for number in range(10):
        (root / f"src/part{number}/module{number}/file1.py").write_text("changed\n")
    rows.append(Row("10 files changed", took(snapshots.capture), "s", 3))
    rows.append(Row("undo of that", took(lambda: back(snapshots, first)), "s", 8))
    shutil.rmtree(root / "node_modules")
    rows.append(Row("rm -rf node_modules, 40,000 files", took(snapshots.capture), "s", 3))
    rows.append(Row("undo of that", took(lambda: back(snapshots, first)), "s", 20))
    (root / "large.bin").write_bytes(os.urandom(200 << 20))
    rows.append(Row("a new file of 200 MiB that does not compress", took(snapshots.capture), "s"))
    return rows


def back(snapshots: Snapshots, target: str) -> None:
    """Restore, and see that it is whole."""
    done = snapshots.restore(snapshots.capture(), target)
    assert isinstance(done, Restored)
    assert done.after == target
    assert not done.left


def small(folder: Path) -> Row:
    """Both snapshots of a turn in a project of 50 files, the second with one change."""
    root = folder / "small"
    for number in range(50):
        (root / f"src/{number % 5}").mkdir(parents=True, exist_ok=True)
        (root / f"src/{number % 5}/{number}.py").write_text("x = 1\n")

    def turn() -> None:
        snapshots = Snapshots(root, folder / "small-store")
        snapshots.capture()
        (root / "src/0/0.py").write_text(f"x = {time.perf_counter()}\n")
        snapshots.capture()

    turn()
    return Row("both snapshots of a turn, 50 files", statistics.median(took(turn) for _ in range(10)), "s", 0.2)


def main() -> int:
    """Measure, print, write the page."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        rows = [*measure(Path(folder)), small(Path(folder))]
    PAGE.write_text(HEAD + markdown(rows), encoding="utf-8")
    return show(rows)


if __name__ == "__main__":
    sys.exit(main())
