"""What in a project speaks for a file being the one that a task is about. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from hearth.workspace.repomap.ranking import Ranking
from hearth.workspace.repomap.sketch import Sketch
from hearth.workspace.repomap.wanted import Wanted, split_name

NAMED_POINTS, TEXT_POINTS = 12.0, 6.0
"""Points of a file that is named, and of one that alone has a text that is quoted."""
LEAST_CENTRAL = 0.1
"""Share of the highest rank from which on a file counts as central."""

_DEFINES, _DEFINES_WORD, _PATH_WORD, _USES, _CENTRAL = 8.0, 2.0, 2.0, 1.0, 3.0
_MOST_WHY = 4


@dataclass(frozen=True, slots=True)
class RankedFile:
    """A file that a task may be about: the higher ``score`` the likelier, and ``why`` in a few words each."""

    path: str
    score: float
    why: tuple[str, ...]


class Clues:
    """What speaks for each file, with how much."""

    def __init__(self) -> None:
        self._reasons: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def add(self, path: str, points: float, why: str) -> None:
        """Something that speaks for a file."""
        self._reasons[path].append((points, why))

    def paths(self) -> tuple[str, ...]:
        """The files that something speaks for."""
        return tuple(self._reasons)

    def best(self, most: int) -> tuple[RankedFile, ...]:
        """The files for which most speaks, best first."""
        ranked = []
        for path, reasons in self._reasons.items():
            reasons.sort(key=lambda reason: (-reason[0], reason[1]))
            why = tuple(dict.fromkeys(text for _, text in reasons))[:_MOST_WHY]
            ranked.append(RankedFile(path, round(sum(points for points, _ in reasons), 6), why))
        return tuple(sorted(ranked, key=lambda file: (-file.score, file.path))[: max(most, 0)])


def point_at_definitions(clues: Clues, sketches: Mapping[str, Sketch], wanted: Wanted) -> None:
    """Files that define what the task names, and those whose definitions have its words in their names."""
    stems = wanted.stems
    by_stem: dict[str, dict[str, str]] = defaultdict(dict)
    named = wanted.code | wanted.words
    definers: dict[str, set[str]] = defaultdict(set)
    places: dict[tuple[str, str], str] = {}
    for path, sketch in sketches.items():
        for line in sketch.lines:
            if line.name in named:
                definers[line.name].add(path)
                places.setdefault((path, line.name), f"defines {line.qualified} (line {line.number})")
            for stem in stems.intersection(split_name(line.name)):
                by_stem[stem].setdefault(path, f"defines {line.qualified} (line {line.number})")
    for name, paths in sorted(definers.items()):
        weight = (_DEFINES if name in wanted.code else _DEFINES / 2) / len(paths) ** 0.5
        for path in sorted(paths):
            clues.add(path, weight, places[path, name])
    for _, there in sorted(by_stem.items()):
        for path, why in sorted(there.items()):
            clues.add(path, _DEFINES_WORD * _rarity(len(there), len(sketches)), why)


def point_at_paths(clues: Clues, paths: tuple[str, ...], wanted: Wanted) -> None:
    """Files whose path has a word of the task."""
    stems = wanted.stems
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for stem in stems.intersection(split_name(path)):
            by_stem[stem].append(path)
    for stem, there in sorted(by_stem.items()):
        for path in there:
            clues.add(path, _PATH_WORD * _rarity(len(there), len(paths)), f"its path has {stem!r}")


def point_at_uses(clues: Clues, sketches: Mapping[str, Sketch], wanted: Wanted) -> None:
    """Files that use what the task names."""
    users: dict[str, dict[str, int]] = defaultdict(dict)
    for path, sketch in sketches.items():
        names = sketch.references()
        for name in wanted.code.intersection(names):
            users[name][path] = names[name]
    for name, there in sorted(users.items()):
        for path, count in sorted(there.items()):
            clues.add(path, _USES * _rarity(len(there), len(sketches)) * min(count, 9) ** 0.5, f"uses {name}")


def point_at_central(clues: Clues, ranking: Ranking) -> None:
    """Of files that something speaks for, the one that others lean on comes first."""
    highest = max(ranking.files.values(), default=0.0)
    if highest <= 0:
        return
    for path in clues.paths():
        if (share := ranking.files.get(path, 0.0) / highest) > LEAST_CENTRAL:
            clues.add(path, _CENTRAL * share, "much of what the task is about leads here")


def _rarity(files: int, of: int) -> float:
    """Near 1 for what is in few files, 0 for what is in all."""
    return log((of + 1) / files) / log(of + 1) if of > 0 and files > 0 else 0.0
