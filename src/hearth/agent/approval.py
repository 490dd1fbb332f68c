"""Which calls may run: in front of the tools, the loop knows nothing of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from hearth.agent.loop import Tools
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult

Mode = Literal["plan", "ask", "auto"]
Ask = Callable[[ToolCall, str], Awaitable[bool]]
"""Asks a person whether a call may run; gets the call and its label."""

LOOKING = frozenset({"read", "grep", "glob", "todo", "task", "report", "output", "kill"})
"""Tools that change nothing in the project. What a sub-agent does is asked about call by call; ``kill`` ends only what
was allowed to start."""
PLANNING = frozenset({"read", "grep", "glob", "todo", "task"})
"""Those that a session in plan mode is told of."""


def decide(mode: Mode, tool: str) -> Literal["allow", "ask", "deny"]:
    """What a mode says to a tool: ``plan`` only looks, ``ask`` asks before anything else, ``auto`` allows."""
    if mode == "auto" or tool in LOOKING:
        return "allow"
    return "ask" if mode == "ask" else "deny"


@dataclass
class Denials:
    """Counts the calls that were denied because nobody could be asked."""

    unasked: int = 0


class Gate:
    """Tools behind a mode."""

    def __init__(self, tools: Tools, mode: Mode, ask: Ask | None, denials: Denials | None = None) -> None:
        """``denials`` is shared with the gates of sub-agents."""
        self._tools = tools
        self._mode = mode
        self._ask = ask
        self._denials = denials or Denials()

    @property
    def unasked(self) -> int:
        """Calls that were denied because nobody could be asked, those of sub-agents too."""
        return self._denials.unasked

    def label(self, call: ToolCall) -> str:
        """The call in a few words for a person."""
        return self._tools.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        """Run the call if it may; a denied one gives a failed result that says so."""
        verdict = decide(self._mode, call.name)
        if verdict == "deny":
            return ToolResult(f"denied: {call.name} is not allowed in plan mode, which only looks", failed=True)
        if verdict == "ask" and self._ask is None:
            self._denials.unasked += 1
            return ToolResult(f"denied: {call.name} needs approval and nobody is there to ask", failed=True)
        if verdict == "ask" and self._ask and not await self._ask(call, self.label(call)):
            return ToolResult(f"denied: the user does not want this {call.name} call", failed=True)
        return await self._tools.run(call)
