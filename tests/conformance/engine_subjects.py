"""The engines that the conformance suite asks: those of hearth with a model, the stand-ins for other people's servers,
and real ones where the environment names them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.llm.profile import PILOT
from hearth.paths import Paths
from hearth.runtime.capabilities import LLAMA_CPP, LLAMA_ELSEWHERE, Capabilities
from hearth.runtime.engine import Engine
from hearth.runtime.foreign.engine import ForeignEngine
from hearth.runtime.foreign.models import card_of
from hearth.runtime.foreign.ollama import OllamaEngine
from hearth.runtime.foreign.openai_server import OpenAIServer
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.runtime.llama.server import LlamaServerEngine
from hearth.runtime.pretend.ollama import PretendModel, PretendOllama
from hearth.runtime.pretend.script import Answer, Script
from hearth.runtime.pretend.vllm import PretendVllm
from hearth.settings import ForeignSettings
from hearth.weights.store import PILOT_FILE, ModelCard
from llama_server_program import write_program

Json = dict[str, Any]

CONTEXT = 2048
"""Tokens of one request at every engine whose context is ours to say: small, so that it is soon exceeded."""


LAUNCH = Launch(context=CONTEXT, slots=2, threads=1)
PILOT_CARD = ModelCard("pilot", PILOT_FILE, 0, "")
OLD_BUILD, NEW_BUILD = "4589", "11434"
"""The first cannot listen on unix sockets: its port is one that everybody can reach."""
_REAL_BINARY = os.environ.get("HEARTH_TEST_LLAMA_SERVER", "")


def pilot_conversation() -> list[Json]:
    """One that the pilot answers with a call."""
    return [{"role": "system", "content": PILOT.system}, {"role": "user", "content": "Fix the failing test"}]


def _llama_server(paths: Paths, build: str, card: ModelCard = PILOT_CARD) -> LlamaServerEngine:
    binary = _REAL_BINARY if build == NEW_BUILD else ""
    binary = binary or str(write_program(paths.cache / f"llama-server-{build}", build))
    return LlamaServerEngine(binary, card, LAUNCH, paths, saves=False)


@dataclass(frozen=True, slots=True)
class Traits:
    """What of the suite can be asked of an engine as it stands here.

    ``scripted`` says that its answers can be chosen; ``ends`` that it can be made to break off.
    """

    scripted: bool
    ends: bool


class Subject(ABC):
    """One engine under test. ``async with`` holds what must run for it."""

    name: ClassVar[str]
    program: ClassVar[str]
    """What is asked, in words for the page."""
    capabilities: ClassVar[Capabilities]
    traits: ClassVar[Traits]

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    async def begin(self) -> None:
        """Before the first engine."""
        return

    async def finish(self) -> None:
        """After the last engine."""
        return

    def conversation(self) -> list[Json]:
        """A conversation that the model answers with a call, if that cannot be chosen."""
        return [{"role": "user", "content": "Read the file a.txt with the tool read."}]

    @abstractmethod
    def engine(self) -> Engine:
        """A new engine for its model."""

    @abstractmethod
    def stranger(self) -> Engine:
        """A new engine for a model that is not there."""

    def heard(self) -> Json:
        """The last request that came to it, in its own words. Only for those that are scripted."""
        raise AssertionError(f"{self.name} does not tell")

    async def play(self, *answers: Answer) -> None:
        """These are its next answers. Only for those that are scripted."""
        raise AssertionError(f"{self.name} answers as it will")

    async def break_off(self, engine: Engine) -> None:
        """End it in the middle of an answer."""
        raise AssertionError(f"{self.name} cannot be ended")


class Embedded(Subject):
    """llama.cpp of the package, with the pilot."""

    name = "embedded"
    program = "the package's llama.cpp with the pilot"
    capabilities = LLAMA_CPP
    traits = Traits(scripted=False, ends=True)

    def conversation(self) -> list[Json]:
        return pilot_conversation()

    def engine(self) -> Engine:
        return self._engine(PILOT_CARD)

    def stranger(self) -> Engine:
        return self._engine(ModelCard("nope", self.paths.models / "nope.gguf", 0, ""))

    def _engine(self, card: ModelCard) -> Engine:
        return EmbeddedEngine(card, LAUNCH, self.paths, saves=False)

    async def break_off(self, engine: Engine) -> None:
        await engine.fail("ended by a test")


class LlamaServer(Embedded):
    """A llama-server of the owner's: a real one where HEARTH_TEST_LLAMA_SERVER names it."""

    name = "llama_server"
    program = "a program with a llama-server's flags around the package's llama.cpp, with the pilot"

    def _engine(self, card: ModelCard) -> Engine:
        return _llama_server(self.paths, NEW_BUILD, card)


