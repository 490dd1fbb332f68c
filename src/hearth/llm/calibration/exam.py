"""One model under measurement: questions that end in time, and what they cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

from hearth.errors import EngineFailed
from hearth.llm.answer import Completed, Failed, Final, Model, Resampled, Truncated
from hearth.llm.profile import Profile
from hearth.llm.request import Request
from hearth.messages import Message, ToolSpec

MOST_FAILURES = 3
"""Answers that failed one after the other, after which the engine is given up."""
SMALLEST_ANSWER = 64


class OutOfTime(Exception):
    """The time that the measurement may take is over."""


class Exam:
    """Asks a model within a time limit. The clock starts with ``begin``, when the model is loaded."""

    def __init__(
        self,
        model: Model,
        name: str,
        profile: Profile,
        limit_s: float,
        tell: Callable[[str], None],
    ) -> None:
        """``name`` is what requests call the model; its sampling and bounds are those of ``profile``."""
        self.profile = profile
        self.tell = tell
        self._model = model
        self._name = name
        self._limit_s = limit_s
        self._until = float("inf")
        self._failures = 0
        self._generated = 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken since ``begin``."""
        return time.monotonic() - self._began

    async def begin(self) -> None:
        """Load the model by asking for a word. Raises EngineFailed when it does not answer."""
        answer = await self._answer(self._request([Message("user", "Say ok.")], (), SMALLEST_ANSWER))
        if isinstance(answer, Failed):
            raise EngineFailed(answer.reason, answer.fix)
        self._began = time.monotonic()
        self._until = self._began + self._limit_s

    async def ask(
        self, messages: Sequence[Message], tools: tuple[ToolSpec, ...], max_tokens: int = 0
    ) -> Completed | Truncated | Failed:
        """One answer. Raises OutOfTime when the limit passes, EngineFailed when the engine fails again and again."""
        left = self.left_s()
        if left <= 0:
            raise OutOfTime
        try:
            async with asyncio.timeout(left if left < float("inf") else None):
                answer = await self._answer(self._request(messages, tools, max_tokens))
        except TimeoutError as error:
            raise OutOfTime from error
        if not isinstance(answer, Failed):
            self._generated += answer.usage.generated
        self._failures = self._failures + 1 if isinstance(answer, Failed) else 0
        if self._failures >= MOST_FAILURES and isinstance(answer, Failed):
            raise EngineFailed(answer.reason, answer.fix)
        return answer

    def left_s(self) -> float:
        """Seconds that are left."""
        return self._until - time.monotonic()

    def expect_s(self, tokens: int) -> float:
        """Seconds that an answer of so many tokens will take, as fast as it went so far; 0 when nobody knows."""
        return tokens * self.seconds / self._generated if self._generated else 0.0

    def _request(self, messages: Sequence[Message], tools: tuple[ToolSpec, ...], max_tokens: int) -> Request:
        sampling = {**self.profile.sampling, "seed": 1}
        most = min(max_tokens or self.profile.max_tokens, self.profile.max_tokens)
        return Request("calibration", self._name, sampling, most, tools, tuple(messages), "batch")

    async def _answer(self, request: Request) -> Final:
        async with aclosing(self._model.answer(request)) as stream:
            async for event in stream:
                if isinstance(event, Resampled):
                    self._generated += event.usage.generated
                if isinstance(event, Completed | Truncated | Failed):
                    return event
        return Failed("agent", "the model's stream ended without a final event")
