"""What goes round in circles, seen from what was done: pure. Each detector looks at the end of a turn's acts.

A hint costs a sentence, so it comes early; what costs more waits until there is no doubt. Nothing here is reset by a
hint: what goes on is counted on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hearth.agent.guard.acts import Act

Kind = Literal["repeat", "cycle", "error", "tests", "patch", "looking", "again", "stale", "overflow", "rest"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Counts: at which a hint is given, at which the course is changed, and how many more after a new try."""

    hint: int
    climb: int
    more: int = 1

    def stretch(self, times: int) -> Bound:
        """So many times as patient."""
        return Bound(self.hint * times, self.climb * times, self.more * times)


BOUNDS: dict[Kind, Bound] = {
    # The same call with the same result, one after the other, successful ones too. Known fixes of peers: three times
    # warn, five times stop (agents 3.11); OpenHands acts at four.
    "repeat": Bound(3, 5),
    # Rounds of A-B-A-B, also of up to six calls. OpenHands acts at six events, which are three rounds of two.
    "cycle": Bound(2, 3),
    # The same call, or the same tool on the same file, failing with nothing changed between. OpenHands: three.
    "error": Bound(3, 5),
    # Rounds of changes to the same lines of a file after which the very same tests fail. Repair helps in the first two
    # rounds (arXiv 2604.10508).
    "tests": Bound(3, 5),
    # How often a file went a way between two contents that it had gone before. A change that is taken back is good, and
    # so are many of them: a print for debugging, a mutation that the tests must see.
    "patch": Bound(2, 7),
    # Calls that only look, since the last change: a ratio above 12 is stuck (weak-models 5.8; the stuck sessions of 4.4
    # had 24). A large project is worth more looks than that: more than a hint comes only where they show nothing new.
    "looking": Bound(13, 39, more=6),
    # The same call with the same result since the last change, others between: it forgets what it has read.
    "again": Bound(3, 8),
    # Looks that showed what an earlier one had shown, since the last change: only where steps are few.
    "stale": Bound(4, 7),
    # Requests that did not fit the window, though the history had been shortened. OpenHands: ten events.
    "overflow": Bound(3, 3),
    # Turns ended with nothing: one nudge, then a new try.
    "rest": Bound(1, 2),
}
WAITING = Bound(9, 40)
"""One may wait for a command in the background, a server, a pipeline: looking at it again is no loop yet."""
PATIENCE = 3
"""How much longer it may go on where the person asked for it, or where something may have changed that is not seen."""
NEVER = 1_000_000
SHARE_OF_NEW = 2 / 3
"""Of looks: who sees something new in so many of them is getting on."""
LONGEST_CYCLE = 6
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


def find_all(
    acts: Sequence[Act],
    contents: Mapping[str, Sequence[str]],
    asks_for_change: bool,
    asks_to_repeat: bool = False,
    *,
    short: bool = False,
) -> list[Finding]:
    """All circles that the acts end in, what is surest first. ``contents``: what each changed file was, in order;
    ``asks_to_repeat``: the person wants something done again and again; ``short``: there are few steps to waste."""
    if not acts:
        return []
    found = [find_repeat(acts), find_cycle(acts), find_error(acts), find_tests(acts), *find_patches(acts, contents)]
    found += [find_looking(acts, asks_for_change), find_again(acts), find_stale(acts) if short else None]
    if asks_to_repeat:
        found = [finding and replace(finding, bound=finding.bound.stretch(PATIENCE)) for finding in found]
    return [finding for finding in found if finding and finding.count >= finding.bound.hint]


def find_repeat(acts: Sequence[Act]) -> Finding | None:
    """The last call, made again and again with the same result."""
    last = acts[-1]
    count = next((n for n, act in enumerate(reversed(acts)) if act.outcome != last.outcome), len(acts))
    bound = WAITING if last.nature == "waits" else BOUNDS["repeat"]
    return Finding("repeat", "call " + repr(last.call), count, bound, last)


def find_cycle(acts: Sequence[Act]) -> Finding | None:
    """Two to six calls in turn, each with the result that it had in the round before; ``count`` is in rounds."""
    for period in range(2, LONGEST_CYCLE + 1):
        round_ = [act.outcome for act in acts[-period:]]
        if len(set(round_)) < 2:
            continue
        rounds = 1
        while [act.outcome for act in acts[-period * (rounds + 1) : -period * rounds]] == round_:
            rounds += 1
        bound = WAITING if any(act.nature == "waits" for act in acts[-period:]) else BOUNDS["cycle"]
        if rounds >= bound.hint:
            calls = ", ".join(act.brief for act in acts[-period:])
            return Finding("cycle", f"cycle {sorted(round_)}", rounds, bound, acts[-1], calls)
    return None


