"""NVIDIA cards: by NVML, and by nvidia-smi where its package is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.weights.hardware import nvidia as gpu_nvidia
from hearth.weights.hardware.gpu import MIB, Found, Gpu, GpuUser
from hearth.weights.hardware.nvidia import cuda_version, find_nvidia, parse_smi, program_name, read_nvml
from hearth.weights.hardware.system_text import Printed
from machines import Programs, lay_out, told

GIB = 1 << 30
NO_PACKAGE = "nvidia-ml-py is not installed"


class NvmlError(Exception):
    """As the package's: ``value`` is the library's number."""

    def __init__(self, value: int, text: str) -> None:
        super().__init__(text)
        self.value = value


class RecordedNvml:
    """Answers NVML's questions of cards that are written down; what is not written down is "Not Supported"."""

    NVMLError = NvmlError
    NVML_CLOCK_MEM = 2
    NVML_ERROR_NOT_SUPPORTED = 3

    def __init__(self, cards: Sequence[dict[str, Any]], cuda: int = 12080) -> None:
        self._cards = cards
        self._cuda = cuda
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self._cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        card = self._cards[index]
        if "lost" in card:
            raise NvmlError(15, "GPU is lost")
        return card

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.124.06"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return self._cuda

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        if pid == 5151:
            raise NvmlError(6, "Not Found")
        return f"/usr/bin/program-{pid} --flag"

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: dict[str, Any], position: int) -> dict[str, Any]:
        instances: list[dict[str, Any] | None] = card["instances"]
        instance = instances[position]
        if instance is None:
            raise NvmlError(6, "Not Found")
        return instance

    def nvmlDeviceGetMaxMigDeviceCount(self, card: dict[str, Any]) -> int:
        return len(card["instances"])

    def nvmlDeviceGetMaxClockInfo(self, card: dict[str, Any], kind: int) -> int:
        assert kind == self.NVML_CLOCK_MEM
        return int(self._written(card, "clock"))

    def __getattr__(self, question: str) -> Any:
        fields = {
            "nvmlDeviceGetName": "name",
            "nvmlDeviceGetUUID": "uuid",
            "nvmlDeviceGetMemoryInfo": "memory",
            "nvmlDeviceGetMemoryBusWidth": "width",
            "nvmlDeviceGetMigMode": "mig",
            "nvmlDeviceGetComputeRunningProcesses": "compute",
            "nvmlDeviceGetGraphicsRunningProcesses": "graphics",
        }
        if question not in fields:
            raise AttributeError(question)
        return lambda card: self._written(card, fields[question])

    @staticmethod
    def _written(card: dict[str, Any], field: str) -> Any:
        if field not in card:
            raise NvmlError(3, "Not Supported")
        if isinstance(card[field], Exception):
            raise card[field]
        return card[field]


def memory(total: int, free: int) -> SimpleNamespace:
    return SimpleNamespace(total=total, free=free, used=total - free)


