"""What was done in a turn, as the detectors see it: pure."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hearth.agent.guard.testruns import Verdict, read_test_run
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult

Manner = Literal["looks", "changes", "other"]

LOOKING_TOOLS = frozenset({"read", "grep", "glob"})
RUNNING_TOOLS = frozenset({"bash", "output"})
"""Tools whose results may be those of a test run."""
_LOOKING = (
    "ack ag basename cat cd column cut date df diff dirname du echo env fd file find grep head id jq less ls more nl "
    "od printf ps pwd readlink realpath rg sort stat tail tree true type uname uniq wc which xxd"
)
LOOKING_COMMANDS = frozenset(_LOOKING.split())
LOOKING_IN_GIT = frozenset(
    ("blame", "branch", "describe", "diff", "grep", "log", "ls-files", "remote", "show", "status")
)
_PARTS = re.compile(r"&&|\|\||[;|\n]")
_HARMLESS = re.compile(r"\d?>&\d|[12&]?>>? ?/dev/null")
_SED = re.compile(r"sed\s+(-n\s|-E\s+-n\s)")
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
    file that it names; ``changed`` are the files that are different afterwards, each with what its content is now."""

    name: str
    arguments: str
    result: str
    failed: bool = False
    manner: Manner = "other"
    path: str = ""
    changed: tuple[tuple[str, str], ...] = ()
    tests: Verdict | None = None
    brief: str = ""

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
    return Act(
        call.name,
        json.dumps(fields, sort_keys=True, ensure_ascii=False) if fields is not None else call.arguments.strip(),
        fingerprint(text),
        result.failed,
        "changes" if changed else _manner(call.name, fields or {}),
        path_of(call),
        tuple(sorted(changed.items())),
        read_test_run(text) if call.name in RUNNING_TOOLS else None,
        brief_call(call),
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
        (value for key in ("command", "path", "pattern", "id") if isinstance(value := fields.get(key), str)), ""
    )
    words = " ".join(f"{call.name} {about}".split())
    return words if len(words) <= LONGEST_BRIEF else f"{words[:LONGEST_BRIEF]}…"


def fingerprint(text: str) -> str:
    """What a result is, without what is different each time: times, dates, addresses, temporary names."""
    steady = _FLEETING.sub("#", text)
    return hashlib.blake2b(steady.encode("utf-8", errors="replace"), digest_size=16).hexdigest()


def looks_only(command: str) -> bool:
    """Whether a command surely changes nothing. In doubt it is taken to do something."""
    plain = _HARMLESS.sub(" ", command)
    if ">" in plain or "`" in plain or "$(" in plain:
        return False
    parts = [part.strip() for part in _PARTS.split(plain)]
    return any(parts) and all(_looks(part) for part in parts if part)


def _looks(part: str) -> bool:
    try:
        words = shlex.split(part)
    except ValueError:
        return False
    words = [word for word in words if not re.fullmatch(r"\w+=\S*", word)]
    if not words:
        return True
    if words[0] == "git":
        return next((word for word in words[1:] if not word.startswith("-")), "") in LOOKING_IN_GIT
    if words[0] == "find":
        return not {"-delete", "-exec", "-execdir", "-ok"} & set(words)
    return words[0] in LOOKING_COMMANDS or bool(_SED.match(part))


def _manner(name: str, fields: Mapping[str, Any]) -> Manner:
    if name in LOOKING_TOOLS:
        return "looks"
    command = fields.get("command")
    return "looks" if name == "bash" and isinstance(command, str) and looks_only(command) else "other"
