"""What a model takes on this machine, and how it is run there: the scheduler's scales."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from hearth.errors import EngineFailed, HearthError, OutOfMemory
from hearth.runtime.launch import SMALLEST_CONTEXT, Launch
from hearth.runtime.llama.presets import keeps_states, plain_launch, window_bytes
from hearth.runtime.llama.probe import Probe
from hearth.runtime.scheduler import Bytes, Fit
from hearth.settings import EngineSettings
from hearth.weights.card import ModelCard
from hearth.weights.fit import Breakdown, Outcome, Placement, Request, Verdict, estimate, judge
from hearth.weights.fit_room import (
    GPU_RESERVE_BYTES,
    RAM_RESERVE_BYTES,
    rooms_for_layers,
    usable_gpu_bytes,
    usable_ram_bytes,
)
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape
from hearth.weights.store import Store
from hearth.weights.subject import Subject, subject_of

SMALLEST_OWN_CONTEXT = 4096
"""Tokens below which a context that nobody asked for is not shrunk: less is of no use to an agent."""
SURE = 0.5
"""Share of the room below which the closed form is believed without asking the engine: it is off by a third at most."""
MIB = 1 << 20
_CLASSES = {Outcome.FITS: 0, Outcome.QUANTISED: 0, Outcome.EXPERTS_ON_CPU: 1, Outcome.LAYERS_ON_CPU: 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to run a model: how it is launched, and why so, for a person."""

    launch: Launch
    why: str
    warning: str = ""


Scale: TypeAlias = Callable[[Bytes], Fit | None]
"""How a model is best run in some room; ``Fit.how`` is a ``Plan``."""
Refine: TypeAlias = Callable[[ModelCard, ModelShape, Launch, Machine], Launch]
"""What is known of how such a model, or this very one, runs best."""


