"""Write."""

from pathlib import Path

from hearth.tools.tool import ToolResult
from hearth.tools.write import Write, WriteParams
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace


async def test_a_new_file_with_its_folders(tmp_path: Path) -> None:
    result = await Write(Editor(Workspace(tmp_path))).run(WriteParams("a/b.py", "x = 1\n"))
    assert result == ToolResult("wrote a/b.py (1 line)", for_person="line 1:\n+x = 1", changed=("a/b.py",))
    assert (tmp_path / "a/b.py").read_text() == "x = 1\n"


async def test_replacing_shows_the_change_to_the_person(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nb\n")
    result = await Write(Editor(Workspace(tmp_path))).run(WriteParams(str(tmp_path / "f"), "a\nc\n"))
    assert result == ToolResult("wrote f (2 lines)", for_person="line 2:\n-b\n+c", changed=("f",))


async def test_what_is_not_text_is_kept(tmp_path: Path) -> None:
    (tmp_path / "bin").write_bytes(b"\0\1")
    result = await Write(Editor(Workspace(tmp_path))).run(WriteParams("bin", "text"))
    assert result.failed
    assert (tmp_path / "bin").read_bytes() == b"\0\1"


async def test_outside_is_refused(tmp_path: Path) -> None:
    for path in ("../x", "/tmp/hearth-should-not-exist", "a\0", "."):
        result = await Write(Editor(Workspace(tmp_path))).run(WriteParams(path, "x"))
        assert result.failed
        assert not result.changed


def test_label() -> None:
    assert Write(Editor(Workspace(Path()))).label(WriteParams("a.py", "x\ny\n")) == "a.py (2 lines)"
