"""Whole machines: measured from recorded files and programs, this one, and described ones."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import UsageError
from hearth.weights.hardware import (
    Machine,
    describe_machine,
    free_disk,
    measure_machine,
    parse_gpu_memory,
    parse_size,
)
from hearth.weights.hardware.gpu import MIB, Gpu, chosen
from hearth.weights.hardware.nvidia import QUERY_CARDS, QUERY_USERS
from hearth.weights.hardware.system_text import Printed
from machines import Programs, lay_out, told

GIB = 1 << 30
RAM = 24684092 * 1024
RAM_FREE = 19144248 * 1024
AMD = {
    "amd-smi static": told("amd/r9700_static.json"),
    "amd-smi metric": told("amd/r9700_metric.json"),
    "amd-smi process": told("amd/r9700_process.json"),
}
NVIDIA = {
    "nvidia-smi": told("nvidia/two_cards_table.txt"),
    f"nvidia-smi --query-gpu={QUERY_CARDS},mig.mode.current": told("nvidia/two_cards.csv"),
    f"nvidia-smi --query-compute-apps={QUERY_USERS}": told("nvidia/two_cards_users.csv"),
}
HANGS = Printed(problem="vulkaninfo did not answer within 10 s")


def linux(root: Path, programs: dict[str, str | Printed], files: dict[str, str] | None = None, **set_: str) -> Machine:
    """A machine with two cores and 24 GiB. ``dev/dxg`` is the trace of NVIDIA's driver."""
    lay_out(
        root,
        {
            "proc/cpuinfo": told("linux/cpuinfo_zen5_vm.txt"),
            "proc/meminfo": told("linux/meminfo.txt"),
            "proc/self/cgroup": told("linux/v2_container_cgroup.txt"),
            "proc/self/mountinfo": told("linux/v2_mountinfo.txt"),
        }
        | (files or {}),
    )
    return measure_machine(
        root=root, run=Programs(programs), environment=set_, system="linux", allowed={0, 1}, load_nvml=no_package
    )


def no_package() -> Any:
    raise ImportError


def test_a_machine_without_graphics(tmp_path: Path) -> None:
    machine = linux(tmp_path, {})
    assert (machine.gpus, machine.ram_bytes, machine.ram_free_bytes, machine.cores) == ((), RAM, RAM_FREE, 2)
    assert (machine.unified, machine.memory_bandwidth, machine.notes) == (False, None, ())
    assert "avx512_bf16" in machine.cpu_features


def test_a_container_has_what_its_limits_leave(tmp_path: Path) -> None:
    limits = {
        "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
    }
    machine = linux(tmp_path, {}, limits)
    assert (machine.ram_bytes, machine.ram_free_bytes, machine.cores) == (8 * GIB, 5 * GIB, 1)


def test_a_limit_above_the_machine_leaves_the_machine(tmp_path: Path) -> None:
    limits = {
        "sys/fs/cgroup/memory.max": f"{100 * GIB}\n",
        "sys/fs/cgroup/memory.current": "0\n",
        "sys/fs/cgroup/cpu.max": "9900000 100000\n",
    }
    machine = linux(tmp_path, {}, limits)
    assert (machine.ram_bytes, machine.ram_free_bytes, machine.cores) == (RAM, RAM_FREE, 2)


