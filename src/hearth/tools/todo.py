"""Keep a list of what is to be done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec

from hearth.messages import Message
from hearth.tools.tool import ToolResult

MOST_ITEMS = 40
"""A list that a small model can still follow; a longer one is no plan."""
LONGEST_ITEM = 200
"""Characters of one item."""


class Item(msgspec.Struct, frozen=True):
    """One thing to do."""

    text: str
    done: bool = False


class TodoParams(msgspec.Struct, frozen=True):
    """The whole list, each time."""

    items: list[Item]


class Todo:
    """Keeps the model's list and says it again: what is open then stands at the end of what the model reads."""

    name = "todo"
    params = TodoParams

    def __init__(self, items: Iterable[Item] = ()) -> None:
        """``items`` is the list of a session that is resumed."""
        self._items = tuple(items)

    @property
    def items(self) -> tuple[Item, ...]:
        """The list as it is now."""
        return self._items

    def open_items(self) -> tuple[str, ...]:
        """What is still to be done, in order."""
        return tuple(item.text for item in self._items if not item.done)

    def label(self, params: TodoParams) -> str:
        """How far it is."""
        return f"{sum(item.done for item in params.items)} of {len(params.items)} done"

    async def run(self, params: TodoParams) -> ToolResult:
        """The list as it is now, and what comes next."""
        items = tuple(Item(_tidy(item.text), item.done) for item in params.items)
        if not all(item.text for item in items):
            return ToolResult("the list was not changed: an item has no text", failed=True)
        if len(items) > MOST_ITEMS:
            what = f"the list was not changed: {len(items)} items are too many, keep to {MOST_ITEMS}"
            return ToolResult(what, failed=True)
        self._items = items
        text = show_items(items)
        return ToolResult(text, for_person=text)


def show_items(items: Iterable[Item]) -> str:
    """The list as a model reads it: what is done, what is open, and what comes next."""
    shown = tuple(items)
    if not shown:
        return "the list is empty"
    lines = [f"[{'x' if item.done else ' '}] {item.text}" for item in shown]
    left = [item.text for item in shown if not item.done]
    return "\n".join([*lines, f"{len(left)} open, next: {left[0]}" if left else "all done"])


def find_items(messages: Iterable[Message]) -> tuple[Item, ...]:
    """The list that these messages end with: that of the last call that could be read, for a session that goes on."""
    found: tuple[Item, ...] = ()
    for message in messages:
        for call in message.tool_calls:
            if call.name == Todo.name:
                with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
                    found = tuple(msgspec.json.decode(call.arguments, type=TodoParams).items)
    return found


def _tidy(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_ITEM else f"{line[: LONGEST_ITEM - 2]} …"