class StandIn(Subject):
    """A server that plays a script."""

    traits = Traits(scripted=True, ends=True)
    kind: ClassVar[Any]
    engine_class: ClassVar[type[ForeignEngine]]
    model: ClassVar[str]
    told: ClassVar[Mapping[str, Any]] = {}
    """What its owner must say of it."""
    server: Any

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self.server.url)

    async def begin(self) -> None:
        await self.server.start()

    async def finish(self) -> None:
        await self.server.stop()

    def engine(self) -> Engine:
        return self._engine(self.model)

    def stranger(self) -> Engine:
        return self._engine("nope")

    def _engine(self, model: str) -> Engine:
        settings = ForeignSettings(kind=self.kind, url=self.url, **self.told)
        return self.engine_class(card_of(f"{model}@shop", settings), settings)

    def heard(self) -> Json:
        return dict(self.server.requests[-1])

    async def play(self, *answers: Answer) -> None:
        self.server.play(Script(answers=answers))

    async def break_off(self, engine: Engine) -> None:
        port = int(self.url.rpartition(":")[2])
        await self.server.stop()
        await self.server.start(port)


class Ollama(StandIn):
    """The stand-in for Ollama."""

    name = "ollama"
    program = "a stand-in made from Ollama's documentation"
    kind = "ollama"
    engine_class = OllamaEngine
    capabilities = OllamaEngine.capabilities
    model = "qwen3:4b"
    told: ClassVar[Mapping[str, Any]] = {"slots": 2}

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.server = PretendOllama(models={self.model: PretendModel(context=CONTEXT)}, slots=2)


class Vllm(StandIn):
    """The stand-in for vLLM."""

    name = "vllm"
    program = "a stand-in made from vLLM's source"
    kind = "vllm"
    engine_class = OpenAIServer
    capabilities = OpenAIServer.capabilities
    model = "Qwen/Qwen3-4B"

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.server = PretendVllm(model=self.model, context=CONTEXT, slots=2, api_key="key")

    told: ClassVar[Mapping[str, Any]] = {"api_key": "key", "slots": 2}


class Plain(StandIn):
    """The stand-in for a server that tells little of itself."""

    name = "openai"
    program = "a stand-in that tells as little as it may"
    kind = "openai"
    engine_class = OpenAIServer
    capabilities = OpenAIServer.capabilities
    model = "some-model"
    told: ClassVar[Mapping[str, Any]] = {"context": CONTEXT, "slots": 2}

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.server = PretendVllm(model=self.model, context=CONTEXT, slots=2, plain=True)


class RemoteLlama(Subject):
    """A llama-server on a TCP port, as a server of somebody else's."""

    name = "openai: a llama-server"
    program = "llama.cpp with the pilot, behind a port"
    capabilities = LLAMA_ELSEWHERE
    traits = Traits(scripted=False, ends=True)

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self._server = _llama_server(paths, OLD_BUILD)

    async def begin(self) -> None:
        await self._server.start(lambda _progress: None)

    async def finish(self) -> None:
        await self._server.stop()

    def conversation(self) -> list[Json]:
        return pilot_conversation()

    def engine(self) -> Engine:
        return self._engine("pilot")

    def stranger(self) -> Engine:
        return self._engine("nope")

    def _engine(self, model: str) -> Engine:
        endpoint = self._server.endpoint
        settings = ForeignSettings(kind="openai", url=endpoint.url, api_key=endpoint.api_key)
        return OpenAIServer(card_of(f"{model}@shop", settings), settings)

    async def break_off(self, engine: Engine) -> None:
        await self._server.fail("ended by a test")
        self._server = _llama_server(self.paths, OLD_BUILD)
        await self._server.start(lambda _progress: None)


class Real(Subject):
    """A server that the environment names: what is at stake is whether the stand-ins are true."""

    traits = Traits(scripted=False, ends=False)
    variable: ClassVar[str]
    kind: ClassVar[Any]
    engine_class: ClassVar[type[ForeignEngine]]
    asked: ClassVar[str]

    def engine(self) -> Engine:
        return self._engine(self.asked.split(",")[1])

    def stranger(self) -> Engine:
        return self._engine("no-such-model")

    def _engine(self, model: str) -> Engine:
        url, _, *key = self.asked.split(",")
        settings = ForeignSettings(kind=self.kind, url=url, api_key=",".join(key), context=CONTEXT)
        return self.engine_class(card_of(f"{model}@real", settings), settings)


def _real(variable: str, kind: str, engine_class: type[ForeignEngine]) -> list[type[Subject]]:
    """The server that this variable names as ``URL,MODEL`` or ``URL,MODEL,KEY``; none when it is not set."""
    asked = os.environ.get(variable, "")
    if "," not in asked:
        return []
    known = {"variable": variable, "kind": kind, "engine_class": engine_class, "asked": asked}
    told = {"name": f"{kind}, real", "program": asked.split(",")[0], "capabilities": engine_class.capabilities}
    return [type(f"Real{kind.title()}", (Real,), {**known, **told})]


SUBJECTS: tuple[type[Subject], ...] = (Embedded, LlamaServer, Ollama, Vllm, Plain, RemoteLlama)
REAL: tuple[type[Subject], ...] = (
    # The variables are read here, once: every test has an environment without them.
    *_real("HEARTH_TEST_OLLAMA", "ollama", OllamaEngine),
    *_real("HEARTH_TEST_VLLM", "vllm", OpenAIServer),
    *_real("HEARTH_TEST_OPENAI", "openai", OpenAIServer),
)
