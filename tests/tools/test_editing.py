"""What the tools that change files do besides changing them: what they ask of what was seen, and what they tell."""

import json
from pathlib import Path
from typing import Any

import pytest

from hearth.messages import ToolCall
from hearth.tools.apply_patch import ApplyPatch
from hearth.tools.edit import Edit
from hearth.tools.hashline import Hashline
from hearth.tools.multi_edit import MultiEdit
from hearth.tools.read import Margin, Read
from hearth.tools.replace_lines import ReplaceLines
from hearth.tools.replace_symbol import ReplaceSymbol
from hearth.tools.search_replace import SearchReplace
from hearth.tools.tool import ToolResult
from hearth.tools.toolbox import Toolbox
from hearth.tools.write import Write
from hearth.workspace import syntax
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace
from hearth.workspace.sight import Sight

TEXT = "def f():\n    return 1\n\n\ndef g():\n    return 2\n"


class Bench:
    """A folder, and the tools of one session in it."""

    def __init__(self, root: Path, margin: Margin = "none") -> None:
        workspace, sight = Workspace(root), Sight()
        editor = Editor(workspace, sight, syntax)
        kinds = (Write, Edit, MultiEdit, SearchReplace, ApplyPatch, ReplaceLines, ReplaceSymbol, Hashline)
        self.root = root
        self.toolbox = Toolbox([Read(workspace, sight, margin), *(kind(editor) for kind in kinds)])

    async def call(self, tool: str, **arguments: Any) -> ToolResult:
        """Run a tool."""
        return await self.toolbox.run(ToolCall("1", tool, json.dumps(arguments)))

    def put(self, text: str | bytes, name: str = "f.py") -> Path:
        """Write a file as somebody else does."""
        file = self.root / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_the_result_shows_the_lines_as_they_are_now(bench: Bench) -> None:
    bench.put("".join(f"x{number} = 1\n" for number in range(1, 21)))
    result = await bench.call("edit", path="f.py", old="x10 = 1", new="x10 = 2\ny = 3")
    assert result.for_model == (
        "edited f.py\nlines 7-14 now:\n7| x7 = 1\n8| x8 = 1\n9| x9 = 1\n10| x10 = 2\n11| y = 3\n"
        "12| x11 = 1\n13| x12 = 1\n14| x13 = 1"
    )
    assert result.for_person == "line 10:\n-x10 = 1\n+x10 = 2\n+y = 3"
    every = await bench.call("edit", path="f.py", old=" = 1", new=" = 9", all=True)
    assert every.for_model.count("\n") < 40
    gone = await bench.call("edit", path="f.py", old=(bench.root / "f.py").read_text(), new="")
    assert gone.for_model == "edited f.py\nthe file is empty now"


async def test_places_that_are_many_are_counted(bench: Bench) -> None:
    bench.put("".join(f"a\n{'b' * 20}\nc\nd\ne\nf\ng\nh\ni\n" for _ in range(30)), "f.txt")
    result = await bench.call("edit", path="f.txt", old="a\n", new="A\n", all=True)
    assert "more places: lines" in result.for_model
    assert len(result.for_model) < 2_000


async def test_another_failure_in_one_region_is_told_otherwise(bench: Bench) -> None:
    bench.put(TEXT)
    calls = {"path": "f.py", "old": "def f():\n    return 0\n", "new": "x"}
    first, second, third = [(await bench.call("edit", **calls)).for_model for _ in range(3)]
    assert first == (
        "not edited: old is not in the file (f.py is unchanged)\n"
        "the nearest text is lines 1-2 (+: the file, -: yours):\n"
        " 1| def f():\n-old:     return 0\n+2|     return 1\n"
        "next: read f.py with offset 1 and limit 5"
    )
    assert second.endswith(
        "lines 1-2 of f.py, exactly:\ndef f():\n    return 1\nnext: edit with old copied from these, blanks too"
    )
    assert third.endswith("next: edit with old of one line that occurs once:\nreturn 1")
    assert not (await bench.call("edit", path="f.py", old="return 1", new="return 3")).failed
    again = await bench.call("edit", **calls)
    assert "the nearest text is" in again.for_model


async def test_a_file_that_somebody_changed_is_edited_with_a_note_or_not_at_all(bench: Bench) -> None:
    bench.put(TEXT)
    await bench.call("read", path="f.py")
    bench.put(TEXT.replace("return 2", "return 22"))
    stale = await bench.call("edit", path="f.py", old="return 2\n", new="return 3\n")
    assert stale.failed
    assert "it was changed since you read it" not in stale.for_person or "changed" in stale.for_person
    fine = await bench.call("edit", path="f.py", old="return 1", new="return 4")
    assert "edited f.py (the file was changed since you saw it, by a command or by somebody else)" in fine.for_model
    assert (bench.root / "f.py").read_text() == TEXT.replace("1", "4").replace("return 2", "return 22")
    noted = await bench.call("edit", path="f.py", old="return 4", new="return 5")
    assert noted.for_model.startswith("edited f.py\n")


