"""A scripted model with a tokenizer of its own that refuses what is too long, as an engine does."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import lru_cache

from hearth.llm.answer import Completed, Failed, ModelEvent, Truncated
from hearth.llm.request import Request, encode_request
from hearth.messages import Message, Usage

_PIECES = re.compile(r"[A-Za-z_]{1,6}|[0-9]|\s+|[^\sA-Za-z_0-9]")

Play = Callable[[Request], Message]
"""What the model says to a request."""


@lru_cache(maxsize=4096)
def count_text(text: str) -> int:
    """Tokens of a text as common tokenizers cut it: digits and marks one by one, words in pieces."""
    return len(_PIECES.findall(text))


def count_messages(request: Request) -> int:
    """Tokens of a request."""
    tools = sum(count_text(f"{tool.name}{tool.description}{tool.parameters}") for tool in request.tools)
    return tools + sum(
        4
        + count_text(message.content)
        + count_text(message.reasoning)
        + sum(8 + count_text(call.name) + count_text(call.arguments) for call in message.tool_calls)
        for message in request.messages
    )


class CountingModel:
    """Says what ``play`` says, unless the window holds no more: then it refuses, or its answer is cut."""

    def __init__(self, window: int, play: Play) -> None:
        self.window = window
        self._play = play
        self.requests: list[Request] = []
        self.refused = 0

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """The answer, with exact usage."""
        prompt = count_messages(request)
        if prompt >= self.window:
            self.refused += 1
            yield Failed("engine", "too long", asked=prompt, window=self.window)
            return
        self.requests.append(request)
        message = self._play(request)
        calls = sum(8 + count_text(call.name) + count_text(call.arguments) for call in message.tool_calls)
        generated = count_text(message.content) + count_text(message.reasoning) + calls
        usage = Usage(prompt, 0, prompt, generated, prompt / 1000, generated / 50)
        if generated > min(request.max_tokens, self.window - prompt):
            yield Truncated(Message("assistant", message.content[: len(message.content) // 2]), usage)
        else:
            yield Completed(message, usage)


def body_of(request: Request) -> bytes:
    """Tools and messages as they are sent: what of a request must stay."""
    body = encode_request(request)
    return body[body.index(b'"tools":' if request.tools else b'"messages":') :]


def check_roles(messages: Sequence[Message]) -> None:
    """Every call is followed by its result, no result stands alone, users and answers alternate."""
    assert messages[0].role == "user"
    open_calls: list[str] = []
    last = ""
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id in open_calls
            open_calls.remove(message.tool_call_id)
        else:
            assert not open_calls
            assert message.role != last
            assert not (message.role == "user" and last == "tool")
            open_calls = [call.id for call in message.tool_calls]
        last = message.role
    assert not open_calls
