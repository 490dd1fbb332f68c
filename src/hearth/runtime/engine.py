"""What an engine is: one running model that answers chat requests over HTTP.

The gateway knows engines only through this file, so that embedded llama.cpp, an external server and the pretending
engine are interchangeable. What an engine speaks is its ``dialect``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from hearth.runtime.dialect import Dialect
from hearth.weights.store import ModelCard

LARGEST_OWN_CONTEXT = 16_384
"""Tokens that one request gets when nobody asked for a context: enough for an agent, and two slots of it fit into
8 GiB beside a model of 8 billion parameters (144 KiB a token)."""


def own_context(native: int, wished: int = 0) -> int:
    """The context that a model gets: what is ``wished``, 0 for nothing, but no more than it was trained for. ``native``
    is that, 0 when unsaid; all in tokens."""
    largest = wished or LARGEST_OWN_CONTEXT
    return min(native, largest) if native > 0 else largest


class EngineState(StrEnum):
    """Where an engine is in its life. ``failed`` and ``stopped`` are ends: a new engine is made instead."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine answers. ``socket`` is a unix socket, or None when ``url`` alone leads there.

    ``url`` is the base without a trailing slash (``http://engine`` over a unix socket); ``api_key`` goes into
    ``Authorization: Bearer``, empty when none is asked for.
    """

    socket: Path | None
    url: str
    api_key: str


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A sign of life from an engine that starts.

    ``phase`` is ``waiting`` (another model is busy), ``stopping`` (another model makes room), ``loading`` or
    ``ready``; ``elapsed_s`` counts from the start of that phase; ``detail`` is one line for a person, may be empty.
    """

    model: str
    phase: str
    elapsed_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """What an engine is doing, by its own account and the system's, to be compared with an earlier one.

    ``working`` are the slots that answer somebody; ``tokens`` maps a slot to the tokens it has read and made for who it
    answers, so that a larger number than before is progress; ``waiting`` is how many requests have no slot yet.
    ``cpu_s`` is the processor time of its process so far, None when there is none of ours.
    """

    working: frozenset[int]
    tokens: Mapping[int, int]
    waiting: int = 0
    cpu_s: float | None = None


Tell = Callable[[LoadProgress], None]
"""Who is told of progress. It MUST NOT block and MUST NOT raise."""


class Engine(Protocol):
    """One model in one process.

    An engine is started once. After ``stopped`` or ``failed`` it is thrown away, never started again.
    Callers MUST NOT inspect ``state`` before they call: each method says what it does in which state.
    """

    @property
    def card(self) -> ModelCard:
        """The model that it serves."""
        ...

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers. Only to be asked while ``ready``."""
        ...

    @property
    def context_length(self) -> int:
        """Tokens that one request may hold, prompt and answer together. 0 until ``ready``; MUST be the engine's own
        figure, never the wished one."""
        ...

    @property
    def slots(self) -> int:
        """Parallel sequences; 0 until ``ready``."""
        ...

    @property
    def kv_state(self) -> str:
        """What a saved KV state of it depends on, as one text: another text, and the state is of no use. Empty when it
        saves none."""
        ...

    @property
    def dialect(self) -> Dialect:
        """What it speaks."""
        ...

    @property
    def held(self) -> Mapping[str, int]:
        """Bytes that it has taken on each device, by the engine's names (``CPU``, ``CUDA0``); empty when it does not
        tell, or until it is ready."""
        ...

    @property
    def state(self) -> EngineState:
        """Where it is in its life. MUST turn ``failed`` by itself when the process dies unasked."""
        ...

    @property
    def cause(self) -> str:
        """Why it ``failed``, in one line; empty otherwise."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process while there is one."""
        ...

    async def check(self) -> None:
        """Look whether the model can be loaded at all, before anything else makes room for it.

        MUST raise ModelUnavailable or CorruptModel when it cannot, and MUST NOT start or change anything.
        """
        ...

    async def start(self, tell: Tell) -> None:
        """Load the model and return when it answers.

        MUST raise ModelUnavailable, CorruptModel or EngineFailed with a clear cause when it cannot, and MUST then
        have no process left. MUST NOT give up while signs of life arrive. Cancelled half-way, it MUST end its process.
        """
        ...

    async def look(self) -> Activity | None:
        """What it is doing now; None when it cannot be asked at all. It MUST NOT be taken for dead by that alone: an
        engine in a long batch does not answer. MUST return within ten seconds, and raises TimeoutError or OSError."""
        ...

    async def canary(self) -> None:
        """Have one token decoded, away from every conversation: returns when it came, however long that takes. MUST
        NOT touch what a slot holds. Raises EngineFailed when the engine cannot."""
        ...

    async def fail(self, cause: str) -> None:
        """End the process as broken: ``state`` is ``failed`` for this ``cause`` before it returns, at once for whoever
        is connected. Like ``stop`` in all else."""
        ...

    async def stop(self) -> None:
        """End the process, and every process that it started; return when they are gone.

        MUST be safe in every state and when called twice at once. MUST NOT raise, and MUST NOT leave files behind
        in the runtime folder.
        """
        ...

    async def wait(self) -> None:
        """Return when the process is gone, asked or not. MUST NOT raise."""
        ...
