"""The history that the loop asks from: what was said so far, kept within the model's window."""

from __future__ import annotations

from hearth.agent.transcript import Transcript
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, Usage
from hearth.tools.tool import ToolResult


class Context:
    """A transcript that fits its window."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript

    async def prepare(self) -> Request:
        """The next request: everything said so far, after it was shrunk if it had to be."""
        return self._transcript.request()

    def add(self, message: Message) -> None:
        """Append a message of the model or the user."""
        self._transcript.add(message)

    def begin_call(self, call: ToolCall) -> None:
        """Note that a call is about to run."""
        self._transcript.begin_call(call)

    def end_call(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        """Append a call's result."""
        self._transcript.end_call(call, result, seconds)

    def add_usage(self, usage: Usage) -> None:
        """Note what a step cost."""
        self._transcript.add_usage(usage)
