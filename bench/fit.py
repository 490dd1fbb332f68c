"""What a model will take, told beforehand, beside what the engine says and takes: ``python -m bench.fit``.

Writes docs/fit.md. About 250 measurements of a second or less each; weights are made only where they are loaded.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hearth.paths import resolve_paths
from hearth.runtime.llama.probe import DeviceMemory, Probe
from hearth.weights.catalogue import load_catalogue
from hearth.weights.fit import Part, Request, estimate, judge
from hearth.weights.gguf import read_gguf
from hearth.weights.hardware import describe_machine
from hearth.weights.shape_reader import shape_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import shaped_models  # the tests' own models; their folder must be on the path first
from real_load import loaded_memory  # the same
from shaped_gguf import write  # the same

MIB, GIB = 1 << 20, 1 << 30
SHARE, LEAST = 0.05, 64 * MIB
LOAD_SHARE = 0.02
CONTEXTS = (4096, 32_768, 131_072)
KV_TYPES = ("f16", "q8_0")
SLOTS = (1, 4)
BIG_REQUESTS = (Request(8192), Request(131_072), Request(65_536, "q8_0"), Request(16_384, slots=4))
LOADED = Request(8192, slots=2)

HEAD = """\
# How well memory is told beforehand

Made by `make bench-fit` (`python -m bench.fit`) with llama.cpp b11549 on a processor. "Engine" is its own account
(`no_alloc`), "ours" the closed form of `hearth.weights.fit`, which needs the file's header only; MiB. Model, context
(caches and states) and compute may each be off by 5 % or 64 MiB, whichever is more. The engine rounds down to whole
MiB.

Not shown by this: a card's own context (320 MiB, and 1 GiB for each further card) and the room in which a quantised
cache is unpacked (2.25 bytes for each token and element of the embedding, 1.25 with a latent cache) are taken from
others' figures. A processor's engine holds weights of Q4_0, Q4_K, IQ4_NL and MXFP4 a second time, rearranged; the pages
of the file under them may go, and are not counted. Of Gemma 4 the engine's account has the embedding twice; a real load
on a processor maps it once, and so do we.

