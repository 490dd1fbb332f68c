import json
import os
import resource
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from hearth.agent.frame import Frame
from hearth.agent.transcript import (
    NO_ANSWER,
    NOT_RUN,
    UNKNOWN,
    Transcript,
    create_transcript,
    latest_session,
    new_session_id,
    open_transcript,
)
from hearth.errors import StateError, TranscriptError
from hearth.messages import Message, ToolCall, ToolSpec, Usage
from hearth.tools.tool import ToolResult

TOOLS = (ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}}),)
CALLS = (ToolCall("c1", "read", '{"path":"a"}'), ToolCall("c2", "read", "{}"))
NOW = datetime(2026, 11, 23, 4, 15)


def frame(directory: Path, session: str = "s1") -> Frame:
    return Frame(session, str(directory), "m", "standard", "be good ä", TOOLS, {"temperature": 0.7}, 64)


def create(folder: Path, session: str = "s1") -> Transcript:
    return create_transcript(folder, frame(folder, session), NOW)


def record_session(folder: Path) -> Path:
    """A session with every kind of record, also text beyond ASCII."""
    transcript = create(folder)
    transcript.begin_turn("grüße \udcff")
    transcript.add(Message("assistant", "I look", CALLS, reasoning="hm"))
    transcript.add_usage(Usage(10, 5, 5, 3, 0.1, 0.2))
    for call in CALLS:
        transcript.begin_call(call)
        transcript.end_call(call, ToolResult("läuft 🔥\n", changed=("a",)), 0.5)
    transcript.add(Message("assistant", "done"))
    transcript.end_turn("completed", "")
    transcript.close()
    return transcript.path


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    transcript.begin_turn("hello")
    transcript.add(Message("assistant", "hi"))
    before = transcript.request()
    transcript.close()
    again = open_transcript(tmp_path, "s1")
    assert again.request() == before
    assert again.frame == frame(tmp_path)
    assert again.resumed