async def test_a_whole_text_is_not_written_over_what_others_changed(bench: Bench) -> None:
    bench.put(TEXT)
    await bench.call("read", path="f.py")
    bench.put(TEXT.replace("return 2", "return 22"))
    refused = await bench.call("write", path="f.py", content=TEXT.replace("1", "4"))
    assert refused.failed
    for part in ("not written: the file was changed", "-    return 2", "+    return 22", "next: write it with that"):
        assert part in refused.for_model
    again = await bench.call("write", path="f.py", content=TEXT.replace("1", "4"))
    assert again.failed, "the same text lacks the change as before"
    assert not (await bench.call("write", path="f.py", content=TEXT.replace("return 2", "return 23"))).failed
    bench.put(TEXT.replace("return 2", "return 22"))
    assert (await bench.call("write", path="f.py", content=TEXT.replace("1", "4"))).failed
    await bench.call("read", path="f.py")
    assert not (await bench.call("write", path="f.py", content=TEXT.replace("1", "4"))).failed
    assert not (await bench.call("write", path="f.py", content=TEXT.replace("1", "5"))).failed


async def test_a_file_seen_in_part_is_not_replaced(bench: Bench) -> None:
    bench.put("".join(f"print({number})\n" for number in range(1, 31)))
    await bench.call("read", path="f.py", limit=10)
    refused = await bench.call("write", path="f.py", content="x = 1\n" * 30)
    assert "not seen all of its 30 lines" in refused.for_model
    assert "next: read f.py with offset 11 and limit 20" in refused.for_model
    await bench.call("read", path="f.py", offset=11, limit=20)
    assert not (await bench.call("write", path="f.py", content="x = 1\n" * 30)).failed


async def test_what_the_model_wrote_it_has_seen(bench: Bench) -> None:
    assert not (await bench.call("write", path="new/f.py", content=TEXT)).failed
    assert not (await bench.call("edit", path="new/f.py", old="return 1", new="return 9")).failed
    assert not (await bench.call("write", path="new/f.py", content=TEXT)).failed
    assert not (await bench.call("write", path="new/empty", content="")).failed
    assert not (await bench.call("write", path="new/empty", content="x")).failed


async def test_numbers_count_as_long_as_they_stand(bench: Bench) -> None:
    bench.put("".join(f"x{number} = 1\n" for number in range(1, 31)))
    await bench.call("read", path="f.py")
    assert not (await bench.call("replace_lines", path="f.py", first=10, last=10, new="a = 1\nb = 1\n")).failed
    assert not (await bench.call("replace_lines", path="f.py", first=3, last=3, new="c = 1\n")).failed
    assert not (await bench.call("replace_lines", path="f.py", first=11, last=11, new="d = 1\n")).failed
    moved = await bench.call("replace_lines", path="f.py", first=25, last=25, new="e = 1\n")
    assert moved.failed
    assert "25| x24 = 1" in moved.for_model
    assert not (await bench.call("replace_lines", path="f.py", first=25, last=25, new="e = 1\n")).failed
    assert (bench.root / "f.py").read_text().split("\n")[24] == "e = 1"


async def test_anchors_are_bound_to_what_was_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "anchors")
    file = bench.put("a\nb\nb\nb\nc\n", "f.txt")
    shown = (await bench.call("read", path="f.txt")).for_model.split("\n")
    anchors = [line.split("|")[0] for line in shown]
    done = await bench.call("hashline", path="f.txt", edits=[{"first": anchors[2], "new": f"{anchors[2]}|B"}])
    assert file.read_text() == "a\nb\nB\nb\nc\n"
    assert done.for_model.startswith("edited f.txt; the lines now:\n1:")
    below = [{"first": anchors[0], "new": "x", "below": True}, {"first": anchors[3], "last": anchors[4], "new": ""}]
    assert not (await bench.call("hashline", path="f.txt", edits=below)).failed
    assert file.read_text() == "a\nx\nb\nB\n"
    # Somebody puts a line above: line 3 is again a "b", but not the one that was shown.
    file.write_text("new\na\nb\nb\nB\n")
    refused = await bench.call("hashline", path="f.txt", edits=[{"first": anchors[2], "new": "y"}])
    assert refused.failed
    fresh = next(line for line in refused.for_model.split("\n") if line.startswith("3:"))
    assert not (await bench.call("hashline", path="f.txt", edits=[{"first": fresh, "new": "y"}])).failed
    assert file.read_text() == "new\na\ny\nb\nB\n"
    for edits, why in (
        ([{"first": "3", "new": "x"}], "is no anchor"),
        ([{"first": "99:aaaa", "new": "x"}], "there is no line 99"),
        ([], "no edit is given"),
    ):
        assert why in (await bench.call("hashline", path="f.txt", edits=edits)).for_model


async def test_numbers_in_front_of_lines(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "numbers")
    bench.put(TEXT)
    assert (await bench.call("read", path="f.py", offset=2, limit=2)).for_model.startswith(
        "2|     return 1\n3|\n[lines 2-3"
    )