def process(pid: int, used: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


RTX_4090 = {
    "name": "NVIDIA GeForce RTX 4090",
    "uuid": "GPU-1",
    "memory": memory(24564 * MIB, 23028 * MIB),
    "width": 384,
    "clock": 10501,
    "compute": [process(4711, 512 * MIB), process(os.getpid(), 100 * MIB), process(5151, None)],
    "graphics": [process(4711, 512 * MIB), process(42, 64 * MIB)],
}
P40 = {"name": "Tesla P40", "uuid": "GPU-2", "memory": memory(24576 * MIB, 24400 * MIB)}


def test_nvml_tells_cards_with_memory_driver_speed_and_users() -> None:
    nvml = RecordedNvml([RTX_4090, P40])
    first, second = read_nvml(nvml).gpus
    assert first == Gpu(
        index=0,
        name="NVIDIA GeForce RTX 4090",
        vendor="nvidia",
        total_bytes=24564 * MIB,
        free_bytes=23028 * MIB,
        driver="570.124.06",
        bandwidth=1_008_096_000_000,
        users=(
            GpuUser(42, "program-42", 64 * MIB),
            GpuUser(4711, "program-4711", 512 * MIB),
            GpuUser(5151, "", None),
        ),
        interface="CUDA 12.8",
        uuid="GPU-1",
    )
    # This driver tells neither width nor clock of the older card: the table has it.
    assert (second.index, second.bandwidth, second.users) == (1, 346e9, ())
    assert nvml.open == 0


def test_a_lost_card_is_noted_and_the_others_are_told() -> None:
    found = read_nvml(
        RecordedNvml([{"lost": True}, P40, {"name": "NVIDIA L4", "memory": NvmlError(15, "GPU is lost")}])
    )
    assert [gpu.name for gpu in found.gpus] == ["Tesla P40"]
    assert found.notes == (
        "NVIDIA card 0 does not answer: GPU is lost",
        "NVIDIA card 2 does not answer: GPU is lost",
    )


def test_mig_instances_take_the_place_of_their_card() -> None:
    parts = [
        {"name": "NVIDIA A100-SXM4-40GB MIG 3g.20gb", "uuid": "MIG-1", "memory": memory(19968 * MIB, 5602 * MIB)},
        None,
        {"name": "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "uuid": "MIG-2", "memory": memory(4864 * MIB, 4850 * MIB)},
    ]
    card = {"name": "NVIDIA A100-SXM4-40GB", "memory": memory(40536 * MIB, 1), "mig": [1, 1], "instances": parts}
    empty = {"name": "NVIDIA A30", "memory": memory(24576 * MIB, 1), "mig": [1, 1], "instances": [None] * 4}
    found = read_nvml(RecordedNvml([card, empty, P40 | {"mig": [0, 0]}]))
    assert [(gpu.index, gpu.uuid, gpu.total_bytes // MIB) for gpu in found.gpus] == [
        (0, "MIG-1", 19968),
        (1, "MIG-2", 4864),
        (2, "GPU-2", 24576),
    ]
    assert found.gpus[0].bandwidth == pytest.approx(1555e9 * 19968 / 40536)
    assert found.notes == ("NVIDIA A30 is in MIG mode without an instance: nothing can run on it",)


def test_in_a_container_with_one_instance_the_card_itself_may_not_be_asked() -> None:
    part = {"name": "NVIDIA H100 MIG 1g.10gb", "uuid": "MIG-1", "memory": memory(9984 * MIB, 9900 * MIB)}
    denied = NvmlError(4, "Insufficient Permissions")
    card = {"name": "NVIDIA H100 80GB HBM3", "memory": denied, "mig": [1, 1], "instances": [part]}
    (gpu,) = read_nvml(RecordedNvml([card])).gpus
    assert (gpu.total_bytes, gpu.bandwidth, gpu.shared) == (9984 * MIB, None, False)


@pytest.mark.parametrize("name", ["NVIDIA GB10", "A chip that nobody knows yet"])
def test_a_chip_without_memory_of_its_own_shares_the_ram(name: str) -> None:
    (gpu,) = read_nvml(RecordedNvml([{"name": name}], cuda=13000)).gpus
    assert (gpu.shared, gpu.total_bytes, gpu.interface) == (True, 0, "CUDA 13.0")


def test_the_real_package_knows_every_question_that_is_asked() -> None:
    pynvml = import_module("pynvml")
    source = Path(gpu_nvidia.__file__).read_text()
    names = set(re.findall(r"\bnvml[A-Z]\w+|\bNVML_\w+|\bNVMLError\b", source)) - {"nvmlDeviceGet"}
    names |= {"nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"}
    assert len(names) > 15
    assert [name for name in sorted(names) if not hasattr(pynvml, name)] == []
    assert pynvml.NVML_ERROR_NOT_SUPPORTED == RecordedNvml.NVML_ERROR_NOT_SUPPORTED


def with_driver(root: Path) -> Path:
    return lay_out(root, {"dev/nvidiactl": ""})


def no_package() -> Any:
    raise ImportError(NO_PACKAGE)


def test_the_real_package_answers_or_says_why_not(tmp_path: Path) -> None:
    found = find_nvidia(Programs({}), with_driver(tmp_path))
    assert found.gpus or found.notes


def test_without_a_driver_nothing_is_loaded_or_run(tmp_path: Path) -> None:
    programs = Programs({})

    def load() -> Any:
        raise AssertionError("loaded")

    assert find_nvidia(programs, tmp_path, load) == Found()
    assert programs.asked == []


def test_a_card_without_nvidias_driver_is_noted(tmp_path: Path) -> None:
    lay_out(
        tmp_path, {"sys/class/drm/card0/device/vendor": "0x10de\n", "sys/class/drm/card1/device/vendor": "0x8086\n"}
    )
    found = find_nvidia(Programs({}), tmp_path, no_package)
    assert found.gpus == ()
    assert found.notes == (
        "there is an NVIDIA card, but not NVIDIA's driver: install it, then hearth can use the card",
    )


def test_nvml_is_asked_first(tmp_path: Path) -> None:
    programs = Programs({})
    found = find_nvidia(programs, with_driver(tmp_path), lambda: RecordedNvml([P40]))
    assert [gpu.name for gpu in found.gpus] == ["Tesla P40"]
    assert programs.asked == []


TWO_CARDS = {
    "nvidia-smi": told("nvidia/two_cards_table.txt"),
    f"nvidia-smi --query-gpu={gpu_nvidia.QUERY_CARDS},mig.mode.current": told("nvidia/two_cards.csv"),
    f"nvidia-smi --query-compute-apps={gpu_nvidia.QUERY_USERS}": told("nvidia/two_cards_users.csv"),
}


def test_without_the_package_nvidia_smi_is_asked(tmp_path: Path) -> None:
    found = find_nvidia(Programs(TWO_CARDS), with_driver(tmp_path), no_package)
    assert found.notes == ()
    first, second = found.gpus
    assert (first.name, first.total_bytes, first.free_bytes) == (
        "NVIDIA GeForce RTX 5090",
        32607 * MIB,
        2801 * MIB,
    )
    assert (first.driver, first.interface, first.bandwidth) == ("610.57.04", "CUDA 13.3", 1792e9)
    assert first.users == (GpuUser(4711, "python3", 28796 * MIB),)
    assert (second.index, second.bandwidth, second.uuid[-1]) == (1, 936e9, "1")
    assert [(user.pid, user.used_bytes) for user in second.users] == [(5151, 14486 * MIB), (6006, None), (7007, None)]
    assert [user.name for user in second.users][::2] == ["llama-server", ""]


def test_a_broken_driver_is_a_note(tmp_path: Path) -> None:
    words = "nvidia-smi failed (exit 18): Failed to initialize NVML: Driver/library version mismatch"

    def load() -> Any:
        nvml = RecordedNvml([])
        nvml.nvmlInit = lambda: (_ for _ in ()).throw(NvmlError(18, "RM has detected an NVML/RM version mismatch."))  # type: ignore[method-assign]  # the library refuses to start
        return nvml

    found = find_nvidia(Programs({"nvidia-smi": Printed(problem=words)}), with_driver(tmp_path), load)
    assert found == Found((), ("NVIDIA's driver does not answer: RM has detected an NVML/RM version mismatch.", words))


def test_a_driver_that_hangs_is_left_behind(tmp_path: Path) -> None:
    release = Event()

    def load() -> Any:
        release.wait()
        raise ImportError(NO_PACKAGE)

    try:
        found = find_nvidia(Programs(TWO_CARDS), with_driver(tmp_path), load, limit_s=0.05)
        assert len(found.gpus) == 2
        found = find_nvidia(Programs({}), with_driver(tmp_path), load, limit_s=0.05)
        assert found == Found((), ("NVIDIA's driver did not answer within 0.05 s",))
    finally:
        release.set()


def test_an_old_driver_that_does_not_know_mig_is_asked_again(tmp_path: Path) -> None:
    unknown = 'nvidia-smi failed (exit 2): Field "mig.mode.current" is not a valid field to query.'
    programs = Programs(
        {
            f"nvidia-smi --query-gpu={gpu_nvidia.QUERY_CARDS},mig.mode.current": Printed(problem=unknown),
            f"nvidia-smi --query-gpu={gpu_nvidia.QUERY_CARDS}": told("nvidia/old_driver.csv"),
        }
    )
    (gpu,) = find_nvidia(programs, with_driver(tmp_path), no_package).gpus
    assert (gpu.name, gpu.driver, gpu.bandwidth) == ("GeForce RTX 2080", "440.100", 448e9)


def test_nvidia_smi_tells_mig_instances(tmp_path: Path) -> None:
    programs = Programs(
        {
            "nvidia-smi": told("nvidia/mig_table.txt"),
            "nvidia-smi -L": told("nvidia/mig_list.txt"),
            f"nvidia-smi --query-gpu={gpu_nvidia.QUERY_CARDS},mig.mode.current": told("nvidia/mig.csv"),
            f"nvidia-smi --query-compute-apps={gpu_nvidia.QUERY_USERS}": "",
        }
    )
    found = find_nvidia(programs, with_driver(tmp_path), no_package)
    assert [(gpu.index, gpu.name, gpu.free_bytes // MIB, gpu.uuid[:12]) for gpu in found.gpus] == [
        (0, "NVIDIA A100-SXM4-40GB", 39992, "GPU-aaaaaaaa"),
        (1, "NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19968 - 14366, "MIG-bbbbbbbb"),
        (2, "NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19968 - 9826, "MIG-bbbbbbbb"),
    ]
    assert found.gpus[1].bandwidth == pytest.approx(1555e9 * 19968 / 40536)
    assert found.notes == ("NVIDIA A100-SXM4-40GB is in MIG mode without an instance: nothing can run on it",)


def test_nvidia_smi_tells_a_chip_that_shares_the_ram() -> None:
    (gpu,) = parse_smi(told("nvidia/gb10.csv"), table=told("nvidia/gb10_table.txt")).gpus
    assert (gpu.shared, gpu.total_bytes, gpu.bandwidth, gpu.interface) == (True, 0, 273e9, "CUDA 13.0")


def test_a_card_that_does_not_tell_what_is_free_is_taken_as_free() -> None:
    found = parse_smi("0, GPU-1, NVIDIA L4, 23034, [N/A], 550.54")
    assert [gpu.free_bytes for gpu in found.gpus] == [23034 * MIB]
    assert found.notes == ("nvidia-smi does not tell what is free on NVIDIA L4: taken as all",)


def test_a_card_whose_memory_is_not_told_is_noted() -> None:
    found = parse_smi("0, GPU-1, NVIDIA RTX 9999, [Unknown Error], [Unknown Error], 999.1, [N/A]")
    assert found == Found((), ("nvidia-smi does not tell the memory of NVIDIA RTX 9999: [Unknown Error]",))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/lib/xorg/Xorg", "Xorg"),
        ("/opt/google/chrome/chrome --type=gpu-process", "chrome"),
        ("[Not Found]", ""),
        ("", ""),
        ("evil\x1b[31m\x07name", "evil[31mname"),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_process_name_is_that_of_its_program(command: str, name: str) -> None:
    assert program_name(command) == name


@pytest.mark.parametrize(
    ("number", "text"), [(12080, "CUDA 12.8"), (13000, "CUDA 13.0"), (11010, "CUDA 11.1"), (0, "")]
)
def test_the_cuda_version_is_told_as_people_say_it(number: int, text: str) -> None:
    assert cuda_version(number) == text


ROWS = st.lists(st.sampled_from(["0", "GPU-1", "NVIDIA L4", "[N/A]", "23034", "Enabled", "²", "9" * 5000, ""]))


@given(st.text() | st.lists(ROWS.map(", ".join)).map("\n".join), st.text(), st.text())
def test_no_text_of_nvidia_smi_breaks_the_reader(cards: str, users: str, table: str) -> None:
    assert isinstance(parse_smi(cards, users, table, table), Found)
