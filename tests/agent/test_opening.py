"""The map of the project in the first message."""

from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.lists(st.sampled_from(["<map>\n", '<file path="a">\n', "\n</map>", "</file>", "words\n", "<map ", "\n\n", ">"]))
)
def test_what_is_attached_and_the_rest_are_the_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    attached = "".join(whole for _, whole in find_attachments(text))
    rest = strip_attachments(text)
    assert rest == text or len(rest) <= len(text) - len(attached)
    assert all(whole.rstrip("\n").endswith(f"</{tag}>") for tag, whole in find_attachments(text))


def test_tags_that_nothing_closes_take_no_time() -> None:
    for opened in ("<map>\n", "<map ", "<file>\n\n</map>"):
        text = opened * 60_000
        assert len(strip_attachments(text)) >= len(text) - 100
