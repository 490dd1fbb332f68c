import io
import json
from dataclasses import fields

import pytest

from hearth.cli.live import LiveText
from hearth.cli.output import (
    JsonLines,
    JsonObject,
    Output,
    PlainText,
    add_usage,
    cache_line,
    call_line,
    end_lines,
    error_line,
    first_lines,
    hidden_lines,
    note_line,
    printable,
    progress_line,
    rewrite_line,
)
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
)
from hearth.messages import ToolCall, Usage

USAGE = Usage(prompt=41_842, reused=41_230, new=612, generated=143, prefill_s=0.94, decode_s=1.1)
TURN: list[Event] = [
    SessionStarted("s1", "pilot", "/x", 4096),
    Progress("loading", note="loading pilot 2 s"),
    Progress("prefill", 300, 1000, 4.2),
    Reasoning("hm"),
    Text("I look"),
    UsageReported(1, USAGE),
    Progress("resample", 1, note="broken markup"),
    ToolCalled("c1", "edit", '{"path": "a.py"}', "a.py"),
    CommandOutput("c1", "half\nway\n"),
    ToolReturned("c1", "edit", "edited a.py", "line 1:\n-x = 1\n+x = 2", seconds=1.25),
    Rewritten("mask", 9_000, 5_000, 0.1, 12.4, "3 results"),
    Text("All done.\n"),
    UsageReported(2, USAGE),
    Finished("completed", "All done.", 2, ("a.py",), "s1"),
]
FAILED: list[Event] = [
    SessionStarted("s1", "pilot", "/x", 0),
    Failed("engine", "it died", "run: hearth logs", 4, "so far"),
    Finished("failed", "so far", 1, (), "s1"),
]


def play(output: Output, turn: list[Event]) -> None:
    output.tell("starting the daemon")
    for event in turn:
        output.show(event)
    output.close()


def test_pipes_get_the_final_text_and_notes_beside_it() -> None:
    out, err = io.StringIO(), io.StringIO()
    play(PlainText(out, err), TURN)
    assert out.getvalue() == "All done.\n"
    assert err.getvalue().splitlines() == [
        "hearth: asked again (1): broken markup",
        "hearth: old results were left out: 9,000 tokens, now 5,000 · reading again takes about 12 s · 3 results",
    ]
    out, err = io.StringIO(), io.StringIO()
    play(PlainText(out, err, quiet=True), TURN)
    assert (out.getvalue(), err.getvalue()) == ("All done.\n", "")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Progress("starting", note="what this session changes cannot be undone: git is not\ninstalled"), None),
        (Progress("compaction", note="the server counted 4,096 tokens only"), "the server counted 4,096 tokens only"),
        (Progress("compaction", 10, 100, 1.0, "reading"), ""),
        (Progress("loading", note="loading pilot 2 s"), ""),
        (Progress("queued", note="second in line"), ""),
        (Progress("prefill", 300, 1000, 4.2), ""),
        (Progress("subagent", 1, 20, note="read a.py"), ""),
        (Rewritten("restart", 9, 5, note="went round in\x1b circles"), None),
        (Text("hm"), ""),
    ],
)
def test_notes_are_one_line_and_no_noise(event: Event, line: str | None) -> None:
    found = note_line(event)
    assert found == line if line is not None else found
    assert "\n" not in found
    assert "\x1b" not in found


def test_pipes_get_an_error_as_one_line() -> None:
    out, err = io.StringIO(), io.StringIO()
    play(PlainText(out, err, quiet=True), FAILED)
    assert (out.getvalue(), err.getvalue()) == ("", "hearth: it died · run: hearth logs\n")


def test_json_is_one_object_with_the_sum_of_the_usage() -> None:
    out = io.StringIO()
    play(JsonObject(out), TURN)
    whole = json.loads(out.getvalue())
    assert whole["type"] == "result"
    assert whole["status"] == "completed"
    assert whole["usage"]["reused"] == 2 * 41_230
    assert whole["usage"]["prefill_s"] == 1.88
    assert whole["error"] is None


def test_json_carries_the_error() -> None:
    out = io.StringIO()
    play(JsonObject(out), FAILED)
    assert json.loads(out.getvalue())["error"] == (
        {"source": "engine", "message": "it died", "fix": "run: hearth logs", "exit_code": 4, "partial": "so far"}
    )


CONTRACT = {
    "session": {"session", "model", "directory", "context_length", "resumed"},
    "progress": {"phase", "done", "total", "eta_s", "note"},
    "text": {"text"},
    "reasoning": {"text"},
    "output": {"id", "text"},
    "rewrite": {"kind", "before", "after", "seconds", "read_s", "note"},
    "tool_call": {"id", "name", "arguments", "label"},
    "tool_result": {"id", "name", "text", "shown", "failed", "seconds"},
    "usage": {"step", "prompt", "reused", "new", "generated", "prefill_s", "decode_s"},
    "error": {"source", "message", "fix", "exit_code", "partial"},
    "result": {"status", "text", "steps", "changed_files", "session"},
}
"""The stable contract: what each line carries beside ``type``."""


@pytest.mark.parametrize("turn", [TURN, FAILED])
def test_stream_json_keeps_its_contract(turn: list[Event]) -> None:
    out = io.StringIO()
    play(JsonLines(out), turn)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == len(turn)
    for line in lines:
        kind = line.pop("type")
        assert set(line) == CONTRACT[kind]
    assert json.loads(out.getvalue().splitlines()[-1])["type"] == "result"


def test_every_event_of_the_union_has_a_contract() -> None:
    assert {event.type for event in Event.__args__} == set(CONTRACT)
    assert {field.name for field in fields(Usage)} < CONTRACT["usage"]


