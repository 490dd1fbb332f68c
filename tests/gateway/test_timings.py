"""What an engine says at the end of an answer."""

import pytest

from hearth.gateway.timings import Timings, read_timings

TIMINGS = (
    b'data: {"choices":[],"timings":{"cache_n":10,"prompt_n":%d,"prompt_ms":120.5,"prompt_per_second":2489.6,'
    b'"predicted_n":%d,"predicted_per_second":41.25}}\n\ndata: [DONE]\n\n'
)


def test_the_last_timings_are_read() -> None:
    assert read_timings(TIMINGS % (300, 20)) == Timings(10, 300, 20, 2489.6, 41.25)
    assert read_timings(TIMINGS % (1, 2) + TIMINGS % (300, 20)) == Timings(10, 300, 20, 2489.6, 41.25)


@pytest.mark.parametrize(("read", "made", "speed"), [(300, 20, (2489.6, 41.25)), (10, 200, None), (3000, 3, None)])
def test_few_tokens_tell_no_speed(read: int, made: int, speed: tuple[float, float] | None) -> None:
    timings = read_timings(TIMINGS % (read, made))
    assert timings is not None
    assert timings.speed == speed


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"no timings",
        b'"timings":{"prompt_n":1e}',
        b'"timings":{"prompt_n":1e999}',
    ],
)
def test_what_says_nothing_is_left_out(told: bytes) -> None:
    assert read_timings(told) is None
