"""Write a conversation with tools as one without. Pure, and append-only: each message is written by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hearth.llm.dialects.text.form import (
    EDITING,
    FENCE,
    INTRODUCTION,
    MIDDLE,
    NO_NEWLINE,
    PATH,
    REPLACE,
    SEARCH,
)
from hearth.messages import Message, ToolCall, ToolSpec

GAP = "\n\n"
_WORDS = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}


def describe_tools(tools: Sequence[ToolSpec], edit: str) -> str:
    """What the system text says of the tools. ``edit`` names the one that SEARCH/REPLACE blocks stand for."""
    parts = [INTRODUCTION]
    for tool in tools:
        if tool.name != edit:
            parts.append("\n".join([f"## {tool.name}", tool.description, *_parameters(tool.parameters)]))
    if any(tool.name == edit for tool in tools):
        parts.append(f"# Changes\n\n{EDITING}")
    return GAP.join(parts)


def render_messages(
    messages: Sequence[Message], tools: Sequence[ToolSpec], edit: str, *, system_role: bool = True
) -> tuple[Message, ...]:
    """The conversation as system, user, assistant, user, … and nothing else. Reasoning is left out. Without a
    ``system_role`` its text begins the first message of the user, for templates that know none."""
    # Some servers number the calls of each answer anew: the latest of an id is meant.
    names: dict[str, str] = {}
    plain: list[Message] = []
    heads = [message.content for message in messages[:1] if message.role == "system"]
    head = GAP.join([*heads, describe_tools(tools, edit)] if tools else heads)
    if head:
        plain.append(Message("system" if system_role else "user", head))
    for message in messages[len(heads) :]:
        names.update((call.id, call.name) for call in message.tool_calls)
        written = _plain(message, names, edit)
        if plain and plain[-1].role == written.role:
            last = plain[-1]
            plain[-1] = replace(last, content=last.content + GAP + written.content, images=last.images + written.images)
        else:
            plain.append(written)
    return tuple(plain)


def render_call(call: ToolCall, edit: str) -> str:
    """A call as the model writes it."""
    arguments = _arguments(call.arguments)
    if arguments is None:
        return _block(call.name, {"arguments": call.arguments})
    if call.name == edit and _is_plain_edit(arguments):
        path, old, new = (arguments[name] for name in ("path", "old", "new"))
        return f"{path}\n{SEARCH}\n{old}{MIDDLE}\n{new}{REPLACE}"
    return _block(call.name, arguments)


def _plain(message: Message, names: Mapping[str, str], edit: str) -> Message:
    match message.role:
        case "assistant":
            blocks = [render_call(call, edit) for call in message.tool_calls]
            said = message.content.rstrip("\n") if blocks else message.content
            return Message("assistant", GAP.join([*([said] if said else []), *blocks]))
        case "tool":
            name = names.get(message.tool_call_id, "tool")
            return Message("user", f"[{name} returned]\n{message.content}\n[end of {name}]", images=message.images)
        case _:
            return Message("user", message.content, images=message.images)


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and all(_is_name(name) for name in found) else None


def _is_name(name: str) -> bool:
    return name.replace("-", "_").isidentifier() and name.isascii()


def _is_plain_edit(arguments: Mapping[str, Any]) -> bool:
    """Whether a SEARCH/REPLACE block says all of it: whole lines, and none that reads like the block's own."""
    texts = [arguments.get(name) for name in ("path", "old", "new")]
    if len(arguments) != len(texts) or not all(isinstance(text, str) for text in texts):
        return False
    path, old, new = map(str, texts)
    lines = (old + new).split("\n")
    marked = any(line.startswith(("<<<<<<<", ">>>>>>>")) or line.rstrip() == MIDDLE for line in lines)
    named = PATH.match(path) and not FENCE.match(path) and path[-1] != ":"
    return bool(named) and old.endswith("\n") and new[-1:] in ("", "\n") and not marked


def _block(name: str, arguments: Mapping[str, Any]) -> str:
    lines = [f"```tool {name}"]
    for parameter, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if "\n" not in text and text.rstrip() == text:
            lines.append(f"{parameter}: {text}" if text else f"{parameter}:")
            continue
        word = _free_word(text)
        note = "" if text.endswith("\n") else NO_NEWLINE
        lines += [f"{parameter} <<{word}{note}", text.removesuffix("\n"), word]
    return "\n".join([*lines, "```"])


def _free_word(text: str) -> str:
    taken = {line.rstrip() for line in text.split("\n")}
    word, number = "END", 0
    while word in taken:
        number += 1
        word = f"END_{number}"
    return word


def _parameters(schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required") or ()
    lines = []
    for name, field in schema.get("properties", {}).items():
        kind = " or ".join(f'"{each}"' for each in field["enum"]) if field.get("enum") else _kind(field)
        notes = [
            kind,
            *([] if name in required else ["optional"]),
            *([field["description"]] if field.get("description") else []),
        ]
        lines.append(f"{name}: {', '.join(notes)}")
    return lines


def _kind(field: Mapping[str, Any]) -> str:
    return _WORDS.get(str(field.get("type")), "JSON")
