"""Glob."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.tools.glob import MOST_FILES, Glob, GlobParams, matches
from hearth.workspace.files import Workspace

NAMES = (".github/ci.yml", "README.md", "src/a.py", "src/b/c.py", "src/b/d.txt", "tests/test_a.py")


@pytest.fixture
def tool(tmp_path: Path) -> Glob:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return Glob(Workspace(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", ["src/a.py", "src/b/c.py", "tests/test_a.py"]),
        ("README.md", ["README.md"]),
        ("src/*.py", ["src/a.py"]),
        ("src/**/*.py", ["src/a.py", "src/b/c.py"]),
        ("**/*.py", ["src/a.py", "src/b/c.py", "tests/test_a.py"]),
        ("**.py", ["src/a.py", "src/b/c.py", "tests/test_a.py"]),
        ("**", list(NAMES)),
        ("src/**", ["src/a.py", "src/b/c.py", "src/b/d.txt"]),
        ("**/b/**", ["src/b/c.py", "src/b/d.txt"]),
        ("./src/[ab].py", ["src/a.py"]),
        ("src/?.py", ["src/a.py"]),
        ("*/*.yml", [".github/ci.yml"]),
        ("SRC/*.py", []),
        ("src/[", []),
        ("", []),
        (".", []),
        ("/", None),
        ("../*", None),
        ("\0", None),
    ],
)
async def test_patterns(tool: Glob, pattern: str, expected: list[str] | None) -> None:
    result = await tool.run(GlobParams(pattern))
    assert result.failed == (expected is None)
    if expected is not None:
        assert result.for_model == ("\n".join(expected) or f"no file matches {pattern}")


async def test_an_absolute_pattern_inside_the_project(tool: Glob, tmp_path: Path) -> None:
    assert (await tool.run(GlobParams(f"{tmp_path}/src/*.py"))).for_model == "src/a.py"


async def test_many_files_are_bounded(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 5):
        (tmp_path / f"{number:04}").touch()
    lines = (await Glob(Workspace(tmp_path)).run(GlobParams("*"))).for_model.split("\n")
    assert lines[-1] == "[5 more]"
    assert len(lines) == MOST_FILES + 1


async def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a\udcff").touch()
    assert (await Glob(Workspace(tmp_path)).run(GlobParams("*"))).for_model == "a\ufffd"


@pytest.mark.parametrize("row", [["**"] * 40, ["**", "a"] * 15])
def test_many_stars_cost_no_exponential_time(row: list[str]) -> None:
    assert not matches("/".join("a" * 40), "/".join(row) + "/b")


def test_paths_and_patterns_deeper_than_the_stack() -> None:
    deep = "/".join("a" * 3_000)
    assert matches(deep, deep)
    assert matches(deep, "**/a")


async def test_a_walk_can_be_left_half_way(tool: Glob) -> None:
    searching = asyncio.create_task(tool.run(GlobParams("*")))
    await asyncio.sleep(0)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching


@given(st.lists(st.sampled_from(["a", "b", "**"]), min_size=2, max_size=5), st.lists(st.sampled_from("ab"), max_size=4))
def test_it_agrees_with_the_definition(patterns: list[str], parts: list[str]) -> None:
    def expanded(rest: list[str]) -> set[tuple[str, ...]]:
        """Every path of at most four parts that the patterns mean, with stars written out."""
        if not rest:
            return {()}
        tails = expanded(rest[1:])
        if rest[0] != "**":
            return {(rest[0], *tail) for tail in tails}
        heads: set[tuple[str, ...]] = {()}
        for _ in range(4):
            heads |= {(*head, letter) for head in heads for letter in "ab"}
        return {(*head, *tail) for head in heads for tail in tails if len(head) + len(tail) <= 4}

    if parts:
        assert matches("/".join(parts), "/".join(patterns)) == (tuple(parts) in expanded(patterns))


def test_label() -> None:
    assert Glob(Workspace(Path())).label(GlobParams("*.py")) == "*.py"