class Admission:
    """Finds out what models take, and what there is. Answers that cost something are kept a while."""

    def __init__(
        self,
        settings: EngineSettings,
        store: Store,
        measure: Callable[[], Machine],
        refine: Refine,
        probe: Probe | None = None,
        *,
        saves: bool = True,
    ) -> None:
        """Nothing is measured yet. ``measure`` tells of the machine as the engine sees it; without ``probe`` the closed
        form alone is asked; ``saves`` says that KV states go to the disk, and need no RAM."""
        self._settings = settings
        self._store = store
        self._measure = measure
        self._refine = refine
        self._probe = probe
        self._saves = saves
        self._machine: tuple[float, Machine] | None = None
        self._subjects: dict[ModelCard, Subject] = {}

    async def machine(self, at_most_s: float = 0.0) -> Machine:
        """The machine as it is, or was so many seconds ago: never older than the last load where room is counted."""
        now = time.monotonic()
        if self._machine is None or now - self._machine[0] >= at_most_s:
            self._machine = now, await asyncio.to_thread(self._measure)
        return self._machine[1]

    def room(self, machine: Machine, ours: Bytes) -> Bytes:
        """What our models may take in all: what is free now, and what they hold on each device by now."""
        cards = [0 if machine.unified else usable_gpu_bytes(gpu) for gpu in machine.gpus]
        ram = usable_ram_bytes(machine) + ours[-1]
        if self._settings.memory_gib:
            ram = min(ram, int(self._settings.memory_gib * (1 << 30)))
        return *(free + held for free, held in zip(cards, ours[:-1], strict=True)), ram

    async def scale(self, card: ModelCard, machine: Machine, room: Bytes) -> Scale:
        """How the model is run in the room or less. Raises what is wrong with its files, EngineFailed for settings
        that no engine can do."""
        subject = await self._subject(card)
        launches = self._wishes(subject, machine)
        more = await self._correction(subject, launches[0], machine, room)

        def fit(room: Bytes) -> Fit | None:
            return _best(subject, launches, machine, room, more, self._refine)

        return fit

    async def too_large(self, card: ModelCard, machine: Machine, room: Bytes) -> HearthError:
        """Why it cannot be loaded, and what could be. Raises as ``scale``."""
        subject = await self._subject(card)
        request = _request(self._wishes(subject, machine)[-1], subject)
        verdict = judge(subject.shape, subject.file_bytes, request, _within(machine, room))
        fix = f"it would fit with {verdict.largest_context:,} tokens: HEARTH_CONTEXT={verdict.largest_context}"
        if verdict.largest_context < SMALLEST_CONTEXT:
            fix = "take a smaller model: hearth models recommend"
        return EngineFailed(f"model {card.name} does not fit into the memory: {verdict.why}", fix)

    async def smaller(self, card: ModelCard, held: Bytes, error: OutOfMemory) -> HearthError:
        """The same error with what would fit, if the room is a quarter less than what was asked for. Raises as
        ``scale``."""
        subject = await self._subject(card)
        machine = await self.machine()
        room = tuple(each * 3 // 4 for each in held)
        if len(room) != len(machine.gpus) + 1:
            return error
        request = _request(self._wishes(subject, machine)[-1], subject)
        verdict = judge(subject.shape, subject.file_bytes, request, _within(machine, room))
        if verdict.largest_context < SMALLEST_CONTEXT:
            return OutOfMemory(error.what, "take a smaller model: hearth models recommend")
        context = f"{verdict.largest_context:,} tokens are likely to fit: HEARTH_CONTEXT={verdict.largest_context}"
        return OutOfMemory(error.what, context)

    async def _subject(self, card: ModelCard) -> Subject:
        if card not in self._subjects:
            self._subjects[card] = await asyncio.to_thread(subject_of, card, self._store)
        return self._subjects[card]

    def _wishes(self, subject: Subject, machine: Machine) -> list[Launch]:
        """What is asked for, as such a model runs best; where nobody asked for a context, smaller ones after it."""
        launch = plain_launch(self._settings, subject.shape.native_context)
        if self._saves:
            launch = msgspec.structs.replace(launch, cache_ram_mib=0)
        wishes = [launch]
        while not self._settings.context and wishes[-1].context // 2 >= SMALLEST_OWN_CONTEXT:
            wishes.append(msgspec.structs.replace(launch, context=wishes[-1].context // 2))
        return [self._refine(_card(subject), subject.shape, wish, machine) for wish in wishes]

    async def _correction(self, subject: Subject, launch: Launch, machine: Machine, room: Bytes) -> Bytes:
        """What the engine's own account has more than the closed form, or less, with all layers on the cards. It is
        asked where the closed form comes near the room."""
        request = _request(launch, subject)
        closed = held_of(estimate(subject.shape, subject.file_bytes, request, machine), machine)
        near = any(held > SURE * there for held, there in zip(closed, room, strict=True) if held)
        if self._probe is None or subject.card is None or not near:
            return tuple(0 for _ in closed)
        answer = await self._probe.answer(
            subject.card.path,
            subject.shape,
            subject.file_bytes,
            request,
            machine,
            more_parts=subject.card.more_parts,
        )
        told = held_of(answer.breakdown, machine)
        return tuple(real - guessed for real, guessed in zip(told, closed, strict=True))


def held_of(breakdown: Breakdown, machine: Machine) -> Bytes:
    """What it takes of each device. Graphics that share the RAM hold nothing of their own."""
    if machine.unified:
        return *(0 for _ in breakdown.gpus), breakdown.total
    return *(part.total for part in breakdown.gpus), breakdown.host.total


def _best(
    subject: Subject, launches: Sequence[Launch], machine: Machine, room: Bytes, more: Bytes, refine: Refine
) -> Fit | None:
    """The way that runs best; of those as good the one with the most context, and with it that in full precision."""
    within = _within(machine, room)
    found: list[Fit] = []
    for place, launch in enumerate(launches):
        verdict = judge(subject.shape, subject.file_bytes, _request(launch, subject), within)
        if verdict.outcome is Outcome.DOES_NOT_FIT:
            continue
        placed = refine(_card(subject), subject.shape, _placed(launch, verdict, within), machine)
        counted = (held_of(verdict.breakdown, machine), more, _states(subject.shape, placed, machine))
        held = tuple(max(0, sum(bytes_)) for bytes_ in zip(*counted, strict=True))
        if any(taken > there for taken, there in zip(held, room, strict=True)):
            continue
        quantised = verdict.request.kv_type != launch.kv_type
        rank = (_CLASSES[verdict.outcome] * len(launches) + place) * 2 + quantised
        found.append(Fit(rank, held, Plan(placed, verdict.why, verdict.warning)))
        if not _CLASSES[verdict.outcome]:
            break
    return min(found, key=lambda fit: fit.rank, default=None)


def _states(shape: ModelShape, launch: Launch, machine: Machine) -> Bytes:
    """What the spare slot takes where the cache is, and the states to go back to in the RAM."""
    one = window_bytes(shape, launch)
    spare = one if launch.spare else 0
    kept = one * launch.checkpoints * launch.slots if keeps_states(shape) else 0
    if not machine.gpus or machine.unified or launch.gpu_layers == 0:
        return *(0 for _ in machine.gpus), spare + kept
    return spare, *(0 for _ in machine.gpus[1:]), kept


def _card(subject: Subject) -> ModelCard:
    assert subject.card is not None, "admission is for models on this disk"
    return subject.card


def _placed(launch: Launch, verdict: Verdict, machine: Machine) -> Launch:
    """The launch as the verdict would have it: its cache, its context, and where layers and experts go."""
    placement = verdict.placement
    return msgspec.structs.replace(
        launch,
        context=verdict.request.context,
        kv_type=verdict.request.kv_type,
        gpu_layers=-1 if placement.gpu_layers is None else placement.gpu_layers,
        host_expert_layers=placement.host_expert_layers,
        tensor_split=_shares(placement, machine),
    )


def _shares(placement: Placement, machine: Machine) -> tuple[float, ...]:
    """Each card's share of the layers where there are several: the engine would go by what is free by then."""
    if len(machine.gpus) < 2 or placement.gpu_layers == 0:
        return ()
    rooms = rooms_for_layers(machine, placement.cards)
    whole = sum(rooms)
    return tuple(round(room / whole, 4) for room in rooms) if whole else ()


def _request(launch: Launch, subject: Subject) -> Request:
    return Request(
        launch.context,
        launch.kv_type,
        launch.slots,
        micro_batch=launch.micro_batch,
        prompt_cache_bytes=launch.cache_ram_mib * MIB,
        projector_bytes=subject.projector_bytes,
    )


def _within(machine: Machine, room: Bytes) -> Machine:
    """A machine of which no more is free than this, after what is always left free."""
    *cards, ram = room
    gpus = tuple(
        replace(gpu, free_bytes=min(gpu.total_bytes - 1, (ram if machine.unified else free) + GPU_RESERVE_BYTES))
        for gpu, free in zip(machine.gpus, cards, strict=True)
    )
    return replace(machine, gpus=gpus, ram_free_bytes=min(machine.ram_bytes - 1, ram + RAM_RESERVE_BYTES))
