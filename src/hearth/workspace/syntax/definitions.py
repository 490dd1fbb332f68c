"""The definitions of a text, what encloses a line, and the names that it uses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.workspace.syntax.headings import list_headings
from hearth.workspace.syntax.languages import Grammar, language_of, load_grammar
from hearth.workspace.syntax.naming import name_of
from hearth.workspace.syntax.patterns import WORDS, WRAPPERS

if TYPE_CHECKING:
    from tree_sitter import Node

LARGEST_READ = 2_500_000
"""Characters of the largest text that is read at all: 50,000 lines of Python have 1.8 million."""

_CLASSES = frozenset({"class", "struct", "interface", "trait", "impl", "object", "record", "enum", "protocol", "union"})
_BELONGS = ("comment", "attribute")
_NO_NAMES = ("comment", "string")
_CONTINUED = frozenset({"python"})
"""Where a comment below the last statement still is in the body if it is indented."""
_IDENTIFIER = re.compile(rb"[A-Za-z_$\x80-\xff][\w$\x80-\xff]*")
_LONGEST_NAME = 100
_MOST_WRAPPED = 30


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition. ``qualified`` is joined by ``.`` in every language (headings by `` > ``).

    ``kind`` is function, method, class, variable, heading …; the lines are 1-based, both inclusive, with decorators,
    attributes and the comment directly above.
    """

    name: str
    qualified: str
    kind: str
    first_line: int
    last_line: int
    head_line: int
    """The line on which the definition itself begins, below its comment and its decorators."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What one text defines, in order, and how often it uses each name (comments and strings left out)."""

    definitions: tuple[Definition, ...] = ()
    references: Mapping[str, int] | None = None


def list_definitions(path: str, text: str) -> tuple[Definition, ...]:
    """The definitions of a file, outer before inner, in the order of the text; () where no grammar is known."""
    if language_of(path) == "markdown":
        return tuple(
            Definition(found.title, found.path, "heading", found.first_line, found.last_line, found.first_line)
            for found in list_headings(text)
        )
    return _read(path, text, references=False).definitions


def list_references(path: str, text: str) -> dict[str, int]:
    """How often each identifier stands in the code of a file; {} where no grammar is known."""
    return dict(_read(path, text, references=True).references or {})


def outline(path: str, text: str) -> Outline:
    """Definitions and references by one reading."""
    if language_of(path) == "markdown":
        return Outline(list_definitions(path, text), {})
    return _read(path, text, references=True)


def enclosing(path: str, text: str, line: int) -> str:
    """What encloses a 1-based line, inner first: ``def parse in class Reader``; for Markdown the heading path.

    "" where nothing does. A line of a decorator or of the comment above a definition belongs to it.
    """
    around = [found for found in list_definitions(path, text) if found.first_line <= line <= found.last_line]
    if not around:
        return ""
    if around[-1].kind == "heading":
        return around[-1].qualified
    words = WORDS.get(language_of(path) or "", {})
    inner = around[-1]
    parts, outer = [], ""
    # Of several on one line only those count that the last one is in.
    for found in [*(found for found in around[:-1] if inner.qualified.startswith(f"{_prefix(found)}.")), inner]:
        own = found.qualified.removeprefix(f"{outer}.") if outer else found.qualified
        parts.append(own if found.kind == "impl" else f"{words.get(found.kind, found.kind)} {own}")
        outer = _prefix(found)
    return " in ".join(reversed(parts))


def _read(path: str, text: str, references: bool) -> Outline:
    grammar = load_grammar(language_of(path) or "")
    if grammar is None or len(text) > LARGEST_READ:
        return Outline()
    data = text.encode("utf-8", "replace")
    root = grammar.parse(data)
    if root is None:
        return Outline()
    found = grammar.find(root)
    definitions = _collect(grammar, found, data)
    return Outline(definitions, _count_names(found, data, definitions) if references else None)


