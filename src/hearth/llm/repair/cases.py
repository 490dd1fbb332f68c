"""Recorded answers with the one right reaction to each, and how many of them are judged right: pure.

The format is described in tests/data/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from hearth.llm.repair.judge import judge
from hearth.llm.repair.verdict import Answer, Calls, Rejected, Said, Verdict
from hearth.messages import ToolCall, ToolSpec

Outcome = Literal["calls", "text", "reject", "resample"]


class NativeCall(msgspec.Struct, frozen=True):
    """A call that the server had read: its name and the raw text of its arguments."""

    name: str
    arguments: str


class RightCall(msgspec.Struct, frozen=True):
    """A call as it shall run."""

    name: str
    arguments: dict[str, Any]


class Expectation(msgspec.Struct, frozen=True):
    """The right reaction."""

    outcome: Outcome
    calls: list[RightCall] = []
    note: str = ""


class Case(msgspec.Struct, frozen=True):
    """One answer and the right reaction to it."""

    id: str
    expect: Expectation
    finish_reason: str | None = "stop"
    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[NativeCall] | None = None
    tools: Literal["default"] = "default"
    family: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What was made of a case: the outcome, the calls that would run, and why where none does."""

    outcome: Outcome
    calls: tuple[RightCall, ...] = ()
    note: str = ""


class BadCase(ValueError):
    """A line that is no case; ``line`` counts from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


def read_cases(data: bytes) -> Iterator[Case]:
    """The cases of a file, one a line, blank lines left out. Raises BadCase."""
    decoder = msgspec.json.Decoder(Case)
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise BadCase(number, str(error)) from error


def react(case: Case) -> Result:
    """What is made of a case."""
    native = tuple(ToolCall(f"call_{n}", call.name, call.arguments) for n, call in enumerate(case.tool_calls or ()))
    said = Said(case.content or "", case.reasoning or "", native, case.finish_reason == "length")
    return _tell(judge(said, TOOLS))


def is_right(case: Case, result: Result) -> bool:
    """Whether the reaction is the right one: the outcome, and what runs, to the byte and the type."""
    wanted = [_exact(call) for call in case.expect.calls]
    return result.outcome == case.expect.outcome and [_exact(call) for call in result.calls] == wanted


def _tell(verdict: Verdict) -> Result:
    match verdict:
        case Calls(calls):
            return Result("calls", tuple(RightCall(call.name, json.loads(call.arguments)) for call in calls))
        case Answer():
            return Result("text")
        case Rejected(_, calls):
            return Result("reject", note=next((call.refusal for call in calls if call.refusal), ""))
    return Result("resample", note=verdict.reason)


def _exact(call: RightCall) -> tuple[str, str]:
    return call.name, json.dumps(call.arguments, sort_keys=True)


def _tool(name: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> ToolSpec:
    properties = {**required, **(optional or {})}
    return ToolSpec(name, "", {"type": "object", "properties": properties, "required": list(required)})


_TEXT, _COUNT, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_STEP = {"type": "object", "properties": {"text": _TEXT, "done": _FLAG}, "required": ["text", "done"]}

TOOLS: tuple[ToolSpec, ...] = (
    _tool("read", {"path": _TEXT}, {"offset": _COUNT, "limit": _COUNT}),
    _tool("write", {"path": _TEXT, "content": _TEXT}),
    _tool("edit", {"path": _TEXT, "old": _TEXT, "new": _TEXT}, {"all": _FLAG}),
    _tool("grep", {"pattern": _TEXT}, {"path": _TEXT, "glob": _TEXT}),
    _tool("bash", {"command": _TEXT}, {"timeout": _COUNT, "background": _FLAG}),
    _tool("glob", {"pattern": _TEXT}),
    _tool("todo", {"items": {"type": "array", "items": _STEP}}),
)
"""The tool set that such files mean by ``default``."""
