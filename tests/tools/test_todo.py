"""The model's list of what is to be done."""

import json

from hypothesis import given
from hypothesis import strategies as st

from hearth.messages import Message, ToolCall
from hearth.tools.todo import LONGEST_ITEM, MOST_ITEMS, Item, Todo, TodoParams, find_items, show_items
from hearth.tools.toolbox import Toolbox

ITEMS = [Item("reproduce it", True), Item("mend the parser"), Item("run the tests")]


async def test_the_list_is_said_again_with_what_comes_next() -> None:
    todo = Todo()
    result = await todo.run(TodoParams(ITEMS))
    expected = "[x] reproduce it\n[ ] mend the parser\n[ ] run the tests\n2 open, next: mend the parser"
    assert (result.for_model, result.failed) == (expected, False)
    assert todo.open_items() == ("mend the parser", "run the tests")
    assert todo.label(TodoParams(ITEMS)) == "1 of 3 done"


async def test_a_list_that_is_done_and_one_that_is_empty() -> None:
    todo = Todo(ITEMS)
    assert todo.items == tuple(ITEMS)
    assert (await todo.run(TodoParams([Item("a", True)]))).for_model == "[x] a\nall done"
    assert todo.open_items() == ()
    assert (await todo.run(TodoParams([]))).for_model == "the list is empty"


async def test_a_list_that_is_none_changes_nothing() -> None:
    todo = Todo(ITEMS)
    assert (await todo.run(TodoParams([Item("  ")]))).failed
    assert (await todo.run(TodoParams([Item("x")] * (MOST_ITEMS + 1)))).failed
    assert todo.items == tuple(ITEMS)


async def test_through_the_toolbox_it_is_checked() -> None:
    todo = Todo()
    toolbox = Toolbox([todo])
    call = ToolCall("1", "todo", json.dumps({"items": [{"text": "a"}, {"text": "b", "done": True}]}))
    assert (await toolbox.run(call)).for_model == "[ ] a\n[x] b\n1 open, next: a"
    assert (await toolbox.run(ToolCall("1", "todo", '{"items": ["a"]}'))).failed
    items = toolbox.specs[0].parameters["properties"]["items"]
    properties = {"text": {"type": "string"}, "done": {"type": "boolean"}}
    assert items == {"type": "array", "items": {"type": "object", "properties": properties, "required": ["text"]}}


def test_the_list_of_a_session_that_goes_on() -> None:
    def told(arguments: str) -> Message:
        return Message("assistant", "", (ToolCall("1", "todo", arguments),))

    first, second = told('{"items": [{"text": "a"}]}'), told('{"items": [{"text": "a", "done": true}, {"text": "b"}]}')
    assert find_items([]) == ()
    assert find_items([Message("user", "x"), first, second, told("{"), told('{"items": 3}')]) == (
        Item("a", True),
        Item("b"),
    )


@given(st.lists(st.tuples(st.text(), st.booleans()), max_size=MOST_ITEMS))
async def test_every_item_is_one_short_line(pairs: list[tuple[str, bool]]) -> None:
    todo = Todo()
    result = await todo.run(TodoParams([Item(*pair) for pair in pairs]))
    if not result.failed and pairs:
        assert len(result.for_model.split("\n")) == len(pairs) + 1
        assert all(len(item.text) <= LONGEST_ITEM for item in todo.items)
        assert show_items(todo.items) == result.for_model
