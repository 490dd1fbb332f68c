"""What a window holds: in shares, right for small and large ones."""

import pytest

from hearth.agent.window import USUAL, Limits, fit_answer, has_shrunk, must_compact, pays_to_mask, set_limits

SIZES = [512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 200_000, 1_000_000]


@pytest.mark.parametrize("window", SIZES)
@pytest.mark.parametrize("max_tokens", [64, 512, 8_192])
def test_the_marks_are_in_order_and_an_answer_is_always_possible(window: int, max_tokens: int) -> None:
    limits = set_limits(window, max_tokens, USUAL)
    assert 0 < limits.work < limits.mask < limits.compact <= limits.hard < window
    assert limits.hard + limits.reserve + limits.margin <= window
    assert limits.reserve >= min(max_tokens, window // 8)
    assert limits.reserve <= fit_answer(limits, limits.hard, max_tokens) <= max_tokens
    assert fit_answer(limits, 0, max_tokens) == min(max_tokens, window - limits.margin)
    assert fit_answer(limits, window * 2, max_tokens) == 16


@pytest.mark.parametrize(
    ("window", "limits"),
    [
        (4_096, (512, 3_512, 2_457, 3_072, 1_433)),
        (16_384, (2_048, 14_072, 9_830, 12_288, 5_734)),
        (65_536, (8_192, 56_312, 32_000, 40_000, 22_937)),
        (200_000, (8_192, 188_675, 32_000, 40_000, 24_000)),
    ],
)
def test_the_marks_of_common_windows(window: int, limits: tuple[int, ...]) -> None:
    found = set_limits(window, 8_192, USUAL)
    assert (found.reserve, found.hard, found.mask, found.compact, found.work) == limits


LIMITS = Limits(1000, 100, 10, 890, 600, 750, 350)


@pytest.mark.parametrize(
    ("used", "floor", "compacts"),
    [(750, 0, False), (751, 0, True), (800, 700, False), (891, 880, True), (800, 500, True), (600, 100, False)],
)
def test_when_to_compact(used: int, floor: int, compacts: bool) -> None:
    assert must_compact(LIMITS, used, floor) is compacts


@pytest.mark.parametrize(
    ("used", "saved", "pays"),
    [(600, 500, False), (601, 50, False), (601, 130, True), (700, 145, False), (700, 300, True)],
)
def test_when_to_mask(used: int, saved: int, pays: bool) -> None:
    assert pays_to_mask(LIMITS, used, saved) is pays


def test_what_counts_as_shrunk() -> None:
    assert has_shrunk(1000, 700)
    assert not has_shrunk(1000, 701)
