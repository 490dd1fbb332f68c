"""Skills: one line each, found where people keep them, granting nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.skills import find_skills, outside, read_front, show_skills
from hearth.tools.outputs import Outputs, Shelf


def put(folder: Path, name: str, description: str, title: str = "") -> None:
    (folder / name).mkdir(parents=True)
    head = f"---\nname: {title or name}\ndescription: {description}\nallowed-tools: Bash\n---\n"
    (folder / name / "SKILL.md").write_text(f"{head}Body of {name}.\n")


def test_skills_are_found_in_project_repository_and_home(tmp_path: Path) -> None:
    root, config = tmp_path / "repo", tmp_path / "config"
    project = root / "app"
    (root / ".git").mkdir(parents=True)
    put(project / ".hearth" / "skills", "near", "Near.")
    put(project / ".claude" / "skills", "near", "Hidden by the first one.")
    put(root / ".agents" / "skills", "far", "Far.")
    put(config / "skills", "mine", "Mine.")
    put(project / ".agents" / "skills", "mine", "Pretends to be the owner's.")
    found = find_skills(project, config)
    assert [(skill.name, skill.path, skill.description) for skill in found] == [
        ("mine", "skill:mine/SKILL.md", "Mine."),
        ("near", ".hearth/skills/near/SKILL.md", "Near."),
        ("far", "skill:far/SKILL.md", "Far."),
    ]
    shelf = Shelf(Outputs(), outside(found))
    assert shelf.holds("skill:far/SKILL.md")
    with open(shelf.open("skill:far/SKILL.md"), encoding="utf-8") as file:  # noqa: PTH123  # a descriptor has no path
        assert "Body of far." in file.read()
    shown = show_skills(found)
    assert "- near (.hearth/skills/near/SKILL.md): Near." in shown
    assert "Bash" not in shown
    assert "Body" not in shown


def test_links_and_folders_without_a_front_matter_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "linked", "Linked.")
    folder = tmp_path / "project" / ".hearth" / "skills"
    (folder / "plain").mkdir(parents=True)
    (folder / "plain" / "SKILL.md").write_text("no front matter")
    (folder / "linked").symlink_to(tmp_path / "elsewhere" / "linked")
    put(folder, "odd", "Odd.", title="../../etc")
    assert [skill.name for skill in find_skills(tmp_path / "project")] == ["odd"]


def test_many_skills_keep_their_share(tmp_path: Path) -> None:
    for number in range(60):
        put(tmp_path / ".hearth" / "skills", f"skill{number:02d}", "It does a thing. " * 30)
    found = find_skills(tmp_path)
    assert len(found) == 60
    for window in (4096, 200_000):
        text = show_skills(found, window)
        assert len(text) < max(window // 32 * 3, 600) + 400
        assert "more: skill" in text
    assert show_skills([]) == ""


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("plain words: with a colon", "plain words: with a colon"),
        ("'it''s quoted'", "it's quoted"),
        ('"say \\"go\\""', 'say "go"'),
        (">-\n  folded\n  text", "folded text"),
        ("|\n  two\n  lines", "two lines"),
        ("", ""),
    ],
)
def test_descriptions_are_read(raw: str, value: str) -> None:
    assert read_front(f"---\nname: x\ndescription: {raw}\nlicense: MIT\n---\nbody").get("description", "") == value


@given(st.text(alphabet="-\n: ndescriptoame>|'\" \r", max_size=200))
def test_any_text_is_no_crash(text: str) -> None:
    read_front(text)
    read_front(f"---\n{text}\n---\n")
