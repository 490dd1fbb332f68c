"""AMD cards: what amd-smi or the older rocm-smi prints as JSON, else what the kernel's own files tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from hearth.weights.hardware.bandwidth import known_bandwidth
from hearth.weights.hardware.gpu import MIB, Found, Gpu, GpuUser, plain_name
from hearth.weights.hardware.system_text import Run, read_file, whole

_APUS = {"gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037"}
_APUS |= {"gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"}
"""Chips with a processor and graphics in one: the kinds "APU" of LLVM's User Guide for the AMDGPU Backend."""

_APU_NAMES = re.compile(r"MI300A|Radeon( ?\(TM\))?( Vega \d+| \d{3}M| 80\d0S)? Graphics$", re.IGNORECASE)
"""What they are called where the kind is not told: ``AMD Radeon 780M Graphics``, ``AMD Radeon Graphics``."""

_MOST_WARNINGS = 50
_VENDOR = "0x1002"
_UNITS = {"B": 1, "KB": 1 << 10, "MB": MIB, "GB": 1 << 30}
"""What amd-smi calls MB is 2^20 bytes."""


def find_amd(run: Run, root: Path = Path("/")) -> Found:
    """The cards of this machine, by the first of amd-smi, rocm-smi and the kernel that tells of one."""
    version = f"ROCm {text.strip().split('-')[0]}" if (text := read_file(root / "opt/rocm/.info/version")) else ""
    notes: tuple[str, ...] = ()
    static = run(("amd-smi", "static", "--asic", "--vram", "--driver", "--json"))
    if static.text:
        metric = run(("amd-smi", "metric", "--mem-usage", "--json"))
        process = run(("amd-smi", "process", "--json"))
        found = parse_amd_smi(static.text, metric.text, process.text, version)
        notes = (*found.notes, *(each.problem for each in (metric, process) if each.problem))
        if found.gpus:
            return Found(found.gpus, notes)
    older = run(("rocm-smi", "--showproductname", "--showmeminfo", "vram", "gtt", "--showuniqueid", "--json"))
    if older.text:
        system = run(("rocm-smi", "--showdriverversion", "--showpids", "--json"))
        found = parse_rocm_smi(older.text, system.text, version)
        notes = (*notes, *found.notes, *((system.problem,) if system.problem else ()))
        if found.gpus:
            return Found(found.gpus, notes)
    notes = (*(each.problem for each in (static, older) if each.problem), *notes)
    return Found(read_kernel(root).gpus, notes)


def parse_amd_smi(static: str, metric: str, process: str = "", interface: str = "") -> Found:
    """Cards from ``amd-smi static``, ``metric --mem-usage`` and ``process``, all as JSON; ROCm 6 and 7."""
    usage = {str(row.get("gpu")): row for row in _rows(metric)}
    processes = {str(row.get("gpu")): row for row in _rows(process)}
    gpus: list[Gpu] = []
    notes: list[str] = []
    for row in _rows(static):
        asic, vram = _part(row, "asic"), _part(row, "vram")
        memory = _part(usage.get(str(row.get("gpu")), {}), "mem_usage")
        name = _told(asic, "market_name") or "AMD GPU"
        pools = _Pools(
            _amount(memory.get("total_vram")) or _amount(vram.get("size")) or _amount(vram.get("vram_size_mb")),
            _amount(memory.get("used_vram")),
            _amount(memory.get("total_gtt")),
            _amount(memory.get("used_gtt")),
        )
        if not (sized := pools.lent(_is_apu(_told(asic, "target_graphics_version"), name))):
            notes.append(f"amd-smi does not tell the memory of {name}")
            continue
        if not pools.use_is_told:
            notes.append(f"amd-smi does not tell what is used of {name}: taken as none")
        total, free, shared = sized
        told_speed = _number(_part(vram, "max_bandwidth").get("value"))
        gpu = Gpu(
            index=len(gpus),
            name=name,
            vendor="amd",
            total_bytes=total,
            free_bytes=free,
            driver=_told(_part(row, "driver"), "version"),
            bandwidth=told_speed * 1e9 if told_speed else known_bandwidth(name, total),
            users=tuple(_users(processes.get(str(row.get("gpu")), {}), "gtt_mem" if shared else "vram_mem")),
            interface=interface,
            uuid=_uuid(_told(asic, "asic_serial")),
            shared=shared,
        )
        gpus.append(gpu)
    return Found(tuple(gpus), tuple(notes))


