"""The toolbox: schemas out, calls in, never an exception for what a model wrote."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.messages import ToolCall
from hearth.sandbox.command import PlainShell
from hearth.tools.bash import Bash
from hearth.tools.edit import Edit
from hearth.tools.glob import Glob
from hearth.tools.grep import Grep
from hearth.tools.read import Read
from hearth.tools.toolbox import Toolbox
from hearth.tools.write import Write
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace


def all_tools(root: Path) -> Toolbox:
    workspace = Workspace(root)
    bash = Bash(PlainShell(root, {}), 10.0)
    return Toolbox(
        [Read(workspace), Write(Editor(workspace)), Edit(Editor(workspace)), bash, Grep(workspace), Glob(workspace)]
    )


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall("1", name, json.dumps(arguments))


def test_the_specs_are_in_the_given_order_and_small() -> None:
    toolbox = all_tools(Path())
    assert [spec.name for spec in toolbox.specs] == ["read", "write", "edit", "bash", "grep", "glob"]
    for spec in toolbox.specs:
        assert spec.description
        assert spec.parameters["type"] == "object"
        assert set(spec.parameters) == {"type", "properties", "required"}
        assert all(set(field) == {"type"} for field in spec.parameters["properties"].values())
    edit = toolbox.specs[2].to_wire()["function"]["parameters"]
    assert edit["required"] == ["path", "old", "new"]
    assert edit["properties"]["all"] == {"type": "boolean"}
    # The whole prompt has 5,500 bytes; these are most of it.
    assert len(json.dumps([spec.to_wire() for spec in toolbox.specs])) < 2_500


async def test_a_call_runs(tmp_path: Path) -> None:
    toolbox = all_tools(tmp_path)
    assert (await toolbox.run(call("write", path="a.txt", content="x\n"))).changed == ("a.txt",)
    assert (await toolbox.run(call("read", path="a.txt"))).for_model == "x"
    assert toolbox.label(call("read", path="a.txt")) == "a.txt"


async def test_unknown_tools_and_wrong_arguments_say_what_would_be_right(tmp_path: Path) -> None:
    toolbox = all_tools(tmp_path)
    unknown = await toolbox.run(call("delete", path="x"))
    assert unknown.failed
    assert unknown.for_model == "there is no tool 'delete'; the tools are: read, write, edit, bash, grep, glob"
    missing = await toolbox.run(call("read"))
    assert missing.failed
    assert missing.for_model == ("read did not run, its arguments are wrong: Object missing required field `path`")
    wrong = await toolbox.run(call("read", path=3))
    assert "Expected `str`, got `int` - at `$.path`" in wrong.for_model


@pytest.mark.parametrize(
    "arguments",
    ["", "null", "[]", '{"path": "x"', "{'path': 'x'}", "\ud800", '{"path": "\\ud800"}', '{"path": ' * 50_000, "\0"],
)
async def test_broken_arguments_are_a_failed_result(tmp_path: Path, arguments: str) -> None:
    toolbox = all_tools(tmp_path)
    broken = ToolCall("1", "read", arguments)
    assert (await toolbox.run(broken)).failed
    assert toolbox.label(broken) == arguments


values = st.none() | st.booleans() | st.integers() | st.text(max_size=10)


@given(
    st.sampled_from(["read", "edit", "grep", "glob"]),
    st.dictionaries(st.sampled_from(["path", "offset", "limit", "old", "new", "all", "pattern", "glob"]), values),
)
async def test_no_arguments_raise(
    tmp_path_factory: pytest.TempPathFactory, name: str, arguments: dict[str, object]
) -> None:
    root = tmp_path_factory.getbasetemp() / "toolbox"
    root.mkdir(exist_ok=True)
    (root / "f").write_text("text\n")
    result = await all_tools(root).run(ToolCall("1", name, json.dumps(arguments)))
    result.for_model.encode()
