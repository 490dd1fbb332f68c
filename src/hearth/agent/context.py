"""The history that the loop asks from: what was said so far, kept within the model's window.

It only grows, but for three things, each told as one Rewritten: old observations behind placeholders (in batches),
a compaction, and what the guard against loops asks for (``restart``, ``retry``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cache

from hearth import events
from hearth.agent.compaction import SMALLEST_PIECE, Look, Room, compact, cut_text
from hearth.agent.costs import weigh_context
from hearth.agent.loop import Emit
from hearth.agent.masking import Keep, choose_masked, mask, saved_weight
from hearth.agent.meter import Meter, count_shared, replay, weigh, weigh_all, weigh_tools
from hearth.agent.steps import join_steps, shorten, split_steps
from hearth.agent.summary import ask_summary, read_summary
from hearth.agent.transcript import Transcript, read_records
from hearth.agent.window import (
    MUST_SHRINK,
    USUAL,
    Limits,
    fit_answer,
    goal_of,
    has_shrunk,
    largest_result,
    must_compact,
    pays_to_mask,
    set_limits,
)
from hearth.errors import LimitReached
from hearth.llm.answer import Completed, Failed, Model, PrefillProgress, Truncated, Waiting
from hearth.llm.profile import Profile
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, Usage
from hearth.tools.tool import ToolResult

MOST_BARREN = 3
"""Compactions in a row that brought nothing, after which the turn stops."""
NEW_STEPS = 2
"""Steps that must have been taken between two compactions for the first to have brought something."""
WARMER = 0.2
"""Added to the temperature of the request after a step that was taken back."""
HOTTEST = 1.2


def keep_nothing(text: str) -> str:
    """Keeps no text: there is no folder for it."""
    return ""


def plan_nothing() -> Sequence[str]:
    """Has nothing to do: there is no list."""
    return ()


def see_nothing(path: str) -> str | None:
    """Sees no file: there is no project."""
    return None


class Context:
    """A transcript that fits its window."""

    def __init__(
        self,
        transcript: Transcript,
        model: Model | None = None,
        emit: Emit = lambda event: None,
        *,
        window: int = 0,
        profile: Profile = USUAL,
        keep: Keep = keep_nothing,
        look: Look = see_nothing,
        todo: Callable[[], Sequence[str]] = plan_nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``model`` writes the summaries; without one they are made by code. ``window`` is what a slot really holds, in
        tokens: 0 is learned from the first refusal. ``keep`` keeps what is left out, ``look`` sees the project, and
        ``todo`` tells what is open on the model's list."""
        self._transcript = transcript
        self._model = model
        self._emit = emit
        self._profile = profile
        self._keep = keep
        self._look = look
        self._todo = todo
        self._clock = clock
        frame = transcript.frame
        self.meter = Meter(weigh(frame.system) + weigh_tools(frame.tools))
        self._limits: Limits | None = None
        self._floor = self._barren = self._steps = 0
        self._warmth = 0.0
        self.know_window(window)
        if transcript.resumed:
            replay(self.meter, read_records(transcript.path.read_bytes(), transcript.path)[0])

    @property
    def window(self) -> int:
        """Tokens of the window, 0 while nobody knows."""
        return self._limits.window if self._limits else 0

    @property
    def used(self) -> int:
        """Tokens of the conversation as it stands."""
        return self.meter.count(self._transcript.messages)

    async def prepare(self) -> Request:
        """The next request: everything said so far, after it was shrunk if it had to be. Raises LimitReached when it
        cannot be made to fit."""
        if self._limits:
            self._mask(self._limits)
            if must_compact(self._limits, self.used, self._floor):
                await self._compact(self._limits)
        request = self._transcript.request()
        if self._limits:
            request = replace(request, max_tokens=fit_answer(self._limits, self.used, request.max_tokens))
        return self._warm(request)

    def know_window(self, window: int) -> None:
        """Take the tokens of the window, now that somebody tells them; 0 tells nothing."""
        if window:
            self._set_window(window)

    def learn(self, refused: Failed) -> None:
        """Take the sizes that a refusal named: the window is no larger than it says."""
        if refused.window and (not self._limits or refused.window < self._limits.window):
            self._set_window(refused.window)
        # Whoever does not tell how much was asked still says that it was more than there is.
        self.meter.told(self._transcript.messages, refused.asked or refused.window + 1, exact=bool(refused.asked))

    def add(self, message: Message) -> None:
        """Append a message of the model or the user."""
        self._steps += message.role == "assistant"
        self._transcript.add(message)

    def begin_call(self, call: ToolCall) -> None:
        """Note that a call is about to run."""
        self._transcript.begin_call(call)

    def end_call(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        """Append a call's result."""
        self._transcript.end_call(call, result, seconds)

    def portion(self, text: str) -> str:
        """A result as there is room for it. The tools cut what is long; where the window turned out smaller than they
        were told, or their text denser than it looks, one result would fill it again after each compaction."""
        if not self._limits:
            return text
        most = self.meter.weight(largest_result(self._limits, self.meter.base))
        return text if weigh(text) <= most else cut_text(text, most, self._keep) or shorten(text, SMALLEST_PIECE)

    def add_usage(self, usage: Usage) -> None:
        """Note what a step cost."""
        messages = self._transcript.messages
        if not self._limits and self.meter.looks_cut(messages, usage.prompt):
            note = f"the server counted {usage.prompt:,} tokens only: it cuts long conversations without a word"
            self._emit(events.Progress("compaction", note=note))
            self._set_window(usage.prompt + usage.generated)
        self.meter.saw(messages, usage)
        self._warmth = 0.0
        self._transcript.add_usage(usage)

    async def restart(self, note: str) -> None:
        """Begin afresh after a loop: the task, what the user said since, the state of the files, and the note."""
        before, started = self.used, self._clock()
        goal = self._limits.work if self._limits else before // 2
        room = Room(
            self.meter.weight(max(goal - self.meter.base, goal // 3)), note=note, tail=False, todo=tuple(self._todo())
        )
        fresh = compact(self._transcript.messages, room, self._look, cache(self._keep))
        self._rewrite("restart", fresh, before, started, "begun afresh: it went round in circles")

    def retry(self) -> None:
        """Take the last step back, so that it is asked again, a little warmer. What its calls changed stays changed."""
        messages, started = self._transcript.messages, self._clock()
        steps = split_steps(messages)
        while len(steps) > 1 and steps[-1][0].role == "user":
            steps.pop()  # a nudge belongs to the answer that it follows
        if len(steps) < 2:
            return
        before, kept = self.used, join_steps(steps[:-1])
        self._warmth += WARMER
        self._rewrite("retry", kept, before, started, "the last step was taken back")

    def _set_window(self, window: int) -> None:
        self._limits = set_limits(window, self._transcript.frame.max_tokens, self._profile)

    def _warm(self, request: Request) -> Request:
        if not self._warmth:
            return request
        usual = float(request.sampling.get("temperature", 0.8))
        warm = max(min(usual + self._warmth, HOTTEST), usual)
        return replace(request, sampling={**request.sampling, "temperature": round(warm, 2)})

    def _mask(self, limits: Limits) -> None:
        used = self.used
        if used <= limits.mask:
            return
        started, messages = self._clock(), self._transcript.messages
        chosen = choose_masked(messages, self.meter.weight(limits.work // 2))
        if not chosen or not pays_to_mask(limits, used, self.meter.tokens(saved_weight(messages, chosen))):
            return
        masked = mask(messages, chosen, self._keep)
        self._rewrite("mask", masked, used, started, f"{len(chosen)} old results left out")

    async def _compact(self, limits: Limits) -> None:
        before, started = self.used, self._clock()
        self._barren = self._barren + 1 if self._floor and self._steps < NEW_STEPS else 0
        if self._barren >= MOST_BARREN:
            raise self._too_much(f"the conversation was shortened {self._barren} times in a row and is full again")
        self._emit(events.Progress("compaction", note="shortening the conversation"))
        summary = await self._ask_summary(limits)
        found = self._shrink(limits, before, summary)
        if found is None:
            raise self._too_much(f"the conversation cannot be shortened to fit {limits.window:,} tokens")
        messages, after, by_code = found
        self._floor, self._steps = after, 0
        how = "summary by code, the model gave none" if by_code else "summary by the model"
        if not has_shrunk(before, after):
            how += f"; shrank by {max(0, 100 - 100 * after // before)} % only, not by {MUST_SHRINK:.0%}"
        self._rewrite("compaction", messages, before, started, how)

    async def _ask_summary(self, limits: Limits) -> str:
        request = None
        if self._model:
            request = ask_summary(self._transcript.request(), self.meter.count, limits.window, limits.margin)
        if request is None or self._model is None:
            return ""
        async with aclosing(self._model.answer(request)) as stream:
            async for event in stream:
                match event:
                    case PrefillProgress(done, total):
                        self._emit(events.Progress("compaction", done, total, event.eta_s, "reading"))
                    case Waiting(reason, note):
                        self._emit(events.Progress(reason, note=note))
                    case Completed() | Truncated() | Failed():
                        if not isinstance(event, Failed):
                            self._transcript.add_usage(event.usage)
                        return read_summary(event, self.meter.weight(limits.work // 3))
        return ""

    def _shrink(self, limits: Limits, before: int, summary: str) -> tuple[list[Message], int, bool] | None:
        """The first way to shorten that does its part, else the one that gives the least; None when nothing fits. With
        its tokens, and whether code wrote the summary."""
        base, keep, look = self.meter.base, cache(self._keep), cache(self._look)
        goal = min(goal_of(limits, base), int(before * 0.65), int(limits.hard * 0.9))
        goals = [goal, base + (goal - base) // 2, base + (limits.hard - base) * 3 // 4]
        tries = [(text, goal) for goal in goals for text in dict.fromkeys((summary, "")) if goal > base]
        best: tuple[list[Message], int, bool] | None = None
        for text, goal in tries:
            room = Room(self.meter.weight(goal - base), text, todo=tuple(self._todo()))
            messages = compact(self._transcript.messages, room, look, keep)
            after = self.meter.tokens(self.meter.weight(base) + weigh_all(messages))
            if after <= limits.hard and (best is None or after < best[1]):
                best = messages, after, not text
            if best and has_shrunk(before, best[1]):
                break
        return best

    def _rewrite(
        self, kind: events.Rewrite, messages: Sequence[Message], before: int, started: float, note: str
    ) -> None:
        old = self._transcript.messages
        shared = self.meter.rewrote(old[: count_shared(old, messages)])
        self._transcript.rewrite(kind, messages)
        after, speed = self.used, self.meter.speed
        read_s = round(max(after - shared, 0) / speed, 1) if speed else 0.0
        took_s = round(self._clock() - started, 2)
        self._emit(events.Rewritten(kind, before, after, took_s, read_s, note))

    def _too_much(self, what: str) -> LimitReached:
        frame = self._transcript.frame
        costs = weigh_context(frame, self._transcript.messages, window=self.window, total=self.used)
        largest = max(costs.items, key=lambda item: item.tokens)
        fix = "give the engine more with HEARTH_CONTEXT, or start a new session with a smaller task"
        return LimitReached(f"{what}; most of it, {largest.tokens:,} tokens, is: {largest.name}", fix)
