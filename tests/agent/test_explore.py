import pytest

from hearth.agent.explore import FEWEST_FILES, SMALLEST_WINDOW, preface, worth_exploring
from hearth.tools.task import Finding, Report

LARGE = "add a way to export the monthly totals for each of the customers"


@pytest.mark.parametrize(
    ("prompt", "files", "window", "worth"),
    [
        (LARGE, FEWEST_FILES, 32_768, True),
        (LARGE, FEWEST_FILES, 0, True),
        (LARGE, FEWEST_FILES - 1, 32_768, False),
        (LARGE, FEWEST_FILES, SMALLEST_WINDOW - 1, False),
        ("why does the export of the monthly totals take so long here", 500, 32_768, False),
        ("fix the tests", 500, 32_768, False),
        (f"{LARGE} in src/export.py", 500, 32_768, False),
        (f"{LARGE} see @src/export", 500, 32_768, False),
    ],
)
def test_only_a_large_task_in_a_large_project_is_explored(prompt: str, files: int, window: int, worth: bool) -> None:
    assert worth_exploring(prompt, files, window) is worth


def test_what_was_found_follows_the_prompt() -> None:
    told = preface("do it", Report("stopped", "In app.", (Finding("app.py", 3, "here"),)))
    assert told == "do it\n\n[A helper looked around before. Check what it says.]\nIn app.\n- app.py:3 here"


@pytest.mark.parametrize("report", [Report("failed", "no"), Report("done", "nothing found")])
def test_nothing_found_leaves_the_prompt_alone(report: Report) -> None:
    assert preface("do it", report) == "do it"
