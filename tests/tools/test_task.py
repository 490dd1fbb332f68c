from pathlib import Path

import pytest

from hearth.tools.report import ReportParams, ReportTool, read_finding
from hearth.tools.task import LONGEST_REPORT, Finding, Kind, Report, Task, TaskParams
from hearth.workspace.files import Workspace


async def test_a_task_gives_the_report_in_its_fixed_form() -> None:
    asked: list[tuple[str, Kind]] = []

    async def spawn(goal: str, kind: Kind) -> Report:
        asked.append((goal, kind))
        return Report("done", "It is in app.", (Finding("app.py", 3, "the route"), Finding("b.py")), ("a.py",), 4)

    result = await Task(spawn).run(TaskParams("find the route"))
    assert asked == [("find the route", "explore")]
    assert result.for_model == (
        "status: done (4 steps)\nsummary: It is in app.\nfindings:\n- app.py:3 the route\n- b.py\nchanged: a.py"
    )
    assert result.changed == ("a.py",)
    assert not result.failed


async def test_an_empty_goal_runs_nobody() -> None:
    async def spawn(_goal: str, _kind: Kind) -> Report:
        raise AssertionError("somebody ran")

    result = await Task(spawn).run(TaskParams(" \n"))
    assert result.failed
    assert "goal is empty" in result.for_model


async def test_a_failed_report_is_a_failed_result() -> None:
    async def spawn(_goal: str, _kind: Kind) -> Report:
        return Report("failed", "the engine died", steps=1)

    result = await Task(spawn).run(TaskParams("look"))
    assert result.failed
    assert result.for_model == "status: failed (1 step)\nsummary: the engine died"


def test_a_long_report_is_cut_and_says_so() -> None:
    report = Report("done", "much", tuple(Finding(f"file_{number}.py", 1, "x" * 80) for number in range(200)))
    text = report.to_text()
    assert len(text) <= LONGEST_REPORT + 40
    assert text.endswith("lines left out]")


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("src/app.py:12 where it is parsed", Finding("src/app.py", 12, "where it is parsed")),
        ("- `src/app.py:12-20`: the class", Finding("src/app.py", 12, "the class")),
        ("* a.py", Finding("a.py")),
        ("a.py – the entry", Finding("a.py", 0, "the entry")),
        ("", Finding("")),
    ],
)
def test_findings_are_read_as_models_write_them(line: str, finding: Finding) -> None:
    assert read_finding(line) == finding


async def test_findings_of_files_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    tool = ReportTool(Workspace(tmp_path))
    result = await tool.run(ReportParams("Found it.", ["a.py:1 here", "made_up.py:3 there", "../out:1"]))
    assert not result.failed
    assert tool.summary == "Found it."
    assert tool.findings == (Finding("a.py", 1, "here"),)


async def test_a_report_without_a_summary_is_not_taken(tmp_path: Path) -> None:
    tool = ReportTool(Workspace(tmp_path))
    assert (await tool.run(ReportParams(" "))).failed
    assert tool.summary is None