def test_cards_of_both_vendors_are_numbered_through_and_inner_graphics_left_out(tmp_path: Path) -> None:
    machine = linux(tmp_path, NVIDIA | AMD, {"dev/dxg": ""})
    assert [(gpu.index, gpu.vendor, gpu.total_bytes // MIB) for gpu in machine.gpus] == [
        (0, "nvidia", 32607),
        (1, "nvidia", 24576),
        (2, "amd", 32624),
    ]
    assert "AMD Radeon Graphics is left out: it uses the RAM, and there is a card" in machine.notes
    assert (machine.unified, machine.memory_bandwidth) == (False, None)


def test_the_owner_may_keep_cards_from_us(tmp_path: Path) -> None:
    machine = linux(tmp_path, NVIDIA | AMD, {"dev/dxg": ""}, CUDA_VISIBLE_DEVICES="1", HIP_VISIBLE_DEVICES="0")
    assert [(gpu.index, gpu.name) for gpu in machine.gpus] == [
        (0, "NVIDIA GeForce RTX 3090"),
        (1, "AMD Radeon AI PRO R9700"),
    ]
    assert "CUDA_VISIBLE_DEVICES=1 leaves 1 of 2 cards" in machine.notes


def test_where_all_cards_are_kept_from_us_vulkan_is_not_asked(tmp_path: Path) -> None:
    programs = NVIDIA | {"vulkaninfo": told("vulkan/rx_580_full.txt")}
    machine = linux(tmp_path, programs, {"dev/dxg": ""}, CUDA_VISIBLE_DEVICES="")
    assert machine.gpus == ()
    assert "CUDA_VISIBLE_DEVICES= leaves 0 of 2 cards" in machine.notes


def test_a_chip_without_memory_of_its_own_has_the_ram(tmp_path: Path) -> None:
    programs = {
        "nvidia-smi": told("nvidia/gb10_table.txt"),
        f"nvidia-smi --query-gpu={QUERY_CARDS},mig.mode.current": told("nvidia/gb10.csv"),
    }
    machine = linux(tmp_path, programs, {"dev/dxg": ""})
    (gpu,) = machine.gpus
    assert (gpu.total_bytes, gpu.free_bytes, gpu.shared) == (RAM, RAM_FREE, True)
    assert (machine.unified, machine.memory_bandwidth) == (True, 273e9)


def test_what_graphics_may_borrow_is_bounded_by_the_ram(tmp_path: Path) -> None:
    limits = {"sys/fs/cgroup/memory.max": f"{4 * GIB}\n", "sys/fs/cgroup/memory.current": f"{3 * GIB}\n"}
    machine = linux(tmp_path, {"vulkaninfo": told("vulkan/integrated_full.txt")}, limits)
    (gpu,) = machine.gpus
    assert (gpu.total_bytes, gpu.free_bytes, machine.unified) == (4 * GIB, GIB, True)


def test_a_tiny_card_is_not_planned_with(tmp_path: Path) -> None:
    machine = linux(tmp_path, {"rocm-smi --showproductname": told("amd/navi21_raphael_rocm_smi.json")})
    assert [gpu.total_bytes for gpu in machine.gpus] == [17163091968]
    assert machine.notes == ("Raphael is left out: it has less than 1 GiB",)


def test_hanging_and_failing_programs_are_notes(tmp_path: Path) -> None:
    broken = Printed(problem="nvidia-smi failed (exit 9): NVIDIA-SMI has failed")
    machine = linux(tmp_path, {"nvidia-smi": broken, "vulkaninfo": HANGS}, {"dev/dxg": ""})
    assert machine.gpus == ()
    assert {broken.problem, HANGS.problem} <= set(machine.notes)


def test_a_system_that_tells_nothing_is_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    machine = measure_machine(root=tmp_path, run=Programs({}), environment={}, system="freebsd14", allowed={0})
    assert machine == Machine((), 0, 0, 1, (), False, None, ("the size of the RAM could not be found out",))


def test_this_machine_is_measured() -> None:
    machine = measure_machine()
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < machine.ram_free_bytes <= machine.ram_bytes <= physical * 1.01
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.cpu_features or platform.machine() not in ("x86_64", "aarch64", "arm64")
    assert all(0 <= gpu.free_bytes <= gpu.total_bytes for gpu in machine.gpus)


def test_a_described_machine_is_all_free() -> None:
    machine = describe_machine((16 * GIB, 8 * GIB), 32 * GIB)
    assert [(gpu.index, gpu.total_bytes, gpu.free_bytes, gpu.bandwidth) for gpu in machine.gpus] == [
        (0, 16 * GIB, 16 * GIB, None),
        (1, 8 * GIB, 8 * GIB, None),
    ]
    assert (machine.ram_bytes, machine.ram_free_bytes, machine.cores, machine.unified) == (
        32 * GIB,
        32 * GIB,
        0,
        False,
    )
    assert describe_machine((), GIB).gpus == ()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GiB", 16 * GIB),
        ("16 gib", 16 * GIB),
        ("16G", 16 * GIB),
        ("16", 16 * GIB),
        ("0.5", GIB // 2),
        ("7.75GiB", 7936 * MIB),
        ("24GB", 24 * 10**9),
        ("512MiB", 512 * MIB),
        ("512m", 512 * MIB),
        ("512MB", 512 * 10**6),
        ("2TiB", 2 << 40),
        ("1tb", 10**12),
        ("17179869184B", 16 * GIB),
        ("1048576KiB", GIB),
        (" 4096 ", 4096 * GIB),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


NO_SIZES = (
    *("", "GiB", "sixteen", "-1GiB", "+1GiB", "1e3", "16 GiBs", "16Gi", "16 G B", "1,5GiB", "0", "0GiB", "1KiB", "inf"),
    *("nan", "0x10", "16GiB,16GiB", "9" * 30, "999999TiB", "16384", "1٦GiB", "1.GiB"),
)


@pytest.mark.parametrize("text", NO_SIZES)
def test_nonsense_is_no_size(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert caught.value.fix


def test_a_large_number_without_a_unit_was_meant_in_mib() -> None:
    with pytest.raises(UsageError, match="16384 without a unit would be 16384 GiB") as caught:
        parse_size("16384")
    assert caught.value.fix == "write 16384MiB if you mean that"


@given(st.text() | st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,8})? ?[kmgtKMGT]?[iI]?[bB]?", fullmatch=True))
def test_a_size_is_bytes_or_a_usage_error(text: str) -> None:
    try:
        size = parse_size(text)
    except UsageError:
        return
    assert MIB <= size <= 1 << 50


def test_the_memory_of_several_cards_is_a_list() -> None:
    assert parse_gpu_memory("16GiB,8GB") == (16 * GIB, 8 * 10**9)
    assert parse_gpu_memory("24") == (24 * GIB,)
    assert parse_gpu_memory("none") == parse_gpu_memory("0") == ()
    for nonsense in ("", "16GiB,", ",", "16GiB;16GiB", "0,16GiB"):
        with pytest.raises(UsageError):
            parse_gpu_memory(nonsense)


def test_free_disk_is_told_for_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert free_disk(tmp_path) > 0
    assert free_disk(tmp_path / "not" / "yet") > 0
    assert free_disk(Path("models-that-are-not-there")) > 0
    assert free_disk(tmp_path / "file" / "below") == 0


CARDS = tuple(Gpu(index, f"card {index}", "nvidia", GIB, GIB, uuid=f"GPU-{index}{index}ab") for index in range(3))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, [0, 1, 2]),
        ("0,1,2", [0, 1, 2]),
        ("2,0", [2, 0]),
        (" 1 ", [1]),
        ("GPU-11", [1]),
        ("gpu-22ab,0", [2, 0]),
        ("GPU-", []),
        ("", []),
        ("-1", []),
        ("1,-1,2", [1]),
        ("1,9,2", [1]),
        ("1,1,2", [1]),
        ("NoDevFiles", []),
        ("²", []),
    ],
)
def test_a_variable_chooses_cards_as_the_drivers_read_it(value: str | None, kept: list[int]) -> None:
    found = chosen(CARDS, "CUDA_VISIBLE_DEVICES", value)
    assert [gpu.name for gpu in found.gpus] == [f"card {index}" for index in kept]
    assert [gpu.index for gpu in found.gpus] == list(range(len(kept)))
    assert bool(found.notes) == (len(kept) < 3)
