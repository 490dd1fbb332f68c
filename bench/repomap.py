"""What the map of a project costs: ``python -m bench.repomap``; writes docs/repomap-bench.md.

On a generated project of 5,000 Python files and on this repository: the first look, the second one with what the first
kept, one file changed; and how much of a budget a map uses. Grammars: how long a text takes.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.table import Row, markdown, show

from hearth.workspace.files import Workspace
from hearth.workspace.repomap import RepoMap
from hearth.workspace.repomap.drawing import CHARACTERS_A_TOKEN
from hearth.workspace.syntax import find_errors, find_new_errors, outline

FILES = 5_000
LONG_LINES = 50_000
PROMPT = "helper_17 returns the wrong count when Class40.method_40 is called twice"
OURS = "Workspace.walk should follow what .gitignore says"
PAGE = Path("docs/repomap-bench.md")
HEAD = """\
# What the map of a project costs

Made by `make bench-repomap` (`python -m bench.repomap`); seconds are this machine's. The generated project has 5,000
Python files of some 60 lines that use each other; "again" is a later session that finds what the first one kept.

"""


def main() -> int:
    """Measure, print, write the page."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "project"), Path(folder, "cache")
        generate(root, FILES)
        rows = measure_project("5,000 files", root, cache, PROMPT, most_again_s=2.0)
        rows += measure_project("this repository", Path.cwd(), cache, OURS, most_again_s=1.0)
        first = next(root.rglob("*.py"))
        first.write_text(first.read_text() + "\n\ndef added(): ...\n")
        rows.append(
            Row("5,000 files, one of them changed", spent(lambda: draw(root, cache, PROMPT, 1_000))[0], "s", 2.0)
        )
    rows += measure_budgets()
    rows += measure_texts()
    PAGE.write_text(HEAD + markdown(rows))
    return show(rows)


def generate(root: Path, count: int) -> None:
    """Modules that use earlier ones, the first ones the most."""
    choose = random.Random(5)
    for number in range(count):
        used = sorted({int(choose.random() ** 3 * number) for _ in range(6)}) if number else []
        lines = [f"from project.part{one % 50}.module_{one} import Class{one}, helper_{one}" for one in used]
        for inner in range(4):
            lines += ["", "", f"class {'Part' * bool(inner)}Class{number}{'x' * inner}:", '    """One of many."""', ""]
            lines += [f"    def method_{number}(self, value: int = {inner}) -> int:"]
            lines += [f"        value += helper_{one}(Class{one}(), value)" for one in used] + ["        return value"]
        lines += ["", "", f"def helper_{number}(given: object, value: int) -> int:", "    return value", ""]
        file = root / f"project/part{number % 50}/module_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines))


def draw(root: Path, cache: Path | None, prompt: str, budget: int) -> str:
    """A map without a deadline that matters."""
    return RepoMap(Workspace(root), cache).draw(budget, prompt, deadline_s=600)


def spent(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure_project(name: str, root: Path, cache: Path, prompt: str, most_again_s: float) -> list[Row]:
    """First, again, and which files."""
    first, drawn = spent(lambda: draw(root, cache, prompt, 1_000))
    again, redrawn = min(spent(lambda: draw(root, cache, prompt, 1_000)) for _ in range(3))
    if drawn != redrawn:
        sys.exit("the second map is not the first one")
    files = spent(lambda: RepoMap(Workspace(root), cache).rank_files(prompt, 10, deadline_s=600))[0]
    kept = sum(file.stat().st_size for file in cache.iterdir()) / 1e6
    return [
        Row(f"{name}, first map", first, "s"),
        Row(f"{name}, again", again, "s", most_again_s),
        Row(f"{name}, the files of a task", files, "s"),
        Row(f"{name}, kept so far", kept, "MB"),
    ]


def measure_budgets() -> list[Row]:
    """How full a map of this repository is."""
    rows = []
    for budget in (250, 1_000, 2_000):
        used = len(draw(Path.cwd(), None, OURS, budget)) / CHARACTERS_A_TOKEN
        rows.append(Row(f"tokens of a map of {budget:,}", used, "tokens", budget))
    return rows


def measure_texts() -> list[Row]:
    """One long text: checked, checked after an edit, read for the map."""
    lines = [
        *(
            "def name_{0}(first, second=None):",
            '    """What it does."""',
            "    if first:",
            "        for one in second:",
        ),
        *("            one.call(first, [1, 2], key='x')", "    return {{'a': first}}", "", "", "LIMIT_{0} = 3", ""),
    ]
    block = "\n".join([*lines, ""])
    text = "\n".join(block.format(number) for number in range(LONG_LINES // 10))
    broken = text.replace("def name_40(", "def name_40((")
    short = text[:250_000]
    return [
        Row("50,000 lines of Python, checked", spent(lambda: find_errors("a.py", text))[0], "s"),
        Row(
            "the same with a mistake, against the text before",
            spent(lambda: find_new_errors("a.py", text, broken))[0],
            "s",
        ),
        Row("the same, read for the map", spent(lambda: outline("a.py", text))[0], "s"),
        Row("250,000 characters of Python, checked", spent(lambda: find_errors("a.py", short))[0], "s"),
    ]


if __name__ == "__main__":
    sys.exit(main())
