import pytest

from hearth.agent.explore import FEWEST_FILES, has_room, make_goal, preface, worth_exploring
from hearth.tools.task import Finding, Report
from hearth.workspace.repomap import RankedFile

PLACES = (
    RankedFile("app.py", 2.0, ("defines total (line 3)", "its path has 'app'", "much of it")),
    RankedFile("odd\nname", 1.0, ("contains 'x'",)),
)
LARGE = "add a way to export the monthly totals for each of the customers"


@pytest.mark.parametrize(
    ("prompt", "files", "worth"),
    [
        (LARGE, FEWEST_FILES, True),
        (LARGE, FEWEST_FILES - 1, False),
        ("why does the export of the monthly totals take so long here", 500, False),
        ("fix the tests", 500, False),
        (f"{LARGE} in src/export.py", 500, False),
        (f"{LARGE} see @src/export", 500, False),
    ],
)
def test_only_a_large_task_in_a_large_project_is_explored(prompt: str, files: int, worth: bool) -> None:
    assert worth_exploring(prompt, files) is worth


def test_a_prompt_that_is_one_long_word_is_looked_through_in_a_moment() -> None:
    words = "please change what the program does with its input"
    assert worth_exploring(f"{words} {'a' * 1_000_000}", FEWEST_FILES)
    assert not worth_exploring(f"{words} {'a' * 1_000_000}.py", FEWEST_FILES)


@pytest.mark.parametrize(("window", "room"), [(0, True), (99, False), (100, True)])
def test_a_window_that_nobody_has_told_has_room(window: int, room: bool) -> None:
    assert has_room(window, 100) is room


def test_what_was_found_follows_the_prompt() -> None:
    told = preface("do it", Report("stopped", "In app.", (Finding("app.py", 3, "here"),)), PLACES)
    assert told == "do it\n\n[A helper looked around before. Check what it says.]\nIn app.\n- app.py:3 here"


@pytest.mark.parametrize("report", [None, Report("failed", "no"), Report("done", "nothing found")])
def test_where_a_sub_agent_found_nothing_names_are_told(report: Report | None) -> None:
    assert preface("do it", report, PLACES).splitlines()[2:] == [
        "[Files that this may be about, found by names and definitions alone. Check before you rely on it.]",
        "- app.py: defines total (line 3); its path has 'app'",
        "- odd name: contains 'x'",
    ]
    assert preface("do it", report, ()) == "do it"


def test_the_sub_agent_begins_with_what_names_say() -> None:
    assert make_goal(LARGE, PLACES).endswith(
        "\n- app.py: defines total (line 3); its path has 'app'\n- odd name: contains 'x'"
    )
    assert make_goal("{odd}", ()).count("{odd}") == 1
