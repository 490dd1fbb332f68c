"""The map as text: paths, and below each the lines that define something. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hearth.workspace.repomap.sketch import Line, Sketch

CHARACTERS_A_TOKEN = 3.3
"""Of code, where nothing was measured."""

_SHORTEST_LINE = 8
_LEAST_REST = 60


def draw_map(
    sketches: Mapping[str, Sketch],
    best: Sequence[tuple[str, int]],
    others: Sequence[str],
    budget: int,
    characters_a_token: float = CHARACTERS_A_TOKEN,
) -> str:
    """The most of the best definitions that fit into ``budget`` tokens; the names of other files in what is left.

    ``best`` are definitions as (path, index), best first; ``others`` the paths that may follow. Ends with a line end
    unless it is empty.
    """
    room = int(budget * characters_a_token)
    low, high = 0, min(len(best), max(room, 0) // _SHORTEST_LINE)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_write(sketches, best[:middle])) <= room:
            low = middle
        else:
            high = middle - 1
    text = _write(sketches, best[:low])
    shown = {path for path, _ in best[:low]}
    return text + _list_rest([path for path in others if path not in shown], room - len(text))


def _write(sketches: Mapping[str, Sketch], chosen: Sequence[tuple[str, int]]) -> str:
    by_path: dict[str, set[int]] = defaultdict(set)
    for path, index in chosen:
        # A method without its class would belong to nothing.
        while index >= 0 and index not in by_path[path]:
            by_path[path].add(index)
            index = sketches[path].lines[index].outer
    parts: list[str] = []
    for path in sorted(by_path):
        parts.append(f"{path}:\n")
        lines = sketches[path].lines
        parts += [f"{_indent(lines, index)}{lines[index].text}\n" for index in sorted(by_path[path])]
    return "".join(parts)


def _indent(lines: Sequence[Line], index: int) -> str:
    """Two blanks for each level: what a source has in front of its lines (namespaces, ``#if``) only costs tokens."""
    depth = 1
    while (index := lines[index].outer) >= 0:
        depth += 1
    return "  " * depth


def _list_rest(paths: Sequence[str], room: int) -> str:
    """A line of further paths and how many are left out; "" where there is no room for it to say anything."""
    if not paths or room < _LEAST_REST:
        return ""
    head, tail = "other files: ", " and {} more\n"
    left = room - len(head) - len(tail.format(len(paths)))
    names: list[str] = []
    for path in paths:
        left -= len(path) + 1
        if left < 0:
            break
        names.append(path)
    if not names:
        return ""
    rest = len(paths) - len(names)
    return head + " ".join(names) + (tail.format(rest) if rest else "\n")
