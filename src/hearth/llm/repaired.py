"""A model whose answers are mended: calls that came as text are found, broken answers are asked for again."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from hearth.llm.answer import (
    CallDelta,
    Completed,
    Failed,
    Final,
    Model,
    ModelEvent,
    Resampled,
    TextDelta,
    Truncated,
)
from hearth.llm.repair.plain import is_plain
from hearth.llm.repair.screen import Screen
from hearth.llm.repair.verdict import Answer, Calls, Rejected, Resample, Said, Verdict
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, Usage

MOST_RESAMPLES = 6
"""Times that one answer is asked for again."""
MOST_CUT_RESAMPLES = 1
"""The same for one that was cut while it was still thinking: each costs the whole limit of tokens."""
STEP = 0.1
"""By how much the temperature rises each time."""
SERVERS_TEMPERATURE = 0.8
"""What llama-server takes when it is told none."""
HOTTEST = 1.0
"""Where the temperature stops rising; what begins above it rises by one step."""

UNPARSED = re.compile(r"Failed to parse input at pos|output that does not match the expected")
"""What llama-server says when its parser cannot read the answer: the fault of the model, not of the engine."""

NOT_ALONE = "not run: another call of the same message could not be run. Send them again."
"""What the calls beside a refused one are told."""


class RepairedModel:
    """Stands before a model and judges each of its answers.

    Calls are completed with canonical names and arguments; calls that must not run carry a refusal, which the model
    reads as their result. What is broken or empty is asked for again, a little warmer each time, and enters no history.
    When that has been done often enough: an empty answer goes out as it is, a call that was understood in part goes out
    with one precise error, all else is Failed. What a dialect tells as broken is asked for again unseen: nothing is
    ever read out of it. What is held back of the text comes as CallDelta.
    """

    def __init__(self, model: Model, most_resamples: int = MOST_RESAMPLES) -> None:
        self._model = model
        self._most = most_resamples

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer; Resampled says that what came so far does not count."""
        for attempt in range(self._most + 1):
            screen = Screen(tool.name for tool in request.tools)
            final: Final | None = None
            async with aclosing(self._model.answer(warm(request, attempt))) as stream:
                async for event in stream:
                    match event:
                        case TextDelta(text):
                            shown = screen.feed(text)
                            for delta in shown:
                                yield delta
                            if not shown:
                                yield CallDelta(text)
                        case Completed() | Truncated() | Failed():
                            final = event
                        case _:
                            yield event
            outcome = _react(final or Failed("engine", "the answer broke off before its end"), request)
            most = min(self._most, MOST_CUT_RESAMPLES) if isinstance(final, Truncated) else self._most
            if outcome.again and attempt < most:
                yield Resampled(outcome.again, attempt + 1, _cost(outcome.final))
                continue
            if rest := _rest(screen.shown, outcome.text):
                yield TextDelta(rest)
            yield _give_up(outcome, attempt) if outcome.again else outcome.final
            return


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What an answer comes to: the event that ends the stream, the text to show, and why to ask again, if so."""

    final: Final
    text: str
    again: str = ""
    verdict: Verdict | None = None


def _react(final: Final, request: Request) -> _Outcome:
    if isinstance(final, Failed):
        unparsed = final.source == "engine" and UNPARSED.search(final.reason)
        return _Outcome(final, final.partial, "the server could not read the answer" if unparsed else "")
    usage, message, cut = final.usage, final.message, isinstance(final, Truncated)
    if isinstance(final, Completed) and (final.broken or _is_refused(message)):
        # Whoever made it knows better than anybody what it is: here it is not looked into.
        whole = Completed(refuse_all(message), usage, final.broken)
        return _Outcome(whole, message.content if _is_refused(message) else "", final.broken)
    if not message.tool_calls and is_plain(message.content):
        return _Outcome(final, message.content)
    from hearth.llm.repair.judge import judge

    verdict = judge(Said(message.content, message.reasoning, message.tool_calls, cut), request.tools)
    match verdict:
        case Calls(calls, text, reasoning):
            message = replace(message, content=text, tool_calls=calls, reasoning=reasoning)
        case Rejected(_, calls, text, reasoning):
            # Of a cut answer the loop itself tells the model; here only the markup goes.
            kept = () if cut else calls
            message = replace(message, content=text, tool_calls=kept, reasoning=reasoning)
        case Answer(text, reasoning) if text != message.content:
            message = replace(message, content=text, reasoning=reasoning)
        case Resample(reason):
            if cut and not message.reasoning and not message.content:
                return _Outcome(Truncated(message, usage), "")  # a call of the server's own was cut
            ended = Truncated(message, usage) if cut else Completed(message, usage)
            return _Outcome(ended, verdict.text, reason, verdict)
    return _Outcome(Truncated(message, usage) if cut else Completed(message, usage), message.content)


def _give_up(outcome: _Outcome, attempt: int) -> Final:
    """The end of an answer that was asked for as often as may be."""
    verdict, final = outcome.verdict, outcome.final
    if isinstance(final, Completed) and final.broken and not _is_refused(final.message):
        return _unreadable(final.broken, attempt)
    if not isinstance(verdict, Resample) or isinstance(final, Failed) or verdict.empty:
        return final
    if isinstance(final, Truncated):
        return Truncated(replace(final.message, content=verdict.text), final.usage)
    if verdict.tool:
        refusal = (
            f"unparseable: the call of {verdict.tool} could not be read, {attempt + 1} times in a row. Call "
            f"{verdict.tool} with one JSON object that holds its arguments, with quotes and line breaks escaped."
        )
        call = ToolCall(f"call_{secrets.token_hex(8)}", verdict.tool, "{}", refusal)
        return Completed(Message("assistant", verdict.text, (call,), reasoning=verdict.reasoning), final.usage)
    return _unreadable(verdict.reason, attempt)


def _unreadable(why: str, attempt: int) -> Failed:
    reason = f"the model's answer cannot be read, {attempt + 1} times in a row: {why}"
    return Failed("engine", reason, "try another model, or see how this one calls: hearth models calibrate", 1)


def _is_refused(message: Message) -> bool:
    return any(call.refusal for call in message.tool_calls)


def refuse_all(message: Message) -> Message:
    """The message with no call that runs, if one of them must not: what one does may rest on another."""
    if not _is_refused(message):
        return message
    calls = tuple(call if call.refusal else replace(call, refusal=NOT_ALONE) for call in message.tool_calls)
    return replace(message, tool_calls=calls)


def _cost(final: Final) -> Usage:
    return Usage() if isinstance(final, Failed) else final.usage


def warm(request: Request, attempt: int) -> Request:
    """The request for an attempt: the first as it is, the others with a little more temperature and another seed."""
    if not attempt:
        return request
    sampling: Mapping[str, Any] = request.sampling
    begun = sampling.get("temperature", SERVERS_TEMPERATURE)
    begun = float(begun) if isinstance(begun, int | float) else SERVERS_TEMPERATURE
    changed = {**sampling, "temperature": round(min(begun + STEP * attempt, max(HOTTEST, begun + STEP)), 2)}
    if isinstance(seed := sampling.get("seed"), int) and seed >= 0:
        changed["seed"] = seed + attempt
    return replace(request, sampling=changed)


def _rest(shown: str, text: str) -> str:
    """What of the text was not shown yet."""
    if text.startswith(shown):
        return text[len(shown) :]
    before, whole = shown.strip(), text.strip()
    if whole.startswith(before):
        return whole[len(before) :]
    # More was shown than counts, such as reasoning that nothing had marked: it cannot be taken back.
    return "" if before.endswith(whole) or before.startswith(whole) else f"\n{text}"