def _collect(grammar: Grammar, found: dict[str, list[Node]], data: bytes) -> tuple[Definition, ...]:
    nodes = [(node, kind) for kind, some in found.items() if kind not in (*_BELONGS, "string") for node in some]
    nodes.sort(key=lambda item: (item[0].start_byte, -item[0].end_byte, item[1]))
    lines = data.split(b"\n")
    belongs = _whole_lines([node for kind in _BELONGS for node in found.get(kind, ())], lines)
    definitions: list[Definition] = []
    open_ones: list[tuple[int, Definition]] = []
    last_range = (-1, -1)
    for node, kind in nodes:
        if node.byte_range == last_range:
            continue
        named = name_of(grammar.name, kind, node)
        if named is None or not named[0]:
            continue
        last_range = node.byte_range
        while open_ones and open_ones[-1][0] <= node.start_byte:
            open_ones.pop()
        outer = open_ones[-1][1] if open_ones else None
        definition = _define(grammar.name, node, named, outer, belongs)
        definitions.append(definition)
        open_ones.append((node.end_byte, definition))
    return tuple(definitions)


def _define(
    language: str, node: Node, named: tuple[str, str], outer: Definition | None, belongs: dict[int, tuple[int, int]]
) -> Definition:
    name, kind = named
    if kind == "function" and outer is not None and outer.kind in _CLASSES:
        kind = "method"
    whole = node
    while (parent := whole.parent) is not None and parent.type in WRAPPERS and _is_alone(whole, parent):
        whole = parent
    first, last = whole.start_point.row, _last_row(whole)
    column = whole.start_point.column
    while (above := belongs.get(first - 1)) is not None and above[1] == column:
        first = above[0]
    while language in _CONTINUED and (below := belongs.get(last + 1)) is not None and below[1] > column:
        last += 1
    name = name[:_LONGEST_NAME]
    prefix = _prefix(outer) if outer is not None else ""
    qualified = f"{prefix}.{name}" if prefix else name
    own = name.rpartition(".")[2] if kind not in ("impl", "rule", "table", "key") else name
    return Definition(own, qualified, kind, first + 1, last + 1, node.start_point.row + 1)


def _prefix(definition: Definition) -> str:
    """What qualifies the names inside: an ``impl`` block lends them the name of its type, a ``typedef`` nothing."""
    if definition.kind == "typedef":
        return definition.qualified.rpartition(".")[0]
    if definition.kind != "impl":
        return definition.qualified
    return re.sub(r"^(.*\.)?impl (?:.* for )?", r"\1", definition.qualified)


def _is_alone(node: Node, parent: Node) -> bool:
    """Whether a wrapper holds this one definition and nothing beside it that counts."""
    if parent.named_child_count > _MOST_WRAPPED:
        return False
    same = sum(1 for child in parent.named_children if child.type == node.type)
    return same == 1 and not any(child.type == "(" for child in parent.children[:2])


def _last_row(node: Node) -> int:
    end = node.end_point
    return end.row - 1 if end.column == 0 and end.row > node.start_point.row else end.row


def _whole_lines(nodes: list[Node], lines: list[bytes]) -> dict[int, tuple[int, int]]:
    """By the last row of each comment that has its lines for itself: its first row and its column."""
    rows: dict[int, tuple[int, int]] = {}
    for node in nodes:
        first, column, last = node.start_point.row, node.start_point.column, _last_row(node)
        before = lines[first][:column] if first < len(lines) else b""
        # The first lines of a script speak to the system, not of what follows.
        speaks_to_system = first < 2 and re.match(rb"#!|#.*coding[:=]", lines[first][column:])
        if not before.strip() and not speaks_to_system:
            rows[last] = (first, column)
    return rows


def _count_names(found: dict[str, list[Node]], data: bytes, definitions: tuple[Definition, ...]) -> dict[str, int]:
    kept, start = [], 0
    for begin, end in sorted(node.byte_range for kind in _NO_NAMES for node in found.get(kind, ())):
        if begin >= start:
            kept.append(data[start:begin])
            start = end
    kept.append(data[start:])
    counts = Counter(_IDENTIFIER.findall(b" ".join(kept)))
    names = {name.decode("utf-8", "replace"): count for name, count in counts.items() if len(name) <= _LONGEST_NAME}
    # A definition names itself once: that is no use of it.
    for definition in definitions:
        if names.get(definition.name, 0) > 0:
            names[definition.name] -= 1
    return {name: count for name, count in names.items() if count}
