"""Which build a machine gets, or why none: tables of machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.runtime.builds.choice import Choice, Kind, Refusal, choose_build
from hearth.runtime.builds.facts import Card, Facts, glibc_version, missing_tools, read_facts
from hearth.weights.hardware import Gpu, Machine
from machines import Programs, lay_out

LINUX = Facts("linux", "x86_64", ("avx2", "bmi2", "f16c", "fma"), (2, 39))
NEW, OLD = (13, 2), (12, 4)


def nvidia(capability: tuple[int, int] | None, cuda: tuple[int, int] | None) -> Card:
    return Card("nvidia", f"card {capability}", cuda, capability)


def with_cards(*cards: Card, **changes: object) -> Facts:
    return replace(LINUX, cards=cards, **changes)  # type: ignore[arg-type]  # fields of Facts by name


@pytest.mark.parametrize(
    ("capability", "cuda", "toolkit", "how"),
    [
        ((8, 9), (13, 2), "cu132", "machine code"),
        ((8, 9), (13, 0), "cu132", "machine code"),
        ((8, 9), (12, 9), "cu128", "machine code"),
        ((8, 6), (12, 2), "cu128", "machine code"),
        ((12, 0), (12, 8), "cu128", "machine code"),
        ((12, 1), (13, 0), "cu132", "machine code"),
        ((12, 1), (12, 9), "cu128", "translated"),
        ((7, 5), (13, 0), "cu132", "machine code"),
        ((7, 5), (12, 8), "cu128", "translated"),
        ((9, 0), (13, 2), "cu132", "translated"),
        # The trap: a driver of CUDA 13.0 runs code of 13.2, but cannot translate it.
        ((9, 0), (13, 0), "cu128", "translated"),
        ((8, 0), (13, 1), "cu128", "translated"),
        ((6, 1), (13, 2), "cu128", "translated"),
        ((5, 0), (12, 8), "cu128", "translated"),
        (None, (12, 8), "cu128", "translated"),
        ((8, 9), None, "cu128", "machine code"),
    ],
)
def test_cuda_wheels_fit_card_and_driver(
    capability: tuple[int, int] | None, cuda: tuple[int, int] | None, toolkit: str, how: str
) -> None:
    found = choose_build(with_cards(nvidia(capability, cuda)), "cuda")
    assert isinstance(found, Choice)
    assert found.toolkit == toolkit
    assert how in found.because
    assert found.index_url.endswith(f"/whl/{toolkit}")
    assert found.device == "CUDA"
    assert found.name("7") == {"cu132": "cuda-13.2-7", "cu128": "cuda-12.8-7"}[toolkit]


@pytest.mark.parametrize(
    ("capability", "cuda", "why"),
    [
        ((8, 9), (11, 8), "needs a driver with CUDA 12.0, this one has 11.8"),
        ((9, 0), (12, 4), "needs a driver with CUDA 12.8 to translate its code for card (9, 0), this one has 12.4"),
        ((3, 5), (12, 8), "compute capability 3.5, the CUDA 12.8 wheel begins at 5.0"),
        (None, (12, 4), "needs a driver with CUDA 12.8"),
    ],
)
def test_cuda_wheels_that_cannot_work_are_refused(
    capability: tuple[int, int] | None, cuda: tuple[int, int], why: str
) -> None:
    found = choose_build(with_cards(nvidia(capability, cuda)), "cuda")
    assert isinstance(found, Refusal)
    assert why in found.why
    assert "driver" in found.way_out


def test_one_card_that_does_not_fit_decides_for_all() -> None:
    pair = nvidia((8, 9), NEW), nvidia((6, 1), NEW)
    found = choose_build(with_cards(*pair), "cuda")
    assert isinstance(found, Choice)
    assert found.toolkit == "cu128"
    found = choose_build(with_cards(*pair, nvidia((3, 5), NEW)), "cuda")
    assert isinstance(found, Refusal)
    assert "CUDA_VISIBLE_DEVICES" in found.way_out


@pytest.mark.parametrize(
    ("rocm", "gfx", "toolkit"),
    [
        ((7, 2), ("gfx1100",), "rocm-7.2.4"),
        ((7, 0), ("gfx1201",), "rocm-7.2.4"),
        ((6, 4), ("gfx1030",), "rocm-6.4.1"),
        # Graphics inside the processor beside a card: told, the trial decides.
        ((7, 1), ("gfx1036", "gfx1100"), "rocm-7.2.4"),
        ((7, 1), (), "rocm-7.2.4"),
    ],
)
def test_rocm_wheels_fit_chip_and_system(rocm: tuple[int, int], gfx: tuple[str, ...], toolkit: str) -> None:
    found = choose_build(with_cards(Card("amd", "Radeon", rocm=rocm), gfx=gfx), "rocm")
    assert isinstance(found, Choice)
    assert found.toolkit == toolkit
    assert found.name("7") == f"{toolkit}-7"
    assert ("gfx1036" in found.because.partition("hide")[2]) == ("gfx1036" in gfx)


@pytest.mark.parametrize(
    ("rocm", "gfx", "why"),
    [
        (None, ("gfx1100",), "ROCm is not installed"),
        ((6, 2), ("gfx1100",), "not for 6.2"),
        ((5, 7), ("gfx1030",), "not for 5.7"),
        ((8, 0), ("gfx1030",), "not for 8.0"),
        ((6, 4), ("gfx1151",), "no code for it"),
        ((7, 2), ("gfx906",), "no code for it"),
    ],
)
def test_rocm_wheels_that_cannot_work_are_refused(rocm: tuple[int, int] | None, gfx: tuple[str, ...], why: str) -> None:
    found = choose_build(with_cards(Card("amd", "Radeon", rocm=rocm), gfx=gfx), "rocm")
    assert isinstance(found, Refusal)
    assert why in found.why
    assert ("ROCm 7, whose wheel has it" in found.way_out) == (gfx == ("gfx1151",))


@pytest.mark.parametrize(
    ("facts", "asked", "why"),
    [
        (
            with_cards(nvidia((8, 9), NEW), glibc=(2, 31)),
            "cuda",
            "need glibc 2.35 or later, this system has glibc 2.31",
        ),
        (with_cards(nvidia((8, 9), NEW), glibc=None), "cuda", "another C library"),
        (with_cards(nvidia((8, 9), NEW), glibc=None, vulkan=True), "vulkan", "another C library"),
        (with_cards(nvidia((8, 9), NEW), processor="riscv64"), "cuda", "no such wheels for riscv64"),
        (with_cards(Card("amd", "R", rocm=(7, 2)), processor="aarch64"), "rocm", "no such wheels for aarch64"),
        (with_cards(Card("apple", "M4"), system="darwin"), "cuda", "no such wheels for darwin"),
        (LINUX, "cuda", "no NVIDIA graphics card"),
        (LINUX, "vulkan", "no graphics card"),
        (with_cards(Card("intel", "Arc")), "vulkan", "libvulkan.so.1"),
        (with_cards(Card("intel", "Arc")), "rocm", "no AMD graphics card"),
        (replace(LINUX, missing_tools=("cmake", "c++")), "native", "cmake, c++"),
        (replace(LINUX, system="darwin"), "native", "made for this processor"),
    ],
)
def test_what_cannot_work_is_refused_with_a_way_out(facts: Facts, asked: Kind, why: str) -> None:
    found = choose_build(facts, asked)
    assert isinstance(found, Refusal)
    assert why in found.why
    assert found.way_out


@pytest.mark.parametrize(
    ("facts", "kind", "because"),
    [
        (with_cards(nvidia((8, 9), NEW), vulkan=True), "cuda", "CUDA 13.2"),
        (with_cards(nvidia((9, 0), OLD), vulkan=True), "vulkan", "needs a driver"),
        (with_cards(nvidia((8, 9), NEW), vulkan=True, glibc=(2, 31)), "vulkan", "need glibc 2.35"),
        (with_cards(Card("amd", "Radeon", rocm=(7, 2)), gfx=("gfx1100",), vulkan=True), "rocm", "ROCm 7.2"),
        (with_cards(Card("amd", "Radeon"), gfx=("gfx1100",), vulkan=True), "vulkan", "ROCm is not installed"),
        (with_cards(Card("intel", "Arc B580"), vulkan=True), "vulkan", "Arc B580 through Vulkan"),
        (replace(LINUX, features=(*LINUX.features, "avx512f")), "native", "avx512f"),
        # Without AVX2 the build in the package dies of an illegal instruction.
        (replace(LINUX, features=("avx", "ssse3")), "native", "this processor"),
        (replace(LINUX, processor="aarch64", features=("asimd", "asimddp")), "native", "asimddp"),
    ],
)
def test_unasked_the_best_is_taken(facts: Facts, kind: str, because: str) -> None:
    found = choose_build(facts)
    assert isinstance(found, Choice)
    assert found.kind == kind
    assert because in found.because


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (LINUX, "uses all instructions"),
        (with_cards(nvidia((9, 0), OLD)), "needs a driver"),
        (with_cards(Card("apple", "M4"), system="darwin"), "made for this processor"),
        (replace(LINUX, features=(*LINUX.features, "avx512f"), missing_tools=("cmake",)), "cmake"),
    ],
)
def test_unasked_nothing_is_taken_where_nothing_is_better(facts: Facts, why: str) -> None:
    found = choose_build(facts)
    assert isinstance(found, Refusal)
    assert why in found.why


def a_machine(*gpus: Gpu, free: int = 64 << 30) -> Machine:
    return Machine(gpus, 64 << 30, free, 8, ("avx2",), False, None)


def test_the_facts_come_from_drivers_and_files(tmp_path: Path) -> None:
    nodes = "sys/class/kfd/kfd/topology/nodes"
    files: Mapping[str, str] = {
        f"{nodes}/0/properties": "cpu_cores_count 16\ngfx_target_version 0\n",
        f"{nodes}/1/properties": "simd_count 192\ngfx_target_version 110000\n",
        f"{nodes}/2/properties": "gfx_target_version 90010\n",
        f"{nodes}/3/properties": "gfx_target_version 100306\n",
        "usr/lib/x86_64-linux-gnu/libvulkan.so.1": "",
    }
    asked = Programs({"nvidia-smi": "GPU-a, 8.9\nGPU-b, 12.0\nGPU-c, [N/A]\n"})
    gpus = [
        Gpu(0, "RTX 4090", "nvidia", 1 << 34, 1 << 34, interface="CUDA 12.8", uuid="GPU-a"),
        Gpu(1, "RTX 5090", "nvidia", 1 << 34, 1 << 34, interface="CUDA 12.8", uuid="GPU-b"),
        Gpu(2, "old card", "nvidia", 1 << 34, 1 << 34, uuid="GPU-c"),
        Gpu(3, "Radeon", "amd", 1 << 34, 1 << 34, interface="ROCm 6.4.1"),
    ]
    facts = read_facts(
        root=lay_out(tmp_path, files), run=asked, environment={"PATH": ""}, machine=lambda: a_machine(*gpus)
    )
    assert facts.cards == (
        Card("nvidia", "RTX 4090", (12, 8), (8, 9)),
        Card("nvidia", "RTX 5090", (12, 8), (12, 0)),
        Card("nvidia", "old card"),
        Card("amd", "Radeon", rocm=(6, 4)),
    )
    assert facts.gfx == ("gfx1036", "gfx1100", "gfx90a")
    assert facts.vulkan
    assert facts.missing_tools == ("cmake", "c++", "cc", "make")
    assert facts.jobs == 8


def test_a_part_of_a_card_has_the_kind_of_the_card(tmp_path: Path) -> None:
    part = Gpu(0, "H200 MIG 1g.18gb", "nvidia", 1 << 34, 1 << 34, interface="CUDA 13.0", uuid="MIG-x")
    asked = Programs({"nvidia-smi": "GPU-a, 9.0\nGPU-b, 9.0\n"})
    facts = read_facts(root=tmp_path, run=asked, environment={}, machine=lambda: a_machine(part, free=3 << 30))
    assert facts.cards[0].capability == (9, 0)
    assert not facts.vulkan
    assert facts.jobs == 1


def test_without_cards_no_program_is_run(tmp_path: Path) -> None:
    asked = Programs({})
    assert read_facts(root=tmp_path, run=asked, environment={}, machine=a_machine).cards == ()
    assert asked.asked == []


def test_this_machine_can_be_asked() -> None:
    facts = read_facts()
    assert facts.jobs >= 1
    assert facts.glibc == glibc_version()


def test_one_tool_of_each_kind_is_enough(tmp_path: Path) -> None:
    for name in ("cmake", "clang++", "clang", "ninja"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert missing_tools({"PATH": str(tmp_path)}) == ()
    (tmp_path / "ninja").unlink()
    assert missing_tools({"PATH": str(tmp_path)}) == ("make",)
