"""Which engine runs which model. This file alone names concrete engine classes."""

from __future__ import annotations

import sys
from dataclasses import replace

from hearth.errors import EngineFailed
from hearth.paths import Paths
from hearth.runtime.builds.build import Build, active_build
from hearth.runtime.engine import Engine
from hearth.runtime.foreign.models import ForeignModels
from hearth.runtime.foreign.ollama import OllamaEngine
from hearth.runtime.foreign.ollama import list_models as list_ollama_models
from hearth.runtime.foreign.openai_server import OpenAIServer
from hearth.runtime.foreign.openai_server import list_models as list_openai_models
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.runtime.llama.presets import preset
from hearth.runtime.llama.server import LlamaServerEngine, find_binary, probe_binary
from hearth.runtime.speed.tuning import TuningBook, folder_of, mark_of
from hearth.settings import Settings
from hearth.weights.hardware import Machine, measure_machine
from hearth.weights.shape import ModelShape
from hearth.weights.store import ModelCard, Store

_VENDORS = {"CUDA": "nvidia", "ROCm": "amd", "HIP": "amd"}
"""Whose cards an engine build computes on, by how its names of them begin."""


class Engines:
    """Every model that can be asked for, on this disk or at the owner's other engines, and the engine that runs it."""

    def __init__(self, settings: Settings, paths: Paths, store: Store) -> None:
        """Nothing is asked or started yet."""
        self._settings = settings
        self._paths = paths
        self._store = store
        self._tuning = TuningBook(folder_of(paths))
        self._foreign = ForeignModels(
            settings.engines,
            {"ollama": list_ollama_models, "vllm": list_openai_models, "openai": list_openai_models},
        )

    def cards(self) -> list[ModelCard]:
        """Every model that is known."""
        return [*self._store.cards(self._settings.model), *self._foreign.cards()]

    async def refresh(self) -> None:
        """Ask the owner's other engines for their models, if the settings leave that open. Never raises."""
        await self._foreign.refresh()

    async def trouble(self) -> dict[str, str]:
        """What is wrong with the owner's own engines, by their names: a llama-server that does not run, a server that
        does not answer. They are asked. Never raises."""
        found: dict[str, str] = {}
        if self._settings.engine.kind == "llama_server":
            try:
                await probe_binary(find_binary(self._settings.engine.binary), self._paths)
            except EngineFailed as error:
                found["llama-server"] = error.what
        await self._foreign.refresh()
        return {**found, **self._foreign.trouble}

    def resolve(self, name: str) -> ModelCard:
        """The model of this name. Raises ModelUnavailable, StateError."""
        found = self._foreign.resolve(name)
        return found[0] if found else self._store.resolve(name)

    def is_foreign(self, card: ModelCard) -> bool:
        """Whether somebody else runs it: it takes no memory of ours."""
        return self._foreign.resolve(card.name) is not None

    def wished_context(self, card: ModelCard) -> int:
        """Tokens that the owner asks somebody else's engine for; 0 where that one decides, and for models here."""
        found = self._foreign.resolve(card.name)
        return found[1].context if found else 0

    def make(self, card: ModelCard, launch: Launch, paths: Paths) -> Engine:
        """An engine for the model; nothing is started."""
        if found := self._foreign.resolve(card.name):
            kind = OllamaEngine if found[1].kind == "ollama" else OpenAIServer
            return kind(card, found[1])
        saves, limit = self._settings.kv.enabled, self._settings.engine.load_timeout_s
        if self._settings.engine.kind == "llama_server":
            binary = self._settings.engine.binary
            return LlamaServerEngine(binary, card, launch, paths, saves=saves, load_timeout_s=limit)
        return EmbeddedEngine(card, launch, paths, saves=saves, load_timeout_s=limit)

    def measure(self) -> Machine:
        """The machine as the engine that would be started now sees it."""
        machine = measure_machine()
        # What a llama-server computes on it does not tell before it runs: the owner has chosen it for this machine.
        own = self._settings.engine.kind == "llama_server"
        return machine if own else seen_by(active_build(self._paths), machine)

    def refine(self, card: ModelCard, shape: ModelShape, launch: Launch, machine: Machine) -> Launch:
        """The launch with what is known to run best: for such models, then for this one by measurement."""
        launch = preset(shape, launch, machine)
        if self._settings.engine.kind != "embedded":
            return launch
        tuned = self._tuning.find(card, active_build(self._paths).identity, mark_of(machine))
        return tuned.apply(launch) if tuned else launch


def seen_by(build: Build, machine: Machine, system: str = sys.platform) -> Machine:
    """The machine without the cards that this build of the engine cannot compute on."""
    if system == "darwin" or not machine.gpus:
        return machine
    vendor = _VENDORS.get(build.device, "")
    kept = tuple(gpu for gpu in machine.gpus if build.device and (not vendor or gpu.vendor == vendor))
    if len(kept) == len(machine.gpus):
        return machine
    names = ", ".join(gpu.name for gpu in machine.gpus if gpu not in kept)
    note = f"the engine build {build.name} does not compute on {names}: hearth engine install"
    kept = tuple(replace(gpu, index=index) for index, gpu in enumerate(kept))
    unified = machine.unified and any(gpu.shared for gpu in kept)
    return replace(machine, gpus=kept, unified=unified, notes=(*machine.notes, note))
