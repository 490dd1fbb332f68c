"""Grep."""

import asyncio
from pathlib import Path

import pytest

from hearth.tools import grep, pace
from hearth.tools.grep import MOST_MATCHES, Grep, GrepParams
from hearth.tools.outputs import Outputs, Shelf
from hearth.workspace.files import Workspace


@pytest.fixture
def tool(tmp_path: Path) -> Grep:
    for name, text in {
        "src/a.py": "def foo(x):\n    return x\n",
        "src/b/c.py": "foo(1)\r\nbar\r\n",
        "notes.md": "foo\n",
        "empty": "",
        ".hidden": "foo hidden\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "bin").write_bytes(b"foo\0")
    (tmp_path / "latin").write_bytes(b"foo \xe9")
    (tmp_path / "link.py").symlink_to("src/a.py")
    return Grep(Workspace(tmp_path))


async def found(tool: Grep, *params: str) -> list[str]:
    return (await tool.run(GrepParams(*params))).for_model.split("\n")


async def test_matches_by_file_and_line(tool: Grep) -> None:
    expected = [".hidden:1: foo hidden", "notes.md:1: foo", "src/a.py:1: def foo(x):", "src/b/c.py:1: foo(1)"]
    assert await found(tool, "foo") == expected
    assert (await tool.run(GrepParams("foo"))).for_person == "4 matches"
    assert await found(tool, r"^bar$") == ["src/b/c.py:2: bar"]
    assert await found(tool, "foo", "src/a.py") == ["src/a.py:1: def foo(x):"]
    assert await found(tool, "foo", "src/b") == ["src/b/c.py:1: foo(1)"]


@pytest.mark.parametrize("glob", ["*.py", "src/*.py", "src/**/*.py", "**/*.py"])
async def test_globs_of_both_kinds(tool: Grep, glob: str) -> None:
    assert [line.split(":")[0] for line in await found(tool, "foo", ".", glob)] == ["src/a.py", "src/b/c.py"]


async def test_nothing_found(tool: Grep) -> None:
    assert await found(tool, "absent") == ["no match for absent"]
    assert await found(tool, "foo", ".", "*.rs") == ["no match for foo"]
    assert (await tool.run(GrepParams("foo", "missing"))).failed
    assert (await tool.run(GrepParams("foo", "../.."))).failed


async def test_a_kept_output_is_searched_like_a_file(tmp_path: Path) -> None:
    project, skill = tmp_path / "project", tmp_path / "skill"
    project.mkdir()
    skill.mkdir()
    (skill / "SKILL.md").write_bytes(b"how to wait \xff\n")
    (project / "output:1").write_text("wanted in the project\n")
    outputs = Outputs(tmp_path / "kept")
    tool = Grep(Workspace(project), shelf=Shelf(outputs, {"waiting": skill}))
    assert outputs.keep("first\r\nwanted: 1 \ud800\nlast, wanted") == "output:1"
    assert await found(tool, "wanted", "output:1") == ["output:1:2: wanted: 1 ?", "output:1:3: last, wanted"]
    assert await found(tool, "^first$", "output:1", "*.py") == ["output:1:1: first"]
    assert await found(tool, "absent", "output:1") == ["no match for absent"]
    assert await found(tool, "wait", "skill:waiting") == ["skill:waiting:1: how to wait \ufffd"]
    # Among the files of the project it is one of them.
    assert await found(tool, "wanted") == ["output:1:1: wanted in the project"]
    for name in ("output:2", "output:x", "output:1/../1", "skill:none"):
        assert (await tool.run(GrepParams("wanted", name))).failed


@pytest.mark.parametrize("pattern", ["foo(", "[", "*", "(?P<", "\\", "a{2,1}", "(?i"])
async def test_what_is_no_expression_is_searched_as_text(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "f").write_text(f"before\n<{pattern}>\n")
    assert await found(Grep(Workspace(tmp_path)), pattern) == [f"f:2: <{pattern}>"]


async def test_odd_patterns_do_no_harm(tool: Grep) -> None:
    assert len(await found(tool, "")) == 6
    assert await found(tool, "\0") == ["no match for \0"]


async def test_line_numbers_are_those_of_editors(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("a\f\nb\u2028c\nwanted\n")
    assert await found(Grep(Workspace(tmp_path)), "wanted") == ["f.py:3: wanted"]


async def test_many_and_long_matches_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x\n" * 1_000)
    lines = await found(Grep(Workspace(tmp_path)), "x")
    assert len(lines) == MOST_MATCHES + 1
    assert lines[-1] == "[900 or more matches left out: narrow the pattern or give a path]"
    (tmp_path / "f").write_text("x" * 100_000)
    assert len((await found(Grep(Workspace(tmp_path)), "x"))[0]) < 400


async def test_an_expression_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "LONGEST_SEARCH_S", 0.2)
    (tmp_path / "f").write_text(("x" * 5_000 + "\n") * 50)
    result = await Grep(Workspace(tmp_path)).run(GrepParams("(x+x+)+y"))
    assert result.failed
    assert "longer than 0.2 s" in result.for_model


async def test_one_line_that_never_ends_is_given_up_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "LONGEST_LINE_S", 0.1)
    (tmp_path / "f").write_text("x" * 5_000 + "\n")
    result = await Grep(Workspace(tmp_path)).run(GrepParams("(x+x+)+y"))
    assert (result.failed, result.for_model) == (
        True,
        "one line took longer than 0.1 s: give a simpler pattern or a path",
    )


@pytest.mark.parametrize("pattern", ["(" * 10_000, "(" * 10_000 + ")" * 10_000])
async def test_an_expression_too_deep_is_refused(tool: Grep, pattern: str) -> None:
    assert await found(tool, pattern) == ["the pattern is too deep: give a simpler one"]


async def test_an_expression_that_calls_itself_for_ever_is_refused(tool: Grep) -> None:
    # Whether its depth or its time runs out first is the machine's affair.
    [said] = await found(tool, "(?R)")
    assert said.startswith(("the pattern is too deep", "one line took longer"))


async def test_a_search_of_one_file_can_be_left_half_way(
    tool: Grep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LONGEST_STRETCH_S", 0.0)
    (tmp_path / "src/a.py").write_text("x\n" * 10)
    searching = asyncio.create_task(tool.run(GrepParams("absent", "src/a.py")))
    for _ in range(5):
        await asyncio.sleep(0)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching


async def test_a_search_can_be_left_half_way(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text("x\n" * 1_000)
    searching = asyncio.create_task(Grep(Workspace(tmp_path)).run(GrepParams("absent")))
    await asyncio.sleep(0)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching


async def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.txt").write_text("wanted\n")
    result = await Grep(Workspace(tmp_path)).run(GrepParams("wanted"))
    assert result.for_model == "a\ufffd.txt:1: wanted"
    result.for_model.encode()


def test_labels() -> None:
    tool = Grep(Workspace(Path()))
    assert tool.label(GrepParams("x")) == "x"
    assert tool.label(GrepParams("x", "src")) == "x in src"
