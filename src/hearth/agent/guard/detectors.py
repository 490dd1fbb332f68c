"""What goes round in circles, seen from what was done: pure. Each detector looks at the end of a turn's acts.

A hint costs a sentence, so it comes early; what costs more waits until there is no doubt. Nothing here is reset by a
hint: what goes on is counted on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hearth.agent.guard.acts import Act

Kind = Literal["repeat", "cycle", "error", "tests", "patch", "looking", "again", "overflow", "rest"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Counts: at which a hint is given, at which the course is changed, and how many more after a new try."""

    hint: int
    climb: int
    more: int = 1


BOUNDS: dict[Kind, Bound] = {
    # The same call with the same result, one after the other, successful ones too. Known fixes of peers: three times
    # warn, five times stop (agents 3.11); OpenHands acts at four.
    "repeat": Bound(3, 5),
    # Rounds of A-B-A-B, also of three or four calls. OpenHands acts at six events, which are three rounds of two.
    "cycle": Bound(2, 3),
    # The same call, or the same tool on the same file, failing with nothing changed between. OpenHands: three.
    "error": Bound(3, 5),
    # Rounds of changes to the same file after which the very same tests fail. Repair helps in the first two rounds
    # (arXiv 2604.10508).
    "tests": Bound(3, 5),
    # How often a file came back to a content that it had before: once is a change taken back, which is good.
    "patch": Bound(2, 4),
    # Calls that only look, since the last change: a ratio above 12 is stuck (weak-models 5.8; the stuck sessions of 4.4
    # had 24). A large project is worth more looks than that, so only the hint comes there.
    "looking": Bound(13, 39, more=6),
    # The same call with the same result since the last change, others between: it forgets what it has read.
    "again": Bound(3, 8),
    # Requests that did not fit the window, though the history had been shortened. OpenHands: ten events.
    "overflow": Bound(3, 3),
    # Turns ended with nothing: one nudge, then a new try.
    "rest": Bound(1, 2),
}
PATIENCE = 3
"""How much longer one may wait for a command in the background: looking at it again is no loop yet."""
WAITING = frozenset({"output"})
LONGEST_CYCLE = 4
SAME_TEXTS = 3
"""Texts in a row, the same or nearly, that make a monologue (OpenHands)."""
SAME_SHARE = 0.85
"""Share of common word pairs from which two texts are nearly the same."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One circle: what goes round, how often, and the last act of it. ``key`` tells circles apart."""

    kind: Kind
    key: str
    count: int
    bound: Bound
    act: Act
    what: str = ""

    @property
    def hints(self) -> bool:
        """Whether a hint is in place: early, and once more just before the course is changed."""
        return self.count == self.bound.hint or self.count == self.bound.climb - 1 > self.bound.hint

    @property
    def climbs(self) -> bool:
        """Whether it is time for more than a hint."""
        return self.count >= self.bound.climb


def find_all(acts: Sequence[Act], contents: Mapping[str, Sequence[str]], asks_for_change: bool) -> list[Finding]:
    """All circles that the acts end in, what is surest first. ``contents``: what each changed file was, in order."""
    if not acts:
        return []
    found = [find_repeat(acts), find_cycle(acts), find_error(acts), find_tests(acts), *find_patches(acts, contents)]
    found += [find_looking(acts, asks_for_change), find_again(acts)]
    return [finding for finding in found if finding and finding.count >= finding.bound.hint]


def find_repeat(acts: Sequence[Act]) -> Finding | None:
    """The last call, made again and again with the same result."""
    last = acts[-1]
    count = next((n for n, act in enumerate(reversed(acts)) if act.outcome != last.outcome), len(acts))
    bound = BOUNDS["repeat"]
    if last.name in WAITING:
        bound = Bound(bound.hint * PATIENCE, bound.climb * PATIENCE)
    return Finding("repeat", "call " + repr(last.call), count, bound, last)


