"""Which models make room: a table of what must happen, and what holds whatever the numbers."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from hearth.runtime.scheduler import Bytes, Fit, Load, Refuse, Resident, Wait, decide, left


def model(name: str, *held: int, busy: bool = False, pinned: bool = False, used: float = 0.0) -> Resident:
    return Resident(name, held, busy, pinned, used)


def needs(*held: int) -> Callable[[Bytes], Fit | None]:
    """A model that runs in one way only."""
    return lambda room: Fit(0, held) if all(a <= b for a, b in zip(held, room, strict=True)) else None


def card_or_ram(size: int) -> Callable[[Bytes], Fit | None]:
    """A model that runs on the card, or badly in the RAM."""

    def fit(room: Bytes) -> Fit | None:
        card, ram = room
        return Fit(0, (size, 0)) if size <= card else Fit(4, (0, size)) if size <= ram else None

    return fit


def test_what_has_room_is_loaded_beside_the_others() -> None:
    decision = decide([model("a", 4), model("b", 4, busy=True)], (16,), needs(8))
    assert decision == Load(Fit(0, (8,)), ())


def test_the_one_that_was_not_used_for_longest_goes_first() -> None:
    residents = [model("new", 4, used=9), model("old", 4, used=1), model("older, but pinned", 4, pinned=True)]
    assert decide(residents, (16,), needs(6)) == Load(Fit(0, (6,)), ("old",))


def test_who_need_not_go_stays_even_when_it_is_older() -> None:
    residents = [model("small and old", 1, used=1), model("large", 10, used=2)]
    assert decide(residents, (12,), needs(10)) == Load(Fit(0, (10,)), ("large",))


def test_a_busy_one_is_waited_for_and_an_idle_one_is_enough_if_it_can_be() -> None:
    busy, idle = model("busy", 8, busy=True, used=1), model("idle", 8, used=2)
    assert decide([busy, idle], (16,), needs(8)) == Load(Fit(0, (8,)), ("idle",))
    assert decide([busy, idle], (16,), needs(16)) == Wait(("busy",), ("idle",))


def test_pinned_models_are_named_when_they_are_in_the_way() -> None:
    kept = model("kept", 8, pinned=True)
    assert decide([kept], (16,), needs(10)) == Refuse(("kept",))
    assert decide([kept], (16,), needs(17)) == Refuse(())


def test_a_model_waits_for_the_card_rather_than_crawl_in_the_ram() -> None:
    fit = card_or_ram(10)
    assert decide([model("idle", 8, 0)], (16, 64), fit) == Load(Fit(0, (10, 0)), ("idle",))
    assert decide([model("busy", 8, 0, busy=True)], (16, 64), fit) == Wait(("busy",))
    assert decide([model("kept", 8, 0, pinned=True)], (16, 64), fit) == Load(Fit(4, (0, 10)), ())


def test_each_device_counts_for_itself() -> None:
    residents = [model("first card", 8, 0, 1), model("second card", 0, 8, 1, used=5)]
    assert decide(residents, (8, 8, 4), needs(0, 8, 1)) == Load(Fit(0, (0, 8, 1)), ("second card",))


sizes = st.integers(0, 10)
some = st.lists(
    st.builds(lambda size, busy, pinned, used: (size, busy, pinned, used), sizes, st.booleans(), st.booleans(), sizes),
    max_size=6,
)


@given(some, st.integers(0, 40), st.integers(0, 20))
def test_no_busy_and_no_pinned_model_ever_goes_and_the_room_is_never_overdrawn(
    made: list[tuple[int, bool, bool, int]], room: int, wanted: int
) -> None:
    residents = [
        model(str(number), size, busy=busy, pinned=pinned, used=used)
        for number, (size, busy, pinned, used) in enumerate(made)
    ]
    by_name = {resident.name: resident for resident in residents}
    match decide(residents, (room,), needs(wanted)):
        case Load(fit, unload):
            gone = [by_name[name] for name in unload]
            assert not any(resident.busy or resident.pinned for resident in gone)
            assert fit.held[0] <= left((room,), [each for each in residents if each not in gone])[0]
            for resident in gone:
                spared = [each for each in residents if each not in gone or each is resident]
                assert needs(wanted)(left((room,), spared)) is None, "it went for nothing"
        case Wait(drain):
            assert drain
            assert all(by_name[name].busy and not by_name[name].pinned for name in drain)
            idle = [each for each in residents if not each.busy and not each.pinned]
            assert needs(wanted)(left((room,), [each for each in residents if each not in idle])) is None
        case Refuse(pinned):
            assert needs(wanted)(left((room,), [each for each in residents if each.pinned])) is None
            assert bool(pinned) == (wanted <= room and any(each.pinned for each in residents))
