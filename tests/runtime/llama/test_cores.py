"""How many cores we may use."""

import os
from pathlib import Path

import pytest

from hearth.runtime.llama.cores import allowed_cores, quota_cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000\n", 2),
        ("50000 100000", 1),
        ("250000 100000", 2),
        ("max 100000", 0),
        ("", 0),
        ("1 0", 0),
        ("x y", 0),
    ],
)
def test_a_quota_in_whole_cores(tmp_path: Path, text: str, cores: int) -> None:
    proc, group = tmp_path / "proc" / "self", tmp_path / "sys" / "fs" / "cgroup"
    proc.mkdir(parents=True)
    group.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/\n")
    (proc / "mountinfo").write_text("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (group / "cpu.max").write_text(text)
    assert quota_cores(tmp_path) == cores


def test_affinity_limits() -> None:
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everything)})
    try:
        assert allowed_cores() == (1 if (os.cpu_count() or 1) > 1 else 0)
    finally:
        os.sched_setaffinity(0, everything)
