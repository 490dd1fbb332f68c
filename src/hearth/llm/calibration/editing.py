"""Forms of edits measured on micro-edits: each change is asked for, and carried out by the tools themselves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hearth.llm.answer import Completed, Failed
from hearth.llm.calibration.exam import Exam
from hearth.llm.calibration.micro_edits import MicroEdit, micro_edits
from hearth.llm.calibration.record import Tally
from hearth.llm.families import EditFormat
from hearth.messages import Message, ToolCall, ToolSpec

FORMS: dict[EditFormat, str] = {
    "replace": "edit",
    "search_replace": "search_replace",
    "whole": "write",
    "lines": "replace_lines",
    "hashline": "hashline",
    "apply_patch": "apply_patch",
}
"""The forms that are measured, and the tool of each."""
TEXT_FORMS: dict[EditFormat, str] = {
    "search_replace": "edit",
    "whole": "write",
    "lines": "replace_lines",
    "hashline": "hashline",
}
"""The same in the text protocol, where SEARCH/REPLACE blocks are calls of ``edit``."""
ROUNDS = ((3, 6), (10, 3), (30, 2))
"""So many edits, by so many of the forms that have done best so far."""
EDIT_TOKENS = 1024
"""Tokens for one edit, beside what the model may think."""
SYSTEM = "You are a coding agent. Make the change that the user asks for with one call of {tool}, and nothing more."


class Result(Protocol):
    """What a tool gives back."""

    @property
    def for_model(self) -> str:
        """The text that the model reads."""
        ...


class Tools(Protocol):
    """The tools of one folder, as an agent has them."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told of them, in their order."""
        ...

    async def run(self, call: ToolCall) -> Result:
        """Run a call; a bad one changes nothing."""
        ...


Bench = Callable[[Path, str], Tools]
"""Makes the tools of a folder: ``read``, as the named tool for edits needs it, and that one, if there is one."""


async def try_forms(
    exam: Exam, bench: Bench, tools: dict[EditFormat, str], own: EditFormat, tallies: dict[EditFormat, Tally]
) -> str:
    """Measure the forms in rounds, the profile's own first; ``tallies`` grows with each edit. Returns why it ended
    early, empty when the plan was carried out."""
    edits = micro_edits()
    forms = [form for form in sorted(tools, key=lambda form: form != own) if _has(bench, tools[form])]
    tallies.update({form: Tally() for form in forms})
    for upto, most in ROUNDS:
        if not forms:
            return "no form of edits comes through"
        for form in forms[:most]:
            for edit in edits[tallies[form].tried : upto]:
                right, tokens, seconds = await _try(exam, bench, tools[form], edit)
                tallies[form] = tallies[form].plus(right, tokens, seconds)
            exam.tell(f"edits as {form}: {tallies[form].right} of {tallies[form].tried}")
        # Python's sort is stable: of equal ones the profile's own stays first.
        forms = sorted((form for form in forms if tallies[form].right), key=lambda form: -tallies[form].share)
    return ""


def _has(bench: Bench, tool: str) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        return tool in {spec.name for spec in bench(Path(scratch), tool).specs}


async def _try(exam: Exam, bench: Bench, tool: str, edit: MicroEdit) -> tuple[bool, int, float]:
    """One edit: right when the file is then as it should be, byte for byte; with its tokens and seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / edit.path
        file.write_bytes(edit.before.encode())
        tools = bench(Path(scratch), tool)
        specs = tuple(spec for spec in tools.specs if spec.name == tool)
        looked = ToolCall("call_0", "read", f'{{"path": "{edit.path}"}}')
        shown = (await tools.run(looked)).for_model
        answer = await exam.ask(_question(tool, edit, shown), specs, EDIT_TOKENS + exam.profile.thinking)
        if isinstance(answer, Failed):
            return False, 0, time.monotonic() - began
        for call in answer.message.tool_calls if isinstance(answer, Completed) else ():
            await tools.run(call)
        right = _content(file) == edit.after.encode()
        return right, answer.usage.generated, time.monotonic() - began


def _question(tool: str, edit: MicroEdit, shown: str) -> Sequence[Message]:
    return (
        Message("system", SYSTEM.format(tool=tool)),
        Message("user", f"{edit.wish}\n\n{edit.path} as read shows it:\n{shown}"),
    )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
