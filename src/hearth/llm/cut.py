"""A model whose answers are cut when they go round in circles, or when it thinks for too long, and asked for again.

Text, reasoning and the arguments of calls are watched, each by itself. A file may hold much that is alike: in a call it
takes more for a loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from hearth.llm.answer import (
    CallDelta,
    Completed,
    Failed,
    Model,
    ModelEvent,
    PrefillProgress,
    ReasoningDelta,
    Resampled,
    TextDelta,
    Truncated,
)
from hearth.llm.ngrams import CALL, REASONING, Circling, Repetition
from hearth.llm.request import Request
from hearth.messages import Message, Usage

MOST_ATTEMPTS = 2
"""How often one answer is asked for again: what loops three times in a row loops on."""
WARMER = 0.2
"""Added to the temperature for each attempt: the likeliest continuation of a loop is the loop."""
HOTTEST = 1.2
"""Above, small models write nonsense; who is asked hotter by the profile stays where it is."""
USUAL_TEMPERATURE = 0.8
"""What llama-server takes when none is sent."""
CHARACTERS_A_TOKEN = 4
LONGEST_SHOWN = 60


class Shears:
    """A model behind which another one writes; see the module."""

    def __init__(self, model: Model, thinking: int = 0, brief: Mapping[str, Any] | None = None) -> None:
        """``thinking`` is how many tokens of reasoning an answer may have (0: no bound), ``brief`` what is added to the
        sampling of an answer that is asked again because it had more, such as a switch that turns reasoning off."""
        self._model = model
        self._thinking = thinking
        self._brief = dict(brief or {})

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """The answer; a bad one is cut (which frees the slot), told as Resampled and asked for again, warmer, twice.
        After that the answer is what was there before its loop: then the last Resampled is followed by that text. One
        whose call went round is Truncated, for nothing of it may run."""
        asked = request
        for attempt in range(1, MOST_ATTEMPTS + 2):
            watch = _Watch(self._thinking)
            async with aclosing(self._model.answer(asked)) as stream:
                async for event in stream:
                    yield event
                    if isinstance(event, Completed | Truncated | Failed):
                        return
                    if isinstance(event, Resampled):
                        watch = _Watch(self._thinking)
                    watch.see(event)
                    if watch.reason:
                        break
                else:
                    return
            last = attempt > MOST_ATTEMPTS
            # What the last one cost is told with what is kept of it.
            yield Resampled(watch.reason, attempt, Usage() if last else watch.usage())
            sampling = self._brief if watch.thought_too_long else {}
            asked = replace(request, sampling={**warm(request.sampling, attempt), **sampling})
        if watch.text:
            yield TextDelta(watch.text)
        message = Message("assistant", watch.text, reasoning=watch.reasoning)
        yield (Truncated if watch.in_call else Completed)(message, watch.usage())


def warm(sampling: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """The sampling of the nth attempt: the same, a little warmer each time."""
    usual = float(sampling.get("temperature", USUAL_TEMPERATURE))
    warmer = max(usual, min(usual + WARMER * attempt, HOTTEST))
    return {**sampling, "temperature": round(warmer, 2)}


class _Watch:
    """One attempt: what came of it, and why it must not go on."""

    def __init__(self, thinking: int) -> None:
        self._thinking = thinking
        self._prefill: PrefillProgress | None = None
        self.reason = ""
        self.thought_too_long = False
        self.in_call = False
        self._said: list[str] = []
        self._thoughts: list[str] = []
        self._deltas = self._thinking_deltas = self._thinking_characters = 0
        self._repetition = Repetition()
        self._thought_repetition = Repetition(REASONING)
        self._call_repetition = Repetition(CALL)
        self._circling = Circling()

    def see(self, event: ModelEvent) -> None:
        """Take the next event."""
        match event:
            case TextDelta(text):
                self._deltas += 1
                self._said.append(text)
                if loop := self._repetition.add(text):
                    self._cut_text(loop.start)
                    self.reason = f"it wrote the same again and again: {_show(loop.stretch)}"
            case ReasoningDelta(text):
                self._deltas += 1
                self._thoughts.append(text)
                self._weigh_thought(text)
            case CallDelta(text):
                self._deltas += 1
                if loop := self._call_repetition.add(text):
                    self.in_call = True
                    self.reason = f"it wrote the same again and again in a call: {_show(loop.stretch)}"
            case PrefillProgress():
                self._prefill = event

    @property
    def text(self) -> str:
        """What was said before the loop."""
        return "".join(self._said)

    @property
    def reasoning(self) -> str:
        """What was thought before the loop."""
        return "".join(self._thoughts)

    def usage(self) -> Usage:
        """What it cost, as far as that is known of an answer that was cut: about one delta a token."""
        known = self._prefill or PrefillProgress(0, 0, 0, 0.0)
        return Usage(known.total, known.reused, known.total - known.reused, self._deltas, known.seconds)

    def _weigh_thought(self, text: str) -> None:
        if loop := self._thought_repetition.add(text) or self._circling.add(text):
            self._thoughts = ["".join(self._thoughts)[: loop.start]]
            self.reason = f"it thought the same again and again: {_show(loop.stretch)}"
            return
        self._thinking_deltas += 1
        self._thinking_characters += len(text)
        # Some servers send several tokens in one delta.
        tokens = max(self._thinking_deltas, self._thinking_characters // CHARACTERS_A_TOKEN)
        if self._thinking and tokens > self._thinking:
            self.thought_too_long = True
            self.reason = f"it thought for more than {self._thinking:,} tokens"

    def _cut_text(self, start: int) -> None:
        self._said = [self.text[:start]]


def _show(stretch: str) -> str:
    line = " ".join(stretch.split())
    return repr(line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…")
