"""What is broken in a tree: nodes that the grammar could not read, brackets that do not close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hearth.workspace.syntax.exact import Place

if TYPE_CHECKING:
    from tree_sitter import Node

_CLOSES = {")": "(", "]": "[", "}": "{"}
_OPENERS = frozenset("([{")
_BRACKETS = frozenset("()[]{}")
_LONGEST_OPENER = 3
_LONGEST_SHOWN = 40
_NEWER = frozenset({"type_alias_statement", "type_parameter", "interpolation", "except_clause", "except_group_clause"})
"""Nodes of Python whose rules grew between 3.11 and 3.14."""


def find_broken(root: Node, data: bytes, most: int) -> list[Place]:
    """The nodes that the grammar could not read, and those that it had to make up, in the order of the text."""
    places: list[Place] = []
    waiting = [root]
    while waiting and len(places) < most:
        node = waiting.pop()
        if node.is_missing:
            places.append(_place(node, data, f"missing '{node.type}'"))
        elif node.is_error:
            leaf = _first_leaf(node)
            places.append(_place(leaf, data, f"unexpected '{_shown(leaf)}'"))
        elif node.has_error:
            waiting += reversed(node.children)
    return places


def find_unclosed(root: Node, data: bytes) -> Place | None:
    """The bracket that does not close, or closes nothing; None if all pair up.

    Of several open ones it is that whose partner is indented as another's: there a line is missing.
    """
    opened: list[tuple[str, int]] = []
    odd: int | None = None
    for kind, start in _brackets(root, data):
        if kind in "([{":
            opened.append((kind, start))
            continue
        if not opened:
            return _locate(data, start, f"unexpected '{kind}': nothing is open that it could close")
        opener, where = opened.pop()
        if opener != _CLOSES[kind]:
            line = data.count(b"\n", 0, where) + 1
            return _locate(data, start, f"unexpected '{kind}': the '{opener}' of line {line} is still open")
        if odd is None and kind == "}" and _is_odd(where, start, data):
            odd = where
    if not opened:
        return None
    opener, where = opened[-1]
    return _locate(data, odd if odd is not None and opener == "{" else where, f"'{opener}' is never closed")


def uses_newer_python(root: Node, line: int) -> bool:
    """Whether a 1-based line holds syntax that an older Python than the file's would call a mistake."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not node.start_point.row <= line - 1 <= node.end_point.row:
            continue
        if node.type in _NEWER:
            return True
        waiting += node.named_children
    return False


def _brackets(root: Node, data: bytes) -> Iterator[tuple[str, int]]:
    """The brackets of the code and where they stand: not those in strings and comments."""
    end = 0
    for leaf in _leaves(root):
        start = leaf.start_byte
        yield from _unread_brackets(root, data, end, start)
        kind = leaf.type
        if _BRACKETS.issuperset(kind):
            yield from ((character, start + index) for index, character in enumerate(kind))
        elif len(kind) <= _LONGEST_OPENER and kind[-1:] in _OPENERS:
            yield kind[-1], start
        end = leaf.end_byte
    yield from _unread_brackets(root, data, end, len(data))


def _unread_brackets(root: Node, data: bytes, start: int, end: int) -> Iterator[tuple[str, int]]:
    """What the grammar gave up on has no nodes; its brackets are there all the same."""
    if not data[start:end].strip():
        return
    node = root.descendant_for_byte_range(start, end)
    if node is None or not (node.is_error or node == root):
        return
    for position in range(start, end):
        if (character := chr(data[position])) in _BRACKETS:
            yield character, position


def _leaves(root: Node) -> Iterator[Node]:
    cursor = root.walk()
    while True:
        if cursor.goto_first_child():
            continue
        node = cursor.node
        # A bracket that the grammar made up is not in the text.
        if node is not None and not node.is_missing:
            yield node
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


def _is_odd(opener: int, closer: int, data: bytes) -> bool:
    """Whether a closing brace begins its line, indented otherwise than the line that opened it."""
    begin = data.rfind(b"\n", 0, closer) + 1
    if begin <= opener or data[begin:closer].strip():
        return False
    first = data.rfind(b"\n", 0, opener) + 1
    return _indent(data[first : opener + 1]) != data[begin:closer]


def _indent(line: bytes) -> bytes:
    return line[: len(line) - len(line.lstrip(b" \t"))]


def _first_leaf(node: Node) -> Node:
    while node.child_count:
        node = node.child(0)
    return node


def _shown(node: Node) -> str:
    words = (node.text or b"")[:_LONGEST_SHOWN].decode("utf-8", "ignore").split()
    return words[0] if words else "end of line"


def _place(node: Node, data: bytes, what: str) -> Place:
    return _locate(data, node.start_byte, what)


def _locate(data: bytes, position: int, what: str) -> Place:
    start = data.rfind(b"\n", 0, position) + 1
    return data.count(b"\n", 0, position) + 1, len(data[start:position].decode("utf-8", "replace")) + 1, what
