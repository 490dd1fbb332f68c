"""Sessions on the disk: listed, found, forked, removed."""

import json
import os
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.frame import Frame
from hearth.agent.sessions import (
    LONGEST_TITLE,
    delete_session,
    fork_session,
    list_sessions,
    make_title,
    read_session,
    search_sessions,
)
from hearth.agent.transcript import Transcript, create_transcript, encode_line, open_transcript
from hearth.errors import TranscriptError, UsageError
from hearth.llm.request import encode_request
from hearth.messages import Message, ToolCall, ToolSpec
from hearth.tools.outputs import Outputs
from hearth.tools.tool import ToolResult

NOW = datetime(2026, 11, 23, 4, 15)
TOOLS = (ToolSpec("read", "Read ü.", {"type": "object", "properties": {"path": {"type": "string"}}}),)


def create(folder: Path, session: str, directory: str = "/p") -> Transcript:
    return create_transcript(folder, Frame(session, directory, "m", "x", "ü", TOOLS, {"top_p": 0.9}, 64), NOW)


def play(transcript: Transcript, prompt: str, answer: str = "done", result: str = "") -> None:
    transcript.begin_turn(prompt)
    if result:
        call = ToolCall("c", "read", '{"path":"ä"}')
        transcript.add(Message("assistant", "", (call,)))
        transcript.begin_call(call)
        transcript.end_call(call, ToolResult(result), 0.1)
    transcript.add(Message("assistant", answer))
    transcript.end_turn("completed", "")


def fill(folder: Path, session: str, *prompts: str, directory: str = "/p", used: int = 0) -> None:
    transcript = create(folder, session, directory)
    for prompt in prompts:
        play(transcript, prompt)
    transcript.close()
    os.utime(transcript.path, (used, used))


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("Fix the tests", "Fix the tests"),
        ("\n\n  # Fix   the\ttests  \nand more", "Fix the tests"),
        ("```\ncode\n```", "code"),
        ("", "(no words)"),
        ("\x1b[31mred\x1b[0m \u202edrow", "[31mred [0m drow"),
        ("x" * 61, "x" * 59 + "…"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("- **Do** it", "**Do** it"),
        ("修复测试", "修复测试"),
    ],
)
def test_titles(prompt: str, title: str) -> None:
    assert make_title(prompt) == title


@given(st.text())
def test_a_title_is_one_short_line_of_any_prompt(prompt: str) -> None:
    title = make_title(prompt)
    assert 0 < len(title) <= LONGEST_TITLE
    assert len(title.splitlines()) == 1
    assert title.encode()


def test_a_list_is_of_one_folder_last_used_first(tmp_path: Path) -> None:
    fill(tmp_path, "a", "one", "two", used=10)
    fill(tmp_path, "b", "three", used=30)
    fill(tmp_path, "c", "elsewhere", directory="/q", used=20)
    fill(tmp_path, "a.sub", "a sub-agent's", used=40)
    (tmp_path / "broken.jsonl").write_bytes(b"{}\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\0")
    (tmp_path / "folder.jsonl").mkdir()
    listed = list_sessions(tmp_path, Path("/p"))
    assert [(found.id, found.title, found.turns) for found in listed] == [("b", "three", 1), ("a", "one", 2)]
    assert [found.id for found in list_sessions(tmp_path)] == ["b", "c", "a"]
    assert list_sessions(tmp_path / "nowhere") == []


def test_the_list_says_what_a_closer_look_says(tmp_path: Path) -> None:
    transcript = create(tmp_path, "a")
    for number in range(4):
        play(transcript, f"turn {number}")
    transcript.undo(3)
    transcript.redo()
    transcript.undo(2)
    transcript.rewrite("compaction", [Message("user", "sum")])
    transcript.undo(2)
    play(transcript, "afresh")
    transcript.close()
    (listed,) = list_sessions(tmp_path)
    session = read_session(tmp_path, "a")
    assert (listed.title, listed.turns) == (session.title, len(session.past.turns)) == ("afresh", 1)


def test_sessions_of_before_turns_were_marked_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, "a", "one", "two")
    path = tmp_path / "a.jsonl"
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(encode_line({k: v for k, v in one.items() if k != "prompt"}) for one in records))
    (listed,) = list_sessions(tmp_path)
    assert (listed.title, listed.turns) == ("one", 2)
    assert [turn.prompt for turn in read_session(tmp_path, "a").past.turns] == ["one", "two"]


def test_a_session_in_use_and_a_torn_one_can_be_read(tmp_path: Path) -> None:
    transcript = create(tmp_path, "a")
    play(transcript, "go")
    with transcript.path.open("ab") as file:
        file.write(b'{"type":"message","prom')
    assert read_session(tmp_path, "a").title == "go"
    assert list_sessions(tmp_path)[0].turns == 1
    transcript.close()


def test_search(tmp_path: Path) -> None:
    for session, prompt, used in (("a", "Grüße aus dem Wald", 1), ("b", "nothing here", 2), ("c", "GRÜSSE, wald", 3)):
        transcript = create(tmp_path, session)
        play(transcript, prompt)
        play(transcript, "second", answer="it was the needle", result=f"{'x ' * 200}haystack of {session}")
        transcript.close()
        os.utime(transcript.path, (used, used))

    def ids(words: str) -> list[str]:
        return [hit.outline.id for hit in search_sessions(tmp_path, words)]

    assert ids("grüsse WALD") == ["c", "a"]
    assert ids("needle") == ["c", "b", "a"]
    assert ids("needle nothing") == ["b"]
    assert ids("needle absent") == []
    assert ids("ä") == ["c", "b", "a"], "what was called counts too"
    assert list(search_sessions(tmp_path, "needle", Path("/q"))) == []
    (hit,) = search_sessions(tmp_path, "haystack b nothing")
    assert (hit.turn, hit.role) == (2, "tool")
    assert hit.snippet.startswith("…x x")
    assert hit.snippet.endswith("haystack of b")
    with pytest.raises(UsageError, match="nothing to search"):
        list(search_sessions(tmp_path, " "))


