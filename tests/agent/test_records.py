"""What a line of a session's file may hold; and that nothing else is ever taken for one."""

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.agent.costs import costs_of_records
from hearth.agent.export import to_json, to_markdown
from hearth.agent.export_html import to_html
from hearth.agent.frame import Frame
from hearth.agent.records import is_record
from hearth.agent.replay import Intent
from hearth.agent.sessions import list_sessions, read_session, search_sessions
from hearth.agent.transcript import create_transcript, encode_line, open_transcript
from hearth.errors import TranscriptError
from hearth.messages import Message, ToolCall, ToolSpec, Usage
from hearth.tools.tool import ToolResult
from hearth.workspace.sight import Sighting

SHA = "0" * 40
SEEN = (Sighting("a", b"\xab" * 16, whole=True, ranges=((1, 2), (5, 7))), Sighting("\udcff"))


def play(folder: Path) -> list[dict[str, Any]]:
    """The records of a session in which everything happened."""
    tools = (ToolSpec("read", "Read.", {"type": "object"}),)
    made = create_transcript(folder, Frame("s", "/p", "m", "x", "sys", tools, {"top_p": 1.0}, 64), datetime.now())
    for number in range(3):
        made.begin_turn(f"turn {number} \ud800", Message("user", "told", images=("data:image/png;base64,AA",)))
        made.add_snapshot("begin", SHA)
        call = ToolCall("c", "read", "{")
        made.add(Message("assistant", "I look.", (call,), reasoning="hm"))
        made.begin_call(call)
        made.end_call(call, ToolResult("x", failed=True, changed=("a", "\udcff"), seen=SEEN), 0.5)
        made.add_usage(Usage(10, 4, 6, 2, 0.5, 0.1))
        made.add_snapshot("back", SHA)
        made.add_snapshot("end", SHA, ["mine"])
        made.end_turn("completed", "")
    made.rewrite("mask", [Message("user", "told")])
    for _ in range(2):
        made.begin_restore(Intent("undo", 1, ((SHA, SHA),), SHA))
        made.undo(1, ((SHA, SHA),), SHA, SHA)
    made.begin_restore(Intent("redo", 1, ((SHA, SHA),), SHA, force=True))
    made.redo()
    made.begin_restore(Intent("undo", 1, ((SHA, SHA),), SHA))
    made.abandon_restore()
    made.close()
    return [json.loads(line) for line in made.path.read_bytes().splitlines()]


def test_every_record_of_ours_is_one(tmp_path: Path) -> None:
    records = play(tmp_path)
    assert {record["type"] for record in records} == {
        *("session", "message", "call", "result", "usage", "turn", "snapshot", "restore", "rewrite")
    }
    assert all(is_record(record) for record in records)
    session = read_session(tmp_path, "s")
    assert len(session.records) == len(records)
    assert SEEN in [said.seen for said in session.past.turns[0].said]


@pytest.mark.parametrize(
    "record",
    [
        1,
        {},
        {"type": []},
        {"type": "message"},
        {"type": "message", "message": {"role": "boss", "content": ""}},
        {"type": "message", "message": {"role": "user", "content": [{"type": "image_url"}]}},
        {"type": "message", "message": {"role": "assistant", "tool_calls": [{"id": [], "function": {}}]}},
        {"type": "message", "prompt": 7, "message": {"role": "user", "content": ""}},
        {"type": "message", "message": {"role": "user", "\ud800": 1, "content": 5}},
        {"type": "call", "id": 1},
        {"type": "turn", "status": "completed"},
        {"type": "restore", "kind": "undo", "turns": -1, "steps": [], "before": ""},
        {"type": "restore", "kind": "undo", "turns": 1, "steps": [["a"]], "before": ""},
        {"type": "restore", "kind": "other"},
        {"type": "result", "message": {"role": "tool", "content": ""}, "seen": [{"digest": ""}]},
        {"type": "result", "message": {"role": "tool", "content": ""}, "seen": [{"path": "a", "digest": "abc"}]},
        {"type": "result", "message": {"role": "tool", "content": ""}, "seen": [{"path": "a", "ranges": [[1]]}]},
        {"type": "rewrite", "kind": "undo", "messages": {}},
        {"type": "usage", "prompt": "many"},
    ],
)
def test_what_is_none(record: Any) -> None:
    assert not is_record(record)


def test_types_of_later_versions_pass() -> None:
    assert is_record({"type": "dream", "of": [1]})


ATOMS = st.sampled_from([None, 0, -1, 1e9, "", "x", [], {}, [[]], {"a": 1}, True, "../..", SHA, [["a", "b"]], "\ud800"])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@st.composite
def damages(draw: st.DrawFn, count: int) -> list[tuple[str, int, int, Any]]:
    one = st.tuples(
        st.sampled_from(["set", "drop", "remove", "double"]), st.integers(0, count - 1), st.integers(0, 99), ATOMS
    )
    return draw(st.lists(one, min_size=1, max_size=3))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_file_that_somebody_edited_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "edited"
    if not folder.exists():
        folder.mkdir()
        play(folder)
        (folder / "s.jsonl").rename(folder / "s.original")
    records = [json.loads(line) for line in (folder / "s.original").read_bytes().splitlines()]
    for kind, index, place, atom in data.draw(damages(len(records))):
        index = min(index, len(records) - 1)
        inner = places(records[index])[1:]
        if kind == "drop":
            del records[index]
        elif kind == "double":
            records.insert(index, copy.deepcopy(records[index]))
        elif inner:
            *path, last = inner[place % len(inner)]
            owner = records[index]
            for key in path:
                owner = owner[key]
            if kind == "set":
                owner[last] = copy.deepcopy(atom)
            else:
                del owner[last]
    (folder / "s.jsonl").write_bytes(b"".join(encode_line(record) for record in records))
    list_sessions(folder)
    try:
        list(search_sessions(folder, "turn x"))
        session = read_session(folder, "s")
        costs_of_records(session.frame, session.records)
        for write in (to_json, to_markdown, to_html):
            write(session)
        open_transcript(folder, "s").close()
    except TranscriptError:
        pass
