"""A model that plays a script: for tests, and for bug reports (a transcript's answers can be played again)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from hearth.llm.answer import Completed, Failed, ModelEvent, ReasoningDelta, TextDelta, Truncated
from hearth.llm.request import Request, encode_request
from hearth.messages import Message, ToolCall, Usage


@dataclass(frozen=True, slots=True)
class Stall:
    """The model says ``text`` and then nothing more, until it is cancelled."""

    text: str = ""


Line = Message | Truncated | Failed | Stall


def say(text: str) -> Message:
    """An answer that ends the turn."""
    return Message("assistant", text)


def call(name: str, arguments: str, text: str = "", id: str = "") -> Message:
    """An answer with one tool call; ``arguments`` is JSON text."""
    return Message("assistant", text, tool_calls=(ToolCall(id or f"call_{name}", name, arguments),))


class ScriptedModel:
    """Plays its lines one after the other, whatever it is asked, and keeps every request and its bytes."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """The next answer as a stream, line by line; Failed when the script is over."""
        body = encode_request(request)
        self.requests.append(request)
        self.bodies.append(body)
        line = next(self._lines, None)
        match line:
            case None:
                yield Failed("engine", "the script is over")
            case Failed():
                yield line
            case Stall(text):
                yield TextDelta(text)
                await asyncio.Event().wait()
            case Truncated(message):
                yield TextDelta(message.content)
                yield line
            case Message():
                if line.reasoning:
                    yield ReasoningDelta(line.reasoning)
                for word in line.content.splitlines(keepends=True):
                    yield TextDelta(word)
                prompt, generated = len(body) // 4, 1 + len(line.content) // 4
                yield Completed(line, Usage(prompt=prompt, new=prompt, generated=generated))
