"""A conversation in steps: an answer with the results of its calls, never torn apart: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from hearth.messages import Message, ToolCall

Step = tuple[Message, ...]
TELLING = ("path", "file_path", "filename", "file", "command", "cmd", "pattern", "query", "name", "description")
"""Arguments that say in short what a call is about, the first one that is there."""
FILES = TELLING[:4]
CHANGING = ("write", "edit", "patch", "replace", "create", "insert")
"""What the names of tools that change a file have in them, whoever trained the model on which."""
LONGEST_LABEL = 100
LONGEST_ARGUMENTS = 1 << 16
"""Characters of arguments that are looked into."""


def split_steps(messages: Sequence[Message]) -> list[Step]:
    """The messages in groups: an answer with its results, or one message of the user."""
    steps: list[list[Message]] = []
    for message in messages:
        if message.role == "tool" and steps:
            steps[-1].append(message)
        else:
            steps.append([message])
    return [tuple(step) for step in steps]


def join_steps(steps: Iterable[Step]) -> list[Message]:
    """The messages of steps."""
    return [message for step in steps for message in step]


def calls_by_id(messages: Iterable[Message]) -> dict[str, ToolCall]:
    """The calls of messages. Ids may come again: of two calls with one id the later counts."""
    return {call.id: call for message in messages for call in message.tool_calls}


def pair_results(step: Step) -> list[tuple[ToolCall | None, Message]]:
    """Each result of a step with the call that it answers, None for one that nobody asked for."""
    calls = calls_by_id(step)
    return [(calls.get(message.tool_call_id), message) for message in step if message.role == "tool"]


def label_call(call: ToolCall) -> str:
    """A call in a few words on one line."""
    fields = _read(call)
    told = next((fields[name] for name in TELLING if isinstance(fields.get(name), str)), "")
    told = told or next((value for value in fields.values() if isinstance(value, str)), "")
    return shorten(f"{call.name} {told}", LONGEST_LABEL)


def file_of(call: ToolCall) -> str:
    """The file that a call names, empty when it names none."""
    fields = _read(call)
    return next((found for name in FILES if isinstance(found := fields.get(name), str)), "")


def files_of_patch(call: ToolCall) -> list[str]:
    """The files that a patch in a call's arguments names (``*** Update File: PATH``)."""
    if "*** " not in call.arguments[:LONGEST_ARGUMENTS]:
        return []
    text = "\n".join(value for value in _read(call).values() if isinstance(value, str)) or call.arguments
    heads = ("*** Update File: ", "*** Add File: ")
    return [line[len(head) :].strip() for line in text.splitlines() for head in heads if line.startswith(head)]


def touched_files(messages: Iterable[Message]) -> dict[str, bool]:
    """The files that calls named, the last touched last, with whether a call was to change them."""
    touched: dict[str, bool] = {}
    for message in messages:
        for call in message.tool_calls:
            changes = any(word in call.name for word in CHANGING)
            for name in files_of_patch(call) or [file_of(call)]:
                if name and "\n" not in name:
                    before = touched.pop(name, False)
                    touched[name] = changes or before or name in files_of_patch(call)
    return touched


def shorten(text: str, limit: int) -> str:
    """A text on one line of at most ``limit`` characters."""
    line = " ".join(text[: limit * 4].split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _read(call: ToolCall) -> dict[str, object]:
    if len(call.arguments) > LONGEST_ARGUMENTS:
        return {}
    try:
        fields = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
