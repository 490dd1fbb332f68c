"""What stays the same in every request of a session. Everything that varies is frozen here, once.

The frame goes into the transcript; a resumed session takes it from there, never from newer code: only so are its
requests a continuation of the earlier ones, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hearth.llm.profile import Profile
from hearth.llm.request import Request
from hearth.messages import Message, ToolSpec

PLAIN = Profile("standard", "", ())
"""How sessions spoke before their manner was noted: OpenAI chat, reasoning sent back."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stays the same in every request of a session. ``manner`` is its profile without system text and tools, which
    are here as they were sent: what is learned of a model later changes no session that goes on."""

    session: str
    directory: str
    model: str
    profile: str
    system: str
    tools: tuple[ToolSpec, ...]
    sampling: dict[str, Any]
    max_tokens: int
    manner: Profile = PLAIN

    def request(self, messages: list[Message]) -> Request:
        """The request that holds these messages after the system text."""
        told = messages if self.manner.echo else [replace(message, reasoning="") for message in messages]
        whole = (Message("system", self.system), *told)
        return Request(self.session, self.model, self.sampling, self.max_tokens, self.tools, whole)

    def to_record(self) -> dict[str, Any]:
        """The frame as the transcript keeps it."""
        return {
            "session": self.session,
            "directory": self.directory,
            "model": self.model,
            "profile": self.profile,
            "sampling": self.sampling,
            "max_tokens": self.max_tokens,
            "manner": msgspec.to_builtins(replace(self.manner, system="", tools=())),
            "system": self.system,
            "tools": [
                {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
                for tool in self.tools
            ],
        }

    @staticmethod
    def from_record(record: dict[str, Any]) -> Frame:
        """Read a frame from the transcript; raises msgspec.ValidationError if it is none."""
        return msgspec.convert(record, Frame)
