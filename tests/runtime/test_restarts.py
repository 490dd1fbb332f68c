"""When an engine that failed may be started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearth.runtime.restarts import LONGEST_WAIT_S, MOST_FAILURES, WINDOW_S, Pause, Restarts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_wait_doubles_and_others_are_not_held_up() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert restarts.pause("m") is None
    waits = []
    for number in range(MOST_FAILURES):
        restarts.note("m", f"cause {number}")
        pause = restarts.pause("m")
        assert pause is not None
        waits.append((pause.wait_s, pause.failures, pause.hopeless))
    assert waits == [(1, 1, False), (2, 2, False), (4, 3, False), (8, 4, False), (60, 5, True)]
    assert restarts.pause("other") is None


def test_one_start_is_tried_each_minute_for_ever_and_old_failures_are_forgotten() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    for _ in range(20):
        restarts.note("m", "no memory")
        clock.now += LONGEST_WAIT_S
        assert restarts.pause("m") is None
    restarts.note("m", "no memory")
    pause = restarts.pause("m")
    assert pause is not None
    assert (pause.wait_s, pause.hopeless, pause.cause) == (LONGEST_WAIT_S, True, "no memory")
    clock.now += WINDOW_S
    restarts.note("m", "again")
    assert restarts.pause("m") == Pause(1, 1, "again", False)


@given(st.lists(st.floats(0, 2000), max_size=20), st.floats(0, 2000))
def test_nobody_waits_longer_than_a_minute(gaps: list[float], later: float) -> None:
    clock = Clock()
    restarts = Restarts(clock)
    for gap in gaps:
        clock.now += gap
        restarts.note("m", "x")
    clock.now += later
    pause = restarts.pause("m")
    assert pause is None or 0 < pause.wait_s <= LONGEST_WAIT_S
    assert later < LONGEST_WAIT_S or pause is None
