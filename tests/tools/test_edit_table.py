"""The table of realistic edits (edit_cases), each through its real tool on real files."""

import json
from pathlib import Path

import pytest

from edit_cases import CASES, Case
from hearth.messages import ToolCall
from hearth.tools.apply_patch import ApplyPatch
from hearth.tools.edit import Edit
from hearth.tools.multi_edit import MultiEdit
from hearth.tools.read import Read
from hearth.tools.replace_lines import ReplaceLines
from hearth.tools.replace_symbol import ReplaceSymbol
from hearth.tools.search_replace import SearchReplace
from hearth.tools.toolbox import Toolbox
from hearth.tools.write import Write
from hearth.workspace import syntax
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace
from hearth.workspace.sight import Sight


def all_tools(root: Path) -> Toolbox:
    workspace, sight = Workspace(root), Sight()
    editor = Editor(workspace, sight, syntax)
    kinds = (Write, Edit, MultiEdit, SearchReplace, ApplyPatch, ReplaceLines, ReplaceSymbol)
    return Toolbox([Read(workspace, sight), *(kind(editor) for kind in kinds)])


def content(file: Path) -> str | None:
    return file.read_bytes().decode() if file.exists() else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_edit_comes_out_as_it_must(case: Case, tmp_path: Path) -> None:
    for name, text in {case.path: case.text, **case.others}.items():
        (tmp_path / name).write_bytes(text.encode())
    tools = all_tools(tmp_path)
    if case.read:
        await tools.run(ToolCall("1", "read", json.dumps({"path": case.path})))
    arguments = {**case.arguments, "path": case.path} if "path" in case.arguments else case.arguments
    result = await tools.run(ToolCall("2", case.tool, json.dumps(arguments)))
    print(result.for_model)
    for part in case.says:
        assert part in result.for_model
    left = {case.path: case.text if case.after is None else case.after, **case.others_after}
    assert {name: content(tmp_path / name) for name in left} == left
    changes = case.after is not None or any(text != case.others.get(name) for name, text in case.others_after.items())
    assert result.failed != changes
    assert bool(result.changed) == changes


def test_the_table_is_large_and_its_names_are_its_own() -> None:
    assert len(CASES) >= 120
    assert len({case.name + case.tool for case in CASES}) == len(CASES)
