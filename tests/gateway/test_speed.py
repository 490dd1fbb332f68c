"""How fast an engine was."""

import pytest

from hearth.gateway.speed import read_speed

TIMINGS = (
    b'data: {"choices":[],"timings":{"cache_n":10,"prompt_n":%d,"prompt_ms":120.5,"prompt_per_second":2489.6,'
    b'"predicted_n":%d,"predicted_per_second":41.25}}\n\ndata: [DONE]\n\n'
)


def test_the_last_timings_are_read() -> None:
    assert read_speed(TIMINGS % (300, 20)) == (2489.6, 41.25)
    assert read_speed(TIMINGS % (1, 2) + TIMINGS % (300, 20)) == (2489.6, 41.25)


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"no timings",
        TIMINGS % (10, 200),
        TIMINGS % (3000, 3),
        b'"timings":{"prompt_n":1e}',
        b'"timings":{"prompt_',
    ],
)
def test_what_says_nothing_is_left_out(told: bytes) -> None:
    assert read_speed(told) is None
