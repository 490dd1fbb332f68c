"""What the model has seen."""

from hypothesis import given
from hypothesis import strategies as st

from hearth.workspace.sight import MOST_KEPT, Sight, covers, shift_ranges

ranges = st.lists(
    st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: (min(pair), max(pair))), max_size=4
)


def test_parts_add_up_to_the_whole() -> None:
    sight = Sight()
    sight.note_read("f", b"1", "text", 1, 10, 30)
    sight.note_read("f", b"1", "text", 21, 30, 30)
    seen = sight.of("f")
    assert seen is not None
    assert (seen.ranges, seen.whole) == (((1, 10), (21, 30)), False)
    sight.note_read("f", b"1", "text", 11, 20, 30)
    seen = sight.of("f")
    assert seen is not None
    assert (seen.ranges, seen.whole) == (((1, 30),), True)


def test_another_content_is_another_file() -> None:
    sight = Sight()
    sight.note_read("f", b"1", "text", 1, 30, 30)
    sight.note_read("f", b"2", "text", 5, 6, 30)
    seen = sight.of("f")
    assert seen is not None
    assert (seen.ranges, seen.whole) == (((5, 6),), False)
    assert sight.of("g") is None
    sight.forget("f")
    assert sight.of("f") is None


def test_an_empty_file_is_seen_whole() -> None:
    sight = Sight()
    sight.note_read("f", b"1", "", 1, 0, 0)
    seen = sight.of("f")
    assert seen is not None
    assert seen.whole


def test_texts_make_room_for_each_other() -> None:
    sight = Sight()
    for name in "abc":
        sight.note_read(name, b"1", "x" * (MOST_KEPT // 2), 1, 1, 1)
    kept = [len(seen.text) for name in "abc" if (seen := sight.of(name))]
    assert kept == [0, MOST_KEPT // 2, MOST_KEPT // 2]
    sight.note_read("d", b"1", "x" * (MOST_KEPT + 1), 1, 1, 1)
    kept = [len(seen.text) for name in "bcd" if (seen := sight.of(name))]
    assert kept == [MOST_KEPT // 2, MOST_KEPT // 2, 0]


@given(ranges, st.integers(1, 20), st.integers(0, 5), st.integers(-3, 3))
def test_only_lines_that_keep_their_numbers_stay_known(
    known: list[tuple[int, int]], first: int, count: int, grown: int
) -> None:
    last = first + count
    left = shift_ranges(tuple(known), first, last, grown)
    for line in range(1, 30):
        was = any(low <= line <= high for low, high in known)
        stays = line < first or (grown == 0 and line > last)
        assert any(low <= line <= high for low, high in left) == (was and stays)


def test_a_range_covers_what_is_in_it() -> None:
    assert covers(((1, 3), (5, 9)), 6, 9)
    assert not covers(((1, 3), (5, 9)), 3, 5)
