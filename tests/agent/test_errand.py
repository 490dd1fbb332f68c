import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hearth.agent.errand import LAST_STEPS, MOST_STEPS, Errands
from hearth.agent.frame import Frame
from hearth.agent.loop import Tools
from hearth.events import Event, Progress
from hearth.llm.answer import Failed
from hearth.llm.scripted import Line, ScriptedModel, Stall, call, say
from hearth.messages import ToolSpec
from hearth.tools.grep import Grep
from hearth.tools.read import Read
from hearth.tools.report import ReportTool
from hearth.tools.task import Finding, Kind, Report
from hearth.tools.toolbox import Toolbox
from hearth.workspace.files import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.py").write_text("def route():\n    return 1\n")
    return folder


def errands(lines: Sequence[Line], project: Path, heard: list[Event]) -> tuple[Errands, ScriptedModel]:
    workspace = Workspace(project)

    def equip(_kind: Kind) -> tuple[Tools, tuple[ToolSpec, ...], ReportTool]:
        report = ReportTool(workspace)
        toolbox = Toolbox([Read(workspace), Grep(workspace), report])
        return toolbox, toolbox.specs, report

    model = ScriptedModel(lines)
    frame = Frame("s1", str(project), "m", "standard", "the session's own text", (), {"temperature": 0.5}, 64)
    return Errands(model, frame, equip, project.parent / "tasks", heard.append, window=lambda: 8192), model


def finished(summary: str, *findings: str) -> Line:
    return call("report", json.dumps({"summary": summary, "findings": list(findings)}))


async def test_a_sub_agent_looks_and_reports(project: Path) -> None:
    heard: list[Event] = []
    lines = [call("grep", '{"pattern": "route"}'), finished("It is in app.", "app.py:1 the route", "gone.py:2 no")]
    runner, model = errands(lines, project, heard)
    report = await runner.run("where is the route", "explore")
    assert report == Report("done", "It is in app.", (Finding("app.py", 1, "the route"),), (), 2)
    assert [event.note for event in heard if isinstance(event, Progress)] == [
        "explore: grep route",
        "explore: report It is in app.",
    ]
    first = json.loads(model.bodies[0])
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert "the session's own text" not in first["messages"][0]["content"]
    assert first["messages"][1]["content"] == "where is the route"
    assert {request.priority for request in model.requests} == {"subagent"}
    assert len(list((project.parent / "tasks").glob("s1.*.jsonl"))) == 1


async def test_one_that_only_talks_is_taken_at_its_word(project: Path) -> None:
    runner, _ = errands([say("It is in app.py.")], project, [])
    assert await runner.run("where", "explore") == Report("done", "It is in app.py.", steps=1)


async def test_one_that_never_reports_is_told_and_then_stopped(project: Path) -> None:
    most = MOST_STEPS["explore"]
    (project / "app.py").write_text("".join(f"line {number}\n" for number in range(most)))
    lines = [call("read", json.dumps({"path": "app.py", "offset": number + 1})) for number in range(most)]
    runner, model = errands(lines, project, [])
    report = await runner.run("where", "explore")
    assert (report.status, report.steps) == ("stopped", most)
    assert report.summary == f"the turn stopped after {most} steps; done: read app.py ({most} times)"
    said = [message["content"] for message in json.loads(model.bodies[-1])["messages"] if message["role"] == "tool"]
    assert sum("call report now" in text for text in said) == LAST_STEPS


async def test_a_dead_engine_is_a_failed_report(project: Path) -> None:
    runner, _ = errands([Failed("engine", "it died")], project, [])
    assert await runner.run("where", "explore") == Report("failed", "it died", steps=1)


async def test_cancelled_with_whoever_asked(project: Path) -> None:
    runner, model = errands([Stall("I look")], project, [])
    task = asyncio.create_task(runner.run("where", "explore"))
    while not model.bodies:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
