"""What lies between snapshots, and what must be done to a project to take it from one to another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hearth.workspace.snapshots.tree import Item, join, same

CACHES = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"})
"""Folders of what tools make again by themselves: when somebody else changed them since, they stay as they are, and
nobody is asked."""

Tree = Callable[[str], Mapping[str, Item]]
"""A folder's entries by the name of its tree."""


class Change(NamedTuple):
    """What one path was, and what it is to be; None where there is nothing."""

    old: Item | None
    new: Item | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: ``changes`` are safe. ``conflicts`` were changed by somebody else since: they wait for a yes.
    ``kept`` cannot be brought back: no snapshot has their content."""

    changes: dict[str, Change]
    conflicts: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def compare(tree: Tree, one: str, other: str) -> dict[str, Change]:
    """What changed from one snapshot to the other, by path; the root's own path is the empty one."""
    changes: dict[str, Change] = {}
    waiting = [("", tree(one), tree(other), True)]
    while waiting:
        folder, before, after, top = waiting.pop()
        for name in before.keys() | after.keys():
            path = "" if top else join(folder, name)
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            if not same(old, new):
                changes[path] = Change(old, new)
            if "x" in (old and old.kind, new and new.kind):
                continue
            inner = [tree(item.id) if item is not None and item.kind == "d" else {} for item in (old, new)]
            if inner[0] or inner[1]:
                waiting.append((path, inner[0], inner[1], False))
    return changes


def chain(steps: Iterable[Mapping[str, Change]]) -> tuple[dict[str, Change], set[str]]:
    """Several differences, one after the other, as one; and the paths that somebody changed between two of them."""
    whole: dict[str, Change] = {}
    torn: set[str] = set()
    for step in steps:
        for path, change in step.items():
            earlier = whole.get(path)
            if earlier is None:
                whole[path] = change
                continue
            if not same(earlier.new, change.old):
                torn.add(path)
            whole[path] = Change(earlier.old, change.new)
    return {path: change for path, change in whole.items() if path in torn or not same(*change)}, torn


def decide(
    steps: Sequence[Mapping[str, Change]],
    find: Callable[[str], Item | None],
    *,
    sure: bool = True,
    force: bool = False,
    again: bool = False,
) -> Plan:
    """How to go these steps in a project that is now as ``find`` says.

    What is as it is to be already is left out: done twice, or gone on with after a crash, it comes to the same.
    ``sure`` says whether what the steps start from was seen when it was over: if not, all of it waits for a yes.
    ``force`` is that yes. ``again`` says that it was begun before, and cut off: where there is nothing, a file may be
    on its way to become a folder.
    """
    whole, torn = chain(steps)
    changes: dict[str, Change] = {}
    conflicts, kept = [], []
    for path, (expected, target) in sorted(whole.items()):
        now = find(path)
        safe = sure and path not in torn and _is_expected(now, expected)
        if same(now, target) or (expected is None and _are_folders(now, target) and not again):
            continue
        if "x" in (target and target.kind, now and now.kind):
            kept.append(path)
        elif force or safe or (again and _is_on_the_way(now, target)):
            changes[path] = Change(now, target)
        elif not CACHES.intersection(path.split("/")):
            conflicts.append(path)
    return Plan(changes, tuple(conflicts), tuple(kept))


def _is_expected(now: Item | None, expected: Item | None) -> bool:
    if _are_folders(now, expected):
        return True  # the mode of a folder is nobody's work
    return same(now, expected)


def _is_on_the_way(now: Item | None, target: Item | None) -> bool:
    """Whether it may be what a crash left: what was in the way is removed, the folder is made and has no mode yet."""
    return now is None or _are_folders(now, target)


def _are_folders(one: Item | None, other: Item | None) -> bool:
    return one is not None and other is not None and one.kind == other.kind == "d"