def test_the_file_is_private(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    assert transcript.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["s1.jsonl"]


@pytest.mark.slow
def test_cut_at_any_byte_only_the_torn_tail_is_lost(tmp_path: Path) -> None:
    whole = record_session(tmp_path).read_bytes()
    full = [json.loads(line) for line in whole.splitlines()]
    folder = tmp_path / "b"
    folder.mkdir()
    path = folder / "s1.jsonl"
    head = whole.index(b"\n") + 1
    for end in range(head, len(whole) + 1):
        path.write_bytes(whole[:end])
        transcript = open_transcript(folder, "s1")
        kept = whole[:end].count(b"\n")
        said = [Message.from_wire(record["message"]) for record in full[:kept] if "message" in record]
        assert transcript.messages == said
        tail = whole[whole.rfind(b"\n", 0, end) + 1 : end]
        aside = list(folder.glob("*.torn-*"))
        assert [file.read_bytes() for file in aside] == ([tail] if tail else [])
        transcript.begin_turn("go on")
        transcript.close()
        reopened = open_transcript(folder, "s1")
        assert reopened.messages == transcript.messages
        assert all(json.loads(line) for line in path.read_bytes().splitlines())
        reopened.close()
        for file in aside:
            file.unlink()


def test_a_file_cut_in_its_first_line_is_refused_and_kept(tmp_path: Path) -> None:
    path = record_session(tmp_path)
    data = path.read_bytes()[:20]
    path.write_bytes(data)
    with pytest.raises(TranscriptError, match="does not start with a session"):
        open_transcript(tmp_path, "s1")
    assert path.read_bytes() == data


def test_zeros_after_a_power_loss_are_a_torn_tail(tmp_path: Path) -> None:
    path = record_session(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good + b"\0" * 100 + b"\n" + b"\0" * 50)
    open_transcript(tmp_path, "s1").close()
    assert path.read_bytes() == good


def test_damage_in_the_middle_is_told_not_mended(tmp_path: Path) -> None:
    path = record_session(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{broken\n", *lines[3:]]))
    before = path.read_bytes()
    with pytest.raises(TranscriptError, match="line 3"):
        open_transcript(tmp_path, "s1")
    assert path.read_bytes() == before


def test_a_call_without_a_result_is_unknown_and_a_call_not_begun_is_not_run(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    transcript.begin_turn("go")
    transcript.add(Message("assistant", "", CALLS))
    transcript.begin_call(CALLS[0])
    transcript.close()
    again = open_transcript(tmp_path, "s1")
    again.begin_turn("go on")
    assert again.messages[2:] == [
        Message("tool", UNKNOWN, tool_call_id="c1"),
        Message("tool", NOT_RUN, tool_call_id="c2"),
        Message("assistant", NO_ANSWER),
        Message("user", "go on"),
    ]


def test_ids_that_return_in_a_later_step_are_told_apart(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    transcript.begin_turn("go")
    for _ in range(2):
        transcript.add(Message("assistant", "", CALLS[:1]))
        transcript.begin_call(CALLS[0])
        transcript.end_call(CALLS[0], ToolResult("fine"), 0.1)
    transcript.add(Message("assistant", "", CALLS[:1]))
    transcript.begin_turn("go on")
    assert [message.content for message in transcript.messages[-3:]] == [NOT_RUN, NO_ANSWER, "go on"]


def test_text_of_an_interrupted_answer_is_kept(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    transcript.begin_turn("go")
    transcript.end_turn("failed", "I was about")
    transcript.close()
    again = open_transcript(tmp_path, "s1")
    again.begin_turn("go on")
    assert again.messages[1] == Message("assistant", f"I was about\n{NO_ANSWER}")


def test_two_processes_cannot_hold_one_session(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    with pytest.raises(TranscriptError, match="in use"):
        open_transcript(tmp_path, "s1")
    transcript.close()
    open_transcript(tmp_path, "s1").close()


def test_the_latest_session_of_a_folder_is_found(tmp_path: Path) -> None:
    import os

    for number, session in enumerate(("old", "new", "elsewhere")):
        home = tmp_path / "other" if session == "elsewhere" else tmp_path
        transcript = create_transcript(tmp_path, frame(home, session), NOW)
        transcript.close()
        os.utime(transcript.path, (number, number))
    (tmp_path / "odd.jsonl").write_bytes(b"\0\n")
    assert latest_session(tmp_path, tmp_path) == "new"
    with pytest.raises(TranscriptError, match="no session"):
        latest_session(tmp_path, tmp_path / "nowhere")


def test_what_is_no_file_is_no_session(tmp_path: Path) -> None:
    record_session(tmp_path)
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "fifo.jsonl")
    assert latest_session(tmp_path, tmp_path) == "s1"


def test_the_start_of_an_id_is_enough_if_it_is_the_only_one(tmp_path: Path) -> None:
    create(tmp_path, "20261123-a").close()
    create(tmp_path, "20261124-b").close()
    open_transcript(tmp_path, "20261124").close()
    with pytest.raises(TranscriptError, match="2 sessions"):
        open_transcript(tmp_path, "2026")
    for wrong in ("", "../x", "nothing"):
        with pytest.raises(TranscriptError, match="no session"):
            open_transcript(tmp_path, wrong)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = record_session(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9', 1))
    with pytest.raises(TranscriptError, match="version 9"):
        open_transcript(tmp_path, "s1")


def test_a_record_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = record_session(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"type":"message","message":{"role":"user"}}\n{"type":"call"}\n')
    with pytest.raises(TranscriptError, match="does not know"):
        open_transcript(tmp_path, "s1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("directory", 5),
        ("sampling", [1]),
        ("tools", ["read"]),
        ("tools", [{"name": "read", "description": "", "parameters": []}]),
        ("max_tokens", "64"),
        ("system", None),
    ],
)
def test_a_frame_of_wrong_types_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = record_session(tmp_path)
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(json.dumps({**json.loads(first), name: value}).encode() + b"\n" + b"".join(rest))
    with pytest.raises(TranscriptError, match="whole session record"):
        open_transcript(tmp_path, "s1")


def test_a_line_nested_beyond_the_stack_is_a_torn_tail(tmp_path: Path) -> None:
    path = record_session(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"type":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n")
    open_transcript(tmp_path, "s1").close()
    assert path.read_bytes() == whole


def test_a_call_is_forced_to_the_disk_before_and_after_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transcript = create(tmp_path)
    forced: list[bytes] = []
    really = os.fsync

    def watched(descriptor: int) -> None:
        really(descriptor)
        forced.append(transcript.path.read_bytes())

    monkeypatch.setattr(os, "fsync", watched)
    transcript.begin_turn("go")
    transcript.add(Message("assistant", "", CALLS[:1]))
    steps: list[Callable[[], None]] = [
        lambda: transcript.begin_call(CALLS[0]),
        lambda: transcript.end_call(CALLS[0], ToolResult("done"), 0.1),
        lambda: transcript.end_turn("completed", ""),
    ]
    for number, step in enumerate(steps, 1):
        step()
        assert len(forced) == number
        assert forced[-1] == transcript.path.read_bytes()
    transcript.close()


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path: Path) -> None:
    transcript = create(tmp_path)
    transcript.begin_turn("go")
    whole = transcript.path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[1]))
    try:
        with pytest.raises(StateError, match="make room"):
            transcript.add(Message("assistant", "an answer that does not fit"))
        assert transcript.path.read_bytes() == whole
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    transcript.add(Message("assistant", "fits"))
    transcript.close()
    assert open_transcript(tmp_path, "s1").messages[1:] == [Message("assistant", "fits")]


def test_a_full_disk_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A disk that fills up takes the first part of a line and refuses the rest, as this limit does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StateError, match="cannot write"):
            create(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot write"):
        create(tmp_path / "missing")


def test_ids_sort_by_time_and_differ() -> None:
    assert new_session_id(NOW).startswith("20261123-041500-")
    assert new_session_id(NOW) != new_session_id(NOW)
