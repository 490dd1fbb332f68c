"""Apple's chips, told by sysctl, vm_stat and system_profiler."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.weights.hardware import measure_machine
from hearth.weights.hardware.apple import free_memory, parse_displays, parse_sysctl, working_set
from hearth.weights.hardware.gpu import MIB, Gpu
from hearth.weights.hardware.system_text import Printed
from machines import Programs, told

GIB = 1 << 30

M3_PRO = {
    "sysctl hw machdep.cpu": told("apple/m3_pro_sysctl.txt"),
    "sysctl iogpu": told("apple/iogpu_default.txt"),
    "system_profiler SPDisplaysDataType": told("apple/m3_pro_displays.json"),
    "vm_stat": told("apple/vm_stat.txt"),
}
FREE = 16384 * (120000 + 850000 + 30000)


def test_an_apple_chip_is_one_device_that_shares_the_ram(tmp_path: Path) -> None:
    machine = measure_machine(root=tmp_path, run=Programs(M3_PRO), environment={}, system="darwin")
    assert machine.gpus == (
        Gpu(
            index=0,
            name="Apple M3 Pro (14 cores)",
            vendor="apple",
            total_bytes=27 * GIB,
            free_bytes=FREE,
            bandwidth=150e9,
            interface="Metal 3",
            shared=True,
        ),
    )
    assert (machine.ram_bytes, machine.ram_free_bytes, machine.cores) == (36 * GIB, FREE, 11)
    assert (machine.unified, machine.memory_bandwidth) == (True, 150e9)
    assert machine.cpu_features == ("asimd", "asimddp", "asimdhp", "bf16", "i8mm")
    assert machine.notes == ()


def test_the_owners_limit_counts(tmp_path: Path) -> None:
    programs = Programs(M3_PRO | {"sysctl iogpu": told("apple/iogpu_raised.txt")})
    (gpu,) = measure_machine(root=tmp_path, run=programs, environment={}, system="darwin").gpus
    assert gpu.total_bytes == 32768 * MIB


def test_a_max_chip_is_told_by_its_graphics_cores(tmp_path: Path) -> None:
    sysctl = told("apple/m3_pro_sysctl.txt").replace("Apple M3 Pro", "Apple M5 Max")
    answers = {"sysctl hw machdep.cpu": sysctl, "system_profiler": told("apple/m5_max_displays.json")}
    (gpu,) = measure_machine(root=tmp_path, run=Programs(answers), environment={}, system="darwin").gpus
    assert (gpu.name, gpu.bandwidth, gpu.interface) == ("Apple M5 Max (40 cores)", 614e9, "Metal 4")


def test_a_slow_system_profiler_is_a_note(tmp_path: Path) -> None:
    words = "system_profiler did not answer within 10 s"
    programs = Programs(
        M3_PRO
        | {"system_profiler": Printed(problem=words), "system_profiler SPDisplaysDataType": Printed(problem=words)}
    )
    machine = measure_machine(root=tmp_path, run=programs, environment={}, system="darwin")
    assert machine.gpus[0].name == "Apple M3 Pro"
    assert machine.notes == (words,)


def test_an_intel_mac_has_no_card_that_counts(tmp_path: Path) -> None:
    programs = Programs({"sysctl hw machdep.cpu": told("apple/intel_sysctl.txt"), "vm_stat": told("apple/vm_stat.txt")})
    machine = measure_machine(root=tmp_path, run=programs, environment={}, system="darwin")
    assert (machine.gpus, machine.unified, machine.ram_bytes, machine.cores) == ((), False, 32 * GIB, 8)
    assert machine.cpu_features == ("avx", "avx2", "bmi2", "f16c", "fma", "sse4_2", "ssse3")
    assert machine.notes == ("Metal on an Intel Mac is not counted: the processor runs the model",)


def test_a_mac_that_tells_nothing_is_noted(tmp_path: Path) -> None:
    programs = Programs({"sysctl": Printed(problem="sysctl did not answer within 10 s")})
    machine = measure_machine(root=tmp_path, run=programs, environment={}, system="darwin")
    assert machine.notes == (
        "vm_stat does not tell what of the RAM is free: taken as all",
        "sysctl did not answer within 10 s",
        "the size of the RAM could not be found out",
    )
    assert (machine.gpus, machine.ram_bytes) == ((), 0)


@pytest.mark.parametrize(
    ("ram_gib", "limit_mib", "working_set_mib"),
    # As Metal told llama.cpp on such machines.
    [(16, 0, 10922), (32, 0, 21845), (64, 0, 49152), (96, 0, 73728), (64, 57344, 57344), (16, 99999, 16384)],
)
def test_the_working_set_is_what_metal_tells(ram_gib: int, limit_mib: int, working_set_mib: int) -> None:
    assert working_set(ram_gib * GIB, limit_mib) // MIB == working_set_mib


def test_memory_that_is_not_told_is_unknown() -> None:
    assert free_memory("") is None
    assert free_memory("Mach Virtual Memory Statistics: (page size of 16384 bytes)") is None


@given(st.text())
def test_no_text_of_macos_breaks_the_readers(text: str) -> None:
    assert isinstance(parse_sysctl(text), dict)
    assert parse_displays(text) == (0, "Metal")
    assert free_memory(text) is None


@pytest.mark.parametrize("text", ['{"SPDisplaysDataType": 1}', "[]", '{"SPDisplaysDataType": [1]}', "[" * 100_000])
def test_a_strange_answer_of_system_profiler_is_no_answer(text: str) -> None:
    assert parse_displays(text) == (0, "Metal")
