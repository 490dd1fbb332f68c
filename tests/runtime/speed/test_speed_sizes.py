"""What is measured fits into the time, whatever the model's speed; and the fast cores of a machine."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hearth.runtime.speed.fast_cores import find_cores, parse_list
from hearth.runtime.speed.grid import Cores
from hearth.runtime.speed.quiet import busy_share, parse_stat
from hearth.runtime.speed.sizes import LEAST_MADE, LEAST_READ, ROUNDS, Seen, reach, search_sizes
from machines import lay_out

models = st.builds(Seen, st.floats(0.05, 60), st.floats(5, 20_000), st.floats(0.5, 500))


@given(models, st.floats(5, 400), st.integers(1, 12), st.integers(256, 32_768))
def test_all_candidates_that_are_planned_fit_into_the_time(
    seen: Seen, seconds: float, candidates: int, context: int
) -> None:
    sizes = search_sizes(seen, seconds, candidates, context)
    assert 0 <= sizes.candidates <= candidates
    assume(sizes.candidates)
    assert sizes.make >= LEAST_MADE
    assert min(LEAST_READ, context // 2) <= sizes.read <= context - sizes.make
    side_s = sizes.read / seen.prefill_per_s + sizes.make / seen.decode_per_s
    assert sizes.candidates * (seen.load_s + 2 * ROUNDS * side_s) <= seconds * 1.001


@given(models, st.floats(5, 400), st.integers(1, 2), st.integers(256, 32_768))
def test_what_is_reported_fits_into_the_time_and_the_context(
    seen: Seen, seconds: float, sides: int, context: int
) -> None:
    found = reach(seen, seconds, sides, context)
    assume(found)
    assert found is not None
    assert found.depths == tuple(sorted(found.depths))
    assert max(found.depths[-1] + found.make, found.prompt) <= context
    read = (found.depths[-1] + found.prompt) / seen.prefill_per_s
    assert sides * (read + len(found.depths) * found.make / seen.decode_per_s) <= seconds * 1.001


def test_a_fast_model_is_measured_deep_and_a_slow_one_at_all() -> None:
    fast = reach(Seen(1.0, 2000.0, 80.0), 120, 2, 16_384)
    assert fast is not None
    assert (fast.depths, fast.prompt) == ((512, 2048, 8192), 4096)
    slow = reach(Seen(20.0, 12.0, 2.0), 120, 2, 16_384)
    assert slow is not None
    assert (slow.depths, slow.prompt) == ((128,), 128)
    assert reach(Seen(20.0, 1.0, 0.1), 60, 2, 16_384) is None


def test_a_small_context_bounds_what_is_read() -> None:
    small = reach(Seen(1.0, 2000.0, 80.0), 120, 2, 256)
    assert small is not None
    assert (small.depths, small.prompt) == ((128,), 128)
    assert search_sizes(Seen(0.1, 2000.0, 80.0), 120, 5, 256).read == 192


def test_a_slow_model_gets_fewer_candidates() -> None:
    counts = [search_sizes(Seen(5.0, speed, speed / 8), 180, 9, 16_384).candidates for speed in (500, 100, 40, 10)]
    assert counts[0] == 9
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def topology(root: Path, cores: dict[int, str]) -> dict[str, str]:
    return {f"sys/devices/system/cpu/cpu{number}/topology/core_cpus_list": text for number, text in cores.items()}


def test_performance_cores_of_a_hybrid(tmp_path: Path) -> None:
    shared = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"} | {number: str(number) for number in range(4, 8)}
    lay_out(tmp_path, {**topology(tmp_path, shared), "sys/devices/cpu_core/cpus": "0-3\n"})
    assert find_cores(6, tmp_path, range(8)) == Cores(physical=6, fast=2, threads=8)
    assert find_cores(4, tmp_path, range(4, 8)) == Cores(physical=4, fast=4, threads=4)


def test_large_cores_of_an_arm_chip(tmp_path: Path) -> None:
    capacities = {0: 400, 1: 400, 2: 1000, 3: 1024}
    files = {f"sys/devices/system/cpu/cpu{number}/cpu_capacity": f"{told}\n" for number, told in capacities.items()}
    lay_out(tmp_path, {**topology(tmp_path, {number: str(number) for number in range(4)}), **files})
    assert find_cores(4, tmp_path, range(4)) == Cores(physical=4, fast=2, threads=4)


def test_a_quota_leaves_no_second_threads(tmp_path: Path) -> None:
    lay_out(tmp_path, topology(tmp_path, {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}))
    assert find_cores(2, tmp_path, range(4)) == Cores(physical=2, fast=2, threads=4)
    assert find_cores(1, tmp_path, range(4)) == Cores(physical=1, fast=1, threads=1)
    assert find_cores(0, tmp_path / "nothing", range(3)) == Cores(3, 3, 3)


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("cpu  10 5 20 100 7 1 2 3 4 0\ncpu0 1 1 1 1\n", (41, 148)),
        ("cpu 1 2 3 4\n", (6, 10)),
        ("cpu 1 2\n", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_ticks_of_the_processors(text: str, ticks: tuple[int, int]) -> None:
    assert parse_stat(text) == ticks


async def test_a_machine_that_does_not_tell_is_taken_for_quiet(tmp_path: Path) -> None:
    assert await busy_share(0.0, tmp_path) == 0.0
    assert 0.0 <= await busy_share(0.05) <= 1.0


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-2,5\n", {0, 1, 2, 5}), ("", set()), ("3-1", set()), ("a", set()), ("0-99999999", set()), ("7", {7})],
)
def test_lists_of_processors(text: str, numbers: set[int]) -> None:
    assert parse_list(text) == numbers
