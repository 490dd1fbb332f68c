"""A session as a document to keep or to show: Markdown and JSON. HTML is in ``agent/export_html.py``: pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hearth.agent.replay import PastTurn, Said
from hearth.agent.sessions import PastSession
from hearth.messages import Message, ToolCall

STATUS = {"completed": "", "stopped": "stopped at a limit", "failed": "failed", "": "cut off"}
"""How a turn ended, in words; nothing to say of one that was completed."""


def call_names(turn: PastTurn) -> dict[int, ToolCall]:
    """The call that each result in a turn answers, by the result's place. Ids may come again in a later answer."""
    found: dict[int, ToolCall] = {}
    calls: dict[str, ToolCall] = {}
    for place, said in enumerate(turn.said):
        for call in said.message.tool_calls:
            calls[call.id] = call
        if said.message.role == "tool" and said.message.tool_call_id in calls:
            found[place] = calls[said.message.tool_call_id]
    return found


def argument_lines(call: ToolCall) -> Iterator[tuple[str, str]]:
    """The arguments of a call, each as name and text; what is no JSON object as it stands, without a name."""
    try:
        fields = json.loads(call.arguments)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        yield "", call.arguments
        return
    for name, value in fields.items():
        yield str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def to_json(session: PastSession) -> str:
    """The session as one JSON object: its turns with all messages in the OpenAI shape."""
    frame = session.frame
    whole = {
        "session": session.id,
        "title": session.title,
        "created": session.created,
        "directory": frame.directory,
        "model": frame.model,
        "profile": frame.profile,
        "forked_from": session.forked_from,
        "system": frame.system,
        "tools": [tool.to_wire() for tool in frame.tools],
        "turns": [
            {
                "prompt": turn.prompt,
                "status": turn.status,
                "partial": turn.partial,
                "messages": [_said_json(said) for said in turn.said],
            }
            for turn in session.past.turns
        ],
    }
    return json.dumps(whole, indent=1) + "\n"


def _said_json(said: Said) -> dict[str, Any]:
    wire = said.message.to_wire()
    if said.message.role != "tool":
        return wire
    return {**wire, "failed": said.failed, "changed": list(said.changed), "seconds": said.seconds}


def to_markdown(session: PastSession) -> str:
    """The session as Markdown: prompts as quotes, calls and results as blocks of code."""
    frame = session.frame
    parts = [
        f"# {_escape(session.title)}",
        f"Session {session.id}, {session.created or 'at an unknown time'}, with {_escape(frame.model)} "
        f"in `{frame.directory}`.",
    ]
    for number, turn in enumerate(session.past.turns, 1):
        parts += [f"## {number}. {_escape(turn.prompt.strip().splitlines()[0] if turn.prompt.strip() else 'Turn')}"]
        parts += list(_turn_parts(turn))
    return _printable("\n\n".join(parts) + "\n")


def _turn_parts(turn: PastTurn) -> Iterator[str]:
    calls = call_names(turn)
    for place, said in enumerate(turn.said):
        message = said.message
        match message.role:
            case "tool":
                call = calls.get(place)
                yield f"**{'Failed' if said.failed else 'Result'}**" + (f" of `{call.name}`" if call else "")
                yield fence(message.content)
            case "user":
                yield "\n".join(f"> {line}".rstrip() for line in message.content.splitlines())
            case _:
                yield from _answer_parts(message)
        if message.images:
            yield f"*{len(message.images)} image{'' if len(message.images) == 1 else 's'}*"
    if turn.partial:
        yield turn.partial
    if word := STATUS.get(turn.status, turn.status):
        yield f"*The turn was {word}.*" if turn.status != "failed" else "*The turn failed.*"


def _answer_parts(message: Message) -> Iterator[str]:
    if message.reasoning.strip():
        yield f"<details><summary>Reasoning</summary>\n\n{fence(message.reasoning)}\n\n</details>"
    if message.content.strip():
        yield message.content.strip()
    for call in message.tool_calls:
        yield f"**Call** of `{call.name}`"
        lines = list(argument_lines(call))
        several = [f"{name}: {text}" if "\n" not in text else f"{name}:\n{text}" for name, text in lines]
        yield fence("\n".join(several) if lines and lines[0][0] else call.arguments)


def fence(text: str) -> str:
    """A block of code around any text: its fence is longer than every one inside."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    bar = "`" * (longest + 1)
    return f"{bar}text\n{text.rstrip()}\n{bar}"


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _printable(text: str) -> str:
    """Without what drives a terminal, and without halves of characters."""
    text = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "�", text)
    return text.encode("utf-8", errors="replace").decode("utf-8")
