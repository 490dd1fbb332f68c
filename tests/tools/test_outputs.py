"""Whole outputs beside the session, and what a model sees of them."""

import os
from pathlib import Path

import pytest

from hearth.errors import WorkspaceError
from hearth.tools.outputs import MOST_OUTPUTS, Outputs, Shelf
from hearth.tools.read import Read, ReadParams
from hearth.tools.truncate import LONGEST_OUTPUT, SHORTEST_OUTPUT, keep_ends, longest_output
from hearth.workspace.files import Workspace
from hearth.workspace.sight import Sight


def content(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode()


@pytest.mark.parametrize("text", ["", "short\n", "a\nb", "x" * 9_000 + "\n" + "y" * 999])
def test_ordinary_output_is_what_it_was_before(tmp_path: Path, text: str) -> None:
    assert Outputs(tmp_path / "o").cut(text) == keep_ends(text)
    assert not (tmp_path / "o").exists()


def test_a_long_one_is_cut_and_can_be_read_whole(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "o")
    text = "".join(f"line {number}\n" for number in range(5_000))
    shown = outputs.cut(text)
    assert len(shown) < LONGEST_OUTPUT + 200
    assert shown.startswith("line 0\n")
    assert "line 4999\n" in shown
    assert shown.endswith("the whole is in output:1]\n")
    assert content(outputs.open("output:1")) == text
    assert (tmp_path / "o" / "1.txt").stat().st_mode & 0o777 == 0o600


def test_numbers_go_on_when_a_session_is_resumed(tmp_path: Path) -> None:
    assert Outputs(tmp_path).keep("a") == "output:1"
    again = Outputs(tmp_path)
    assert again.keep("b") == "output:2"
    assert content(again.open("output:1")) == "a"


def test_the_oldest_makes_room(tmp_path: Path) -> None:
    (tmp_path / f"{MOST_OUTPUTS}.txt").write_text("last")
    (tmp_path / "1.txt").write_text("first")
    assert Outputs(tmp_path).keep("new") == f"output:{MOST_OUTPUTS + 1}"
    assert not (tmp_path / "1.txt").exists()


@pytest.mark.parametrize("name", ["output:7", "output:../1", "output:", "output:1/x", "output:²"])
def test_no_other_file_can_be_opened(tmp_path: Path, name: str) -> None:
    outputs = Outputs(tmp_path / "o")
    outputs.keep("x")
    with pytest.raises(WorkspaceError, match="there is no output"):
        outputs.open(name)


def test_a_folder_that_cannot_be_written_loses_the_rest_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outputs = Outputs(tmp_path / "file" / "o")
    assert "characters cut here" in outputs.cut("x\n" * 20_000)
    assert outputs.keep("x") == ""
    assert Outputs().keep("x") == ""


def test_the_shelf_holds_outputs_and_skills_from_outside(tmp_path: Path) -> None:
    skill = tmp_path / "skills" / "release"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("how")
    (skill / "more.md").write_text("more")
    outputs = Outputs(tmp_path / "o")
    outputs.keep("whole")
    shelf = Shelf(outputs, {"release": skill})
    assert [shelf.holds(path) for path in ("output:1", "skill:release", "src/a.py")] == [True, True, False]
    assert content(shelf.open("output:1")) == "whole"
    assert content(shelf.open("skill:release")) == "how"
    assert content(shelf.open("skill:release/more.md")) == "more"
    for wrong in ("skill:other", "skill:release/../../o/1.txt", "skill:release//etc/passwd"):
        with pytest.raises(WorkspaceError):
            shelf.open(wrong)


def test_small_windows_have_small_results() -> None:
    assert [longest_output(window) for window in (0, 1_024, 4_096, 8_192, 16_384, 200_000)] == [
        LONGEST_OUTPUT,
        SHORTEST_OUTPUT,
        2_500,
        5_000,
        LONGEST_OUTPUT,
        LONGEST_OUTPUT,
    ]


async def test_read_goes_on_in_a_whole_output_by_parts(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "o", 2_000)
    outputs.cut("".join(f"line {number}\n" for number in range(5_000)))
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("line\n" * 5_000)
    sight = Sight()
    read = Read(Workspace(project), sight, shelf=Shelf(outputs), longest=outputs.limit)
    result = await read.run(ReadParams("output:1", offset=3_000))
    assert result.for_model.startswith("line 2999\nline 3000\n")
    assert "read on with offset" in result.for_model
    assert sight.of("output:1") is None
    assert len((await read.run(ReadParams("a.txt"))).for_model) < 2_200
    assert (await read.run(ReadParams("output:9"))).failed
    assert "outside" in (await read.run(ReadParams("/etc/passwd"))).for_model
