"""A model whose refusals for length are mended: the conversation is shortened and asked again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress

from hearth.agent.context import Context
from hearth.errors import HearthError, LimitReached
from hearth.llm.answer import Completed, Failed, Model, ModelEvent, Resampled, Truncated
from hearth.llm.request import Request

MOST_TRIES = 3
"""Requests that are made shorter for one answer."""
Overflowed = Callable[[], None]
Ask = Callable[[], Awaitable[int]]
"""The tokens of the model's window, 0 while nobody knows."""


def note_nothing() -> None:
    """Notes nothing: nobody watches."""


class FittedModel:
    """The outermost model of a session: what it is asked may be longer than the window that nobody had told, or than
    its text had looked. ``overflowed`` hears of each request that did not fit though it had just been shortened."""

    def __init__(self, model: Model, context: Context, ask: Ask | None = None) -> None:
        """``ask`` is asked once, after the first answer of a model that may not have been loaded before: what was known
        of its window was a forecast at most."""
        self._model = model
        self._context = context
        self._ask = ask
        self.overflowed: Overflowed = note_nothing

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """The answer to the request, or to a shorter one after a refusal that named the window."""
        for tried in range(MOST_TRIES + 1):
            refused: Failed | None = None
            async with aclosing(self._model.answer(request)) as stream:
                async for event in stream:
                    if isinstance(event, Failed) and event.window and tried < MOST_TRIES:
                        refused = event
                        break
                    if isinstance(event, Completed | Truncated):
                        await self._ask_window()
                    yield event
            if refused is None:
                return
            if tried:
                self.overflowed()
            self._context.learn(refused)
            try:
                request = await self._context.prepare()
            except LimitReached as error:
                yield Failed("agent", error.what, error.fix, error.exit_code)
                return
            yield Resampled(refused.reason, tried + 1)

    async def _ask_window(self) -> None:
        if self._ask is None:
            return
        ask, self._ask = self._ask, None
        # The answer is there: that nobody tells the window now must not lose it.
        with suppress(HearthError):
            self._context.know_window(await ask())
