"""The watch through the real loop, with a scripted model: one turn for each kind of circle."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.agent.context import Context
from hearth.agent.frame import Frame
from hearth.agent.guard.digests import Digests
from hearth.agent.guard.ladder import Rung
from hearth.agent.guard.rests import NUDGES
from hearth.agent.guard.watch import MOST_HINTS, Watch
from hearth.agent.loop import Turn, run_turn
from hearth.agent.transcript import Transcript, create_transcript
from hearth.events import Event
from hearth.llm.scripted import Line, ScriptedModel, call, say
from hearth.messages import Message, ToolCall
from hearth.tools.tool import ToolResult

TASK = "fix the parser in a.py"


@dataclass
class Desk:
    """Tools over a folder; ``bash`` says what it is told to say next."""

    folder: Path
    says: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def label(self, call: ToolCall) -> str:
        return f"label of {call.name}"

    async def run(self, call: ToolCall) -> ToolResult:
        self.ran.append(call.name)
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            return ToolResult("wrong arguments", failed=True)
        match call.name:
            case "read":
                file = self.folder / arguments["path"]
                return ToolResult(file.read_text()) if file.exists() else ToolResult("there is no file", failed=True)
            case "write":
                (self.folder / arguments["path"]).write_text(arguments["content"])
                return ToolResult("written", for_person="diff", changed=(arguments["path"],))
            case "edit":
                return ToolResult("not edited: it does not occur", failed=True)
            case "bash":
                said = self.says.pop(0) if self.says else "said"
                return ToolResult(said, failed="failed" in said)
        return ToolResult("nothing")


@dataclass
class Way:
    """A course that notes what was asked of it."""

    notes: list[str] = field(default_factory=list)
    retries: int = 0

    async def restart(self, note: str) -> None:
        self.notes.append(note)

    def retry(self) -> None:
        self.retries += 1


@dataclass
class Rollback:
    """Puts back nothing, and notes that it was asked to."""

    asked: int = 0

    async def __call__(self) -> bool:
        self.asked += 1
        return True


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "a.py").write_text("first\n")
    (tmp_path / "b.py").write_text("second\n")
    return Desk(tmp_path)


@pytest.fixture
def way() -> Way:
    return Way()


@dataclass
class Played:
    turn: Turn
    watch: Watch
    history: Transcript
    events: list[Event]

    @property
    def why(self) -> str:
        return self.turn.failure.message if self.turn.failure else ""

    @property
    def results(self) -> list[str]:
        return [message.content for message in self.history.messages if message.role == "tool"]

    @property
    def hinted(self) -> list[int]:
        return [n for n, text in enumerate(self.results, 1) if "[Note: " in text or "[Again: " in text]


async def play(
    lines: Sequence[Line], desk: Desk, way: Way, task: str = TASK, rollback: Rollback | None = None, steps: int = 60
) -> Played:
    frame = Frame("s1", str(desk.folder), "m", "standard", "be good", (), {}, 64)
    history = create_transcript(desk.folder, frame, datetime.now())
    history.begin_turn(task)
    watch = Watch(desk, way, task, Digests(desk.folder), rollback or Rollback())
    played = Played(Turn(), watch, history, [])
    await run_turn(ScriptedModel(lines), watch, Context(history), watch, played.events.append, steps, played.turn)
    history.close()
    return played


def read(path: str = "a.py") -> Message:
    return call("read", json.dumps({"path": path}))


def write(content: str, path: str = "a.py") -> Message:
    return call("write", json.dumps({"path": path, "content": content}))


def bash(command: str = "pytest -q") -> Message:
    return call("bash", json.dumps({"command": command}))


FAILS = "FAILED t.py::test_x - assert 1\n1 failed, 2 passed in 0.1s"
WORSE = "FAILED t.py::test_x\nFAILED t.py::test_y\n2 failed, 1 passed in 0.1s"
PASSES = "3 passed in 0.1s"


async def test_useful_work_is_left_alone(desk: Desk, way: Way) -> None:
    desk.says = [FAILS, PASSES]
    lines = [read(), bash(), read("b.py"), write("mended"), bash(), say("I mended the parser, and the tests pass.")]
    played = await play(lines, desk, way)
    assert (played.turn.status, played.watch.rung, played.watch.hints) == ("completed", Rung.GO, 0)
    assert played.results == ["first\n", FAILS, "second\n", "written", PASSES]
    assert (way.notes, way.retries) == ([], 0)


async def test_a_repeated_call_climbs_the_whole_ladder(desk: Desk, way: Way) -> None:
    """GLM locks on one call: weak-models 3.1. Successful calls count too."""
    played = await play([read()] * 60, desk, way)
    # Twice: the restart forgets what was done, so it has to see it again.
    assert played.hinted == [3, 4, 8, 9]
    assert (played.turn.status, played.watch.rung, len(way.notes), way.retries) == ("stopped", Rung.STOP, 1, 1)
    assert desk.ran == ["read"] * 11
    assert played.why.startswith(
        "it went round in circles: 'read a.py' gave the same result 6 times; 4 hints, a fresh "
    )
    assert "no file was changed" in played.why
    assert played.results[2].startswith("first\n\n[Note: 'read a.py' has now given this same result 3 times;")


async def test_a_hint_that_is_taken_ends_it(desk: Desk, way: Way) -> None:
    played = await play([read(), read(), read(), write("mended"), say("done")], desk, way)
    assert (played.turn.status, played.hinted, way.notes) == ("completed", [3], [])


async def test_the_person_sees_the_result_without_the_hint(desk: Desk, way: Way) -> None:
    played = await play([write("same"), write("same"), write("same"), say("done")], desk, way)
    shown = [event.shown for event in played.events if event.type == "tool_result"]
    assert shown == ["diff"] * 3
    assert played.hinted == [3]


async def test_alternating_calls(desk: Desk, way: Way) -> None:
    played = await play([read("a.py"), read("b.py")] * 30, desk, way)
    assert played.hinted[0] == 4
    assert len(way.notes) == 1
    assert "read a.py, read b.py" in way.notes[0]
    assert played.turn.status == "stopped"


async def test_an_edit_that_never_fits(desk: Desk, way: Way) -> None:
    """The same wrong old text with small differences (opencode 21850)."""
    wrong = [call("edit", json.dumps({"path": "a.py", "old": f"no {n}", "new": "x"})) for n in range(30)]
    played = await play(wrong, desk, way)
    assert played.hinted[0] == 3
    assert "read a.py again around that place" in played.results[2]
    assert played.why.startswith("it went round in circles: 'edit a.py' failed 6 times")


async def test_unreadable_arguments_again_and_again(desk: Desk, way: Way) -> None:
    played = await play([call("write", '{"path": "a')] * 30, desk, way)
    assert played.turn.status == "stopped"
    assert played.hinted[0] == 3


async def test_the_same_tests_fail_after_each_edit(desk: Desk, way: Way) -> None:
    desk.says = [FAILS] * 30
    rollback = Rollback()
    lines = [bash(), *[line for n in range(20) for line in (write(f"version {n}"), bash())]]
    played = await play(lines, desk, way, rollback=rollback)
    assert "after 3 changes the very same tests fail: t.py::test_x" in played.results[6]
    # Five rounds brought nothing: the files go back, and the model begins anew with five lines.
    assert rollback.asked == 1
    assert way.notes[0].split("\n")[2:4] == [
        "Failed: 5 changes left the same tests failing; still failing: t.py::test_x",
        "Files: a.py; all were put back to how they were before this task",
    ]
    assert played.turn.status == "stopped"
    assert "still failing: t.py::test_x; the changes before the fresh start were taken back" in played.why


async def test_what_got_better_is_not_rolled_back(desk: Desk, way: Way) -> None:
    desk.says = [WORSE, *[FAILS] * 30]
    rollback = Rollback()
    lines = [bash(), *[line for n in range(8) for line in (write(f"version {n}"), bash())], say("I give up")]
    played = await play(lines, desk, way, rollback=rollback)
    assert (len(way.notes), rollback.asked) == (1, 0)
    assert "the changes are still there" in way.notes[0]
    assert played.turn.status == "completed"


async def test_a_patch_that_comes_back(desk: Desk, way: Way) -> None:
    played = await play([write("one"), write("two")] * 30, desk, way)
    hints = [played.results[n - 1] for n in played.hinted]
    assert any("a.py is again what it was before" in hint or "the same calls in turn" in hint for hint in hints)
    assert played.turn.status == "stopped"


async def test_a_patch_that_comes_back_in_other_words(desk: Desk, way: Way) -> None:
    """No two calls are the same, and their results are not: only the file tells."""
    lines: list[Line] = []
    for n in range(20):
        lines += [write(("one", "two")[n % 2]), bash(f"./check {n}"), read("b.py") if n % 3 else bash(f"./try {n}")]
    desk.says = [f"result {chr(97 + n)}" for n in range(26)]
    played = await play(lines, desk, way)
    assert "a.py is again what it was before: it went to and fro between the same" in "\n".join(played.results)
    assert "a.py went to and fro between the same contents 7 times" in way.notes[0]


async def test_a_command_that_changes_files_is_seen(desk: Desk, way: Way) -> None:
    class Sed(Desk):
        async def run(self, call: ToolCall) -> ToolResult:
            if call.name == "bash":
                (self.folder / "a.py").write_text(json.loads(call.arguments)["command"])
            return await super().run(call)

    sed = Sed(desk.folder, [FAILS] * 9)
    played = await play([read(), *[bash(f"sed -i {n} a.py; pytest") for n in range(5)], say("done")], sed, way)
    assert "after 3 changes the very same tests fail" in "\n".join(played.results)


async def test_looking_at_the_same_without_end(desk: Desk, way: Way) -> None:
    """Twenty files, again and again: it forgets what it has read."""
    lines = [call("read", json.dumps({"path": f"{n * 7 % 20}.py"})) for n in range(60)]
    for n in range(20):
        (desk.folder / f"{n}.py").write_text(f"file {n}")
    played = await play(lines, desk, way)
    assert played.hinted == [13, 38, 52]
    assert len(way.notes) == 1
    assert "39 calls only looked, and nothing was changed" in way.notes[0]


async def test_a_question_may_be_looked_into_for_long(desk: Desk, way: Way) -> None:
    for n in range(59):
        (desk.folder / f"{n}.py").write_text(f"file {n}")
    lines: list[Line] = [call("read", json.dumps({"path": f"{n}.py"})) for n in range(59)]
    played = await play([*lines, say("it is in 7.py")], desk, way, task="Where is the parser?")
    assert (played.turn.status, played.hinted, way.notes) == ("completed", [26], [])


async def test_after_a_long_calm_another_trouble_begins_at_the_foot_of_the_ladder(desk: Desk, way: Way) -> None:
    work = [write(f"version {n}") for n in range(60)]
    played = await play([*[read()] * 5, *work, *[read("b.py")] * 5, say("done")], desk, way, steps=99)
    assert (played.turn.status, len(way.notes), way.retries) == ("completed", 2, 0)


async def test_an_empty_answer_is_nudged_once(desk: Desk, way: Way) -> None:
    """Qwen3.8: nothing at all on a sixth of the turns (agents 3.11)."""
    played = await play([read(), say(""), write("mended"), say("done")], desk, way)
    assert (played.turn.status, played.turn.text) == ("completed", "done")
    assert [message.content for message in played.history.messages if message.role == "user"] == [TASK, NUDGES["empty"]]
    assert way.retries == 0


async def test_reasoning_only_is_nudged_once(desk: Desk, way: Way) -> None:
    played = await play([Message("assistant", "", reasoning="it is the loop"), say("done")], desk, way)
    assert played.turn.status == "completed"
    assert played.history.messages[2] == Message("user", NUDGES["thought"])


async def test_who_says_nothing_again_and_again_is_stopped(desk: Desk, way: Way) -> None:
    played = await play([read(), *[say("")] * 9], desk, way)
    assert (played.turn.status, played.turn.steps, way.retries, way.notes) == ("stopped", 4, 1, [])
    assert played.why.startswith("it went round in circles: the model ended its turn 3 times with nothing; a new try")


async def test_an_announcement_is_nudged_once(desk: Desk, way: Way) -> None:
    lines = [read(), say("I see. Let me fix the loop now:"), write("mended"), say("I will now run the tests.")]
    played = await play(lines, desk, way)
    assert (played.turn.status, played.turn.text) == ("completed", "I will now run the tests.")
    assert [message.content for message in played.history.messages if message.role == "user"][1:] == [
        NUDGES["announced"]
    ]


async def test_a_monologue_is_stopped(desk: Desk, way: Way) -> None:
    played = await play([say("I will now look at the parser.")] * 9, desk, way)
    assert (played.turn.status, played.turn.steps, way.retries) == ("stopped", 3, 1)
    assert "the model ended its turn 3 times with an announcement only" in played.why


@pytest.mark.parametrize("text", ["Done.", "Should I go on?", "The parser drops the last line, see a.py.", "ok"])
async def test_a_normal_answer_ends_the_turn(desk: Desk, way: Way, text: str) -> None:
    played = await play([say(text)], desk, way)
    assert (played.turn.status, played.turn.text, played.turn.steps) == ("completed", text, 1)


async def test_a_window_that_is_too_small_again_and_again(desk: Desk, way: Way) -> None:
    watch = Watch(desk, way, TASK, Digests(desk.folder), Rollback())
    for _ in range(2):
        watch.overflowed()
        assert await watch.look() == ""
    watch.overflowed()
    assert await watch.look() == ""
    assert len(way.notes) == 1
    assert "the conversation did not fit the model's window 3 times" in way.notes[0]


async def test_a_turn_that_may_change_nothing_is_never_hurried(desk: Desk, way: Way) -> None:
    watch = Watch(desk, way, TASK, Digests(desk.folder), may_change=False)
    for n in range(60):
        (desk.folder / f"{n}.py").write_text(f"file {n}")
        await watch.run(ToolCall("1", "read", json.dumps({"path": f"{n}.py"})))
        assert await watch.look() == ""
    assert watch.hints == 1
    assert watch.label(ToolCall("1", "read", "{}")) == "label of read"


CALLS = st.builds(
    ToolCall,
    st.just("c"),
    st.sampled_from(["read", "write", "edit", "bash", "other"]),
    st.sampled_from(
        [json.dumps({"path": path, "content": text}) for path in ("a.py", "b.py", "gone") for text in "xy"]
        + ['{"command": "pytest"}', '{"command": "ls"}', "", "[]", '{"path": 3}']
    ),
)


class Rough(Desk):
    """A desk that takes any arguments."""

    async def run(self, call: ToolCall) -> ToolResult:
        try:
            return await super().run(call)
        except (KeyError, TypeError):
            return ToolResult("wrong arguments", failed=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(CALLS, min_size=1, max_size=3) | st.sampled_from(["", "I will now fix it.", "done"]), max_size=60
    ),
    st.lists(st.sampled_from([FAILS, WORSE, PASSES, "x"]), max_size=40),
)
async def test_whatever_a_model_does_the_ladder_only_climbs_and_hints_are_few(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[ToolCall] | str], says: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("turn")
    (folder / "a.py").write_text("first")
    way = Way()
    watch = Watch(Rough(folder, list(says)), way, TASK, Digests(folder), Rollback())
    rung = watch.rung
    for step in steps:
        if isinstance(step, str):
            if not watch.rest(Message("assistant", step)):
                break
        else:
            for made in step:
                result = await watch.run(made)
                assert result.for_model
        why = await watch.look()
        assert watch.rung >= rung
        rung = watch.rung
        assert bool(why) == (rung == Rung.STOP)
        if why:
            assert "\n" not in why
            break
    assert watch.hints <= MOST_HINTS
    assert len(way.notes) <= 1
    assert way.retries <= 1
    assert all(len(note.split("\n")) == 5 for note in way.notes)
