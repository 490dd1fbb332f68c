"""Cards that only Vulkan tells of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearth.weights.hardware.gpu import Found, Gpu
from hearth.weights.hardware.system_text import Printed
from hearth.weights.hardware.vulkan import find_vulkan, parse_vulkaninfo
from machines import Programs, told


def test_the_full_text_tells_a_card_with_its_memory_and_no_software() -> None:
    found = find_vulkan(Programs({"vulkaninfo": told("vulkan/rx_580_full.txt")}))
    assert found == Found(
        (
            Gpu(
                index=0,
                name="AMD Radeon RX 580 Series (RADV POLARIS10)",
                vendor="amd",
                total_bytes=8589934592 + 257949696,
                free_bytes=8005484544 + 248905728 - 9043968,
                driver="radv Mesa 20.1.5",
                bandwidth=256e9,
                interface="Vulkan 1.2.131",
                uuid="00000000-0100-0000-0000-000000000000",
            ),
        )
    )


def test_graphics_that_share_the_ram_have_all_heaps() -> None:
    (gpu,) = parse_vulkaninfo(told("vulkan/integrated_full.txt")).gpus
    assert (gpu.shared, gpu.interface) == (True, "Vulkan 1.3.287")
    assert gpu.total_bytes == 1879048192 + 7215251456 + 268435456
    assert gpu.free_bytes == 1785095808 + 6854488576 + 255013680


def test_a_budget_beyond_its_heap_is_nothing_free() -> None:
    (gpu,) = parse_vulkaninfo(told("vulkan/wrapped_budget.txt")).gpus
    assert (gpu.total_bytes, gpu.free_bytes) == (16777216 + 8573157376, 8117891072)


def test_heaps_without_a_budget_are_noted() -> None:
    text = told("vulkan/rx_580_full.txt")
    bare = "\n".join(line for line in text.splitlines() if "budget" not in line)
    found = parse_vulkaninfo(bare)
    assert found.gpus[0].free_bytes == found.gpus[0].total_bytes
    assert found.notes == (
        "Vulkan does not tell what is free on AMD Radeon RX 580 Series (RADV POLARIS10): taken as all",
    )


def test_a_card_with_two_drivers_is_told_once() -> None:
    text = told("vulkan/rx_580_full.txt").partition("GPU1:")[0]
    assert len(parse_vulkaninfo(text + text).gpus) == 1


def test_where_the_full_text_fails_the_summary_names_what_is_there() -> None:
    crash = "vulkaninfo failed (exit -11): no word"
    programs = Programs(
        {"vulkaninfo": Printed(problem=crash), "vulkaninfo --summary": told("vulkan/two_gpus_summary.txt")}
    )
    assert find_vulkan(programs) == Found(
        (),
        (
            crash,
            "vulkaninfo does not tell the memory of Intel(R) HD Graphics 530",
            "vulkaninfo does not tell the memory of AMD Radeon (TM) R9 380 Series",
        ),
    )


def test_a_machine_without_vulkaninfo_has_no_such_card() -> None:
    programs = Programs({})
    assert find_vulkan(programs) == Found()
    assert programs.asked == ["vulkaninfo"]


LINES = (
    *("GPU0:", "deviceType = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU", "deviceName = X", "memoryHeaps: count = 1"),
    *(
        "memoryHeaps[0]:",
        "size = 12",
        "size = " + "9" * 5000,
        "budget = 5",
        "usage = 99",
        "DEVICE_LOCAL",
        "memoryTypes:",
    ),
)


@given(st.text() | st.lists(st.sampled_from(LINES)).map("\n".join))
def test_no_text_of_vulkaninfo_breaks_the_reader(text: str) -> None:
    assert isinstance(parse_vulkaninfo(text), Found)
