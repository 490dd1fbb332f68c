"""What a model reads for what a person said."""

from pathlib import Path

import pytest

from hearth.agent.explore import FEWEST_FILES, PLACES, SMALLEST_LISTED, SMALLEST_WINDOW
from hearth.agent.prompting import Prompting
from hearth.tools.task import Finding, Kind, Report
from hearth.workspace.files import Workspace
from hearth.workspace.repomap import RankedFile

LARGE = "add a way to export the monthly totals for each of the customers"


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    for number in range(FEWEST_FILES):
        (tmp_path / f"part{number}.py").write_text("x = 1\n")
    return Workspace(tmp_path)


class Scout:
    """A sub-agent and a ranking that note what they were asked."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.goals: list[str] = []
        self.ranked: list[str] = []

    async def explore(self, goal: str, kind: Kind) -> Report:
        self.goals.append(f"{kind}: {goal}")
        return self.report

    def rank(self, prompt: str, most: int) -> tuple[RankedFile, ...]:
        self.ranked.append(prompt)
        return (RankedFile("part1.py", 1.0, ("its path has 'part'",)),)[:most]


FOUND = Report("done", "In part 2.", (Finding("part2.py", 1, "totals"),))


async def test_a_large_task_is_explored_from_what_names_say(project: Workspace) -> None:
    scout = Scout(FOUND)
    prompting = Prompting(project, lambda budget, prompt: f"map for {budget}", scout.explore, rank=scout.rank)
    sent = await prompting.write(LARGE, window=32_768, first=True)
    assert sent.text.startswith(f"<map>\nmap for 2048\n</map>\n\n{LARGE}\n\n[A helper looked around before.")
    assert sent.text.endswith("In part 2.\n- part2.py:1 totals")
    assert scout.goals[0].startswith("explore: Somebody is about to do this")
    assert scout.goals[0].endswith("- part1.py: its path has 'part'")


@pytest.mark.parametrize(("window", "off"), [(SMALLEST_WINDOW - 1, False), (32_768, True)])
async def test_without_a_sub_agent_names_are_told_alone(project: Workspace, window: int, off: bool) -> None:
    scout = Scout(FOUND)
    prompting = Prompting(project, None, None if off else scout.explore, rank=scout.rank)
    sent = await prompting.write(LARGE, window=window, first=True)
    assert sent.text == f"{LARGE}\n\n{PLACES}\n- part1.py: its path has 'part'"
    assert scout.goals == []


async def test_small_windows_small_tasks_and_later_turns_are_left_alone(project: Workspace) -> None:
    scout = Scout(FOUND)
    prompting = Prompting(project, lambda budget, prompt: "map", scout.explore, rank=scout.rank)
    assert (await prompting.write(LARGE, window=32_768, first=False)).text == LARGE
    assert (await Prompting(project).write(LARGE, window=32_768, first=True)).text == LARGE
    small = await prompting.write("fix the tests", window=32_768, first=True)
    assert small.text == "<map>\nmap\n</map>\n\nfix the tests"
    assert (await prompting.write(LARGE, window=2_000, first=True)).text == LARGE
    assert scout.ranked == scout.goals == []
    assert SMALLEST_LISTED > 2_000


async def test_what_is_mentioned_is_attached_in_every_turn(project: Workspace) -> None:
    (project.root / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for first in (True, False):
        sent = await Prompting(project).write("look at @part1.py and @a.png", window=0, first=first)
        assert 'path="part1.py"' in sent.text
        assert (sent.images, len(sent.notes)) == ((), 1)
    seen = await Prompting(project, sees=True).write("look at @a.png", window=0, first=False)
    assert len(seen.images) == 1
    assert seen.notes == ()
