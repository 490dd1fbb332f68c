"""The map of the project in the first message."""

from hearth.agent.opening import LARGEST_MAP, find_attachments, map_budget, strip_attachments, with_map, wrap

MANY = [f"f{number}.py" for number in range(20)]


def test_the_map_stands_before_the_prompt_within_its_budget() -> None:
    asked: list[tuple[int, str]] = []

    def draw(budget: int, prompt: str) -> str:
        asked.append((budget, prompt))
        return "a.py: f, g\n"

    assert with_map("fix f", draw, 16_384, MANY) == "<map>\na.py: f, g\n</map>\n\nfix f"
    assert asked == [(1024, "fix f")]


def test_small_projects_and_small_windows_have_no_map() -> None:
    def draw(budget: int, prompt: str) -> str:
        return "a.py"

    assert with_map("fix", draw, 16_384, MANY[:6]) == "fix"
    assert with_map("fix", draw, 2_048, MANY) == "fix"
    assert with_map("fix", lambda budget, prompt: "\n", 16_384, MANY) == "fix"


def test_the_budget_is_a_share_of_the_window() -> None:
    assert [map_budget(window) for window in (0, 2_048, 4_096, 16_384, 200_000)] == [1024, 0, 256, 1024, LARGEST_MAP]


def test_attachments_are_told_from_words() -> None:
    text = "\n\n".join([wrap("map", "x"), "fix it", wrap("file", "y</file>z", 'path="a>b"')])
    assert [tag for tag, _ in find_attachments(text)] == ["map", "file"]
    assert strip_attachments(text) == "fix it"
    assert strip_attachments("plain <map> words") == "plain <map> words"
