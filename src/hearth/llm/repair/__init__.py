"""Make what a model wrote safe to send back: pure."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

from hearth.llm.repair.depth import is_deep
from hearth.messages import Message


def tame_calls(message: Message) -> Message:
    """The message with every call's arguments a JSON object.

    llama.cpp's templates parse the arguments of earlier calls and answer 500 when they cannot: one malformed call in
    the history would end the session. Good arguments stay byte for byte; bad ones become ``{"unreadable": text}``.
    """
    if not message.tool_calls:
        return message
    calls = tuple(replace(call, arguments=_tame(call.arguments)) for call in message.tool_calls)
    return replace(message, tool_calls=calls)


def _tame(arguments: str) -> str:
    if not arguments:
        return "{}"
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(found := json.loads(arguments), dict) and not is_deep(found):
            return arguments
    return json.dumps({"unreadable": arguments}, ensure_ascii=False)
