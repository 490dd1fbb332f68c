"""A model without tools as one with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import msgspec

from hearth.llm.answer import CallDelta, Completed, Failed, Model, ModelEvent, Resampled, TextDelta, Truncated
from hearth.llm.dialects.text.parser import TextParser
from hearth.llm.dialects.text.render import render_messages
from hearth.llm.request import Request
from hearth.messages import Message


class TextDialect:
    """Asks a chat model without sending it tools, and reads its calls from what it says.

    Calls are complete or carry a ``refusal``, and then the answer is ``broken``; a message that the wrapped model's
    server has found calls in goes through as it is.
    """

    def __init__(self, model: Model, *, edit: str = "edit", parallel: bool = True, system_role: bool = True) -> None:
        """``edit`` names the tool that SEARCH/REPLACE blocks call; without ``parallel`` the first call alone counts;
        ``system_role`` says whether the model's template knows one."""
        self._model = model
        self._edit = edit
        self._parallel = parallel
        self._system_role = system_role

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer; see ``llm.answer`` for the order. What is part of a call is not told as text."""
        messages = render_messages(request.messages, request.tools, self._edit, system_role=self._system_role)
        tools = {tool.name: tool for tool in request.tools}
        parser = TextParser(tools, self._edit)
        heard = ""
        async with aclosing(self._model.answer(replace(request, tools=(), messages=messages))) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        heard += text
                        if said := parser.feed(text):
                            yield TextDelta(said)
                        elif parser.calling:
                            yield CallDelta(text)
                    case Resampled():
                        parser, heard = TextParser(tools, self._edit), ""
                        yield event
                    case Completed(message) | Truncated(message):
                        if message.tool_calls:
                            yield event
                            return
                        if message.content != heard:
                            parser = TextParser(tools, self._edit)
                            parser.feed(message.content)
                        whole, said = self._finish(parser, message, cut=isinstance(event, Truncated))
                        if said:
                            yield TextDelta(said)
                        yield _ended(event, whole)
                    case Failed():
                        yield msgspec.structs.replace(event, partial=parser.content)
                    case _:
                        yield event

    def _finish(self, parser: TextParser, message: Message, *, cut: bool) -> tuple[Message, str]:
        content, calls, said = parser.finish(cut=cut)
        return replace(message, content=content, tool_calls=calls if self._parallel else calls[:1]), said


def _ended(event: Completed | Truncated, message: Message) -> Completed | Truncated:
    if isinstance(event, Truncated):
        return msgspec.structs.replace(event, message=message)
    refusals = [call.refusal for call in message.tool_calls if call.refusal]
    return msgspec.structs.replace(event, message=message, broken=refusals[0] if refusals else event.broken)
