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
    """One call that a model made. ``arguments`` is the JSON text exactly as the engine gave it."""

    id: str
    name: str
    arguments: str

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
    """One message of a conversation. ``tool_call_id`` is set on tool results only."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    reasoning: str = ""

    def to_wire(self) -> dict[str, Any]:
        """The message as the OpenAI dialect writes it; reasoning goes back as ``reasoning_content``."""
        wire: dict[str, Any] = {"role": self.role, "content": self.content}
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
            content=wire.get("content") or "",
            tool_calls=tuple(ToolCall.from_wire(call) for call in wire.get("tool_calls", ())),
            tool_call_id=wire.get("tool_call_id", ""),
            reasoning=wire.get("reasoning_content", ""),
        )


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