def find_cycle(acts: Sequence[Act]) -> Finding | None:
    """Two to four calls in turn, each with the result that it had in the round before; ``count`` is in rounds."""
    for period in range(2, LONGEST_CYCLE + 1):
        round_ = [act.outcome for act in acts[-period:]]
        if len(set(round_)) < 2 or any(act.name in WAITING for act in acts[-period:]):
            continue
        rounds = 1
        while [act.outcome for act in acts[-period * (rounds + 1) : -period * rounds]] == round_:
            rounds += 1
        if rounds >= BOUNDS["cycle"].hint:
            calls = ", ".join(act.brief for act in acts[-period:])
            return Finding("cycle", f"cycle {sorted(round_)}", rounds, BOUNDS["cycle"], acts[-1], calls)
    return None


def find_error(acts: Sequence[Act]) -> Finding | None:
    """The last call failed, as it did before; a change ends the count, a look does not."""
    last = acts[-1]
    if not last.failed:
        return None
    count = 0
    for act in reversed(acts):
        if act.changed or (_same_try(act, last) and not act.failed):
            break
        count += _same_try(act, last)
    return Finding("error", f"error {last.name} {last.path or last.arguments}", count, BOUNDS["error"], last)


def _same_try(act: Act, last: Act) -> bool:
    return act.call == last.call or (bool(last.path) and (act.name, act.path) == (last.name, last.path))


def find_tests(acts: Sequence[Act]) -> Finding | None:
    """The same tests fail after one change to the same file and another; more tests that pass are progress."""
    runs: list[tuple[Act, set[str]]] = []
    changed: set[str] = set()
    for act in acts:
        changed |= {path for path, _ in act.changed}
        if act.tests:
            runs.append((act, changed))
            changed = set()
    if not runs or not acts[-1].tests or not acts[-1].tests.failing:
        return None
    last, region = acts[-1].tests, set[str]()
    count = 0
    for at in range(len(runs) - 1, 0, -1):
        before, files = runs[at - 1][0].tests, runs[at][1]
        if before is None or before.failing != last.failing or before.passed != last.passed:
            break
        if files:
            region = region & files if count else files
            if not region:
                break
            count += 1
    names = sorted(last.failing)
    what = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    return Finding("tests", f"tests {names}", count, BOUNDS["tests"], acts[-1], what)


def find_patches(acts: Sequence[Act], contents: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Files that the last act brought back to what they were before. ``contents``: what each was, in order."""
    return [
        Finding("patch", f"patch {path}", count, BOUNDS["patch"], acts[-1], path)
        for path, _ in acts[-1].changed
        if (count := count_returns(contents.get(path, ())))
    ]


def count_returns(contents: Sequence[str]) -> int:
    """How often one came back to a content that had been there, and was left, before; 0 when it is a new one now."""
    if contents[-1:] and contents[-1] not in contents[:-1]:
        return 0
    return len(contents) - len(set(contents))


def find_looking(acts: Sequence[Act], asks_for_change: bool) -> Finding | None:
    """Looking without end. Whoever was only asked a question may look as long as it likes: a hint at most."""
    if acts[-1].manner != "looks":
        return None
    count = 0
    for act in reversed(acts):
        if act.manner == "changes":
            break
        count += act.manner == "looks"
    bound = BOUNDS["looking"]
    if not asks_for_change:
        bound = Bound(2 * bound.hint, 1_000_000)
    return Finding("looking", "looking", count, bound, acts[-1])


def find_again(acts: Sequence[Act]) -> Finding | None:
    """The last call with the same result as before, other calls between, nothing changed since."""
    last = acts[-1]
    if last.name in WAITING or last.changed:
        return None
    count = 0
    for act in reversed(acts):
        if act.changed:
            break
        count += act.outcome == last.outcome
    return Finding("again", "call " + repr(last.call), count, BOUNDS["again"], last)


def is_monologue(texts: Sequence[str], times: int = SAME_TEXTS) -> bool:
    """Whether the last texts say the same, or nearly; texts of nothing are no monologue."""
    last = list(texts[-times:])
    return len(last) == times and all(_alike(text, last[-1]) for text in last)


def _alike(text: str, other: str) -> bool:
    first, second = _pairs(text), _pairs(other)
    return bool(first | second) and len(first & second) >= SAME_SHARE * len(first | second)


def _pairs(text: str) -> set[tuple[str, str]]:
    words = re.findall(r"\w+", text.lower())
    return set(itertools.pairwise(words)) or {(word, "") for word in words}
