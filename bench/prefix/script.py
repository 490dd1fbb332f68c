"""The recorded session: what the person asks, and what the model does about it, whichever agent carries it.

The model's part is decided by the messages alone, so that each agent gets the same session whatever else it sends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READERS = ("read", "read_file", "Read")
"""What agents call the tool that reads a file."""
PATHS = ("path", "filePath", "file_path", "absolute_path")
FILES = 12
LINES = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: a text, or a call of the tool ``name``."""

    text: str = ""
    name: str = ""
    arguments: str = ""
    id: str = ""


def write_project(folder: Path) -> None:
    """The project that the session is about: modules of a size that people write."""
    for number in range(FILES):
        lines = [f'"""Module {number}."""', ""]
        for line in range(LINES // 4):
            lines += [f"def step_{number}_{line}(value: int) -> int:", f"    return value * {number} + {line}", "", ""]
        (folder / f"module_{number}.py").write_text("\n".join(lines))


def prompt(turn: int) -> str:
    """What the person says in a turn, counted from 0."""
    return (
        f"[turn {turn}] Look at module_{turn % FILES}.py and say what step_{turn % FILES}_{turn % 7} gives for {turn}."
    )


def answer(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], folder: Path) -> Answer:
    """The model's next words: it reads the file that the last prompt names, then says what it saw."""
    asked = [index for index, message in enumerate(messages) if message["role"] == "user" and "[turn " in said(message)]
    if not tools or not asked:
        return Answer("Modules and their steps")
    turn = int(said(messages[asked[-1]]).rsplit("[turn ", 1)[1].split("]")[0])
    if any(message["role"] == "tool" for message in messages[asked[-1] :]):
        return Answer(f"In turn {turn} I read module_{turn % FILES}.py: the step multiplies and adds. Done.")
    name, path = _reader(tools)
    arguments = json.dumps({path: str(folder / f"module_{turn % FILES}.py")})
    return Answer(name=name, arguments=arguments, id=f"call_{turn}")


def said(message: dict[str, Any]) -> str:
    """The text of a message, of one part or of several."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _reader(tools: Sequence[dict[str, Any]]) -> tuple[str, str]:
    for tool in tools:
        function = tool["function"]
        if function["name"] in READERS:
            known = function["parameters"]["properties"]
            return function["name"], next(name for name in PATHS if name in known)
    raise LookupError(f"no tool reads files among {[tool['function']['name'] for tool in tools]}")
