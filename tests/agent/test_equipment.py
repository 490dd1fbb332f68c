"""The tools of a session and of its sub-agents."""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hearth.agent.equipment import SUBAGENT_TOOLS, Equipment, make_toolbox, spawn_nobody
from hearth.llm.profile import PILOT, profile_for
from hearth.messages import Message, ToolCall
from hearth.sandbox.commands import Commands
from hearth.tools.outputs import Outputs
from hearth.tools.report import ReportTool
from hearth.tools.telling import CHANGED
from hearth.tools.tool import ToolResult
from hearth.tools.toolbox import Toolbox

ALL = (
    *("read", "write", "edit", "multi_edit", "search_replace", "apply_patch", "replace_lines", "replace_symbol"),
    *("hashline", "bash", "output", "kill", "grep", "glob", "todo", "task"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("x = 1\n")
    return tmp_path


@pytest.fixture
def commands(project: Path) -> Iterator[Commands]:
    made = Commands(project, {"PATH": os.environ["PATH"]})
    yield made
    asyncio.run(made.close())


def run(toolbox: Toolbox, name: str, **arguments: Any) -> ToolResult:
    return asyncio.run(toolbox.run(ToolCall("c", name, json.dumps(arguments))))


def names(toolbox: Toolbox) -> Sequence[str]:
    return [spec.name for spec in toolbox.specs]


def test_every_tool_of_every_profile_is_there_in_its_order(project: Path) -> None:
    assert names(make_toolbox(ALL, project)) == list(ALL)
    for model in ("gpt-oss-20b", "qwen3-coder", "devstral", "llama3.1", "codellama", "gemma3", "unknown"):
        for context in (4_096, 16_384, 200_000):
            profile = profile_for(model, context=context)
            assert names(make_toolbox(profile.tools, project)) == list(profile.tools), model
    assert names(make_toolbox(PILOT.tools, project)) == list(PILOT.tools)


def test_a_session_that_goes_on_knows_what_it_has_seen(project: Path, commands: Commands) -> None:
    (project / "b.py").write_text("".join(f"line {number}\n" for number in range(1, 101)))
    (project / "c.py").write_bytes(b"\xef\xbb\xbfold\r\n")
    (project / "empty").touch()
    first = Equipment(project, commands.shell, 20.0).toolbox(ALL)
    results = [
        run(first, "read", path="a.py"),
        run(first, "read", path="b.py", offset=1, limit=10),
        run(first, "read", path="b.py", offset=21, limit=10),
        run(first, "read", path="c.py"),
        run(first, "write", path="new/d.py", content="d = 1\n"),
        run(first, "edit", path="a.py", old="x = 1", new="x = 2"),
        run(first, "read", path="absent"),
        run(first, "grep", pattern="x"),
    ]
    seen = [one for result in results for one in result.seen]
    assert [one.path for one in seen] == ["a.py", "b.py", "b.py", "c.py", "new/d.py", "a.py"]
    assert seen[2].ranges == ((1, 10), (21, 30))
    (project / "c.py").write_text("the owner's\n")

    def again() -> Toolbox:
        return Equipment(project, commands.shell, 20.0, seen=seen).toolbox(ALL)

    assert not run(again(), "write", path="a.py", content="x = 3\n").failed
    assert run(again(), "write", path="a.py", content="x = 4\n").failed  # that was another process
    assert not run(again(), "write", path="new/d.py", content="d = 2\n").failed
    assert "not seen all of its 100 lines" in run(again(), "write", path="b.py", content="b\n").for_model
    assert not run(again(), "replace_lines", path="b.py", first=22, last=23, new="both").failed
    refused = run(again(), "write", path="c.py", content="new\n")
    assert refused.failed
    assert CHANGED in refused.for_model
    assert not run(again(), "write", path="empty", content="now\n").failed


def test_what_changed_after_a_session_went_on_is_shown(project: Path, commands: Commands) -> None:
    seen = run(Equipment(project, commands.shell, 20.0).toolbox(ALL), "read", path="a.py").seen
    toolbox = Equipment(project, commands.shell, 20.0, seen=seen).toolbox(ALL)
    (project / "a.py").write_text("x = 1\nmine = 2\n")
    assert "+mine = 2" in run(toolbox, "write", path="a.py", content="y = 1\n").for_model


def test_a_box_has_seen_nothing_and_boxes_share_the_list(project: Path, commands: Commands) -> None:
    equipment = Equipment(project, commands.shell, 20.0, background=commands.background)
    one, other = (equipment.toolbox(ALL) for _ in range(2))
    assert not run(one, "read", path="a.py").failed
    # A whole file that nobody has seen is not written over: what one box saw, the other did not.
    assert run(other, "write", path="a.py", content="x = 2\n").failed
    assert not run(one, "write", path="a.py", content="x = 2\n").failed
    run(one, "todo", items=[{"text": "look", "done": False}])
    assert equipment.todo.open_items() == ("look",)
    assert "look" in run(other, "todo", items=[{"text": "look", "done": True}]).for_model
    assert equipment.todo.open_items() == ()


def test_a_session_that_goes_on_has_its_list(project: Path, commands: Commands) -> None:
    arguments = json.dumps({"items": [{"text": "one", "done": True}, {"text": "two", "done": False}]})
    said = [Message("user", "go"), Message("assistant", "", (ToolCall("c", "todo", arguments),))]
    assert Equipment(project, commands.shell, 20.0, said=said).todo.open_items() == ("two",)


def test_without_a_background_there_is_nothing_to_look_at(project: Path, commands: Commands) -> None:
    boxed = Equipment(project, commands.shell, 20.0).toolbox(ALL)
    assert not {"output", "kill", "task"}.intersection(names(boxed))


@pytest.mark.parametrize("kind", ["explore", "work"])
def test_sub_agents_have_few_tools_a_report_and_no_sub_agents(project: Path, commands: Commands, kind: Any) -> None:
    equipment = Equipment(project, commands.shell, 20.0, background=commands.background)
    toolbox, report = equipment.subagent(kind)
    assert names(toolbox) == [*SUBAGENT_TOOLS[kind], ReportTool.name]
    run(equipment.toolbox(ALL), "read", path="a.py")
    if kind == "work":
        assert run(toolbox, "write", path="a.py", content="").failed
    assert not run(toolbox, "report", summary="It is in a.py.", findings=["a.py:1 x"]).failed
    assert report.summary == "It is in a.py."


def test_long_results_are_kept_and_can_be_read(project: Path, commands: Commands, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "outputs", 2_000)
    box = Equipment(project, commands.shell, 20.0, outputs=outputs).toolbox(ALL)
    told = run(box, "bash", command="seq 5000").for_model
    assert "the whole is in output:1" in told
    assert "4321" in run(box, "read", path="output:1", offset=4321, limit=3).for_model


def test_read_shows_what_the_form_of_edits_needs(project: Path, commands: Commands) -> None:
    equipment = Equipment(project, commands.shell, 20.0)
    plain, numbered, anchored = (
        run(equipment.toolbox(["read", form]), "read", path="a.py").for_model
        for form in ("edit", "replace_lines", "hashline")
    )
    assert len({plain, numbered, anchored}) == 3
    assert plain == "x = 1"


async def test_nobody_is_sent() -> None:
    assert (await spawn_nobody("look", "explore")).status == "failed"
