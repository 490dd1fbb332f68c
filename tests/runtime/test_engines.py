"""Which engine runs which model, and which cards it sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import gguf_models
from hearth.errors import EngineFailed, ModelUnavailable
from hearth.paths import Paths, resolve_paths
from hearth.runtime.builds.build import Build, Manifest, bundled_build
from hearth.runtime.engines import Engines, seen_by
from hearth.runtime.foreign.ollama import OllamaEngine
from hearth.runtime.foreign.openai_server import OpenAIServer
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.runtime.llama.server import LlamaServerEngine
from hearth.runtime.speed.tuning import Tuned, TuningBook, difference, folder_of, mark_of
from hearth.settings import EngineSettings, ForeignSettings, Settings
from hearth.weights.hardware import Gpu, describe_machine
from hearth.weights.store import Store
from hearth.weights.subject import subject_of

GIB = 1 << 30
LAUNCH = Launch(context=512)
CARDS = replace(
    describe_machine((), 64 * GIB),
    gpus=(Gpu(0, "A", "nvidia", 24 * GIB, 23 * GIB), Gpu(1, "B", "amd", 16 * GIB, 15 * GIB)),
)


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    gguf_models.write_llama(found.models / "m.gguf")
    return found


def engines(paths: Paths, **settings: object) -> Engines:
    return Engines(Settings(**settings), paths, Store(paths.models))  # type: ignore[arg-type]  # the test's own names


def test_each_model_gets_the_engine_that_has_it(paths: Paths) -> None:
    theirs = {
        "workshop": ForeignSettings(kind="ollama", models=("qwen3:4b",)),
        "rack": ForeignSettings(kind="vllm", url="http://127.0.0.1:1", models=("big",)),
        "any": ForeignSettings(kind="openai", url="http://127.0.0.1:1"),
    }
    known = engines(paths, engines=theirs)
    assert [card.name for card in known.cards()] == ["pilot", "m", "qwen3:4b@workshop", "big@rack"]
    made = {
        name: (type(known.make(card, LAUNCH, paths)), known.is_foreign(card))
        for name in ("m", "qwen3:4b@workshop", "big@rack", "whatever@any")
        if (card := known.resolve(name))
    }
    assert made == {
        "m": (EmbeddedEngine, False),
        "qwen3:4b@workshop": (OllamaEngine, True),
        "big@rack": (OpenAIServer, True),
        "whatever@any": (OpenAIServer, True),
    }
    for name in ("other@rack", "big@nowhere"):
        with pytest.raises(ModelUnavailable):
            known.resolve(name)


async def test_the_owner_may_have_a_llama_server_run_the_models(paths: Paths, tmp_path: Path) -> None:
    binary = tmp_path / "llama-server"
    known = engines(paths, engine=EngineSettings(kind="llama_server", binary=str(binary)))
    with pytest.raises(EngineFailed, match="is not there"):
        await known.make(known.resolve("m"), LAUNCH, paths).check()
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    engine = known.make(known.resolve("m"), LAUNCH, paths)
    assert isinstance(engine, LlamaServerEngine)
    await engine.check()


def test_what_was_measured_counts_for_this_machine_alone(paths: Paths) -> None:
    known = engines(paths)
    card = known.resolve("m")
    shape = subject_of(card, Store(paths.models)).shape
    machine, other = describe_machine((), 16 * GIB), describe_machine((8 * GIB,), 16 * GIB)
    before = known.refine(card, shape, LAUNCH, machine)
    after = msgspec.structs.replace(before, batch=before.batch * 2, micro_batch=before.micro_batch * 2)
    tuned = Tuned(difference(before, after))
    TuningBook(folder_of(paths)).keep(card, bundled_build().identity, mark_of(machine), tuned)
    assert known.refine(card, shape, LAUNCH, machine) == after
    assert known.refine(card, shape, LAUNCH, other).micro_batch != after.micro_batch


def build(device: str) -> Build:
    manifest = Manifest("gpu", "cuda", "1", device, "", "", "0" * 64, 0.0)
    return Build("gpu", "1", Path("/nowhere"), manifest)


@pytest.mark.parametrize(
    ("seen", "names"),
    [
        (bundled_build(), []),
        (build("CUDA"), ["A"]),
        (build("ROCm"), ["B"]),
        (build("Vulkan"), ["A", "B"]),
    ],
)
def test_only_cards_that_the_build_computes_on_are_planned_with(seen: Build, names: list[str]) -> None:
    machine = seen_by(seen, CARDS, "linux")
    assert [gpu.name for gpu in machine.gpus] == names
    assert [gpu.index for gpu in machine.gpus] == list(range(len(names)))
    told = [note for note in machine.notes if "hearth engine install" in note]
    assert bool(told) == (len(names) < 2)
    assert seen_by(seen, CARDS, "darwin") == CARDS
