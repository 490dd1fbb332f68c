"""A model whose refusals for length are mended: the conversation is shortened and asked again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hearth.agent.context import Context
from hearth.errors import LimitReached
from hearth.llm.answer import Failed, Model, ModelEvent, Resampled
from hearth.llm.request import Request

MOST_TRIES = 3
"""Requests that are made shorter for one answer."""


class FittedModel:
    """The outermost model of a session: what it is asked may be longer than the window that nobody had told, or than
    its text had looked."""

    def __init__(self, model: Model, context: Context) -> None:
        self._model = model
        self._context = context

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """The answer to the request, or to a shorter one after a refusal that named the window."""
        for tried in range(MOST_TRIES + 1):
            refused: Failed | None = None
            async with aclosing(self._model.answer(request)) as stream:
                async for event in stream:
                    if isinstance(event, Failed) and event.window and tried < MOST_TRIES:
                        refused = event
                        break
                    yield event
            if refused is None:
                return
            self._context.learn(refused)
            try:
                request = await self._context.prepare()
            except LimitReached as error:
                yield Failed("agent", error.what, error.fix, error.exit_code)
                return
            yield Resampled(refused.reason, tried + 1)
