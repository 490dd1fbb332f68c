"""The model over HTTP in OpenAI's chat dialect, at the local daemon or any endpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hearth.llm.answer import ModelEvent
from hearth.llm.assembly import Assembly
from hearth.llm.request import Request, encode_request
from hearth.llm.transport import SILENCE_S, Endpoint, Transport

__all__ = ["ChatClient", "Endpoint"]


class ChatClient:
    """A model behind an endpoint."""

    def __init__(self, endpoint: Endpoint, silence_s: float = SILENCE_S) -> None:
        """Raises SettingsError for an API key that no HTTP request can carry."""
        self.transport = Transport(endpoint, silence_s)

    async def list_models(self) -> dict[str, int]:
        """The names of the models, each with its context length in tokens, 0 where unknown: see ``Transport``."""
        return await self.transport.list_models()

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer; see ``llm.answer`` for the order. Never raises for what the server did."""
        body = encode_request(request, self.transport.extras)
        async with aclosing(self.transport.stream("chat/completions", request, body, Assembly())) as events:
            async for event in events:
                yield event
