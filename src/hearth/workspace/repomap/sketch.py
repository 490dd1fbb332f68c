"""What the map keeps of a file: the lines that define something, and the names that it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from hearth.workspace.syntax import Definition, Outline, language_of

LARGEST_FILE = 500_000
"""Bytes of the largest file that is read for the map."""
MOST_NAMES = 1_500
"""Names that are kept of one file, the most used first."""
MOST_DEFINITIONS = 2_000
LONGEST_LINE = 120
"""Characters of a definition that are shown."""

_MOST_JOINED = 6
_SHORTEST_NAME = 3
_SHOWN_KINDS_NOT = frozenset({"heading", "key", "rule", "table"})
_NO_CODE = frozenset({"markdown", "json", "yaml", "toml", "css", "html"})
_FAMILIES = {"typescript": "javascript", "tsx": "javascript", "c": "cpp", "kotlin": "java", "scala": "java"}
_BODIES = ("function", "method", "constructor", "test")


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A definition: its names, its first line (1-based), how it is shown, the index of the one around it (-1: none)."""

    name: str
    qualified: str
    kind: str
    number: int
    text: str
    outer: int


class Sketch(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of one file; names and counts in parallel, names joined by blanks: quick to load."""

    family: str
    lines: tuple[Line, ...]
    names: str
    counts: tuple[int, ...]

    def references(self) -> Mapping[str, int]:
        """How often the file uses each name."""
        return dict(zip(self.names.split(" "), self.counts, strict=True)) if self.names else {}


def family_of(path: str) -> str | None:
    """The languages that may call each other go by one name; None for what holds no code that we can read."""
    language = language_of(path)
    return None if language is None or language in _NO_CODE else _FAMILIES.get(language, language)


def sketch(path: str, text: str, outline: Callable[[str, str], Outline]) -> Sketch:
    """The sketch of a file, of what ``outline`` reads in it; an empty one if there is nothing in it."""
    family = family_of(path)
    if family is None:
        return Sketch("", (), "", ())
    found = outline(path, text)
    names = sorted(
        (
            (name, count)
            for name, count in (found.references or {}).items()
            if len(name) >= _SHORTEST_NAME and " " not in name
        ),
        key=lambda item: (-item[1], item[0]),
    )[:MOST_NAMES]
    return Sketch(
        family,
        _list_lines(found.definitions, text.split("\n")),
        " ".join(name for name, _ in names),
        tuple(count for _, count in names),
    )


def _list_lines(definitions: tuple[Definition, ...], text: list[str]) -> tuple[Line, ...]:
    lines: list[Line] = []
    around: list[tuple[Definition, int]] = []
    for found in definitions[:MOST_DEFINITIONS]:
        while around and around[-1][0].last_line < found.first_line:
            around.pop()
        hidden = found.kind in _SHOWN_KINDS_NOT or any(outer.kind in _BODIES for outer, _ in around)
        if hidden:
            continue
        outer = around[-1][1] if around else -1
        around.append((found, len(lines)))
        shown = _signature(text, found)
        lines.append(Line(found.name, found.qualified, found.kind, found.head_line, shown, outer))
    return tuple(lines)


def _signature(text: list[str], found: Definition) -> str:
    """The line that defines, with those on which its brackets go on, as one; a body on the same line is left out."""
    parts = [text[found.head_line - 1].strip() if found.head_line <= len(text) else ""]
    last = min(found.last_line, found.head_line + _MOST_JOINED - 1, len(text))
    for number in range(found.head_line, last):
        if _open_brackets(parts) <= 0:
            break
        parts.append(text[number].strip())
    joined = " ".join(part for part in parts if part).replace("( ", "(").replace(", )", ")")
    if found.kind != "variable":
        joined = joined.removesuffix("{").rstrip()
    if len(joined) > LONGEST_LINE:
        return f"{joined[: LONGEST_LINE - 1]}…"
    return joined


def _open_brackets(parts: list[str]) -> int:
    line = "".join(parts)
    return line.count("(") + line.count("[") - line.count(")") - line.count("]")
