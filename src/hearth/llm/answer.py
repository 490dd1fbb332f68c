"""What a model gives back: one closed union of stream events, and the seam behind which every model stands.

Order of a stream: any number of Waiting, PrefillProgress, ReasoningDelta, TextDelta, CallDelta and Resampled, then
exactly one of Completed, Truncated and Failed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from hearth.llm.request import Request
from hearth.messages import Message, Usage

_NOTHING = Usage()


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """A piece of the model's reasoning."""

    text: str


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of what is, or may become, a call: of its arguments, or of markup around them. It is no text to be shown,
    and nobody may read a call from it: the calls are in Completed. It is for who watches what a model writes."""

    text: str


class PrefillProgress(msgspec.Struct, frozen=True):
    """``done`` of ``total`` prompt tokens are processed, ``reused`` of them came from KV state; ``seconds`` so far."""

    done: int
    total: int
    reused: int
    seconds: float

    @property
    def eta_s(self) -> float:
        """Seconds until the rest is processed, at the speed so far; -1 when that is unknown."""
        rate = (self.done - self.reused) / self.seconds if self.seconds > 0 else 0.0
        return round((self.total - self.done) / rate, 1) if rate > 0 else -1.0


class Waiting(msgspec.Struct, frozen=True):
    """The model is being loaded, or the request waits for its turn; ``note`` is the server's own word on it."""

    reason: Literal["loading", "queued"]
    note: str = ""


class Resampled(msgspec.Struct, frozen=True):
    """What came so far of this answer does not count, it is asked again; ``attempt`` counts from 1.

    ``usage`` is what the discarded answer cost, as far as that is known. The final event has that of the last one only,
    for this is the size of the conversation.
    """

    reason: str
    attempt: int
    usage: Usage = _NOTHING


class Completed(msgspec.Struct, frozen=True):
    """The model ended its answer by itself.

    ``broken`` says why a dialect of ours finds no certain reading of it; then ``message`` is the text as it came, or
    its calls carry refusals: nothing of it may run, and whoever can asks again instead of keeping it.
    """

    message: Message
    usage: Usage
    broken: str = ""


class Truncated(msgspec.Struct, frozen=True):
    """The answer was cut at the token limit. Its calls are not in ``message``: a cut call MUST NOT be run."""

    message: Message
    usage: Usage


class Failed(msgspec.Struct, frozen=True):
    """There is no answer. ``source`` says who failed: gateway, engine or agent; ``partial`` is the text so far.

    A request that was too long has ``window``, the tokens that the model holds, and ``asked``, those of the request, 0
    where nobody told them.
    """

    source: str
    reason: str
    fix: str = ""
    exit_code: int = 4
    partial: str = ""
    asked: int = 0
    window: int = 0


Delta = TextDelta | ReasoningDelta | CallDelta | PrefillProgress | Waiting | Resampled
Final = Completed | Truncated | Failed
ModelEvent = Delta | Final


class Model(Protocol):
    """Something that answers. ``answer`` MUST NOT raise for what the server or the model did: that is Failed.

    Cancelling the consumer (or closing the iterator) ends the request, which frees the slot.
    """

    def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer to one request."""
        ...
