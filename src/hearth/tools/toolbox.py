"""The tools of one session: schemas out, calls in. Never raises for what a model wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import msgspec

from hearth.messages import ToolCall, ToolSpec
from hearth.tools.tool import Tool, ToolResult, describe_tool
from hearth.workspace.sight import Sight


class Toolbox:
    """A frozen list of tools, in the order given: the order is part of the prompt and never changes in a session."""

    def __init__(self, tools: Sequence[Tool[Any]], sight: Sight | None = None) -> None:
        """``sight`` is what these tools note of files: each result says what is new there."""
        self._tools = {tool.name: tool for tool in tools}
        self._sight = sight

    @cached_property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told of them. A session that goes on tells what was told at first: it asks for none."""
        return tuple(describe_tool(tool) for tool in self._tools.values())

    def label(self, call: ToolCall) -> str:
        """The call in a few words for a person; the raw arguments if they cannot be read."""
        checked = self._check(call)
        return call.arguments if isinstance(checked, ToolResult) else checked[0].label(checked[1])

    async def run(self, call: ToolCall) -> ToolResult:
        """Run a call; one that is refused, of no known tool, or with wrong arguments gives a failed result."""
        if call.refusal:
            return ToolResult(call.refusal, failed=True)
        checked = self._check(call)
        if isinstance(checked, ToolResult):
            return checked
        tool, params = checked
        result = await tool.run(params)
        seen = self._sight.news() if self._sight else ()
        return replace(result, seen=seen) if seen else result

    def _check(self, call: ToolCall) -> tuple[Tool[Any], msgspec.Struct] | ToolResult:
        tool = self._tools.get(call.name)
        if tool is None:
            return ToolResult(f"there is no tool {call.name!r}; the tools are: {', '.join(self._tools)}", failed=True)
        try:
            params = msgspec.json.decode(call.arguments or "{}", type=tool.params)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return ToolResult(f"{call.name} did not run, its arguments are wrong: {error}", failed=True)
        return tool, params