def find_error(acts: Sequence[Act]) -> Finding | None:
    """The last call failed, as it did before; a change ends the count, a look does not. Where something else was done
    between that may have changed what is not seen, only the very same failure counts, and longer."""
    last = acts[-1]
    if not last.failed:
        return None
    count, bound = 0, WAITING if last.nature == "waits" else BOUNDS["error"]
    stirred = stirred_between = False
    for act in reversed(acts):
        if act.changed or (_same_try(act, last) and not act.failed):
            break
        if not _same_try(act, last):
            stirred = stirred or act.nature in ("stirs", "moves")
        elif stirred and act.outcome != last.outcome:
            break
        else:
            count += 1
            stirred_between = stirred
    if stirred_between and bound is BOUNDS["error"]:
        bound = bound.stretch(PATIENCE)
    return Finding("error", f"error {last.name} {last.path or last.arguments}", count, bound, last)


def _same_try(act: Act, last: Act) -> bool:
    return act.call == last.call or (bool(last.path) and (act.name, act.path) == (last.name, last.path))


def find_tests(acts: Sequence[Act]) -> Finding | None:
    """The same tests fail after one change to the same place and another; more tests that pass are progress, and so is
    another reason: then it may go on for longer."""
    if not acts[-1].tests or not acts[-1].tests.failing:
        return None
    last, tries = acts[-1].tests, list[list[Act]]()
    same_reasons = True
    changes: list[Act] = []
    for act in reversed(acts[:-1]):
        if act.changed:
            changes.append(act)
        if not act.tests:
            continue
        if act.tests != last:
            break
        if changes:
            tries.append(changes)
            same_reasons = same_reasons and act.tests.why == last.why
            changes = []
    count = count_tries(tries[::-1])
    names = sorted(last.failing)
    what = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    bound = BOUNDS["tests"] if same_reasons else BOUNDS["tests"].stretch(PATIENCE)
    return Finding("tests", f"tests {names}", count, bound, acts[-1], what)


def count_tries(tries: Sequence[Sequence[Act]]) -> int:
    """How many of the last groups of changes went to the same place: a file that all of them changed, and, as far as
    the calls tell it, lines that one of them had written before. Other lines of that file are other work."""
    files = set[str]()
    start = len(tries)
    while start > 0:
        both = {path for act in tries[start - 1] for path, _ in act.changed}
        both = both & files if files else both
        if not both:
            break
        files, start = both, start - 1
    count = 0
    written = set[str]()
    for changes in tries[start:]:
        own = [act for act in changes if files & {path for path, _ in act.changed}]
        count += not count or any(act.took is None or act.took & written for act in own)
        written.update(line for act in own for line in act.put)
    return count


def find_patches(acts: Sequence[Act], contents: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Files that the last act brought back to what they were before. ``contents``: what each was, in order."""
    if acts[-1].nature == "moves":
        return []
    return [
        Finding("patch", f"patch {path}", count, BOUNDS["patch"], acts[-1], path)
        for path, _ in acts[-1].changed
        if (count := count_swings(contents.get(path, ())))
    ]


def count_swings(contents: Sequence[str]) -> int:
    """How often one went from a content to another as it had before; 0 when the last one is new."""
    if contents[-1:] and contents[-1] not in contents[:-1]:
        return 0
    ways = list(itertools.pairwise(contents))
    return len(ways) - len(set(ways))


def find_looking(acts: Sequence[Act], asks_for_change: bool) -> Finding | None:
    """Looking without end. A hint at most for who was only asked a question, and for who finds something new."""
    if acts[-1].manner != "looks":
        return None
    looks: list[Act] = []
    for act in reversed(acts):
        if act.manner == "changes" or act.nature in ("stirs", "moves"):
            break
        if act.manner == "looks":
            looks.append(act)
    bound = BOUNDS["looking"]
    if not asks_for_change:
        bound = Bound(2 * bound.hint, NEVER)
    elif len({act.outcome for act in looks}) >= SHARE_OF_NEW * len(looks):
        bound = Bound(bound.hint, NEVER)
    return Finding("looking", "looking", len(looks), bound, acts[-1])


def find_again(acts: Sequence[Act]) -> Finding | None:
    """The last call with the same result as before, other calls between, and nothing that may have changed since."""
    last = acts[-1]
    if last.nature == "waits" or last.changed:
        return None
    count = 0
    for act in reversed(acts):
        if act.changed or (act.call != last.call and act.nature in ("stirs", "moves")):
            break
        count += act.outcome == last.outcome
    return Finding("again", "call " + repr(last.call), count, BOUNDS["again"], last)


def find_stale(acts: Sequence[Act]) -> Finding | None:
    """The last look showed nothing new, like others since something may have changed, each of them of something else
    perhaps: it reads without end."""
    if acts[-1].manner != "looks":
        return None
    since = itertools.takewhile(lambda act: not act.changed and act.nature not in ("stirs", "moves"), reversed(acts))
    looks = [act.outcome for act in since if act.manner == "looks" and act.nature != "waits"]
    if acts[-1].outcome not in looks[1:]:
        return None
    return Finding("stale", "stale", len(looks) - len(set(looks)), BOUNDS["stale"], acts[-1])


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