def test_live_text_shows_each_step_and_its_cache_line() -> None:
    out = io.StringIO()
    play(LiveText(out), TURN)
    shown = out.getvalue()
    assert "session s1 · pilot · context 4,096 tokens" in shown
    assert "I look\n  reused 41,230 · new 612 · 0.9 s · generated 143 at 130 tokens/s\n" in shown
    assert "edit a.py\n  line 1:\n  -x = 1\n  +x = 2\n  1.2 s\n" in shown
    assert shown.endswith("changed: a.py\n")
    assert "\x1b" not in shown


def test_live_text_shows_a_failure() -> None:
    out = io.StringIO()
    play(LiveText(out), FAILED)
    assert "hearth: it died · run: hearth logs" in out.getvalue()


def test_usage_adds_up() -> None:
    assert add_usage(USAGE, Usage(1, 1, 0, 2, 0.1, 0.2)) == Usage(41_843, 41_231, 612, 145, 1.04, 1.3)


def test_the_cache_line_without_an_answer() -> None:
    assert cache_line(Usage(prompt=5, new=5)) == "reused 0 · new 5 · 0.0 s"
    assert cache_line(Usage(prompt=5, new=5, generated=3)).endswith(" · generated 3")


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("queued"), "queued"),
        (Progress("loading", note="loading pilot \x1b[2J2 s"), "loading pilot [2J2 s"),
        (Progress("resample", 2, note="broken markup"), "asked again (2): broken markup"),
        (Progress("subagent", 3, 16, note="explore: grep x"), "sub-agent, step 3 of 16 · explore: grep x"),
        (Progress("prefill"), "prefill"),
        (
            Progress("prefill", 12_000, 24_000, 9.6),
            f"prefill {'━' * 12}{'─' * 12} 12,000 of 24,000 tokens · about 10 s left",
        ),
        (
            Progress("prefill", 1, 24, 540.0),
            f"prefill ━{'─' * 23} 1 of 24 tokens · about 9 min left",
        ),
        (Progress("prefill", 9, 9), "the model answers"),
        (Progress("prefill", 0, 9), f"prefill {'─' * 24} 0 of 9 tokens"),
    ],
)
def test_progress_as_a_line(progress: Progress, line: str) -> None:
    assert progress_line(progress) == line


def test_what_a_model_says_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\x9bc\r\td\n") == "a[31mbc\td\n"
    assert printable("rm \u202efoo\u2066 x") == "rm foo x"
    assert call_line(ToolCalled("c", "bash", "{}", "echo \x1b[2J\nrm x")) == "bash echo [2J rm x"
    assert call_line(ToolCalled("c", "ba\x1b[2Jsh", "{}", "ls")) == "ba[2Jsh ls"
    assert len(call_line(ToolCalled("c", "bash", "y" * 500))) < 220
    assert error_line(Failed("engine", "no \x1b]0;x\x07luck")) == "hearth: no ]0;xluck"


def test_long_results_are_cut() -> None:
    assert first_lines("a\nb", 2) == ["a", "b"]
    assert first_lines("a\nb\nc\nd", 3) == ["a", "b", "… 2 more lines"]


def test_of_a_command_the_end_is_shown() -> None:
    assert end_lines("a\nb", 2) == ["a", "b"]
    assert end_lines("\n".join("abcdefghij"), 8) == ["a", "b", "… 3 lines", "f", "g", "h", "i", "j"]
    out = io.StringIO()
    output = "\n".join([*(f"line {number}" for number in range(20)), "1 failed"])
    play(LiveText(out), [ToolReturned("c", "bash", output, output)])
    assert out.getvalue().endswith("  1 failed\n")


def test_a_line_of_a_result_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    output = f"{'=' * 40}\n{'表' * 30}\nshort"
    play(LiveText(out), [ToolReturned("c", "bash", output, output)])
    assert out.getvalue() == f"  {'=' * 37}…\n  {'表' * 18} …\n  short\n"


def test_who_is_asked_sees_what_the_line_does_not_show() -> None:
    def hidden(label: str, arguments: str) -> list[str]:
        return hidden_lines(ToolCall("c", "t", arguments), label)

    assert hidden("ls", '{"command": "ls\\n"}') == []
    assert hidden("ls …", '{"command": "ls\\nrm \\u001bx"}') == ["command:", "  ls", "  rm x"]
    assert hidden("x" * 201, json.dumps({"command": "x" * 201})) == ["command: " + "x" * 201]
    assert hidden("a.py", '{"path": "a.py", "old": "one", "new": "", "all": true}') == ["old: one"]
    assert hidden("ls", json.dumps({"command": "ls", "a\x1b[2J\nb": "x"})) == ["a[2J b: x"]
    edits = [{"path": "a.py", "old": "one", "new": "two"}, {"path": "a.py", "old": "three", "new": "rm\nfour"}]
    shown = ["edits 1 old: one", "edits 1 new: two", "edits 2 old: three", "edits 2 new:", "  rm", "  four"]
    assert hidden("a.py", json.dumps({"edits": edits})) == shown
    for arguments in ("", "[", "[1]", '{"x":' + "[" * 10_000):
        assert hidden("", arguments) == []


def test_an_error_without_a_remedy() -> None:
    assert error_line(Failed("agent", "no luck")) == "hearth: no luck"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Rewritten("mask", 12_400, 6_100, 0.1, 3.24, "7 results"),
            "old results were left out: 12,400 tokens, now 6,100 · reading again takes about 3 s · 7 results",
        ),
        (Rewritten("retry", 900, 800), "the last step was taken back: 900 tokens, now 800"),
    ],
)
def test_a_rewrite_as_a_line(event: Rewritten, line: str) -> None:
    assert rewrite_line(event) == line
