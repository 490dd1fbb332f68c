"""What is said to and by a model: pure data in the OpenAI chat shape.

Keys are written in one fixed order, so that the same message is always the same bytes: the append-only rule
(and with it the engine's prefix cache) rests on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model made. ``arguments`` is the JSON text exactly as the engine gave it.

    ``refusal`` says why it must not run, for the model to read; it is empty for all others, and never sent.
    """

    id: str
    name: str
    arguments: str
    refusal: str = ""

    def to_wire(self) -> dict[str, Any]:
        """The call as the OpenAI dialect writes it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    @staticmethod
    def from_wire(wire: dict[str, Any]) -> ToolCall:
        """Read a call from the OpenAI dialect; raises KeyError or TypeError if it is none."""
        function = wire["function"]
        return ToolCall(id=wire["id"], name=function["name"], arguments=function["arguments"])


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. ``tool_call_id`` is set on tool results only; ``images`` are ``data:`` URLs."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    reasoning: str = ""
    images: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """The message as the OpenAI dialect writes it; reasoning goes back as ``reasoning_content``."""
        wire: dict[str, Any] = {"role": self.role, "content": self._content()}
        if self.reasoning:
            wire["reasoning_content"] = self.reasoning
        if self.tool_calls:
            wire["tool_calls"] = [call.to_wire() for call in self.tool_calls]
        if self.tool_call_id:
            wire["tool_call_id"] = self.tool_call_id
        return wire

    @staticmethod
    def from_wire(wire: dict[str, Any]) -> Message:
        """Read a message from the OpenAI dialect; raises KeyError or TypeError if it is none."""
        return Message(
            role=wire["role"],
            content=_text(wire.get("content") or ""),
            tool_calls=tuple(ToolCall.from_wire(call) for call in wire.get("tool_calls", ())),
            tool_call_id=wire.get("tool_call_id", ""),
            reasoning=wire.get("reasoning_content", ""),
            images=_images(wire.get("content")),
        )

    def _content(self) -> str | list[dict[str, Any]]:
        if not self.images:
            return self.content
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in self.images]
        return [{"type": "text", "text": self.content}, *pictures]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool: name, description, JSON schema of its parameters."""

    name: str
    description: str
    parameters: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """The tool as the OpenAI dialect writes it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Usage:
    """What one step cost. Tokens; seconds. ``reused`` came from KV state, ``new`` was computed; together ``prompt``."""

    prompt: int = 0
    reused: int = 0
    new: int = 0
    generated: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _images(content: object) -> tuple[str, ...]:
    parts = content if isinstance(content, list) else ()
    return tuple(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
