"""One request to a model, and its bytes: the append-only rule rests on this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hearth.messages import Message, ToolSpec


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. ``session`` names the conversation. ``tools`` and the earlier ``messages`` stay the same within a
    session; ``priority`` is who waits for whom at the gateway (header ``X-Hearth-Priority``)."""

    session: str
    model: str
    sampling: Mapping[str, Any]
    max_tokens: int
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    priority: Literal["interactive", "subagent", "batch"] = "interactive"


def encode_request(request: Request, extras: Mapping[str, Any] | None = None) -> bytes:
    """The JSON body in the OpenAI dialect.

    Keys come in one fixed order, ``messages`` last, so that the body of one step, without its closing ``]}``, is a byte
    prefix of the next step's. Lone surrogates (from undecodable file names) become ``?``: JSON bytes must be UTF-8.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        **(extras or {}),
        **request.sampling,
        "max_tokens": request.max_tokens,
    }
    if request.tools:
        body["tools"] = [tool.to_wire() for tool in request.tools]
    body["messages"] = [message.to_wire() for message in request.messages]
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
