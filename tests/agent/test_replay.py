"""What records come to: turns, and what was undone of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.replay import Replay
from hearth.messages import Message


def said(role: str, text: str, **more: object) -> dict[str, Any]:
    return {"type": "message", **more, "message": {"role": role, "content": text}}


def turn(name: str) -> list[dict[str, Any]]:
    return [
        said("user", name, prompt=name),
        {"type": "snapshot", "at": "begin", "id": f"{name}-begin"},
        said("assistant", f"answer to {name}"),
        {"type": "snapshot", "at": "end", "id": f"{name}-end"},
        {"type": "turn", "status": "completed", "partial": ""},
    ]


def feed(records: list[dict[str, Any]]) -> Replay:
    past = Replay()
    for record in records:
        past.feed(record)
    return past


def test_turns_are_told_apart() -> None:
    past = feed([*turn("one"), *turn("two")])
    assert [found.prompt for found in past.turns] == ["one", "two"]
    assert [found.records for found in past.turns] == [6, 11]
    assert [(found.begin, found.end) for found in past.turns] == [("one-begin", "one-end"), ("two-begin", "two-end")]
    assert past.turns[1].base == tuple(past.messages[:2])
    assert [one.message.content for one in past.turns[1].said] == ["two", "answer to two"]


def test_what_hearth_says_as_the_user_begins_no_turn() -> None:
    past = feed([said("user", "go", prompt="go"), said("assistant", "hm"), said("user", "you stopped: go on")])
    assert len(past.turns) == 1
    assert past.turns[0].status == ""


def test_files_of_before_turns_were_marked_have_turns_too() -> None:
    old = [said("user", "one"), said("assistant", "a"), said("user", "nudge"), said("assistant", "b")]
    end = {"type": "turn", "status": "completed", "partial": ""}
    past = feed([*old, end, said("user", "two"), said("assistant", "c"), end])
    assert [found.prompt for found in past.turns] == ["one", "two"]


def test_a_prompt_is_what_was_typed_whatever_was_told() -> None:
    past = feed([said("user", "look at @a\n<file a>…</file>", prompt="look at @a")])
    assert past.turns[0].prompt == "look at @a"
    assert past.messages[0].content.endswith("</file>")


def test_what_was_left_out_later_was_said_all_the_same() -> None:
    records = [
        *turn("one"),
        {"type": "rewrite", "kind": "compaction", "messages": [{"role": "user", "content": "sum"}]},
    ]
    past = feed([*records, *turn("two")])
    assert [message.content for message in past.messages] == ["sum", "two", "answer to two"]
    assert [one.message.content for one in past.turns[0].said] == ["one", "answer to one"]
    assert [message.content for message in past.turns[1].base] == ["sum"]


def undo(turns: int, messages: list[Message], files: bool = True) -> dict[str, Any]:
    record: dict[str, Any] = {"type": "rewrite", "kind": "undo", "turns": turns}
    if files:
        record["files"] = {"steps": [["e", "b"]], "before": "x", "after": "y"}
    return {**record, "messages": [message.to_wire() for message in messages]}


def test_undo_and_redo() -> None:
    records = [*turn("one"), *turn("two"), *turn("three")]
    whole = feed(records)
    past = feed([*records, undo(2, list(whole.turns[1].base))])
    assert [found.prompt for found in past.turns] == ["one"]
    assert [message.content for message in past.messages] == ["one", "answer to one"]
    assert (past.undone[0].steps, past.undone[0].before, past.undone[0].after) == ((("e", "b"),), "x", "y")
    redo = {"type": "rewrite", "kind": "redo", "turns": 2, "messages": [one.to_wire() for one in whole.messages]}
    again = feed([*records, undo(2, list(whole.turns[1].base)), redo])
    assert again.messages == whole.messages
    assert [found.prompt for found in again.turns] == ["one", "two", "three"]
    assert [found.records for found in again.turns] == [found.records for found in whole.turns]
    assert again.undone == []


def test_a_new_turn_ends_the_possibility_to_redo() -> None:
    records = turn("one")
    past = feed([*records, undo(1, []), *turn("other")])
    assert past.undone == []
    assert [found.prompt for found in past.turns] == ["other"]


def test_an_intent_stands_until_it_is_done_or_given_up() -> None:
    intent = {"type": "restore", "kind": "undo", "turns": 1, "steps": [["e", "b"]], "before": "x", "force": False}
    past = feed([*turn("one"), intent])
    assert past.intent is not None
    assert past.intent.steps == (("e", "b"),)
    assert past.turns[0].records == 6, "a fork must not take it over"
    assert feed([*turn("one"), intent, undo(1, [])]).intent is None
    assert feed([*turn("one"), intent, {"type": "restore", "kind": "abandoned"}]).intent is None


@given(st.lists(st.sampled_from(["turn", "undo", "undo 2", "redo", "compaction"]), max_size=25))
def test_every_prefix_that_a_fork_takes_over_comes_to_the_same_turns(moves: list[str]) -> None:
    records: list[dict[str, Any]] = []
    past = Replay()

    def write(record: dict[str, Any]) -> None:
        records.append(record)
        past.feed(record)

    for number, move in enumerate(moves):
        if move == "turn":
            for record in turn(f"t{number}"):
                write(record)
        elif move == "redo" and past.undone:
            messages = [message.to_wire() for message in past.undone[-1].messages]
            write({"type": "rewrite", "kind": "redo", "turns": 1, "messages": messages})
        elif move.startswith("undo") and past.turns:
            turns = min(len(past.turns), len(move.split()))
            write(undo(turns, list(past.turns[-turns].base), files=False))
        elif move == "compaction":
            write({"type": "rewrite", "kind": "compaction", "messages": [{"role": "user", "content": "sum"}]})
    for place, found in enumerate(past.turns):
        fork = feed(records[: found.records - 1])
        assert [one.prompt for one in fork.turns] == [one.prompt for one in past.turns[: place + 1]]
        # What was summed up between two turns belongs to none: a fork takes over the whole.
        if place + 1 < len(past.turns) and "compaction" not in moves:
            assert tuple(fork.messages)[-2:] == past.turns[place + 1].base[-2:]
