"""Which slot a request goes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearth.runtime.kv.chain import Chain
from hearth.runtime.kv.placement import LEAST_GAIN, Choice, Match, SlotState, choose


def talk(*keys: str, base: int = 0) -> Chain:
    return Chain(keys, tuple(100 * count for count in range(1, len(keys) + 1)), base)


def slot(number: int, *keys: str, saved: int = 0, busy: bool = False, used_at: float = 0.0) -> SlotState:
    """A slot with 1,000 tokens a message."""
    links = {key: 1000 * count for count, key in enumerate(keys, 1)}
    return SlotState(number, links, 1000 * len(keys), saved, busy, used_at)


def test_a_conversation_stays_where_it_is() -> None:
    slots = [slot(0, "s", "x", used_at=1), slot(1, "s", "a", used_at=2), slot(2)]
    assert choose(slots, talk("s", "a", "b", base=1), None) == Choice(1, False, None)


def test_a_new_conversation_takes_an_empty_slot_then_the_oldest_which_is_saved() -> None:
    new = talk("s", "n", base=1)
    assert choose([slot(0, "s", "a"), slot(1)], new, None) == Choice(1, False, None)
    assert choose([slot(0, "s", "a", used_at=2), slot(1, "s", "b", used_at=1)], new, None) == Choice(1, True, None)
    kept = slot(1, "s", "b", used_at=1, saved=1990)
    assert choose([slot(0, "s", "a", used_at=2), kept], new, None) == Choice(1, False, None)


def test_what_is_stored_is_restored_when_it_is_worth_it() -> None:
    mine = talk("s", "a", "b", base=1)
    stored = Match("e", 2, 2000, True)
    assert choose([slot(0)], mine, stored) == Choice(0, False, stored)
    assert choose([slot(0, "s", "a")], mine, stored) == Choice(0, False, None)
    assert choose([slot(0, "s", "x", saved=2000)], mine, stored) == Choice(0, False, stored)
    little = Match("e", 1, 1000 + LEAST_GAIN - 1, False)
    assert choose([slot(0, "s", "x", saved=2000)], mine, little) == Choice(0, False, None)


def test_another_way_on_is_saved_before_its_slot_is_taken() -> None:
    slots = [slot(0), slot(1, "s", "a", "b")]
    assert choose(slots, talk("s", "a", "c", base=1), None) == Choice(1, True, None)


def test_busy_slots_are_left_alone() -> None:
    mine = talk("a")
    assert choose([slot(0, "a", busy=True), slot(1)], mine, None) == Choice(1, False, None)
    assert choose([slot(0, "a", busy=True)], mine, None) is None


KEYS = st.sampled_from("abcdef")
SLOTS = st.lists(st.tuples(st.lists(KEYS, unique=True, max_size=4), st.booleans(), st.integers(0, 4000)), min_size=1)


@given(SLOTS, st.lists(KEYS, unique=True, min_size=1, max_size=5), st.none() | st.integers(0, 5000))
def test_nothing_busy_is_taken_and_nothing_unsaved_is_lost(
    drawn: list[tuple[list[str], bool, int]], keys: list[str], stored: int | None
) -> None:
    slots = [slot(n, *held, busy=busy, saved=saved) for n, (held, busy, saved) in enumerate(drawn)]
    mine = talk(*keys)
    match = None if stored is None else Match("e", len(keys), stored, True)
    choice = choose(slots, mine, match)
    if choice is None:
        assert all(each.busy for each in slots)
        return
    taken = slots[choice.slot]
    assert not taken.busy
    continues = taken.last_key in keys
    assert continues or choice.save or taken.unsaved < 32
    assert max(each.shared(mine) for each in slots if not each.busy) == taken.shared(mine) or not mine.keys
