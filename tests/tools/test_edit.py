"""Edit."""

from pathlib import Path

from hearth.tools.edit import Edit, EditParams
from hearth.tools.tool import ToolResult
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace


async def test_it_shows_the_lines_as_they_are_now(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("a = 1\nb = 2\n")
    result = await Edit(Editor(Workspace(tmp_path)), "terse").run(EditParams("f.py", "b = 2", "b = 3"))
    shown = "line 2:\n-b = 2\n+b = 3"
    assert result == ToolResult(f"edited f.py\n{shown}", for_person=shown, changed=("f.py",))
    assert (tmp_path / "f.py").read_text() == "a = 1\nb = 3\n"


async def test_every_occurrence(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("a\nb\na\n")
    tool = Edit(Editor(Workspace(tmp_path)), "terse")
    refused = await tool.run(EditParams("f.py", "a", "c"))
    assert refused.failed
    assert refused.for_model.startswith("not edited: old occurs 2 times (lines 1, 3)")
    done = await tool.run(EditParams("f.py", "a", "c", all=True))
    assert done.for_model == "edited f.py\nline 1:\n-a\n+c\nline 3:\n-a\n+c"


async def test_refusals_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("a\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    tool = Edit(Editor(Workspace(tmp_path)), "terse")
    for params in (
        EditParams("f.py", "b", "c"),
        EditParams("missing", "a", "b"),
        EditParams("latin", "caf", "bé“"),
        EditParams("../f.py", "a", "b"),
        EditParams("f.py", "a", "\ud800"),
    ):
        result = await tool.run(params)
        assert result.failed
        assert result.for_model.startswith("not edited: ")
        assert not result.changed
    assert (tmp_path / "f.py").read_text() == "a\n"
    assert (tmp_path / "latin").read_bytes() == b"caf\xe9"


async def test_a_minified_file_does_not_fill_the_context(tmp_path: Path) -> None:
    (tmp_path / "min.js").write_text("x" * 500_000 + "unique" + "y" * 500_000)
    result = await Edit(Editor(Workspace(tmp_path)), "terse").run(EditParams("min.js", "unique", "changed"))
    assert not result.failed
    assert len(result.for_model) < 3_000


def test_label() -> None:
    assert Edit(Editor(Workspace(Path()))).label(EditParams("a.py", "x", "y")) == "a.py"
