"""Events are the lines of stream-json: the contract of the command line."""

import json
import typing

import pytest

from hearth.events import (
    CommandOutput,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Rewritten,
    SessionStarted,
    Text,
    ToolCalled,
    ToolReturned,
    UsageReported,
    event_to_json,
)
from hearth.messages import Usage

EXAMPLES: list[tuple[Event, str]] = [
    (
        SessionStarted("s1", "pilot", "/p", 8192),
        '{"type": "session", "session": "s1", "model": "pilot", "directory": "/p", "context_length": 8192, '
        '"resumed": false}',
    ),
    (
        Progress("prefill", 10, 40, 1.5),
        '{"type": "progress", "phase": "prefill", "done": 10, "total": 40, "eta_s": 1.5, "note": ""}',
    ),
    (Text("hi"), '{"type": "text", "text": "hi"}'),
    (
        Rewritten("mask", 900, 500, 0.1, 2.5, "old results"),
        '{"type": "rewrite", "kind": "mask", "before": 900, "after": 500, "seconds": 0.1, "read_s": 2.5, '
        '"note": "old results"}',
    ),
    (Reasoning("hm"), '{"type": "reasoning", "text": "hm"}'),
    (
        ToolCalled("1", "read", '{"path":"a"}', "a"),
        '{"type": "tool_call", "id": "1", "name": "read", "arguments": "{\\"path\\":\\"a\\"}", "label": "a"}',
    ),
    (CommandOutput("1", "a\n"), '{"type": "output", "id": "1", "text": "a\\n"}'),
    (
        ToolReturned("1", "read", "x", "1 lines", False, 0.1),
        '{"type": "tool_result", "id": "1", "name": "read", "text": "x", "shown": "1 lines", "failed": false, '
        '"seconds": 0.1}',
    ),
    (
        UsageReported(2, Usage(100, 90, 10, 5, 0.2, 0.3)),
        '{"type": "usage", "step": 2, "prompt": 100, "reused": 90, "new": 10, "generated": 5, "prefill_s": 0.2, '
        '"decode_s": 0.3}',
    ),
    (
        Failed("engine", "gone", "run: hearth doctor", 4, "part"),
        '{"type": "error", "source": "engine", "message": "gone", "fix": "run: hearth doctor", "exit_code": 4, '
        '"partial": "part"}',
    ),
    (
        Finished("completed", "done", 3, ("a.py",), "s1"),
        '{"type": "result", "status": "completed", "text": "done", "steps": 3, "changed_files": ["a.py"], '
        '"session": "s1"}',
    ),
]


@pytest.mark.parametrize(("event", "line"), EXAMPLES)
def test_each_event_is_one_documented_line(event: Event, line: str) -> None:
    assert json.dumps(event_to_json(event)) == line


def test_no_kind_of_event_is_left_out() -> None:
    assert {type(event) for event, _ in EXAMPLES} == set(typing.get_args(Event))
