"""What the agent can do, as a person meets it: each through the command line, against an engine that plays a script."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from played_session import HARMONY, Played, call, interrupt_when, stage

from hearth.runtime.pretend import Answer, Fault
from hearth.runtime.process import is_alive

DONE = "All is done."
BIG = "glm-4.6"
"""A model of which the full prompt is thought: it has ``task``."""
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SESSIONS = Path(__file__).parent.parent / "data" / "sessions"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def make_files(project: Path, count: int) -> None:
    """A package of modules, each with a function that the next one calls."""
    (project / "pack").mkdir()
    for number in range(count):
        body = f"from pack.part{number - 1} import work{number - 1}\n\n\n" if number else ""
        called = f"work{number - 1}(value)" if number else "value"
        (project / "pack" / f"part{number}.py").write_text(f"{body}def work{number}(value):\n    return {called} + 1\n")


def first_message(played: Played) -> str:
    content = played.messages[1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def system_text(played: Played) -> str:
    return str(played.messages[0]["content"])


def tool_names(played: Played, request: int = 0) -> list[str]:
    return [tool["function"]["name"] for tool in played.bodies[request]["tools"]]


TICKING = "echo up; echo $$ > pid; while true; do echo tick; sleep 0.1; done"


def pid_of(project: Path) -> int:
    return int((project / "pid").read_text())


async def test_a_command_in_the_background_is_read_on_and_ended(project: Path) -> None:
    answers = [
        call("bash", command=TICKING, background=True),
        call("output", id="b1", wait=1),
        call("kill", id="b1"),
        call("output", id="b1"),
        DONE,
    ]
    async with stage(project, answers) as found:
        played = await found.play("start the server")
    begun, read, ended, gone = played.results
    assert begun.startswith("up\ntick")
    assert "[runs in the background as b1:" in begun
    assert read.startswith("tick\n")
    assert read.endswith("[b1 still runs]")
    assert "b1" in ended
    assert "there is no command 'b1'" in gone or "has ended" in gone
    assert not is_alive(pid_of(project))
    assert played.code == 0


async def test_nothing_runs_on_when_the_turn_is_over(project: Path) -> None:
    async with stage(project, [call("bash", command=TICKING, background=True), DONE]) as found:
        played = await found.play("start the server")
    assert played.code == 0
    assert not is_alive(pid_of(project))


async def test_nothing_runs_on_when_the_turn_is_interrupted(project: Path) -> None:
    answers = [call("bash", command=TICKING, background=True), Answer(text="so it", fault=Fault.STALL), DONE]
    async with stage(project, answers) as found:
        played = await found.play("start", during=interrupt_when(lambda: len(found.engine.requests) == 2))
        assert played.code == 130
        assert not is_alive(pid_of(project))
        again = await found.play("go on", "-c")
    assert again.code == 0
    assert again.told("session")[0]["resumed"]


async def test_a_long_command_is_heard_while_it_runs(project: Path) -> None:
    slow = "for n in 1 2 3 4; do echo line $n; sleep 0.4; done"
    async with stage(project, [call("bash", command=slow), DONE]) as found:
        played = await found.play("run it")
    told = played.told("output")
    assert len(told) >= 3
    assert "".join(line["text"] for line in told) == "line 1\nline 2\nline 3\nline 4\n"
    assert played.results == ["line 1\nline 2\nline 3\nline 4"]


async def test_the_plan_is_kept_from_turn_to_turn(project: Path) -> None:
    items = [{"text": "read", "done": True}, {"text": "write", "done": False}]
    async with stage(project, [call("todo", items=items), DONE, DONE]) as found:
        played = await found.play("plan it")
        again = await found.play("and?", "-c")
    assert played.results == ["[x] read\n[ ] write\n1 open, next: write"]
    assert played.results[0] in json.dumps(again.messages, ensure_ascii=False).replace("\\n", "\n")


async def test_a_sub_agent_looks_around_and_only_its_report_comes_back(project: Path, home: Path) -> None:
    make_files(project, 3)
    answers = [
        call("task", goal="Find where work2 is defined."),
        call("grep", pattern="def work2"),
        call("bash", command="touch ran"),
        call("report", summary="It is in part2.", findings=["pack/part2.py:4 its definition", "none.py:1 not there"]),
        DONE,
    ]
    async with stage(project, answers, model=BIG) as found:
        played = await found.play("where is work2?")
    assert played.code == 0
    assert played.priorities == ["", "subagent", "subagent", "subagent", ""]
    assert "task" in tool_names(played)
    assert tool_names(played, 1) == ["read", "grep", "glob", "report"]
    assert played.results == [
        "status: done (3 steps)\nsummary: It is in part2.\nfindings:\n- pack/part2.py:4 its definition"
    ]
    assert not (project / "ran").exists()
    assert "def work2" not in json.dumps(played.messages)
    notes = [line["note"] for line in played.told("progress") if line["phase"] == "subagent"]
    assert notes[0] == "explore: grep def work2"
    assert len(list((home / "data" / "sessions" / "tasks").glob("*.jsonl"))) == 1


async def test_a_stuck_sub_agent_ends_early_and_who_asked_is_not_blamed(project: Path) -> None:
    make_files(project, 3)
    look = call("read", path="pack/part2.py")
    answers = [
        *[call("task", goal="Find where work2 is defined."), *[look] * 5],
        *[look, call("task", goal="Find who calls work1."), *[look] * 2, call("report", summary="It is part2.")],
        *[look, call("task", goal="Find its tests."), *[look] * 2, call("report", summary="There are none.")],
        DONE,
    ]
    async with stage(project, answers, model=BIG) as found:
        played = await found.play("explain work2")
    assert (played.code, played.rewrites) == (0, [])
    first, read, second, again, third = played.results
    assert first.startswith("status: stopped (5 steps)\nsummary: it went round in circles: 'read pack/part2.py' gave")
    assert first.endswith("2 hints did not help; done: read pack/part2.py (5 times)")
    assert [second, third] == [
        "status: done (3 steps)\nsummary: It is part2.",
        "status: done (3 steps)\nsummary: There are none.",
    ]
    assert read.startswith("from pack.part1")
    assert "[Note" not in read + again


async def test_a_sub_agent_that_works_changes_files(project: Path) -> None:
    answers = [
        call("task", goal="Write a.py.", kind="work"),
        call("write", path="a.py", content="x = 1\n"),
        call("report", summary="Written."),
        DONE,
    ]
    async with stage(project, answers, model=BIG) as found:
        played = await found.play("write a.py")
        assert played.result["changed_files"] == ["a.py"]
        assert (project / "a.py").read_text() == "x = 1\n"
        await found.hearth("sessions", "undo")
    assert not (project / "a.py").exists()


async def test_a_sub_agent_is_told_of_its_tools_as_its_model_knows_them(project: Path) -> None:
    def harmony(tool: str, **arguments: str) -> str:
        return f" to={tool}<|channel|>commentary <|constrain|>json<|message|>{json.dumps(arguments)}<|call|>"

    patch = "*** Begin Patch\n*** Add File: a.py\n+x = 1\n*** End Patch\n"
    answers = [
        harmony("functions.task", goal="Find work1."),
        harmony("functions.report", summary="It is there."),
        harmony("functions.task", goal="Write a.py.", kind="work"),
        harmony("repo_browser.apply_patch", patch=patch),
        harmony("functions.report", summary="It is written."),
        f"<|channel|>final<|message|>{DONE}<|return|>",
    ]
    async with stage(project, answers, model="gpt-oss-120b") as found:
        played = await found.play("do it")
    assert (played.code, played.result["text"]) == (0, DONE)
    assert (project / "a.py").read_text() == "x = 1\n"
    looking, working = played.bodies[1]["prompt"], played.bodies[3]["prompt"]
    assert "Search with repo_browser.search and repo_browser.print_tree" in looking
    assert "{" not in looking.split("# Instructions")[1]
    assert "type apply_patch = " in working
    assert "type edit = " not in working


async def test_what_a_sub_agent_may_not_do_unasked_is_told_by_the_exit_code(project: Path) -> None:
    answers = [call("task", goal="Do it.", kind="work"), call("bash", command="touch ran")]
    async with stage(project, [*answers, call("report", summary="I may not."), DONE], model=BIG) as found:
        played = await found.play("do it", "--mode", "ask")
    assert (played.code, played.result["status"]) == (5, "completed")
    assert not (project / "ran").exists()


async def test_in_plan_mode_sub_agents_only_look(project: Path) -> None:
    answers = [call("task", goal="Do it.", kind="work"), call("bash", command="touch ran")]
    async with stage(project, [*answers, call("report", summary="I looked."), DONE], model=BIG) as found:
        played = await found.play("do it", "--mode", "plan")
    assert tool_names(played) == ["read", "grep", "glob", "todo", "task"]
    assert tool_names(played, 1) == ["read", "grep", "glob", "report"]
    assert not (project / "ran").exists()


async def test_an_interrupt_ends_the_sub_agent_too(project: Path) -> None:
    answers = [
        call("task", goal="Build it.", kind="work"),
        call("bash", command="echo $$ > pid; sleep 60; touch ended"),
        DONE,
    ]
    async with stage(project, answers, model=BIG) as found:
        played = await found.play("build it", during=interrupt_when((project / "pid").exists))
        assert played.code == 130
        assert not is_alive(pid_of(project))
        again = await found.play("go on", "-c")
    assert again.code == 0
    assert "interrupted by the user" in json.dumps(again.messages)


async def test_an_interrupt_ends_what_the_sub_agent_asks(project: Path) -> None:
    answers = [call("task", goal="Find it."), Answer(text="Well", fault=Fault.STALL), DONE]
    async with stage(project, answers, model=BIG) as found:
        played = await found.play("find it", during=interrupt_when(lambda: len(found.engine.requests) == 2))
        assert played.code == 130
        activity = await found.engine.look()
        assert activity is not None
        assert not activity.working


async def test_files_that_are_mentioned_are_attached(project: Path) -> None:
    (project / "notes.txt").write_text("one\ntwo\nthree\n")
    (project / "docs").mkdir()
    (project / "docs" / "a.md").write_text("x")
    async with stage(project, [DONE]) as found:
        played = await found.play("What say @notes.txt:2-3, @docs and @none.txt? Ask me@home.org.")
    said = first_message(played)
    assert said.startswith("What say @notes.txt:2-3, @docs and @none.txt? Ask me@home.org.")
    assert '<file path="notes.txt" lines="2-3">\ntwo\nthree\n</file>' in said
    assert '<folder path="docs">\ndocs/a.md\n</folder>' in said
    notes = [line["note"] for line in played.told("progress") if line["phase"] == "starting"]
    assert any("@none.txt stays as it is" in note for note in notes)


@pytest.mark.parametrize("sees", [True, False])
async def test_an_image_goes_to_a_model_that_sees(project: Path, sees: bool) -> None:
    (project / "dot.png").write_bytes(PIXEL)
    async with stage(project, [DONE, DONE], sees=sees) as found:
        played = await found.play("What is in @dot.png?")
        again = await found.play("And now?", "-c")
    content = played.messages[1]["content"]
    if sees:
        assert content[0] == {"type": "text", "text": "What is in @dot.png?"}
        assert content[1]["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    else:
        assert "[an image, which this model cannot see]" in content
        assert any("sees no images" in line["note"] for line in played.told("progress"))
    assert again.messages[1] == played.messages[1]


async def test_who_is_completed_raw_sees_no_images(project: Path) -> None:
    (project / "dot.png").write_bytes(PIXEL)
    async with stage(project, ["<|channel|>final<|message|>I see none.<|return|>"], model=HARMONY, sees=True) as found:
        played = await found.play("What is in @dot.png?")
    assert any("sees no images" in line["note"] for line in played.told("progress"))
    assert "[an image, which this model cannot see]" in played.bodies[0]["prompt"]


async def test_guides_are_told_from_the_git_root_inwards(project: Path, home: Path) -> None:
    inner = project / "inner"
    inner.mkdir()
    (project.parent / "AGENTS.md").write_text("outside of the repository")
    (project / "AGENTS.md").write_text("the whole repository")
    (inner / "CLAUDE.md").write_text("the inner folder")
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "AGENTS.md").write_text("the owner")
    (project / ".git").mkdir()
    async with stage(inner, [DONE]) as found:
        system = system_text(await found.play("hello"))
    places = [system.index(words) for words in ("the owner", "the whole repository", "the inner folder")]
    assert places == sorted(places)
    assert "outside of the repository" not in system


def write_skill(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    front = f"---\nname: {name}\ndescription: How to do {name}.\n---\n"
    (folder / name / "SKILL.md").write_text(front + text)


async def test_skills_are_listed_and_read_when_they_are_needed(project: Path, home: Path) -> None:
    write_skill(project / ".hearth" / "skills", "release", "Tag it first.\n")
    write_skill(home / "config" / "skills", "letters", "Be polite.\n")
    (home / "config" / "skills" / "letters" / "form.txt").write_text("Dear Sir\n")
    answers = [
        call("read", path=".hearth/skills/release/SKILL.md"),
        call("read", path="skill:letters/SKILL.md"),
        call("read", path="skill:letters/form.txt"),
        call("read", path="skill:letters/../../api-key"),
        DONE,
    ]
    async with stage(project, answers) as found:
        played = await found.play("make a release")
    system = system_text(played)
    assert "- release (.hearth/skills/release/SKILL.md): How to do release." in system
    assert "- letters (skill:letters/SKILL.md): How to do letters." in system
    assert "Tag it first." not in system
    assert "Tag it first." in played.results[0]
    assert "Be polite." in played.results[1]
    assert played.results[2] == "Dear Sir"
    assert [line["failed"] for line in played.told("tool_result")] == [False, False, False, True]


@pytest.mark.parametrize(("files", "mapped"), [(3, False), (12, True)])
async def test_a_bigger_project_comes_with_a_map_once(project: Path, files: int, mapped: bool) -> None:
    make_files(project, files)
    async with stage(project, [DONE, DONE]) as found:
        played = await found.play("What does work2 do?")
        again = await found.play("And work1?", "-c")
    said = first_message(played)
    assert ("<map>" in said) is mapped
    assert ("def work2" in said) is mapped
    assert said.endswith("What does work2 do?")
    assert again.messages[-1]["content"] == "And work1?"


LARGE = "Rename the function work7 to labour7 everywhere and keep all of the callers working."
FOUND = [
    call("grep", pattern="work7"),
    call("report", summary="Two files.", findings=["pack/part7.py:4 its definition", "pack/part8.py:1 a caller"]),
]


async def test_before_a_large_task_somebody_looks_around(project: Path) -> None:
    make_files(project, 35)
    async with stage(project, [*FOUND, DONE, DONE]) as found:
        played = await found.play(LARGE)
        again = await found.play("Now rename also the function work8 to labour8 and keep all of its callers.", "-c")
    assert played.priorities == ["subagent", "subagent", ""]
    said = first_message(played)
    assert said.startswith("<map>")
    assert f"{LARGE}\n\n[A helper looked around before." in said
    assert said.endswith("Two files.\n- pack/part7.py:4 its definition\n- pack/part8.py:1 a caller")
    assert played.lines[0]["type"] == "session"
    assert again.priorities == [""]


async def test_a_small_project_is_spared(project: Path) -> None:
    make_files(project, 12)
    async with stage(project, [DONE]) as found:
        played = await found.play(LARGE)
    assert played.priorities == [""]
    assert first_message(played).endswith(LARGE)


@pytest.mark.parametrize("explore", [True, False])
async def test_where_no_sub_agent_finds_anything_names_say_where_to_begin(
    project: Path, home: Path, explore: bool
) -> None:
    make_files(project, 35)
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "config.toml").write_text("" if explore else "[agent]\nexplore = false\n")
    async with stage(project, [*["I do not know."] * explore, DONE]) as found:
        played = await found.play(LARGE)
    assert (played.code, played.result["text"]) == (0, DONE)
    assert played.priorities == ["subagent", ""] if explore else [""]
    before, after = first_message(played).split(f"{LARGE}\n\n[Files that this may be about")
    assert before.startswith("<map>")
    assert after.splitlines()[1].startswith("- pack/part7.py: ")


async def test_looking_around_is_interrupted(project: Path) -> None:
    make_files(project, 35)
    async with stage(project, [Answer(text="Well", fault=Fault.STALL), DONE, DONE]) as found:
        played = await found.play(LARGE, during=interrupt_when(lambda: bool(found.engine.requests)))
        assert played.code == 130
        activity = await found.engine.look()
        assert activity is not None
        assert not activity.working
        again = await found.play("hello", "-c")
    assert again.code == 0


async def test_a_long_output_is_cut_and_can_be_read_whole(project: Path) -> None:
    answers = [
        call("bash", command="seq 1 30000"),
        call("read", path="output:1", offset=15_000, limit=3),
        call("grep", pattern="29999", path="output:1"),
        DONE,
    ]
    async with stage(project, answers) as found:
        played = await found.play("count")
        (project / "x").write_text("")
        again = await found.play("go on", "-c")
    assert len(played.results[0]) < 20_000
    assert "the whole is in output:1]" in played.results[0]
    assert played.results[1].splitlines()[:3] == ["15000", "15001", "15002"]
    assert again.code == 0


async def test_what_commands_changed_is_undone_and_done_again(project: Path) -> None:
    (project / "a.txt").write_text("one\n")
    (project / "b.txt").write_text("two\n")
    (project / "b.txt").chmod(0o640)
    command = "echo more >> a.txt; rm b.txt; mkdir d; echo new > d/c.txt; chmod +x d/c.txt"
    async with stage(project, [DONE, call("bash", command=command), DONE, "What?", "So."]) as found:
        await found.play("look")
        await found.play("change it all", "-c")
        changed = {path.name for path in project.rglob("*")}
        await found.hearth("sessions", "undo")
        assert (project / "a.txt").read_text() == "one\n"
        assert (project / "b.txt").read_text() == "two\n"
        assert (project / "b.txt").stat().st_mode & 0o777 == 0o640
        assert not (project / "d").exists()
        undone = await found.play("hm", "-c")
        assert "change it all" not in json.dumps(undone.messages)
        await found.hearth("sessions", "undo")
        await found.hearth("sessions", "redo")
        assert undone.messages[-1]["content"] == "hm"
        await found.hearth("sessions", "undo", "--turns", "2")
    assert {"a.txt", "d", "c.txt"} == changed


async def test_what_was_undone_comes_back(project: Path) -> None:
    async with stage(project, [call("bash", command="echo 1 > a; chmod 700 a"), DONE, DONE]) as found:
        played = await found.play("write a")
        await found.hearth("sessions", "undo")
        assert not (project / "a").exists()
        await found.hearth("sessions", "redo")
        assert (project / "a").read_text() == "1\n"
        assert (project / "a").stat().st_mode & 0o777 == 0o700
        again = await found.play("and?", "-c")
    assert again.messages[: len(played.messages)] == played.messages


async def test_a_fork_goes_its_own_way(project: Path) -> None:
    async with stage(project, ["one", "two", "three", "four"]) as found:
        first = await found.play("first")
        await found.play("second", "-c")
        fork = json.loads(await found.hearth("sessions", "fork", "--turn", "1", "--json"))["session"]
        forked = await found.play("other", "--resume", fork)
        assert [message["content"] for message in forked.messages[1:]] == ["first", "one", "other"]
        origin = await found.play("third", "--resume", first.result["session"])
    assert [message["content"] for message in origin.messages[1:]] == ["first", "one", "second", "two", "third"]
    assert forked.messages[0] == origin.messages[0]


async def test_plan_mode_offers_only_looking(project: Path) -> None:
    (project / "a.txt").write_text("one\n")
    answers = [call("bash", command="touch ran"), call("write", path="ran", content="x"), call("read", path="a.txt")]
    async with stage(project, [*answers, "The plan."]) as found:
        played = await found.play("plan it", "--mode", "plan")
    assert set(tool_names(played)) <= {"read", "grep", "glob", "todo"}
    assert [line["failed"] for line in played.told("tool_result")] == [True, True, False]
    assert played.code == 0
    assert sorted(path.name for path in project.iterdir()) == ["a.txt"]


def long_work(steps: int) -> list[Answer]:
    """Steps that each read some other lines of a large file."""
    return [
        call("bash", f"I look at part {step}.", command=f"head -n {20 * step + 20} big.txt | tail -n 20")
        for step in range(steps)
    ]


@pytest.mark.parametrize("context", [4_096, 8_192])
async def test_a_small_window_is_never_overflown(project: Path, context: int) -> None:
    (project / "big.txt").write_text(
        "".join(f"line {n}: {n * 7919 % 10_007} and some words more\n" for n in range(900))
    )
    task = "Find the largest number in big.txt and tell me; the code word is marmalade."
    async with stage(project, long_work(40), context=context, otherwise=Answer(text="It is 10006.")) as found:
        played = await found.play(task)
        again = await found.play("What was the code word?", "-c")
    assert played.code == 0
    assert "compaction" in played.rewrites or "mask" in played.rewrites
    for line in played.told("rewrite"):
        assert line["after"] < line["before"]
    assert len(played.rewrites) < 20
    for body in (*played.bodies, *again.bodies):
        assert task in json.dumps(body["messages"][1])
    assert again.code == 0
    assert again.messages[-1]["content"] == "What was the code word?"


async def test_a_window_that_the_owner_names_counts_too(project: Path) -> None:
    (project / "big.txt").write_text("".join(f"line {n} and some words more\n" for n in range(900)))
    async with stage(project, long_work(12), context=4_096, otherwise=Answer(text="Done.")) as found:
        played = await found.play("Read big.txt.", HEARTH_CONTEXT="100000")
    assert played.code == 0
    assert played.lines[0]["context_length"] == 4_096


async def test_a_session_of_the_last_release_goes_on_byte_for_byte(project: Path, home: Path) -> None:
    def here(name: str) -> bytes:
        return (SESSIONS / name).read_bytes().replace(b"/home/somebody/project", str(project).encode())

    (project / "greet.py").write_text('print("Hello")\n')
    sessions = home / "data" / "sessions"
    sessions.mkdir(parents=True)
    file = sessions / "20250302-101500-4794ea.jsonl"
    file.write_bytes(here("version-1.jsonl"))
    async with stage(project, [call("bash", command="cat greet.py"), "Fine."], model="qwen3-30b") as found:
        played = await found.play("And now?", "-c")
        sent = found.engine.requests[0]
    assert sent == here("version-1-next-request.json")
    assert (played.code, played.result["text"]) == (0, "Fine.")
    assert file.read_bytes().startswith(here("version-1.jsonl"))
    assert played.told("session")[0]["session"] == "20250302-101500-4794ea"
