"""Sub-agents that go round in circles end early and say why; those that get on are left alone."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hearth.agent.equipment import Equipment
from hearth.agent.errand import MOST_STEPS, WAY_OUT, Errands
from hearth.agent.frame import Frame
from hearth.agent.guard.rests import NUDGES
from hearth.agent.loop import Tools
from hearth.llm.answer import Failed
from hearth.llm.scripted import Line, ScriptedModel, call, say
from hearth.messages import Message, ToolSpec
from hearth.sandbox.command import PlainShell
from hearth.tools.report import ReportTool
from hearth.tools.task import Kind, Report

FILES = 14


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"f{number}.py").write_text(f"def work{number}():\n    return {number}\n")
    return folder


async def run(
    lines: Sequence[Line],
    project: Path,
    kind: Kind = "explore",
    goal: str = "where is work1 used",
    window: int = 16_384,
) -> "Ran":
    equipment = Equipment(project, PlainShell(project, {"PATH": "/usr/bin:/bin"}), 30.0)

    def equip(kind: Kind) -> tuple[Tools, tuple[ToolSpec, ...], ReportTool]:
        toolbox, report = equipment.subagent(kind)
        return toolbox, toolbox.specs, report

    model = ScriptedModel(lines)
    frame = Frame("s1", str(project), "m", "standard", "", (), {}, 64)
    runner = Errands(model, frame, equip, project.parent / "tasks", lambda _event: None, window=lambda: window)
    return Ran(await runner.run(goal, kind), model)


class Ran:
    def __init__(self, report: Report, model: ScriptedModel) -> None:
        self.report = report
        self._last = json.loads(model.bodies[-1])["messages"]

    def said(self, role: str) -> list[str]:
        """What it had been told by its last request."""
        return [message["content"] for message in self._last if message["role"] == role]


def read(name: str, text: str = "") -> Message:
    return call("read", json.dumps({"path": name}), text)


def edit(name: str, old: str, new: str) -> Message:
    return call("edit", json.dumps({"path": name, "old": old, "new": new}))


def bash(command: str) -> Message:
    return call("bash", json.dumps({"command": command}))


def finished(summary: str) -> Message:
    return call("report", json.dumps({"summary": summary}))


async def test_the_same_call_again_and_again(project: Path) -> None:
    ran = await run([read("f1.py", "It is defined in f1.py."), *[read("f1.py")] * 15], project)
    assert ran.report == Report(
        "stopped",
        "it went round in circles: 'read f1.py' gave the same result 5 times; 2 hints did not help; "
        "done: read f1.py (5 times). It said last: It is defined in f1.py.",
        steps=5,
    )
    hints = [text for text in ran.said("tool") if "same result" in text]
    assert len(hints) == 2
    assert all(text.endswith(WAY_OUT) for text in hints)


async def test_calls_in_turn(project: Path) -> None:
    ran = await run([read("f1.py"), read("f2.py")] * 8, project)
    assert (ran.report.status, ran.report.steps) == ("stopped", 6)
    assert "gave the same results 3 times over; 2 hints did not help; done: read f1.py (3 times)" in ran.report.summary


async def test_a_call_that_fails_and_fails(project: Path) -> None:
    ran = await run([edit("f1.py", f"nothing {n}", "x") for n in range(40)], project, "work", "Fix f1.py.")
    assert (ran.report.status, ran.report.steps, ran.report.changed) == ("stopped", 5, ())
    assert "'edit f1.py' failed 5 times" in ran.report.summary


async def test_what_was_read_is_read_again_in_any_order(project: Path) -> None:
    order = [1, 2, 3, 4, 2, 1, 4, 3, 1, 3, 2, 4, 1, 2, 4, 3]
    ran = await run([read(f"f{number}.py") for number in order], project)
    assert (ran.report.status, ran.report.steps) == ("stopped", 11)
    assert "7 calls showed only what it had seen before" in ran.report.summary
    assert any("4 calls have shown only what was seen before" in text for text in ran.said("tool"))


async def test_changes_that_leave_the_same_tests_failing(project: Path) -> None:
    (project / "check.sh").write_text("echo 'FAILED t.py::test_one - no'; echo '1 failed, 1 passed in 0.1s'; exit 1\n")
    lines = [bash("sh check.sh  # pytest")]
    for number in range(1, 20):
        lines += [edit("f1.py", f"return {number}", f"return {number + 1}"), bash("sh check.sh  # pytest")]
    ran = await run(lines, project, "work", "Make test_one pass.")
    assert ran.report.status == "stopped"
    assert ran.report.steps < MOST_STEPS["work"] // 2
    assert "changes left the same tests failing" in ran.report.summary
    assert ran.report.changed == ("f1.py",)


@pytest.mark.parametrize("kind", ["explore", "work"])
async def test_talk_without_a_call(project: Path, kind: Kind) -> None:
    ran = await run([say("I will look at f1.py first.")] * 16, project, kind, "Fix f1.py.")
    assert (ran.report.status, ran.report.steps) == ("stopped", 2)
    assert ran.report.summary.endswith("with an announcement only. It said last: I will look at f1.py first.")
    assert NUDGES["announced"] in ran.said("user")


async def test_an_announcement_after_work_is_no_report(project: Path) -> None:
    ran = await run([read("f1.py"), say("Now I will read f2.py."), finished("It is in f1.py.")], project)
    assert ran.report == Report("done", "It is in f1.py.", steps=3)


@pytest.mark.parametrize(
    ("answer", "told"), [(say(""), "nothing"), (Message("assistant", "", reasoning="Let me think."), "reasoning only")]
)
async def test_nothing_and_reasoning_only(project: Path, answer: Message, told: str) -> None:
    ran = await run([read("f1.py"), *[answer] * 15], project)
    assert (ran.report.status, ran.report.steps) == ("stopped", 3)
    assert ran.report.summary == (
        f"it went round in circles: the model ended its turn 2 times with {told}; done: read f1.py"
    )


async def test_a_report_that_is_never_right(project: Path) -> None:
    ran = await run([finished("")] * 16, project)
    assert (ran.report.status, ran.report.steps) == ("stopped", 5)


async def test_one_that_hears_the_hint_reports_in_time(project: Path) -> None:
    ran = await run([*[read("f1.py")] * 4, finished("It is in f1.py.")], project)
    assert ran.report == Report("done", "It is in f1.py.", steps=5)


async def test_a_dead_engine_leaves_what_was_done(project: Path) -> None:
    ran = await run([read("f1.py", "It is in f1.py."), Failed("engine", "it died")], project)
    assert ran.report.status == "failed"
    assert ran.report.summary == "it died; done: read f1.py. It said last: It is in f1.py."


async def test_a_window_that_is_full_leaves_what_was_done(project: Path) -> None:
    words = "x " * 900
    ran = await run([read(f"f{number}.py", words) for number in range(FILES)], project, window=1_024)
    assert ran.report.status == "stopped"
    assert "; done: read f0.py, " in ran.report.summary
    assert ran.report.summary.startswith("the conversation ")


async def test_who_finds_something_new_is_left_alone(project: Path) -> None:
    lines = [
        call("grep", '{"pattern": "work"}'),
        *(read(f"f{number}.py") for number in range(FILES - 1)),
        read("f1.py"),
    ]
    ran = await run([*lines[:15], finished("Seen all.")], project)
    assert ran.report == Report("done", "Seen all.", steps=16)
    assert not [text for text in ran.said("tool") if WAY_OUT in text]


async def test_who_works_is_left_alone(project: Path) -> None:
    lines: list[Message] = []
    for number in range(9):
        name = f"f{number}.py"
        lines += [
            read(name),
            edit(name, f"return {number}", f"return -{number}"),
            read(name),
            bash(f"grep -c . {name}"),
        ]
    ran = await run([*lines, finished("All are negative.")], project, "work", "Make all results negative.")
    assert (ran.report.status, ran.report.steps) == ("done", 37)
    assert not [text for text in ran.said("tool") if WAY_OUT in text]
