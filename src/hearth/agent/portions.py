"""Tools whose results are no larger than the window has room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hearth.agent.loop import Tools
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult


class Portions:
    """Stands before the tools: what they give is cut before anybody hears of it."""

    def __init__(self, tools: Tools, portion: Callable[[str], str]) -> None:
        """``portion`` cuts a text, and leaves one that fits as it is."""
        self._tools = tools
        self._portion = portion

    def label(self, call: ToolCall) -> str:
        """The call in a few words for a person."""
        return self._tools.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        """Run the call."""
        result = await self._tools.run(call)
        told = self._portion(result.for_model)
        # A person sees what they saw: the whole.
        return result if told == result.for_model else replace(result, for_model=told)
