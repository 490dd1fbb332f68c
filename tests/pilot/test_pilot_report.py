"""How chores are judged, and the page that tells of it."""

import random
from pathlib import Path

import pytest

from hearth.messages import Usage
from hearth.pilot.evaluate import BEGIN, END, Outcome, insert_table, judge, write_table
from hearth.pilot.projects import Chore, Kind, make_chore
from hearth.pilot.words import Words


def _draw(kind: Kind, seed: int = 4) -> Chore:
    rng = random.Random(seed)
    return make_chore(rng, kind, Words(rng, held_out=True))


def test_a_fix_counts_when_the_tests_pass_and_nothing_else_changed(tmp_path: Path) -> None:
    chore = _draw("fix")
    chore.write(tmp_path)
    assert judge(chore, tmp_path, "") == "the tests still fail"
    for path, text in chore.wanted.items():
        (tmp_path / path).write_text(text)
    assert judge(chore, tmp_path, "") == ""
    (tmp_path / "notes.txt").write_text("x")
    assert judge(chore, tmp_path, "") == "left files behind: notes.txt"
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "pyproject.toml").write_text("")
    assert judge(chore, tmp_path, "") == "changed a file that was right"


def test_an_explanation_counts_word_for_word(tmp_path: Path) -> None:
    chore = _draw("explain")
    chore.write(tmp_path)
    assert judge(chore, tmp_path, f"{chore.answer}\n") == ""
    assert judge(chore, tmp_path, "It adds.").startswith("said 'It adds.', not ")


def test_a_rename_counts_when_every_file_is_right(tmp_path: Path) -> None:
    chore = _draw("rename")
    chore.write(tmp_path)
    assert judge(chore, tmp_path, "") == "a file is not as it should be"
    for path, text in chore.wanted.items():
        (tmp_path / path).write_text(text)
    assert judge(chore, tmp_path, "whatever") == ""


def test_the_table_tells_bad_figures_too() -> None:
    usage = Usage(prompt=100, reused=90, new=10, generated=20, prefill_s=0.01, decode_s=0.1)
    outcomes = [
        Outcome(kind, why, 4, 1.5, (usage,))
        for kind in ("fix", "rename", "constant", "explain")
        for why in ("", "it went wrong")
    ]
    table = write_table(outcomes, 6_000_000)
    assert "| fix | **1** (50 %) | 2 | 4 | 1.5 |" in table
    assert "200 tokens/s decoded, 1,000 tokens/s prefilled, 90.0 % of all prompt tokens reused" in table
    assert "- fix: it went wrong" in table


def test_the_table_replaces_the_old_one_only() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert insert_table(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="has no"):
        insert_table("no marks", "new")


def test_the_page_in_the_repository_has_its_marks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pilot.md").read_text(encoding="utf-8")
    assert insert_table(page, "x").count(BEGIN) == 1
