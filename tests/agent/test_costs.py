"""What each part of a conversation costs."""

import json
from datetime import datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from conversations import conversations
from hearth.agent.compaction import Room, compact
from hearth.agent.costs import costs_of_records, weigh_context
from hearth.agent.frame import Frame
from hearth.agent.guides import Guide, show_guides
from hearth.agent.masking import PLACEHOLDER
from hearth.agent.opening import wrap
from hearth.agent.transcript import create_transcript, read_records
from hearth.messages import Message, ToolCall, ToolSpec, Usage

SYSTEM = f"You are hearth.\n\n{show_guides([Guide('AGENTS.md', 'be kind ' * 40)])}\n\n{wrap('skills', '- a: b')}"
FRAME = Frame("s", "/p", "m", "standard", SYSTEM, (ToolSpec("read", "Read.", {"type": "object"}),), {}, 512)
CALL = ToolCall("c", "read", '{"path": "a.py"}')
MESSAGES = [
    Message("user", "\n\n".join([wrap("map", "a.py: total"), "Count.", wrap("file", "text", 'path="a"')])),
    Message("assistant", "I look.", (CALL,), reasoning="What is in it?"),
    Message("tool", "word " * 400, tool_call_id="c"),
    Message("assistant", "", (ToolCall("d", "bash", "{}"),)),
    Message("tool", f"{PLACEHOLDER}the result of bash]", tool_call_id="d"),
]


def test_every_part_has_its_tokens_and_seconds() -> None:
    costs = weigh_context(FRAME, MESSAGES, window=4_096, total=1_000, exact=True, speed=100)
    items = {item.name: item for item in costs.items}
    assert list(items) == [
        *("system", "guides", "skills", "tools", "map", "prompts", "files", "answers", "calls", "reasoning"),
        *("results of read", "results left out", "free"),
    ]
    assert sum(item.tokens for item in costs.items) == 4_096
    assert items["free"].tokens == 3_096
    assert items["results of read"].tokens > 400
    assert items["results of read"].seconds == round(items["results of read"].tokens / 100, 1)
    assert items["results of read"].share == round(items["results of read"].tokens / 4_096, 4)
    assert json.loads(json.dumps(costs.to_json()))["items"][0]["name"] == "system"


def test_a_shortened_conversation_tells_its_summary() -> None:
    short = compact(MESSAGES * 1, Room(700, "Goal: count.\nNext: more."), lambda path: None, lambda text: "")
    names = [item.name for item in weigh_context(FRAME, short).items]
    assert "summaries" in names
    assert "prompts" in names


@given(conversations(), st.integers(0, 100_000), st.sampled_from([0, 4_096]))
def test_the_parts_are_the_whole(messages: list[Message], total: int, window: int) -> None:
    costs = weigh_context(FRAME, messages, window=window, total=total)
    assert sum(item.tokens for item in costs.items if item.name != "free") == costs.total
    assert all(item.tokens >= 0 for item in costs.items)


def test_a_session_on_disk_is_told_as_the_engine_counted_it(tmp_path: Path) -> None:
    transcript = create_transcript(tmp_path, FRAME, datetime.now())
    transcript.begin_turn("Count.")
    transcript.add_usage(Usage(900, 0, 900, 20, 3.0, 1.0))
    transcript.add(Message("assistant", "Done."))
    transcript.close()
    records, _ = read_records(transcript.path.read_bytes(), transcript.path)
    costs = costs_of_records(FRAME, records, 4_096)
    assert (costs.total, costs.exact, costs.speed, costs.window) == (920, True, 300.0, 4_096)
