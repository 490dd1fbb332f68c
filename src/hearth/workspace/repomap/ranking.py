"""Which files and definitions matter: personalised PageRank over who uses what, as aider's (repomap.py). Pure.

A file that uses a name points at the files that define it, by the root of how often. Names of the task weigh ten times
as much, private and over-common ones a tenth, what a named file uses fifty times.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from math import sqrt

from hearth.workspace.repomap.sketch import Sketch
from hearth.workspace.repomap.wanted import Wanted

MENTIONED, NAMED, LITTLE = 10.0, 50.0, 0.1
OVER_COMMON = 5
"""Files that define a name, above which it says little."""
MEANINGLESS = 20
"""Files that define a name, above which it says nothing of who uses whom."""
DAMPING = 0.85
ROUNDS = 30
CLOSE_ENOUGH = 1e-6

_UNUSED = 0.01
_LONG_NAME = 8
_SHORTEST_WORD = 5


@dataclass(frozen=True, slots=True)
class Ranking:
    """The weight of each file, and of each definition as (file, index among its lines)."""

    files: Mapping[str, float]
    lines: Mapping[tuple[str, int], float]

    def best_lines(self) -> list[tuple[str, int]]:
        """The definitions, best first; equal ones in the order of path and line."""
        return sorted(self.lines, key=lambda line: (-self.lines[line], line))


@dataclass(frozen=True, slots=True)
class _Use:
    """A file's use of a name that another one defines."""

    definer: str
    name: str
    weight: float


def rank(sketches: Mapping[str, Sketch], wanted: Wanted, named: frozenset[str]) -> Ranking:
    """Rank what is known of the files for a task; ``named`` are the files that it names."""
    definers = _find_definers(sketches)
    no_variables = {line.name for found in sketches.values() for line in found.lines if line.kind != "variable"}
    meant = find_meant(definers, wanted, no_variables)
    uses = {path: list(_find_uses(path, found, definers, meant, named)) for path, found in sorted(sketches.items())}
    start = {path: 1.0 + NAMED * (path in named) for path in sorted(sketches)}
    for name in sorted(meant):
        for family in sorted(definers[name]):
            for path in definers[name][family]:
                start[path] += MENTIONED
    files = _spread(uses, start)
    return Ranking(files, _lift_wanted(_weigh_lines(sketches, uses, files, definers, meant), sketches, wanted, named))


def find_meant(
    definers: Mapping[str, Mapping[str, list[str]]], wanted: Wanted, no_variables: Set[str]
) -> frozenset[str]:
    """The defined names that a task means: all that are written as code, words only where
    it is plain which definition they would be."""
    meant = {name for name in wanted.code if name in definers}
    for word in wanted.words:
        if len(word) < _SHORTEST_WORD:
            continue
        for name in (word, word.capitalize()):
            most = OVER_COMMON if name[0].isupper() else 1
            if name in no_variables and sum(map(len, definers[name].values())) <= most:
                meant.add(name)
    return frozenset(meant)


def _find_definers(sketches: Mapping[str, Sketch]) -> dict[str, dict[str, list[str]]]:
    """By name and family of languages the files that define it."""
    definers: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, found in sorted(sketches.items()):
        for name in {line.name for line in found.lines}:
            definers[name][found.family].append(path)
    return {name: dict(families) for name, families in definers.items()}


def _find_uses(
    path: str,
    found: Sketch,
    definers: Mapping[str, Mapping[str, list[str]]],
    meant: frozenset[str],
    named: frozenset[str],
) -> Iterator[_Use]:
    for name, count in found.references().items():
        there = definers.get(name, {}).get(found.family, ())
        if not there or len(there) > MEANINGLESS:
            continue
        weight = sqrt(count) * _weigh_name(name, len(there), meant) * (NAMED if path in named else 1.0)
        for definer in there:
            if definer != path:
                yield _Use(definer, name, weight)


def _weigh_name(name: str, files: int, meant: frozenset[str]) -> float:
    weight = MENTIONED if name in meant else 1.0
    if len(name) >= _LONG_NAME and ("_" in name.strip("_") or (name.lower() != name and name.upper() != name)):
        # A long name of several words is seldom two things.
        weight *= MENTIONED
    if files > OVER_COMMON or (name.startswith("_") and name not in meant):
        weight *= LITTLE
    return weight


def _spread(uses: Mapping[str, list[_Use]], start: Mapping[str, float]) -> dict[str, float]:
    """PageRank by power iteration; what points nowhere gives to all as they started."""
    paths = list(start)
    number = {path: index for index, path in enumerate(paths)}
    whole = sum(start.values())
    begin = [weight / whole for weight in start.values()]
    links: list[list[tuple[int, float]]] = []
    for path in paths:
        together: dict[int, float] = defaultdict(float)
        for use in uses[path]:
            together[number[use.definer]] += use.weight
        total = sum(together.values())
        links.append([(there, weight / total) for there, weight in together.items()] if total else [])
    weights = begin
    for _ in range(ROUNDS):
        loose = sum(weight for weight, targets in zip(weights, links, strict=True) if not targets)
        following = [(1 - DAMPING + DAMPING * loose) * share for share in begin]
        for weight, targets in zip(weights, links, strict=True):
            given = DAMPING * weight
            for there, share in targets:
                following[there] += given * share
        change = sum(abs(new - old) for new, old in zip(following, weights, strict=True))
        weights = following
        if change < CLOSE_ENOUGH:
            break
    return dict(zip(paths, weights, strict=True))


def _weigh_lines(
    sketches: Mapping[str, Sketch],
    uses: Mapping[str, list[_Use]],
    files: Mapping[str, float],
    definers: Mapping[str, Mapping[str, list[str]]],
    meant: frozenset[str],
) -> dict[tuple[str, int], float]:
    """Each file gives its weight to the definitions that it uses."""
    given: dict[tuple[str, str], float] = defaultdict(float)
    for path, found in uses.items():
        total = sum(use.weight for use in found)
        for use in found:
            given[use.definer, use.name] += files[path] * use.weight / total
    lines: dict[tuple[str, int], float] = {}
    for path, sketch in sketches.items():
        own = sketch.references()
        for index, line in enumerate(sketch.lines):
            # Of what nobody else uses, that which its own file uses comes first.
            unused = files[path] * _UNUSED * (1 + min(own.get(line.name, 0), 10) / 10)
            there = sum(map(len, definers[line.name].values()))
            weight = given.get((path, line.name), 0.0) + unused * _weigh_name(line.name, there, meant)
            lines[path, index] = weight * (MENTIONED if line.name in meant else 1.0)
    return lines


def _lift_wanted(
    lines: dict[tuple[str, int], float], sketches: Mapping[str, Sketch], wanted: Wanted, named: frozenset[str]
) -> dict[tuple[str, int], float]:
    """What the task names in so many words stands before all else, however little it is used: names, then files."""
    highest = max(lines.values(), default=0.0)
    definers = Counter(name for found in sketches.values() for name in {line.name for line in found.lines})
    lifted = dict(lines)
    for path, found in sketches.items():
        best = max((lines[path, index] for index in range(len(found.lines))), default=0.0)
        for index, line in enumerate(found.lines):
            if line.qualified in wanted.qualified or (line.name in wanted.code and definers[line.name] <= OVER_COMMON):
                lifted[path, index] += 2 * highest
            if line.qualified in wanted.qualified:
                lifted[path, index] += highest
            if path in named and best > 0:
                # The best of a named file for certain, the rest of it in turn with what is used elsewhere.
                lifted[path, index] += highest * lines[path, index] / best
    return lifted
