import os
from pathlib import Path

import pytest

from hearth.agent.assemble import Start, open_session
from hearth.agent.equipment import make_toolbox
from hearth.agent.minds import endpoint_for
from hearth.agent.replay import Intent
from hearth.agent.transcript import open_transcript
from hearth.errors import HearthError, SettingsError, TranscriptError, Unavailable, UsageError, WorkspaceError
from hearth.events import Finished, Progress, SessionStarted, ToolReturned
from hearth.messages import Message
from hearth.paths import Paths, resolve_paths
from hearth.runtime.pretend import Answer, Call, PretendEngine, Script
from hearth.settings import Settings, load_settings


@pytest.fixture
def paths(home: Path) -> Paths:
    return resolve_paths({"HEARTH_HOME": str(home)})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def settings_for(paths: Paths, url: str, **flags: object) -> Settings:
    return load_settings(paths.config_file, {"HEARTH_URL": url, "HEARTH_API_KEY": "k"}, dict(flags))


async def take_turn(
    paths: Paths, settings: Settings, start: Start, prompt: str = "go"
) -> tuple[SessionStarted, list[ToolReturned], Finished]:
    session = await open_session(paths, settings, {**os.environ, "HEARTH_API_KEY": "k"}, start)
    seen = [event async for event in session.turn(prompt)]
    await session.close()
    assert isinstance(seen[0], SessionStarted)
    assert isinstance(seen[-1], Finished)
    return seen[0], [event for event in seen if isinstance(event, ToolReturned)], seen[-1]


async def test_a_new_session_works_in_the_folder_and_is_resumed(paths: Paths, project: Path) -> None:
    calls = (Call("write", {"path": "a.py", "content": "x = 1\n"}), Call("bash", {"command": "cat a.py; pwd"}))
    async with PretendEngine(Script((Answer("", calls),)), api_key="k") as engine:
        settings = settings_for(paths, engine.endpoint.url)
        started, returned, finished = await take_turn(paths, settings, Start("auto", project))
        assert (started.model, started.context_length) == ("pretend", 32_768)
        assert returned[1].text == f"x = 1\n{project}"
        assert finished.changed_files == ("a.py",)
        again, _, _ = await take_turn(paths, settings, Start("auto", project, ""), "more")
        assert again.session == started.session
        assert again.resumed
        named, _, _ = await take_turn(paths, settings, Start("auto", None, started.session), "more")
        assert named.directory == str(project)
    for earlier, later in zip(engine.requests, engine.requests[1:], strict=False):
        assert later.startswith(earlier[:-2])


async def test_a_resumed_session_has_seen_what_it_read(paths: Paths, project: Path) -> None:
    (project / "a.py").write_text("x = 1\n")
    (project / "b.py").write_text("y = 1\n")
    look = (Call("read", {"path": "a.py"}), Call("read", {"path": "b.py"}))
    change = tuple(Call("write", {"path": name, "content": "z = 1\n"}) for name in ("a.py", "b.py"))
    script = Script((Answer("", look), Answer("seen"), Answer("", change), Answer("done"), Answer("", change)))
    async with PretendEngine(script, api_key="k") as engine:
        settings = settings_for(paths, engine.endpoint.url)
        await take_turn(paths, settings, Start("auto", project))
        (project / "b.py").write_text("mine = 1\n")
        _, returned, finished = await take_turn(paths, settings, Start("auto", project, ""), "more")
        assert [one.failed for one in returned] == [False, True]
        assert finished.changed_files == ("a.py",)
        assert (project / "b.py").read_text() == "mine = 1\n"
        # What an undone turn had seen was never seen.
        transcript = open_transcript(paths.sessions, finished.session)
        transcript.undo(2)
        transcript.close()
        _, returned, _ = await take_turn(paths, settings, Start("auto", project, ""), "again")
        assert [one.failed for one in returned] == [True, True]
        assert "you have not read it" in returned[0].text


@pytest.mark.parametrize("enabled", [True, False])
async def test_an_undo_that_was_cut_off_is_finished_and_told(paths: Paths, project: Path, enabled: bool) -> None:
    calls = (Call("bash", {"command": "echo x > a; echo y > b"}),)
    async with PretendEngine(Script((Answer("", calls), Answer("done"), Answer("", calls))), api_key="k") as engine:
        settings = settings_for(paths, engine.endpoint.url)
        started, _, _ = await take_turn(paths, settings, Start("auto", project))
        transcript = open_transcript(paths.sessions, started.session)
        turn = transcript.past.turns[0]
        transcript.begin_restore(Intent("undo", 1, ((turn.end, turn.begin),), turn.end))
        transcript.close()
        (project / "b").write_text("mine")
        settings = settings_for(paths, engine.endpoint.url, **{"undo.enabled": enabled})
        session = await open_session(paths, settings, {}, Start("auto", project, ""))
        seen = [event async for event in session.turn("on")]
        await session.close()
    assert isinstance(seen[0], SessionStarted)
    told = [event.note for event in seen if isinstance(event, Progress) and event.phase == "starting"]
    assert told[:2] == ["the undo that was cut off is done now", "b is left as it is: changed since"]
    last = (paths.sessions / f"{started.session}.jsonl").read_bytes().split(b'"kind":"undo"')[-1]
    # What the new turn does is kept as the owner wants it.
    assert (b'"at":"begin"' in last) == enabled
    assert (project / "a").exists()


