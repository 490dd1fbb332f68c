"""What a conversation is found by."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hearth.runtime.kv.chain import MOST_MESSAGES, measure_links, read_chain

MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(("system", "user", "assistant", "tool")), "content": st.text(max_size=20)}
)
MESSAGES = st.lists(MESSAGE, min_size=1, max_size=8)


def chain(messages: list[Any], owner: str = "o", state: str = "s", **fields: Any) -> tuple[str, ...]:
    return read_chain(state, owner, {"messages": messages, **fields}).keys


@given(MESSAGES, MESSAGES)
def test_a_conversation_that_grew_begins_with_what_it_was(first: list[Any], more: list[Any]) -> None:
    assert chain(first + more)[: len(first)] == chain(first)


@given(MESSAGES, MESSAGE)
def test_another_message_is_another_conversation_from_there_on(messages: list[Any], other: Any) -> None:
    for place in range(len(messages)):
        changed = [*messages[:place], other, *messages[place + 1 :]]
        same = [a == b for a, b in zip(chain(messages), chain(changed), strict=True)]
        until = len(messages) if other == messages[place] else place
        assert same == [True] * until + [False] * (len(messages) - until)


def test_what_is_beyond_measure_has_no_chain() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert chain([{"role": "user", "content": deep}]) == ()
    assert chain([{}] * (MOST_MESSAGES + 1)) == ()


def test_whose_it_is_and_what_it_depends_on_count() -> None:
    talk = [{"role": "user", "content": "hi"}]
    others = [
        chain(talk, owner="p"),
        chain(talk, state="t"),
        chain(talk, tools=[{"type": "function"}]),
        chain(talk, chat_template_kwargs={"enable_thinking": False}),
        chain(talk, reasoning_effort="low"),
    ]
    assert len({chain(talk), *others}) == 1 + len(others)


def test_nulls_order_and_sampling_do_not_count() -> None:
    plain = chain([{"role": "assistant", "content": "x", "tool_calls": [{"id": "1", "type": "function"}]}])
    other = [{"tool_calls": [{"type": "function", "id": "1", "index": None}], "content": "x", "role": "assistant"}]
    assert chain(other, temperature=0.5, max_tokens=7, stream=True, tools=None) == plain


def test_the_base_is_the_systems_text() -> None:
    system, user = {"role": "system", "content": "s"}, {"role": "user", "content": "u"}
    found = read_chain("s", "o", {"messages": [system, {**system, "role": "developer"}, user, system]})
    assert (found.base, found.base_key) == (2, found.keys[1])
    assert read_chain("s", "o", {"messages": [user]}).base_key == ""
    assert read_chain("s", "o", {"messages": [system]}).base == 1


@given(MESSAGES, st.data(), st.integers(1, 10_000))
def test_links_grow_and_end_at_the_whole(messages: list[Any], data: st.DataObject, tokens: int) -> None:
    found = read_chain("s", "o", {"messages": messages})
    known = data.draw(st.dictionaries(st.sampled_from(found.keys), st.integers(0, 20_000)))
    links = measure_links(found, known, tokens)
    assert tuple(links) == found.keys
    values = list(links.values())
    assert values == sorted(values)
    assert values[-1] <= max(tokens, *(min(value, tokens) for value in known.values()), 0)
    assert measure_links(found, {found.keys[0]: 0}, tokens)[found.keys[-1]] in (
        tokens,
        0 if len(messages) == 1 else tokens,
    )