def parse_rocm_smi(cards: str, system: str = "", interface: str = "") -> Found:
    """Cards from ``rocm-smi --showproductname --showmeminfo vram gtt``, driver and users from ``--showpids``."""
    told = _mapping(_json(cards))
    rest = _mapping(_mapping(_json(system)).get("system"))
    rows = (
        (int(key[4:]), {str(field).lower(): text for field, text in row.items()})
        for key, row in told.items()
        if re.fullmatch(r"card\d{1,4}", key) and isinstance(row, dict)
    )
    numbered = sorted(rows, key=lambda pair: pair[0])
    gpus: list[Gpu] = []
    notes: list[str] = []
    for number, row in numbered:
        names = (_told(row, field) for field in ("card series", "device name", "market name", "card model"))
        name = next((text for text in names if text and not text.startswith("0x")), "AMD GPU")
        vram, gtt = "vram total memory (b)", "gtt total memory (b)"
        pools = _Pools(
            _number(row.get(vram)),
            _number(row.get(vram.replace("total", "total used"))),
            _number(row.get(gtt)),
            _number(row.get(gtt.replace("total", "total used"))),
        )
        if not (sized := pools.lent(_is_apu(_told(row, "gfx version"), name))):
            notes.append(f"rocm-smi does not tell the memory of card {number}, {name}")
            continue
        if not pools.use_is_told:
            notes.append(f"rocm-smi does not tell what is used of card {number}, {name}: taken as none")
        total, free, shared = sized
        users = tuple(_rocm_users(rest)) if len(numbered) == 1 else ()
        driver = _told(rest, "Driver version")
        speed = known_bandwidth(name, total)
        uuid = _uuid(_told(row, "unique id"))
        gpus.append(Gpu(len(gpus), name, "amd", total, free, driver, speed, users, interface, uuid, shared))
    return Found(tuple(gpus), tuple(notes))


def read_kernel(root: Path) -> Found:
    """Cards from the files of the amdgpu driver, which need no ROCm: memory from sysfs, names from libdrm's list."""
    gpus: list[Gpu] = []
    names = _names(read_file(root / "usr/share/libdrm/amdgpu.ids"))
    kinds = dict(_kinds(root))
    for device in sorted(root.glob("sys/class/drm/card[0-9]*/device")):
        if read_file(device / "vendor").strip() != _VENDOR or re.fullmatch(r"card\d+", device.parent.name) is None:
            continue
        amounts = (
            _number(read_file(device / f"mem_info_{pool}_{what}"))
            for pool in ("vram", "gtt")
            for what in ("total", "used")
        )
        pools = _Pools(*amounts)
        model = _hexadecimal(device / "device")
        revision = _hexadecimal(device / "revision")
        name = names.get((model, revision), f"AMD GPU {model:#06x}")
        minors = [int(node.name[7:]) for node in device.glob("drm/renderD*") if node.name[7:].isdigit()]
        kind = next((kinds[minor] for minor in minors if minor in kinds), "")
        if sized := pools.lent(_is_apu(kind, name)):
            total, free, shared = sized
            speed = known_bandwidth(name, total)
            gpus.append(Gpu(len(gpus), name, "amd", total, free, bandwidth=speed, shared=shared))
    return Found(tuple(gpus))


class _Pools:
    """The memory that a chip has (VRAM) and that it may borrow from the RAM (GTT); None where not told."""

    def __init__(self, vram: int | None, vram_used: int | None, gtt: int | None, gtt_used: int | None) -> None:
        self._own = vram or 0, vram_used or 0
        self._borrowed = gtt or 0, gtt_used or 0
        self.use_is_told = vram_used is not None

    def lent(self, apu: bool) -> tuple[int, int, bool] | None:
        """Total and free bytes for programs, and whether they are RAM; None when nothing is known.

        On an APU programs get the larger pool, as HIP does: 96 GiB of GTT beside 4 GiB of VRAM are told as 98,304 MiB.
        VRAM that the firmware set aside is not counted as RAM by the kernel.
        """
        shared = apu and self._borrowed[0] > self._own[0]
        total, used = self._borrowed if shared else self._own
        return (total, max(total - used, 0), shared) if total else None


