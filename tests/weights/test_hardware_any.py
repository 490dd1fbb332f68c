"""Whatever the system's programs, files and libraries tell, a machine is measured, and it can be planned with.

The texts are recorded ones with pieces cut out and others put in, so that they get past the first check.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hearth.weights.fit import Request, judge
from hearth.weights.hardware import Machine, measure_machine
from hearth.weights.hardware.system_text import Printed
from hearth.weights.shape import KvGroup, ModelShape
from machines import DATA, told

PIECES = st.sampled_from(
    ["", "0", "-1", "1" * 20, "9" * 5000, "1e999", "NaN", "-Infinity", "N/A", "[N/A]", "null", "[]", "{}", "²", "\x00"]
) | st.sampled_from(
    ["\x1b[31m", "\n", ",", '"', "[" * 3000, '{"a":' * 3000, "24GB" * 2000, "4" * 5000 + "gb", "Orin", "max"]
)
DENSE = ModelShape("llama", 32, 4096, 128_256, 32, 131_072, (KvGroup(32, 8, 128, 128),), feed_forward=14_336)


@st.composite
def worn(draw: st.DrawFn, folder: str) -> str:
    """A recorded text of this folder with up to three places replaced."""
    text = told(draw(st.sampled_from(sorted(str(file.relative_to(DATA)) for file in (DATA / folder).iterdir()))))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(PIECES | st.text(max_size=4)) + text[end:]
    return text


class Told:
    """Answers each vendor's program with a text of that vendor."""

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self._texts = texts
        self._asked = 0

    def __call__(self, command: Sequence[str]) -> Printed:
        self._asked += 1
        texts = self._texts.get(command[0], ())
        return Printed(texts[self._asked % len(texts)]) if texts else Printed()


PROGRAMS = {
    "nvidia-smi": "nvidia", "amd-smi": "amd", "rocm-smi": "amd", "vulkaninfo": "vulkan", "sysctl": "apple",
    "vm_stat": "apple", "system_profiler": "apple",
}  # fmt: skip
TEXTS = st.fixed_dictionaries({name: st.lists(worn(vendor), max_size=4) for name, vendor in PROGRAMS.items()})
FILES = {
    "proc/cpuinfo": worn("linux"),
    "proc/meminfo": worn("linux"),
    "proc/self/cgroup": worn("linux"),
    "proc/self/mountinfo": worn("linux"),
    "opt/rocm/.info/version": st.text(max_size=4),
    "sys/class/drm/card0/device/vendor": st.sampled_from(["0x1002\n", "0x10de\n", "\x00"]),
    "sys/class/drm/card0/device/mem_info_vram_total": PIECES,
    "sys/class/drm/card0/device/device": PIECES,
    "sys/class/kfd/kfd/topology/nodes/0/properties": worn("amd"),
}


def no_package() -> Any:
    raise ImportError


def check(machine: Machine) -> None:
    assert 0 <= machine.ram_free_bytes <= max(machine.ram_bytes, machine.ram_free_bytes)
    assert [gpu.index for gpu in machine.gpus] == [*range(len(machine.gpus))]
    assert all(gpu.total_bytes >= 0 and gpu.free_bytes >= 0 for gpu in machine.gpus)
    assert judge(DENSE, 5 << 30, Request(8192), machine).why


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.fixed_dictionaries({}, optional=FILES), st.sampled_from(["linux", "darwin"]))
def test_whatever_the_system_tells_is_a_machine(texts: dict[str, list[str]], files: dict[str, str], kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in (files | {"dev/nvidiactl": ""}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        check(
            measure_machine(
                root=root, run=Told(texts), environment={}, system=kind, allowed={0, 1}, load_nvml=no_package
            )
        )


ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-1, 1 << 64) | st.floats() | st.binary(max_size=4) | st.text(max_size=4)
)


class Odd:
    """An answer of NVML whose fields are of any kind."""

    def __init__(self, value: object) -> None:
        self.total = self.free = self.pid = self.usedGpuMemory = value


class OddNvml:
    """Stands for NVIDIA's library: answers each question with the next of some values."""

    NVML_CLOCK_MEM = 2
    NVML_ERROR_NOT_SUPPORTED = 3

    class NVMLError(Exception):
        value = 3

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values
        self._asked = 0

    def nvmlInit(self) -> None:
        pass

    def nvmlShutdown(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def __getattr__(self, name: str) -> Any:
        def answer(*_: object) -> object:
            self._asked += 1
            return self._values[self._asked % len(self._values)]

        return answer


@settings(deadline=None)
@given(st.lists(ODD | ODD.map(Odd) | st.lists(ODD | ODD.map(Odd), max_size=2), min_size=1, max_size=9))
@example([[1, 0], "NVIDIA L4", Odd(True)])
def test_whatever_nvml_answers_is_a_machine(values: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "dev").mkdir()
        (root / "dev/nvidiactl").touch()
        check(
            measure_machine(
                root=root,
                run=Told({}),
                environment={},
                system="linux",
                allowed={0},
                load_nvml=lambda: OddNvml(values),
            )
        )


@settings(deadline=None, max_examples=8)
@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4))
def test_any_value_of_any_field_of_a_json_is_taken(value: object) -> None:
    """Each field of a recorded answer in turn is what nobody expects."""
    for name, program in (("amd/r9700_static.json", "amd-smi"), ("amd/rx7900xt_rocm_smi.json", "rocm-smi")):
        for text in spoilt(told(name), value):
            measure_machine(root=Path("/nowhere"), run=Told({program: [text]}), environment={}, system="linux")
    for text in spoilt(told("apple/m3_pro_displays.json"), value):
        measure_machine(
            run=Told({"system_profiler": [text], "sysctl": [told("apple/m3_pro_sysctl.txt")]}), system="darwin"
        )


def spoilt(text: str, value: object) -> list[str]:
    """The text with one field after the other replaced, names of fields kept."""
    whole = json.loads(text[text.index("[") if text.lstrip()[0] not in "{[" else 0 :])
    found: list[str] = []

    def walk(part: Any) -> None:
        for key in [*part] if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
            kept = part[key]
            part[key] = value
            found.append(json.dumps(whole))
            part[key] = kept
            walk(kept)

    walk(whole)
    return found
