"""What was done in a turn, as the detectors see it: pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hearth.agent.guard.commands import looks_only, moves_in_history, waits
from hearth.agent.guard.testruns import Verdict, read_test_run
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult

Manner = Literal["looks", "changes", "other"]

Nature = Literal["plain", "waits", "stirs", "moves"]
"""What more is known of a call: it asks for what changes by itself; it may have changed something that nobody sees,
such as a package that it installed; it brought files to other points of their history."""

LOOKING_TOOLS = frozenset({"read", "grep", "glob"})
RUNNING_TOOLS = frozenset({"bash", "output"})
"""Tools whose results may be those of a test run."""
STIRRING_TOOLS = frozenset({"bash", "task"})
_FLEETING = re.compile(
    r"0x[0-9a-fA-F]+"  # addresses
    r"|\d{4}-\d\d-\d\d"  # dates
    r"|\d\d?:\d\d(:\d\d([.,]\d+)?)?"  # times
    r"|\d+([.,]\d+)? ?(ms|s|sec|secs|seconds|m|min)\b"  # how long it took
    r"|/tmp/\S+|\bpid \d+"
    r"|\boutput:\d+"  # where the whole of a long result is kept
)
LONGEST_BRIEF = 80


@dataclass(frozen=True, slots=True)
class Act:
    """One call that ran. ``arguments`` and ``result`` are such that equal calls and results are equal; ``path`` is the
    file that it names; ``changed`` are the files that are different afterwards, each with what its content is now;
    ``took`` and ``put`` are the lines that an edit replaced and wrote, None where the call does not tell."""

    name: str
    arguments: str
    result: str
    failed: bool = False
    manner: Manner = "other"
    path: str = ""
    changed: tuple[tuple[str, str], ...] = ()
    tests: Verdict | None = None
    brief: str = ""
    nature: Nature = "plain"
    took: frozenset[str] | None = None
    put: frozenset[str] = frozenset()

    @property
    def call(self) -> tuple[str, str]:
        """What equal calls have in common."""
        return self.name, self.arguments

    @property
    def outcome(self) -> tuple[str, str, str]:
        """What equal calls with equal results have in common."""
        return self.name, self.arguments, self.result


def make_act(call: ToolCall, result: ToolResult, changed: Mapping[str, str]) -> Act:
    """The act that a call and its result are. ``changed``: file to what identifies its content."""
    fields = read_arguments(call)
    text = result.for_model
    tests = read_test_run(text) if call.name in RUNNING_TOOLS else None
    manner: Manner = "changes" if changed else _manner(call.name, fields or {})
    took, put = _find_lines(call.name, fields or {})
    return Act(
        call.name,
        json.dumps(fields, sort_keys=True, ensure_ascii=False) if fields is not None else call.arguments.strip(),
        fingerprint(text),
        result.failed,
        manner,
        path_of(call),
        tuple(sorted(changed.items())),
        tests,
        brief_call(call),
        "plain" if tests else _find_nature(call.name, fields or {}, manner),
        took,
        put,
    )


def read_arguments(call: ToolCall) -> dict[str, Any] | None:
    """The call's arguments; None when they are no JSON object."""
    try:
        fields = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def path_of(call: ToolCall) -> str:
    """The file that a call names, empty when it names none."""
    path = (read_arguments(call) or {}).get("path", "")
    return path if isinstance(path, str) else ""


def brief_call(call: ToolCall) -> str:
    """A call in a few words: its name, and what it is about."""
    fields = read_arguments(call) or {}
    about = next(
        (value for key in ("command", "path", "pattern", "id", "goal") if isinstance(value := fields.get(key), str)), ""
    )
    words = " ".join(f"{call.name} {about}".split())
    return words if len(words) <= LONGEST_BRIEF else f"{words[:LONGEST_BRIEF]}…"


def fingerprint(text: str) -> str:
    """What a result is, without what is different each time: times, dates, addresses, temporary names."""
    steady = _FLEETING.sub("#", text)
    return hashlib.blake2b(steady.encode("utf-8", errors="replace"), digest_size=16).hexdigest()


def command_of(call: ToolCall) -> str:
    """The command that a call runs, empty when it runs none."""
    command = (read_arguments(call) or {}).get("command", "")
    return command if isinstance(command, str) else ""


def _find_nature(name: str, fields: Mapping[str, Any], manner: Manner) -> Nature:
    if name == "output":
        return "waits"
    command = fields.get("command")
    if name == "bash" and isinstance(command, str):
        if waits(command):
            return "waits"
        if moves_in_history(command):
            return "moves"
    return "stirs" if manner == "other" and name in STIRRING_TOOLS else "plain"


def _find_lines(name: str, fields: Mapping[str, Any]) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The lines that an edit replaced (where it only added some, those that it added them to), and what it wrote."""
    edits = fields.get("edits") if name == "multi_edit" else [fields] if name == "edit" else None
    took, put = set[str](), set[str]()
    for edit in edits if isinstance(edits, list) else [None]:
        old, new = (edit.get("old"), edit.get("new")) if isinstance(edit, dict) else (None, None)
        if not isinstance(old, str) or not isinstance(new, str):
            return None, frozenset()
        before, after = _plain_lines(old), _plain_lines(new)
        took |= before - after or before
        put |= after - before
    return frozenset(took), frozenset(put)


def _plain_lines(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n")} - {""}


def _manner(name: str, fields: Mapping[str, Any]) -> Manner:
    if name in LOOKING_TOOLS:
        return "looks"
    command = fields.get("command")
    return "looks" if name == "bash" and isinstance(command, str) and looks_only(command) else "other"