def test_what_was_undone_is_not_found(tmp_path: Path) -> None:
    transcript = create(tmp_path, "a")
    play(transcript, "needle")
    transcript.undo(1)
    transcript.close()
    assert list(search_sessions(tmp_path, "needle")) == []


@pytest.mark.parametrize("turn", [0, 1, 2, 3, None])
def test_a_fork_sends_the_same_bytes(tmp_path: Path, turn: int | None) -> None:
    transcript = create(tmp_path, "a")
    bodies = [encode_request(transcript.request())]
    for number in range(3):
        play(transcript, f"grüße {number}", result="läuft 🔥")
        bodies.append(encode_request(transcript.request()))
    before = transcript.path.read_bytes()
    fresh = fork_session(tmp_path, "a", turn, NOW)
    assert transcript.path.read_bytes() == before
    transcript.close()
    forked = open_transcript(tmp_path, fresh)
    assert encode_request(forked.request()) == bodies[3 if turn is None else turn]
    head, origin = (json.loads(path.read_bytes().splitlines()[0]) for path in (forked.path, transcript.path))
    assert head.pop("forked_from") == {"session": "a", "turn": 3 if turn is None else turn}
    assert {**head, "session": "a", "created": ""} == {**origin, "created": ""}
    assert list(head) == list(origin)
    assert forked.path.stat().st_mode & 0o777 == 0o600
    forked.begin_turn("another way")
    forked.close()
    assert read_session(tmp_path, fresh).forked_from == "a"


def test_a_fork_after_an_undo(tmp_path: Path) -> None:
    transcript = create(tmp_path, "a")
    for prompt in ("one", "two"):
        play(transcript, prompt)
    transcript.undo(1)
    play(transcript, "other")
    transcript.close()
    fresh = fork_session(tmp_path, "a", 2, NOW)
    assert [turn.prompt for turn in read_session(tmp_path, fresh).past.turns] == ["one", "other"]
    fresh = fork_session(tmp_path, "a", 1, NOW)
    assert [turn.prompt for turn in read_session(tmp_path, fresh).past.turns] == ["one"]
    with pytest.raises(UsageError, match="no turn 3"):
        fork_session(tmp_path, "a", 3, NOW)


def test_a_fork_can_read_the_whole_outputs_and_outlives_its_origin(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "a.outputs")
    names = [outputs.keep(text) for text in ("one", "two", "three")]
    transcript = create(tmp_path, "a")
    play(transcript, "go", result=f"[the whole is in {names[0]}]")
    play(transcript, "on", result=f"[the whole is in {names[1]}]")
    transcript.close()
    (tmp_path / "tasks").mkdir()
    create(tmp_path / "tasks", "a.1").close()
    fresh, first = fork_session(tmp_path, "a", None, NOW), fork_session(tmp_path, "a", 1, NOW)
    delete_session(tmp_path, "a")
    taken = Outputs(tmp_path / f"{fresh}.outputs")
    assert [read_output(taken, name) for name in names[:2]] == ["one", "two"]
    assert [path.name for path in (tmp_path / f"{first}.outputs").iterdir()] == ["1.txt"]
    assert (tmp_path / "tasks" / f"{fresh}.1.jsonl").is_file()
    # What the fork keeps gets a name of its own.
    assert taken.keep("four") == "output:3"


def read_output(outputs: Outputs, name: str) -> str:
    with os.fdopen(outputs.open(name), encoding="utf-8") as file:
        return file.read()


def test_a_session_that_is_removed_while_it_is_opened(tmp_path: Path) -> None:
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            try:
                open_transcript(tmp_path, "s").close()
            except Exception as error:
                seen.add(type(error).__name__)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    removed = 0
    while removed < 40:
        with suppress(TranscriptError):  # somebody looks just now
            if not (tmp_path / "s.jsonl").exists():
                create(tmp_path, "s").close()
            removed += bool(delete_session(tmp_path, "s"))
    ended.set()
    for looker in lookers:
        looker.join()
    assert seen == {"TranscriptError"}


def test_delete(tmp_path: Path) -> None:
    fill(tmp_path, "a", "one")
    fill(tmp_path, "ab", "two")
    fill(tmp_path, "a.sub", "sub")
    (tmp_path / "a.torn-1").write_bytes(b"torn")
    (tmp_path / "tasks").mkdir()
    for name in ("a.outputs/1.txt", "ab.outputs/1.txt", "tasks/a.1.jsonl", "tasks/ab.1.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    held = open_transcript(tmp_path, "a")
    with pytest.raises(TranscriptError, match="in use"):
        delete_session(tmp_path, "a")
    held.close()
    assert delete_session(tmp_path, "a") == "a"
    left = {"ab.jsonl", "ab.outputs", "ab.outputs/1.txt", "tasks", "tasks/ab.1.jsonl"}
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == left
    (tmp_path / "ab.jsonl").write_bytes(b"damaged")
    assert delete_session(tmp_path, "ab") == "ab"
    with pytest.raises(TranscriptError, match="no session"):
        delete_session(tmp_path, "ab")