def _is_apu(graphics: str, name: str) -> bool:
    return graphics.lower() in _APUS or _APU_NAMES.search(name) is not None


def _json(text: str) -> object:
    """The first JSON value of a text: these tools print warnings before it. None when there is none."""
    for start in islice(re.finditer(r"^[ \t]*(?=[\[{])", text, re.MULTILINE), _MOST_WARNINGS):
        try:
            value: object = json.JSONDecoder().raw_decode(text, start.end())[0]
        except (ValueError, RecursionError):
            continue
        return value
    return None


def _rows(text: str) -> list[Mapping[str, Any]]:
    """One object a card: a list, which ROCm 7 wraps as ``gpu_data``."""
    value = _json(text)
    if isinstance(value, dict):
        value = value.get("gpu_data")
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _mapping(row.get(name))


def _told(row: Mapping[str, Any], name: str) -> str:
    text = row.get(name)
    return text.strip() if isinstance(text, str) and text.strip().upper() != "N/A" else ""


def _number(value: object) -> int | None:
    return whole(str(value))


def _amount(value: object, unit: str = "MB") -> int | None:
    """Bytes of ``{"value": 24560, "unit": "MB"}`` or of a bare number of this unit; None for N/A."""
    told = _mapping(value)
    number, unit = _number(told.get("value", value)), str(told.get("unit") or unit)
    return None if number is None or unit.upper() not in _UNITS else number * _UNITS[unit.upper()]


def _uuid(serial: str) -> str:
    """``GPU-`` and the serial number in hexadecimal, as ROCR_VISIBLE_DEVICES takes it."""
    number = serial.lower().removeprefix("0x")
    return f"GPU-{number}" if re.fullmatch(r"[0-9a-f]{8,16}", number) and int(number, 16) else ""


def _users(row: Mapping[str, Any], pool: str) -> Iterator[GpuUser]:
    processes = row.get("process_list")
    for entry in processes if isinstance(processes, list) else ():
        # An idle card has the text "No running processes detected" here.
        process = _part(_mapping(entry), "process_info")
        if (pid := _number(process.get("pid"))) is not None:
            used = _amount(_part(process, "memory_usage").get(pool), "B")
            yield GpuUser(pid, plain_name(_told(process, "name").rpartition("/")[2]), used)


def _rocm_users(system: Mapping[str, Any]) -> Iterator[GpuUser]:
    """Of entries such as ``"PID4711": "llama-server, 1, 12884901888, 0, 0"``: name, cards, VRAM, SDMA, units."""
    for key, text in system.items():
        if re.fullmatch(r"PID\d{1,10}", key) and isinstance(text, str) and len(columns := text.split(",")) >= 3:
            yield GpuUser(int(key[3:]), plain_name(columns[0].strip()), _number(columns[2]))


def _names(text: str) -> dict[tuple[int, int], str]:
    """By device and revision, of lines such as ``744C, C8, AMD Radeon RX 7900 XTX``."""
    lines = re.findall(r"^([0-9A-Fa-f]{1,4}),\s*([0-9A-Fa-f]{1,2}),\s*(\S.*?)\s*$", text, re.MULTILINE)
    return {(int(device, 16), int(revision, 16)): name for device, revision, name in lines}


def _hexadecimal(path: Path) -> int:
    text = read_file(path).strip()
    return int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text) else 0


def _kinds(root: Path) -> Iterator[tuple[int, str]]:
    """The kind of chip behind each render node: ``gfx_target_version 110501`` is gfx1151."""
    for file in sorted(root.glob("sys/class/kfd/kfd/topology/nodes/*/properties")):
        told = dict(line.split()[:2] for line in read_file(file).splitlines() if len(line.split()) >= 2)
        version, minor = _number(told.get("gfx_target_version")), _number(told.get("drm_render_minor"))
        if version and minor:
            yield minor, f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
