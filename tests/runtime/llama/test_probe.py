"""The engine asked for a model's memory: its table read, its answer kept, its silence borne."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.errors import CorruptModel, EngineFailed, ModelUnavailable
from hearth.paths import resolve_paths
from hearth.runtime.llama.probe import MIB, DeviceMemory, Measured, Probe, read_load, read_table
from hearth.weights.fit import Request, estimate
from hearth.weights.gguf import read_gguf
from hearth.weights.hardware import describe_machine
from hearth.weights.shape_reader import shape_of
from real_load import loaded_memory
from shaped_models import write_small

PRINT = "0.01.6 I common_memory_breakdown_print: |"
HEAD = f"{PRINT} memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |"
HOST = f"{PRINT}   - Host               |                   36 =     5 +      18 +      12                |"
REPACK = f"{PRINT}   - CPU_REPACK         |                 6894 =  6894 +       0 +       0                |"
CARDS = [
    f"{PRINT}   - CUDA0 (RTX 4090)   | 24080 = 9436 + (14193 = 13169 +      38 +     985) +         451 |",
    f"{PRINT}   - CUDA1 (RTX 3060) | 11909 = 11790 + ( 5244 =  5032 +      13 +     197) + 17592186029324 |",
    f"{PRINT}   - Host               |                    262 =   170 +       0 +      92                |",
]
CHIP = [
    f"{PRINT}   - HTP0 (Hexagon)     |  2048 = 2048 + (   0 =     0 +       0 +       0) +           0 |",
    f"{PRINT}   - Host               |                 1476 =  1208 +     105 +     162                |",
    f"{PRINT}   - HTP0-REPACK        |                 2505 =  2505 +       0 +       0                |",
]
"""Lines as llama.cpp prints them; those of the host alone are of build 11549."""


@pytest.fixture
def probe(home: Path) -> Iterator[Probe]:
    yield Probe(resolve_paths(os.environ))
    left = [path.name for path in (home / "cache" / "probes").glob("*") if path.suffix != ".json"]
    assert not left
    assert not list((home / "run").glob("engine-*"))


def mib(*sizes: int) -> list[int]:
    return [size * MIB for size in sizes]


def test_the_host_alone() -> None:
    assert read_table(["noise", HEAD, HOST, "common_params_fit_impl: projected"]) == Measured(
        (), DeviceMemory("Host", *mib(5, 18, 12))
    )


def test_rearranged_weights_lie_in_the_ram_too() -> None:
    assert read_table([HEAD, HOST, REPACK]).host == DeviceMemory("Host", *mib(6899, 18, 12))


def test_several_cards() -> None:
    measured = read_table([HEAD, *CARDS])
    assert measured.devices == (
        DeviceMemory("CUDA0", *mib(13169, 38, 985, 24080, 9436)),
        DeviceMemory("CUDA1", *mib(5032, 13, 197, 11909, 11790)),
    )
    assert measured.host == DeviceMemory("Host", *mib(170, 0, 92))


def test_a_device_with_buffers_of_another_kind() -> None:
    assert read_table([HEAD, *CHIP]).devices == (DeviceMemory("HTP0", *mib(2505, 0, 0, 2048, 2048)),)


def test_only_the_first_table_is_what_was_asked_for() -> None:
    measured = read_table([HEAD, *CARDS, "common_params_fit_impl: trying less", HEAD, HOST])
    assert len(measured.devices) == 2


@pytest.mark.parametrize(
    "lines", [[], ["no table"], [HEAD], [HEAD, CARDS[0]], [HEAD, "something else", HOST], [HOST], [HEAD, REPACK]]
)
def test_anything_else_is_no_answer(lines: list[str]) -> None:
    with pytest.raises(EngineFailed):
        read_table(lines)


def test_the_buffers_of_a_real_load() -> None:
    lines = [
        "load_tensors:   CPU_Mapped model buffer size =    27.75 MiB",
        "load_tensors:   CPU_REPACK model buffer size =    20.00 MiB",
        "llama_kv_cache:        CPU KV buffer size =     8.00 MiB",
        "llama_kv_cache:        CPU KV buffer size =     2.50 MiB",
        "llama_memory_recurrent:        CPU RS buffer size =     1.25 MiB",
        "sched_reserve:        CPU compute buffer size =    12.00 MiB",
        "sched_reserve:        CPU compute buffer size =    12.50 MiB",
        "sched_reserve:      CUDA0 compute buffer size =    30.00 MiB",
    ]
    loaded = read_load(lines)
    assert loaded["CPU"] == DeviceMemory("CPU", int(27.75 * MIB), int(11.75 * MIB), int(12.5 * MIB))
    assert loaded["CUDA0"].compute == 30 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mla-moe", "mamba"])
async def test_its_answer_is_what_a_load_takes(home: Path, probe: Probe, name: str) -> None:
    model = write_small(home / "m.gguf", name)
    request = Request(4096, slots=2)
    told = (await probe.measure(model, request)).host
    real = await loaded_memory(model, request, home)
    for part in ("model", "context", "compute"):
        # The engine tells whole MiB.
        assert getattr(told, part) == pytest.approx(getattr(real, part), rel=0.02, abs=MIB), part


async def test_the_kind_of_cache_and_the_slots_are_measured(home: Path, probe: Probe) -> None:
    model = write_small(home / "m.gguf", "swa", hollow=True)
    asked = [Request(8192), Request(8192, "q8_0"), Request(8192, slots=4), Request(8192, slots=4, unified=False)]
    measured = [(await probe.measure(model, request)).host for request in asked]
    shape = shape_of(read_gguf(model))
    machine = describe_machine((), 16 << 30)
    for request, host in zip(asked, measured, strict=True):
        closed = estimate(shape, model.stat().st_size, request, machine).host
        assert host.context == pytest.approx(closed.kv, abs=MIB)
    assert len({host.context for host in measured}) == 4


async def test_an_answer_is_kept_until_the_file_changes(home: Path, probe: Probe) -> None:
    model = write_small(home / "m.gguf", "mha-tied", hollow=True)
    first = await probe.measure(model, Request(2048))
    # A child that cannot even find its modules: what is answered now was kept.
    mute = Probe(resolve_paths(os.environ), {"PYTHONHOME": str(home / "nowhere")})
    assert await mute.measure(model, Request(2048)) == first
    with pytest.raises(EngineFailed):
        await mute.measure(model, Request(4096))
    os.utime(model, ns=(0, 1))
    with pytest.raises(EngineFailed):
        await mute.measure(model, Request(2048))


async def test_a_spoilt_note_is_measured_again(home: Path, probe: Probe) -> None:
    model = write_small(home / "m.gguf", "mha-tied", hollow=True)
    first = await probe.measure(model, Request(2048))
    for note in (home / "cache" / "probes").glob("*.json"):
        note.write_bytes(note.read_bytes()[:20])
    assert await probe.measure(model, Request(2048)) == first


async def test_what_a_killed_measurement_left_is_cleared_away(home: Path, probe: Probe) -> None:
    model = write_small(home / "m.gguf", "mha-tied", hollow=True)
    folder = home / "cache" / "probes"
    folder.mkdir(parents=True)
    # No system gives out so high a number.
    (folder / "engine-2000000000-0abc.log").write_text("cut off")
    await probe.measure(model, Request(2048))
    assert [path.suffix for path in folder.iterdir()] == [".json"]


async def test_files_that_are_no_models(home: Path, probe: Probe) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be opened"):
        await probe.measure(home / "nothing.gguf", Request(2048))
    (home / "text.gguf").write_text("not a model")
    with pytest.raises(CorruptModel, match="not a GGUF"):
        await probe.measure(home / "text.gguf", Request(2048))


async def test_an_engine_that_does_not_answer_in_time(home: Path, probe: Probe) -> None:
    model = write_small(home / "m.gguf", "mha-tied", hollow=True)
    hasty = Probe(resolve_paths(os.environ), limit_s=0)
    with pytest.raises(EngineFailed, match="within 0 s"):
        await hasty.measure(model, Request(2048))


async def test_the_closed_form_stands_in_and_says_why(home: Path, probe: Probe) -> None:
    model = write_small(home / "m.gguf", "gqa-tied", hollow=True)
    shape, size, request = shape_of(read_gguf(model)), model.stat().st_size, Request(2048)
    machine = describe_machine((), 16 << 30)
    answer = await probe.answer(model, shape, size, request, machine)
    assert answer.measured
    assert not answer.reason
    assert answer.breakdown.host.weights % MIB == 0
    assert answer.breakdown.host.cache == estimate(shape, size, request, machine).host.cache
    mute = Probe(resolve_paths(os.environ), {"PYTHONHOME": str(home / "nowhere")})
    fallback = await mute.answer(model, shape, size, Request(4096), machine)
    assert not fallback.measured
    assert "library cannot be loaded" in fallback.reason
    assert fallback.breakdown == estimate(shape, size, Request(4096), machine)
    # Cards that this machine does not have cannot be measured here.
    described = await probe.answer(model, shape, size, request, describe_machine((8 << 30,), 16 << 30))
    assert not described.measured
    assert "0 cards" in described.reason