async def test_encodings_marks_and_modes_are_kept(bench: Bench) -> None:
    for name, data, new in (
        ("bom.py", b"\xef\xbb\xbfa = 1\r\n", b"\xef\xbb\xbfa = 2\r\n"),
        ("wide.txt", "\ufeffa = 1\n".encode("utf-16-le"), "\ufeffa = 2\n".encode("utf-16-le")),
        ("latin.py", "# é\na = 1\n".encode("latin-1"), "# é\na = 2\n".encode("latin-1")),
    ):
        file = bench.put(data, name)
        file.chmod(0o755)
        assert "a = 1" in (await bench.call("read", path=name)).for_model
        assert not (await bench.call("edit", path=name, old="a = 1", new="a = 2")).failed
        assert file.read_bytes() == new
        assert file.stat().st_mode & 0o777 == 0o755
        whole = (await bench.call("read", path=name)).for_model.split("\n[")[0].replace("2", "3") + "\n"
        assert not (await bench.call("write", path=name, content=whole)).failed
        assert file.read_bytes() == new.replace(b"2", b"3")
    odd = await bench.call("edit", path="latin.py", old="a = 3", new="a = '€'")
    assert "cannot be written safely" in odd.for_model


async def test_one_file_that_cannot_be_written_leaves_all(bench: Bench) -> None:
    bench.put("a = 1\n")
    locked = bench.put("b = 1\n", "g.py")
    locked.chmod(0o444)
    edits = [{"path": "f.py", "old": "a = 1", "new": "a = 2"}, {"path": "g.py", "old": "b = 1", "new": "b = 2"}]
    refused = await bench.call("multi_edit", edits=edits)
    assert "read-only" in refused.for_model
    assert (bench.root / "f.py").read_text() == "a = 1\n"
    locked.chmod(0o644)
    edits[1]["new"] = "b = ("
    assert "would break the syntax" in (await bench.call("multi_edit", edits=edits)).for_model
    assert (bench.root / "f.py").read_text() == "a = 1\n"
    assert sorted(file.name for file in bench.root.iterdir()) == ["f.py", "g.py"]


async def test_a_patch_that_deletes_and_adds_a_file_is_a_whole_text(bench: Bench) -> None:
    bench.put(TEXT)
    lazy = "*** Begin Patch\n*** Delete File: f.py\n*** Add File: f.py\n+def f():\n+    return 1\n*** End Patch\n"
    refused = await bench.call("apply_patch", patch=lazy)
    assert "leaves out g" in refused.for_model
    whole = "".join(f"+{line}\n" for line in TEXT.replace("2", "3").splitlines())
    patch = f"*** Begin Patch\n*** Delete File: f.py\n*** Add File: f.py\n{whole}*** End Patch\n"
    assert not (await bench.call("apply_patch", patch=patch)).failed
    assert (bench.root / "f.py").read_text() == TEXT.replace("2", "3")


async def test_a_moved_file_keeps_its_mode_and_encoding(bench: Bench) -> None:
    bench.put("# é\na = 1\n".encode("latin-1")).chmod(0o700)
    patch = "*** Begin Patch\n*** Update File: f.py\n*** Move to: sub/g.py\n@@\n-a = 1\n+a = 2\n*** End Patch\n"
    result = await bench.call("apply_patch", patch=patch)
    assert result.for_model.startswith("moved f.py to sub/g.py\n")
    moved = bench.root / "sub/g.py"
    assert moved.read_bytes() == "# é\na = 2\n".encode("latin-1")
    assert moved.stat().st_mode & 0o777 == 0o700
    assert sorted(result.changed) == ["f.py", "sub/g.py"]


async def test_labels_name_the_files(bench: Bench) -> None:
    block = "a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"
    for tool, arguments, label in (
        (
            "multi_edit",
            {"edits": [{"path": "a", "old": "x", "new": "y"}, {"path": "b", "old": "x", "new": "y"}]},
            "a, b",
        ),
        ("search_replace", {"blocks": block}, "a.py"),
        ("search_replace", {"blocks": "none", "path": "p"}, "p"),
        ("apply_patch", {"patch": "*** Delete File: a.py\n"}, "a.py"),
        ("apply_patch", {"patch": "none"}, "a patch"),
        ("replace_lines", {"path": "a", "first": 1, "last": 2, "new": ""}, "a lines 1-2"),
        ("replace_symbol", {"path": "a", "name": "f", "new": ""}, "f in a"),
        ("hashline", {"path": "a", "edits": []}, "a"),
    ):
        assert bench.toolbox.label(ToolCall("1", tool, json.dumps(arguments))) == label


async def test_a_file_that_is_not_there_or_outside_fails_in_one_line(bench: Bench) -> None:
    one = {"old": "a", "new": "b"}
    for tool, arguments in (
        ("edit", one),
        ("multi_edit", {"edits": [{"path": "missing", **one}]}),
        ("replace_lines", {"first": 1, "last": 1, "new": "x"}),
        ("replace_symbol", {"name": "f", "new": "x"}),
        ("hashline", {"edits": []}),
        ("apply_patch", {"patch": "*** Update File: ../x\n-a\n+b\n"}),
    ):
        for path in ("missing", "../x", "."):
            result = await bench.call(tool, **({"path": path, **arguments} if "patch" not in arguments else arguments))
            assert result.failed
            assert not result.changed
