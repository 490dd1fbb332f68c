"""AMD cards: by amd-smi, by the older rocm-smi, and by the kernel alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hearth.weights.hardware.amd import find_amd, parse_amd_smi, parse_rocm_smi, read_kernel
from hearth.weights.hardware.gpu import MIB, Found, Gpu, GpuUser
from hearth.weights.hardware.system_text import Printed
from machines import Programs, lay_out, told

R9700 = {
    "amd-smi static": told("amd/r9700_static.json"),
    "amd-smi metric": told("amd/r9700_metric.json"),
    "amd-smi process": told("amd/r9700_process.json"),
}


def test_amd_smi_tells_cards_and_users_behind_a_warning(tmp_path: Path) -> None:
    lay_out(tmp_path, {"opt/rocm/.info/version": "7.0.2-56\n"})
    found = find_amd(Programs(R9700), tmp_path)
    card, inside = found.gpus
    assert card == Gpu(
        index=0,
        name="AMD Radeon AI PRO R9700",
        vendor="amd",
        total_bytes=32624 * MIB,
        free_bytes=32567 * MIB,
        driver="6.16.6",
        bandwidth=640e9,
        users=(GpuUser(4711, "llama-server", 41943040), GpuUser(9999, "", None)),
        interface="ROCm 7.0.2",
        uuid="GPU-1122334455667788",
    )
    # The processor's own graphics borrow from the RAM: more than the 512 MiB that are set aside.
    assert (inside.name, inside.shared, inside.total_bytes) == ("AMD Radeon Graphics", True, 31882 * MIB)
    assert (inside.free_bytes, inside.users, inside.uuid) == ((31882 - 40) * MIB, (), "")
    assert found.notes == ()


def test_the_older_list_of_amd_smi_is_read_and_silence_is_noted() -> None:
    found = parse_amd_smi(told("amd/mi300x_static.json"), told("amd/mi300x_metric.json"))
    (gpu,) = found.gpus
    assert (gpu.total_bytes, gpu.free_bytes, gpu.bandwidth) == (196592 * MIB, (196592 - 17153) * MIB, 5300e9)
    assert gpu.uuid == "GPU-9246000000000001"
    assert found.notes == ("amd-smi does not tell the memory of AMD Instinct MI300X",)


def test_without_the_metric_the_size_of_the_static_part_stands() -> None:
    found = parse_amd_smi(told("amd/r9700_static.json"), "")
    assert (found.gpus[0].total_bytes, found.gpus[0].free_bytes) == (32624 * MIB, 32624 * MIB)
    assert "amd-smi does not tell what is used of AMD Radeon AI PRO R9700: taken as none" in found.notes


def test_rocm_smi_is_asked_where_amd_smi_is_missing(tmp_path: Path) -> None:
    programs = Programs(
        {
            "rocm-smi --showproductname": told("amd/rx7900xt_rocm_smi.json"),
            "rocm-smi --showdriverversion": told("amd/rx7900xt_system.json"),
        }
    )
    (gpu,) = find_amd(programs, tmp_path).gpus
    assert gpu == Gpu(
        index=0,
        name="Radeon RX 7900 XT",
        vendor="amd",
        total_bytes=21458059264,
        free_bytes=21458059264 - 27856896,
        driver="6.14.14",
        bandwidth=800e9,
        users=(GpuUser(4711, "llama-server", 12884901888),),
        uuid="GPU-abcdef0123456789",
    )


def test_rocm_smi_tells_a_card_beside_the_processors_graphics() -> None:
    card, inside = parse_rocm_smi(told("amd/navi21_raphael_rocm_smi.json")).gpus
    assert (card.total_bytes, card.bandwidth, card.shared) == (17163091968, 512e9, False)
    assert (inside.name, inside.total_bytes) == ("Raphael", 67108864)


def test_an_old_rocm_smi_without_a_name_still_tells_the_memory() -> None:
    (gpu,) = parse_rocm_smi(told("amd/vega_rocm_smi_old.json")).gpus
    assert (gpu.name, gpu.total_bytes, gpu.free_bytes) == ("AMD GPU", 17163091968, 17163091968 - 17776640)


def test_a_failing_tool_is_noted_and_the_next_is_asked(tmp_path: Path) -> None:
    words = "amd-smi failed (exit 255): AMDSMI_STATUS_DRIVER_NOT_LOADED"
    programs = Programs(
        {"amd-smi": Printed(problem=words), "rocm-smi --showproductname": told("amd/rx7900xt_rocm_smi.json")}
    )
    found = find_amd(programs, tmp_path)
    assert len(found.gpus) == 1
    assert find_amd(Programs({"amd-smi": Printed(problem=words)}), tmp_path) == Found((), (words,))


def strix_halo(root: Path, vram: int, gtt: int, kfd: str) -> Path:
    device = "sys/class/drm/card1/device"
    return lay_out(
        root,
        {
            f"{device}/vendor": "0x1002\n",
            f"{device}/device": "0x1586\n",
            f"{device}/revision": "0xc1\n",
            f"{device}/mem_info_vram_total": f"{vram}\n",
            f"{device}/mem_info_vram_used": "104857600\n",
            f"{device}/mem_info_gtt_total": f"{gtt}\n",
            f"{device}/mem_info_gtt_used": "2097152\n",
            f"{device}/drm/renderD128/dev": "226:128\n",
            "sys/class/drm/card1-DP-1/device/vendor": "0x1002\n",
            "sys/class/drm/card0/device/vendor": "0x10de\n",
            "sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 32\ngfx_target_version 0\n",
            "sys/class/kfd/kfd/topology/nodes/1/properties": kfd,
            "usr/share/libdrm/amdgpu.ids": told("amd/amdgpu.ids"),
        },
    )


@pytest.mark.parametrize("kfd", [told("amd/kfd_node_strix_halo.txt"), ""])
def test_the_kernel_alone_tells_what_an_apu_may_borrow(tmp_path: Path, kfd: str) -> None:
    (gpu,) = find_amd(Programs({}), strix_halo(tmp_path, 4294967296, 103079215104, kfd)).gpus
    assert (gpu.name, gpu.shared, gpu.bandwidth) == ("AMD Radeon 8060S Graphics", True, 256e9)
    assert (gpu.total_bytes, gpu.free_bytes) == (103079215104, 103079215104 - 2097152)


def test_memory_that_the_firmware_set_aside_is_beside_the_ram(tmp_path: Path) -> None:
    (gpu,) = read_kernel(strix_halo(tmp_path, 96 << 30, 16 << 30, told("amd/kfd_node_strix_halo.txt"))).gpus
    assert (gpu.shared, gpu.total_bytes, gpu.free_bytes) == (False, 96 << 30, (96 << 30) - 104857600)


def test_a_card_that_libdrm_does_not_know_is_called_by_its_number(tmp_path: Path) -> None:
    device = "sys/class/drm/card0/device"
    lay_out(
        tmp_path,
        {
            f"{device}/vendor": "0x1002\n",
            f"{device}/device": "0x7551\n",
            f"{device}/mem_info_vram_total": "34208743424\n",
        },
    )
    (gpu,) = read_kernel(tmp_path).gpus
    assert (gpu.name, gpu.total_bytes, gpu.free_bytes, gpu.bandwidth) == (
        "AMD GPU 0x7551",
        34208743424,
        34208743424,
        None,
    )


def test_a_machine_without_an_amd_card_has_none(tmp_path: Path) -> None:
    assert find_amd(Programs({}), tmp_path) == Found()


FIELDS = "gpu_data gpu asic vram mem_usage total_vram value unit size driver system process_list process_info pid card0"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*FIELDS.split(), "Card Series", "VRAM Total Memory (B)", "market_name"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.text() | JSON.map(json.dumps), st.text())
@example('[{"gpu": []}]', "")
def test_no_text_of_amds_tools_breaks_the_readers(text: str, other: str) -> None:
    assert isinstance(parse_amd_smi(text, text, text), Found)
    assert isinstance(parse_rocm_smi(text, other), Found)
    assert isinstance(parse_rocm_smi(text, text), Found)


def test_two_spellings_of_one_number_are_two_cards() -> None:
    row = {"Card Series": "Radeon RX 7900 XT", "VRAM Total Memory (B)": "21458059264"}
    found = parse_rocm_smi(json.dumps({"card1": row, "card01": {**row, "GPU ID": "0x744c"}}))
    assert [gpu.name for gpu in found.gpus] == ["Radeon RX 7900 XT"] * 2


def test_a_process_name_obeys_no_terminal() -> None:
    """Any user may choose it, and the doctor shows it."""
    process = {"pid": 7, "name": "/tmp/evil\x1b[31m\nname", "memory_usage": {}}
    listed = json.dumps([{"gpu": 0, "process_list": [{"process_info": process}]}])
    (gpu,) = parse_amd_smi(told("amd/r9700_static.json"), told("amd/r9700_metric.json"), listed).gpus[:1]
    assert [user.name for user in gpu.users] == ["evil[31mname"]
    system = json.dumps({"system": {"PID7": "evil\x1b[31mname, 1, 0, 0, 0"}})
    (gpu,) = parse_rocm_smi(told("amd/rx7900xt_rocm_smi.json"), system).gpus
    assert [user.name for user in gpu.users] == ["evil[31mname"]
