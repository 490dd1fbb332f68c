"""Watches one turn: it stands before the tools and beside the loop, and breaks what goes round in circles.

Before the tools it sees each call with its result, and adds hints to results: there, and not in a message of its own,
because many templates drop earlier reasoning when a user speaks. Beside the loop it changes the course.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from hearth.agent.guard.acts import LOOKING_TOOLS, Act, command_of, make_act, path_of
from hearth.agent.guard.commands import find_paths
from hearth.agent.guard.detectors import BOUNDS, Finding, find_all, is_monologue
from hearth.agent.guard.ladder import Rung, climb, pick_due, should_roll_back
from hearth.agent.guard.rests import NUDGES, Rest, asks_for_change, asks_to_repeat, judge_rest
from hearth.agent.guard.words import make_hint, make_note, make_report, make_short_report, tell_tries
from hearth.agent.loop import Tools
from hearth.messages import Message, ToolCall
from hearth.tools.tool import ToolResult

MOST_HINTS = 8
"""Hints in a turn, but for what comes after a calm: who has not heard by then hears no more."""
MOST_WATCHED = 48
"""Files, the latest that were named or changed, that are looked at after a command: it may have changed them."""
CALM = 40
"""Calls in a row without any circle after which the ladder is begun anew: what comes then is another trouble."""


class Course(Protocol):
    """What the model is told next. It MUST tell of each change as one Rewritten."""

    async def restart(self, note: str) -> None:
        """Begin afresh: the task, the note, and nothing else of this turn."""
        ...

    def retry(self) -> None:
        """Forget the last step, and ask again at a higher temperature."""
        ...


async def keep_files() -> bool:
    """Rolls nothing back: there is no snapshot."""
    return False


class Watch:
    """Tools, and the loop's guard, for one turn. ``hints`` counts those given, ``rung`` is how far it came."""

    def __init__(
        self,
        tools: Tools,
        course: Course | None,
        task: str,
        digest: Callable[[str], str],
        rollback: Callable[[], Awaitable[bool]] = keep_files,
        *,
        may_change: bool = True,
    ) -> None:
        """``course`` is None for a turn of few steps: there is no time to mend it, what goes on in spite of hints is
        stopped. ``task`` is what the person asked; ``digest`` says what a project file's content is; ``rollback`` puts
        the files back to how they were when the turn began, and says whether it did; ``may_change`` is whether this
        turn has tools that change something."""
        self._tools = tools
        self._course = course
        self._task = task
        self._digest = digest
        self._rollback = rollback
        self._asks = may_change and asks_for_change(task)
        # Who may only look sees the same however often it does.
        self._patient = may_change and asks_to_repeat(task)
        self._acts: list[Act] = []
        self._all: list[Act] = []
        self._contents: dict[str, list[str]] = {}
        self._tried: dict[str, int] = {}
        self._nudged: set[Rest] = set()
        self._rests: list[str] = []
        self._acts_at_rest = -1
        self._overflows = 0
        self._bad_rests = 0
        self._bad_rest: Finding | None = None
        self._restarted = self._rolled_back = False
        self._calm = 0
        self._spent = 0
        self.hints = 0
        self.rung = Rung.GO

    @property
    def tries(self) -> str:
        """The calls that were made most, in words."""
        return tell_tries(self._all)

    def label(self, call: ToolCall) -> str:
        """The call in a few words for a person."""
        return self._tools.label(call)

    async def run(self, call: ToolCall) -> ToolResult:
        """Run the call; where it goes round in circles the result ends with a hint."""
        for path in [path_of(call), *find_paths(command_of(call))]:
            self._know(path)
        result = await self._tools.run(call)
        act = make_act(call, result, {} if call.name in LOOKING_TOOLS else self._find_changes(result))
        self._acts.append(act)
        self._all.append(act)
        findings = self._find()
        self._settle(calm=not findings)
        finding = next((found for found in findings if found.hints), None)
        ends = self._course is None and any(found.climbs for found in findings)
        if finding is None or self._spent >= MOST_HINTS or ends:
            return result
        self.hints += 1
        self._spent += 1
        self.rung = max(self.rung, Rung.HINT)
        hint = make_hint(finding, second=finding.count > finding.bound.hint)
        return replace(
            result, for_model=f"{result.for_model}\n{hint}", for_person=result.for_person or result.for_model
        )

    def rest(self, message: Message) -> str:
        """A nudge for a model that rests with nothing, one of each kind. Who does it again is for ``look``."""
        # A short turn owes a report: what it would do next is none.
        rest = judge_rest(message, self._asks or self._course is None, bool(self._all))
        if rest == "answer":
            return ""
        worked = len(self._all) > self._acts_at_rest >= 0
        self._rests.append(message.content)
        self._acts_at_rest = len(self._all)
        if rest not in self._nudged:
            self._nudged.add(rest)
            self._bad_rests += 1
            return NUDGES[rest]
        if rest == "announced" and worked and not is_monologue(self._rests):
            # It went on when it was told to, and says more at its end: that may be its way to end.
            return ""
        self._bad_rests += 1
        what = {"empty": "nothing", "thought": "reasoning only"}.get(rest, "an announcement only")
        act = self._all[-1] if self._all else Act("", "", "")
        self._bad_rest = Finding("rest", "rest", self._bad_rests, BOUNDS["rest"], act, what)
        return NUDGES[rest]

    async def look(self) -> str:
        """Change the course when a circle goes on in spite of the hints; the report, when nothing else is left."""
        findings = [self._bad_rest] if self._bad_rest else self._find()
        self._bad_rest = None
        finding = pick_due(findings, self._tried)
        if finding is None:
            return ""
        self._tried[finding.key] = finding.count
        if self._course is None:
            self.rung = Rung.STOP
            return make_short_report(finding, self.hints)
        self.rung = climb(self.rung, finding)
        if self.rung == Rung.RESTART:
            await self._restart(self._course, finding)
        elif self.rung == Rung.RETRY:
            self._course.retry()
        else:
            return make_report(self._all, finding, self.hints, self._restarted, self._rolled_back)
        return ""

    def overflowed(self) -> None:
        """Take note that a request did not fit the window, though the history had been made to."""
        self._overflows += 1

    async def _restart(self, course: Course, finding: Finding) -> None:
        self._restarted = True
        self._rolled_back = should_roll_back(self._acts, finding) and await self._rollback()
        await course.restart(make_note(self._task, self._acts, finding, self._rolled_back))
        # The model has forgotten what it did, so the counts begin anew; the contents of files stay known, and so does
        # how far the ladder was climbed.
        self._acts.clear()
        self._tried.clear()
        self._overflows = 0
        for path in self._contents:
            self._see(path)

    def _settle(self, calm: bool) -> None:
        """Count the calls without a circle; after many of them all is well again."""
        self._calm = self._calm + 1 if calm else 0
        if self._calm >= CALM:
            self._spent, self.rung = 0, Rung.GO

    def _find(self) -> list[Finding]:
        short = self._course is None
        findings = find_all(self._acts, self._contents, self._asks, self._patient, short=short)
        if self._overflows >= BOUNDS["overflow"].hint:
            act = self._acts[-1] if self._acts else Act("", "", "")
            findings.append(Finding("overflow", "overflow", self._overflows, BOUNDS["overflow"], act))
        return findings

    def _find_changes(self, result: ToolResult) -> dict[str, str]:
        for path in result.changed:
            self._know(path, fresh=True)
        latest = list(self._contents)[-MOST_WATCHED:]
        changed = {path: self._contents[path][-1] for path in latest if self._see(path)}
        # A tool's own word counts too: a file written again as it was is no new content, but an act.
        return {**{path: self._digest(path) for path in result.changed}, **changed}

    def _know(self, path: str, fresh: bool = False) -> None:
        if not path:
            return
        known = self._contents.pop(path, None)
        # Of a file that a tool wrote, and that nobody named before, what it was is not known.
        self._contents[path] = known or ([] if fresh else [self._digest(path)])

    def _see(self, path: str) -> bool:
        now, known = self._digest(path), self._contents[path]
        if known and known[-1] == now:
            return False
        known.append(now)
        return True