"""


@dataclass(frozen=True)
class Cell:
    """One model in one setting: (engine, ours) for model, context and compute."""

    name: str
    request: Request
    pairs: tuple[tuple[int, int], ...]

    @property
    def worst(self) -> float:
        """The largest distance as a share of what is allowed: 1 is the limit."""
        return max(abs(ours - engine) / max(SHARE * engine, LEAST) for engine, ours in self.pairs)

    def row(self) -> str:
        """A line of the table."""
        request = self.request
        numbers = " | ".join(f"{engine / MIB:,.0f} | {ours / MIB:,.0f}" for engine, ours in self.pairs)
        setting = f"{request.context:,} x {request.slots} | {request.kv_type}"
        return f"| {self.name} | {setting} | {numbers} | {self.worst:.2f} |"


async def measure(name: str, model: Path, requests: Iterable[Request], probe: Probe) -> list[Cell]:
    """Both answers for one file in several settings."""
    shape, size = shape_of(read_gguf(model)), model.stat().st_size
    machine = describe_machine((), 64 * GIB)
    cells = []
    for request in requests:
        engine = (await probe.measure(model, request)).host
        cells.append(Cell(name, request, pairs(engine, estimate(shape, size, request, machine).host)))
    return cells


def pairs(engine: DeviceMemory, ours: Part) -> tuple[tuple[int, int], ...]:
    """(engine, ours) for model, context and compute."""
    context = ours.kv + ours.recurrent
    return (engine.model, ours.weights), (engine.context, context), (engine.compute, ours.compute)


def grid() -> Iterator[Request]:
    """Three contexts in all, two KV types, one slot and four."""
    for context in CONTEXTS:
        for kv_type in KV_TYPES:
            for slots in SLOTS:
                yield Request(context // slots, kv_type, slots)


async def all_cells(folder: Path, probe: Probe) -> list[Cell]:
    """Every small model in every setting, every well-known shape in a few."""
    cells = []
    for models, requests in (
        (shaped_models.small_models(), list(grid())),
        (shaped_models.real_shapes(), list(BIG_REQUESTS)),
    ):
        for name, make in models.items():
            model = write(folder / "hollow.gguf", make(), hollow=True)
            cells += await measure(name, model, requests, probe)
            print(f"{name:<20} {max(cell.worst for cell in cells if cell.name == name):.2f} of the limit", flush=True)
    return cells


async def loads(folder: Path, probe: Probe) -> list[tuple[str, DeviceMemory, DeviceMemory]]:
    """Each small model measured, then loaded. Without the one that a processor rearranges: it is there twice."""
    found = []
    for name, make in shaped_models.small_models().items():
        if name == "mqa-q4":
            continue
        model = write(folder / "whole.gguf", make())
        shape, machine = shape_of(read_gguf(model)), describe_machine((), 64 * GIB)
        answer = await probe.answer(model, shape, model.stat().st_size, LOADED, machine)
        if not answer.measured:
            raise SystemExit(f"{name}: {answer.reason}")
        host = answer.breakdown.host
        told = DeviceMemory(name, host.weights, host.kv + host.recurrent, host.compute)
        found.append((name, told, await loaded_memory(model, LOADED, folder)))
        print(f"{name:<20} loaded: off by {off(*found[-1][1:]):.1%}", flush=True)
    return found


def total(memory: DeviceMemory) -> int:
    """All of it."""
    return memory.model + memory.context + memory.compute


def off(told: DeviceMemory, real: DeviceMemory) -> float:
    """How far the whole of a measurement is from the load."""
    return abs(total(told) - total(real)) / total(real)


def facts() -> Iterator[str]:
    """What everybody knows of well-known models and cards, as the closed form says it."""
    asked = [
        ("gpt-oss:20b", "MXFP4", 16, Request(65_536, slots=2)),
        ("gpt-oss:20b", "MXFP4", 16, Request(131_072)),
        ("codellama:34b", "Q4_K_M", 16, Request(16_384)),
        ("glm-4.7-flash", "UD-Q4_K_XL", 32, Request(65_536, slots=2)),
        ("glm-4.7-flash", "UD-Q4_K_XL", 24, Request(65_536, slots=2)),
        ("glm-4.7-flash", "UD-Q4_K_XL", 24, Request(49_152, slots=2)),
        ("glm-4.7-flash", "UD-Q4_K_XL", 24, Request(65_536)),
        ("qwen3.8:27b", "UD-Q4_K_XL", 24, Request(131_072, "q8_0")),
        ("qwen3.8:27b", "UD-Q4_K_XL", 24, Request(262_144, "q8_0")),
    ]
    for name, quant, card, request in asked:
        entry = load_catalogue(None).find(name)
        source = entry.source(quant) if entry else None
        if entry is None or entry.shape is None or source is None:
            raise SystemExit(f"{name} {quant} is not in the catalogue")
        size = source.size_bytes or 20_220_000_000
        machine = describe_machine((card * GIB,), 32 * GIB)
        verdict = judge(entry.shape, size, request, machine)
        part = verdict.breakdown.gpus[0]
        parts = " | ".join(f"{value / GIB:.1f}" for value in (part.weights, part.kv, part.compute, part.total))
        asked_for = f"{request.context:,} x {request.slots} {request.kv_type}"
        yield f"| {name} {quant} | {card} GiB | {asked_for} | {parts} | {verdict.outcome.value} |"


def page(cells: list[Cell], loaded: list[tuple[str, DeviceMemory, DeviceMemory]]) -> str:
    """The document."""
    small, worst = len(shaped_models.small_models()), max(cell.worst for cell in cells)
    lines = [
        f"{len(cells)} settings of {len({cell.name for cell in cells})} models; the worst is at {worst:.2f} of what is "
        f"allowed.\nThe first {small} models are generated small, the others have the shapes of well-known models.",
        "",
        "| model | tokens x slots | KV | model: engine | ours | context: engine | ours "
        "| compute: engine | ours | share of limit |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
        *(cell.row() for cell in cells),
        "",
        "## The engine's account and the real load",
        "",
        f"MiB in all, with {LOADED.context:,} tokens in each of {LOADED.slots} slots; at most {LOAD_SHARE:.0%} apart.",
        "",
        "| model | account | load | off |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {total(told) / MIB:,.0f} | {total(real) / MIB:,.1f} | {off(told, real):.1%} |"
            for name, told, real in loaded
        ),
        "",
        "## Known facts",
        "",
        "GiB on a card of nominal size, of which 97 % are taken to be there and 1 GiB is left free; 32 GiB of RAM.",
        "hearth has two slots unless its owner says otherwise. CodeLlama's size is its publisher's rounded figure.",
        "GLM-4.7-Flash keeps 53 KiB of a token in this engine: 65,536 tokens of one slot fit 24 GiB as they are, of",
        "two slots only with a q8_0 cache.",
        "",
        "| model | card | asked | weights | KV | compute | in all | verdict |",
        "|---|---|---|---:|---:|---:|---:|---|",
        *facts(),
        "",
    ]
    return HEAD + "\n".join(lines)


async def main() -> int:
    """Measure, write the page; 1 when anything is beyond its limit."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as scratch:
        folder = Path(scratch)
        probe = Probe(resolve_paths({**os.environ, "HEARTH_HOME": scratch}))
        loaded = await loads(folder, probe)
        cells = await all_cells(folder, probe)
    Path("docs/fit.md").write_text(page(cells, loaded), encoding="utf-8")
    beyond = [cell.row() for cell in cells if cell.worst > 1]
    beyond += [
        f"{name}: {off(told, real):.1%} off the load" for name, told, real in loaded if off(told, real) > LOAD_SHARE
    ]
    print("\n".join(beyond) or f"{len(cells)} settings within their limits")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
