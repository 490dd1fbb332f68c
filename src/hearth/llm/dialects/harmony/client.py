"""gpt-oss over raw completion: its own format, written and read here and by nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from hearth.llm.answer import Delta, ModelEvent
from hearth.llm.assembly import Assembly
from hearth.llm.dialects.harmony.form import Form
from hearth.llm.dialects.harmony.markers import MARKS
from hearth.llm.dialects.harmony.naming import Naming
from hearth.llm.dialects.harmony.native import adapt_arguments
from hearth.llm.dialects.harmony.parser import Parser
from hearth.llm.dialects.harmony.render import Renderer
from hearth.llm.request import Request
from hearth.llm.transport import Transport
from hearth.messages import Message, ToolSpec


class HarmonyClient:
    """A gpt-oss model behind an endpoint that is our gateway or a llama-server (``Transport.is_llama``).

    An answer without a certain reading is Completed as ``broken``, with the whole text as it came, marks and all, and
    no calls.
    """

    def __init__(self, transport: Transport, form: Form, names: Mapping[str, str]) -> None:
        """``names`` maps our tools to what the model calls them, as a profile has it."""
        self._transport = transport
        self._naming = Naming(names)
        self._renderer = Renderer(form, self._naming)

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer; see ``llm.answer`` for the order. Never raises for what the server did."""
        prompt = self._renderer.prompt(request.messages, request.tools)
        body = encode_raw(request, prompt, self._transport.extras)
        assembly = HarmonyAssembly(self._naming, request.tools)
        async with aclosing(self._transport.stream("completions", request, body, assembly)) as events:
            async for event in events:
                yield event


class HarmonyAssembly(Assembly):
    """One answer in the making, from the chunks of a raw completion."""

    def __init__(self, naming: Naming, tools: Sequence[ToolSpec]) -> None:
        super().__init__()
        self._parser = Parser(naming)
        self._tools = {tool.name: tool for tool in tools}
        self._whole = Message("assistant", "")

    @property
    def text(self) -> str:
        """What was said to the person so far."""
        return self._parser.text

    @property
    def broken(self) -> str:
        """Why there is no certain reading of it."""
        return self._parser.broken

    def take_raw(self, text: str) -> list[Delta]:
        """What this adds to the answer and to the reasoning."""
        return [*self._parser.feed(text)]

    def rest(self) -> list[Delta]:
        """The end of the stream may end a message too."""
        self._whole, pieces = self._parser.finish(cut=self.is_cut)
        return [*pieces]

    def message(self, *, cut: bool) -> Message:
        """The message; what is broken is the whole text as it came."""
        calls = tuple(
            replace(call, arguments=adapt_arguments(call.name, call.arguments, self._tools))
            for call in self._whole.tool_calls
        )
        return replace(self._whole, tool_calls=() if cut else calls)


def encode_raw(request: Request, prompt: str, extras: Mapping[str, Any]) -> bytes:
    """The JSON body of a raw completion, the prompt last: so a body too begins as the one before it.

    The engine keeps special tokens that end an answer to itself unless they are named as ``preserved_tokens``; the
    others it shows for this vocabulary anyway.
    """
    body = {
        "model": request.model,
        "stream": True,
        **extras,
        **request.sampling,
        "max_tokens": request.max_tokens,
        "preserved_tokens": list(MARKS),
        "prompt": prompt,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