async def test_commands_do_not_get_the_key(paths: Paths, project: Path) -> None:
    script = Script((Answer("", (Call("bash", {"command": "env | grep -c HEARTH_API_KEY"}),)),))
    async with PretendEngine(script, api_key="k") as engine:
        _, returned, _ = await take_turn(paths, settings_for(paths, engine.endpoint.url), Start("auto", project))
    assert returned[0].text.startswith("0")


async def test_plan_mode_offers_only_what_looks(paths: Paths, project: Path) -> None:
    script = Script((Answer("", (Call("bash", {"command": "touch x"}),)),))
    async with PretendEngine(script, api_key="k") as engine:
        _, returned, _ = await take_turn(paths, settings_for(paths, engine.endpoint.url), Start("plan", project))
    assert b'"name":"glob"' in engine.requests[0]
    assert b'"name":"bash"' not in engine.requests[0]
    assert returned[0].failed
    assert not (project / "x").exists()


async def test_the_pilot_gets_its_own_frame(paths: Paths, project: Path) -> None:
    async with PretendEngine(api_key="k") as engine:
        settings = settings_for(paths, engine.endpoint.url, model="pilot")
        await take_turn(paths, settings, Start("auto", project), "Fix the failing test")
    messages = engine.requests[0].split(b'"messages":')[1]
    assert messages == (
        b'[{"role":"system","content":"You are the pilot, a tiny coding agent. You answer with one tool call at a '
        b'time."},{"role":"user","content":"Fix the failing test"}]}'
    )


async def test_what_does_not_fit_the_old_session_is_refused(paths: Paths, project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with PretendEngine(api_key="k") as engine:
        settings = settings_for(paths, engine.endpoint.url)
        started, _, _ = await take_turn(paths, settings, Start("auto", project))
        cases: list[tuple[Start, Settings, type[HearthError], str]] = [
            (Start("auto", other, started.session), settings, UsageError, "works in"),
            (Start("auto", other, ""), settings, TranscriptError, "no session"),
            (Start("auto", tmp_path / "none", None), settings, UsageError, "not a folder"),
            (
                Start("auto", project, ""),
                settings_for(paths, engine.endpoint.url, model="big"),
                UsageError,
                "speaks with pretend",
            ),
        ]
        for start, wished, kind, word in cases:
            with pytest.raises(kind, match=word):
                await open_session(paths, wished, {}, start)
        project.rmdir()
        with pytest.raises(WorkspaceError, match="is gone"):
            await open_session(paths, settings, {}, Start("auto", None, started.session))


async def test_a_working_folder_that_is_gone_is_told(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    async with PretendEngine() as engine:
        for resume in (None, ""):
            with pytest.raises(UsageError, match="the working folder is gone"):
                await open_session(paths, settings_for(paths, engine.endpoint.url), {}, Start("auto", None, resume))


async def test_a_session_stays_usable_when_the_endpoint_is_gone(paths: Paths, project: Path) -> None:
    async with PretendEngine(api_key="k") as engine:
        settings = settings_for(paths, engine.endpoint.url)
        await take_turn(paths, settings, Start("auto", project))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await open_session(paths, settings, {}, Start("auto", project, ""))


def test_the_endpoint_is_the_daemon_or_a_url(paths: Paths) -> None:
    assert endpoint_for(paths, Settings()).socket == paths.socket
    endpoint = endpoint_for(paths, settings_for(paths, "http://x:1/v1/"))
    assert (endpoint.base, endpoint.api_key, endpoint.socket) == ("http://x:1", "k", None)
    with pytest.raises(SettingsError, match="HEARTH_URL"):
        endpoint_for(paths, settings_for(paths, "ftp://x"))


def test_a_tool_that_is_no_more_is_left_out(project: Path) -> None:
    toolbox = make_toolbox(["grep", "gone", "read"], project)
    assert [spec.name for spec in toolbox.specs] == ["grep", "read"]


async def test_the_list_outlives_compactions_and_processes(paths: Paths, project: Path) -> None:
    items = [{"text": "first", "done": True}, {"text": "second", "done": False}]
    looks = [Answer(f"part {number} " * 300, (Call("bash", {"command": f"echo {number}"}),)) for number in range(20)]
    script = Script((Answer("", (Call("todo", {"items": items}),)), Answer("done"), *looks))
    async with PretendEngine(script, api_key="k") as engine:
        small = {"profiles.pretend.compact": 0.2, "profiles.pretend.mask": 0.15, "profiles.pretend.work": 0.1}
        settings = settings_for(paths, engine.endpoint.url, **small)
        started, _, _ = await take_turn(paths, settings, Start("auto", project))
        transcript = open_transcript(paths.sessions, started.session)
        transcript.rewrite("compaction", [Message("user", "go"), Message("assistant", "done")])
        transcript.close()
        await take_turn(paths, settings, Start("auto", project, ""), "on")
    transcript = open_transcript(paths.sessions, started.session)
    heads = [message.content for message in transcript.messages if message.role == "user"]
    transcript.close()
    assert "[hearth todo]\n[ ] second" in heads[0]
