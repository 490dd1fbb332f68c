"""The processor, the RAM, and what a container leaves of them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.weights.hardware.cpu import parse_cores, parse_features, parse_meminfo, physical_cores
from hearth.weights.hardware.limits import Group, Limits, groups, read_limits
from hearth.weights.hardware.ram_speed import measure_ram_bandwidth
from machines import lay_out, told

GIB = 1 << 30
V1_UNLIMITED = "9223372036854771712\n"


def proc(kind: str, mountinfo: str) -> dict[str, str]:
    return {
        "proc/self/cgroup": told(f"linux/{kind}_cgroup.txt"),
        "proc/self/mountinfo": told(f"linux/{mountinfo}_mountinfo.txt"),
    }


def test_version_1_beside_an_empty_version_2_has_its_own_folders() -> None:
    found = groups(told("linux/v1_hybrid_cgroup.txt"), told("linux/v1_hybrid_mountinfo.txt"))
    by_controller = {name: group.own for group in found for name in group.controllers or {"v2"}}
    assert by_controller["memory"] == PurePosixPath(
        "/sys/fs/cgroup/memory/process_api/70a350c8b4246a7d3b2a7d444d5fbf8b"
    )
    assert by_controller["cpu"] == PurePosixPath("/sys/fs/cgroup/cpu")
    assert by_controller["v2"] == PurePosixPath("/sys/fs/cgroup/unified")


def test_a_mount_that_shows_the_own_group_only_is_that_group() -> None:
    found = groups(told("linux/v1_docker_cgroup.txt"), told("linux/v1_docker_mountinfo.txt"))
    assert found == (
        Group(
            frozenset({"cpu", "cpuacct"}),
            PurePosixPath("/sys/fs/cgroup/cpu,cpuacct"),
            PurePosixPath("/sys/fs/cgroup/cpu,cpuacct"),
        ),
        Group(frozenset({"memory"}), PurePosixPath("/sys/fs/cgroup/memory"), PurePosixPath("/sys/fs/cgroup/memory")),
    )


@pytest.mark.parametrize("path", ["/../../system.slice", "/somewhere/else"])
def test_a_path_that_leads_out_of_the_mount_is_the_mount(path: str) -> None:
    mountinfo = "26 23 0:23 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
    (group,) = groups(f"0::{path}\n", mountinfo)
    assert group.own == group.mount


def test_without_limits_there_are_none(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == Limits()
    memory = "sys/fs/cgroup/memory"
    files = {
        f"{memory}/memory.limit_in_bytes": V1_UNLIMITED,
        f"{memory}/process_api/70a350c8b4246a7d3b2a7d444d5fbf8b/memory.limit_in_bytes": V1_UNLIMITED,
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert read_limits(lay_out(tmp_path, proc("v1_hybrid", "v1_hybrid") | files)) == Limits()


def test_version_1_counts_what_files_hold_as_free(tmp_path: Path) -> None:
    memory, cpu = "sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"
    files = {
        f"{memory}/memory.limit_in_bytes": f"{8 * GIB}\n",
        f"{memory}/memory.usage_in_bytes": f"{6 * GIB}\n",
        f"{memory}/memory.stat": f"cache 1\ntotal_inactive_file {GIB}\ntotal_active_file {2 * GIB}\n",
        f"{cpu}/cpu.cfs_quota_us": "350000\n",
        f"{cpu}/cpu.cfs_period_us": "100000\n",
    }
    root = lay_out(tmp_path, proc("v1_docker", "v1_docker") | files)
    assert read_limits(root) == Limits(8 * GIB, 5 * GIB, 3.5)


def test_of_all_groups_above_the_tightest_holds(tmp_path: Path) -> None:
    top = "sys/fs/cgroup"
    files = {
        f"{top}/system.slice/memory.max": f"{16 * GIB}\n",
        f"{top}/system.slice/memory.high": "max\n",
        # The slice's other services have nearly filled it.
        f"{top}/system.slice/memory.current": f"{15 * GIB}\n",
        f"{top}/system.slice/cpu.max": "200000 100000\n",
        f"{top}/system.slice/hearth.service/memory.max": f"{12 * GIB}\n",
        f"{top}/system.slice/hearth.service/memory.high": f"{10 * GIB}\n",
        f"{top}/system.slice/hearth.service/memory.current": f"{2 * GIB}\n",
        f"{top}/system.slice/hearth.service/memory.stat": f"anon 5\ninactive_file {GIB}\nslab_reclaimable 0\n",
        f"{top}/system.slice/hearth.service/cpu.max": "max 100000\n",
    }
    root = lay_out(tmp_path, proc("v2_service", "v2") | files)
    assert read_limits(root) == Limits(10 * GIB, GIB, 2.0)


def test_a_container_of_version_2_sees_its_limit_at_the_top(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": f"{4 * GIB}\n", "sys/fs/cgroup/memory.current": f"{5 * GIB}\n"}
    root = lay_out(tmp_path, proc("v2_container", "v2") | files | {"sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert read_limits(root) == Limits(4 * GIB, 0, 0.5)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        (
            "zen5_vm",
            "avx avx2 avx512_bf16 avx512_vnni avx512bw avx512dq avx512f avx512vbmi avx512vl avx_vnni bmi2 f16c fma"
            " sse4_2 ssse3",
        ),
        (
            "xeon_smt",
            "amx_bf16 amx_int8 amx_tile avx avx2 avx512_bf16 avx512_fp16 avx512_vnni avx512bw avx512dq avx512f"
            " avx512vbmi avx512vl avx_vnni bmi2 f16c fma sse4_2 ssse3",
        ),
        ("arm", "asimd asimddp asimdhp bf16 fphp i8mm sve sve2 svebf16 svei8mm"),
        ("riscv", "v zfh zihintpause zvfh"),
    ],
)
def test_the_instruction_sets_that_matter_are_told(name: str, features: str) -> None:
    assert parse_features(told(f"linux/cpuinfo_{name}.txt")) == tuple(features.split())


@pytest.mark.parametrize(
    ("name", "allowed", "cores"),
    [
        ("zen5_vm", {0, 1}, 2),
        ("zen5_vm", {1}, 1),
        ("xeon_smt", {0, 1, 2, 3, 4}, 3),
        ("xeon_smt", {0, 2}, 1),
        ("arm", {0, 1}, 0),
    ],
)
def test_two_threads_of_a_core_count_once(name: str, allowed: set[int], cores: int) -> None:
    assert parse_cores(told(f"linux/cpuinfo_{name}.txt"), allowed) == cores


def test_the_topology_of_the_kernel_goes_before_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = told("linux/cpuinfo_xeon_smt.txt")
    folder = "sys/devices/system/cpu"
    lay_out(
        tmp_path,
        {
            f"{folder}/cpu0/topology/core_cpus_list": "0-1\n",
            f"{folder}/cpu1/topology/core_cpus_list": "0-1\n",
            f"{folder}/cpu2/topology/thread_siblings_list": "2\n",
        },
    )
    assert physical_cores(tmp_path, cpuinfo, {0, 1, 2}) == 2
    assert physical_cores(tmp_path / "none", told("linux/cpuinfo_arm.txt"), {0, 1}) == 2


def test_memory_is_told_in_bytes() -> None:
    assert parse_meminfo(told("linux/meminfo.txt")) == (25276510208, 19144248 * 1024)
    old = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 3 kB\n"
    assert parse_meminfo(old) == (1000 * 1024, 123 * 1024)
    assert parse_meminfo("") == (0, 0)


@given(st.text(), st.text())
def test_no_text_of_linux_breaks_the_readers(one: str, other: str) -> None:
    assert isinstance(groups(one, other), tuple)
    assert isinstance(groups(one, f"26 23 0:23 {other or '/'} /sys/fs/cgroup rw - cgroup2 cgroup2 rw"), tuple)
    assert isinstance(parse_features(one), tuple)
    assert parse_cores(one, {0}) in (0, 1)
    assert isinstance(parse_meminfo(one), tuple)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_speed_of_the_ram_is_measured_when_asked(threads: int) -> None:
    # Small, so that the test is quick: then it is the cache's speed.
    assert 1e6 < measure_ram_bandwidth(threads, size=1 << 20, rounds=2) < 1e15
