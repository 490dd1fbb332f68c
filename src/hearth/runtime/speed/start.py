"""Where the search begins: the model as the daemon would load it now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hearth.runtime.admission import Admission, Plan, Refine
from hearth.runtime.launch import Launch
from hearth.runtime.llama.probe import Probe
from hearth.settings import EngineSettings
from hearth.weights.card import ModelCard
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape
from hearth.weights.store import Store
from hearth.weights.subject import subject_of


@dataclass(frozen=True, slots=True)
class Start:
    """The launch, what it follows from, and how many such engines have room at once."""

    launch: Launch
    machine: Machine
    shape: ModelShape
    places: int


async def find_start(
    card: ModelCard,
    settings: EngineSettings,
    store: Store,
    refine: Refine,
    measure: Callable[[], Machine],
    probe: Probe | None,
) -> Start:
    """How the model is run here untuned. ``refine`` is what is known of such models. Raises what is wrong with its
    files, and EngineFailed when it does not fit."""
    admission = Admission(settings, store, measure, refine, probe)
    machine = await admission.machine()
    room = admission.room(machine, tuple(0 for _ in (*machine.gpus, None)))
    fit = (await admission.scale(card, machine, room))(room)
    if fit is None:
        raise await admission.too_large(card, machine, room)
    plan: Plan = fit.how
    twice = all(2 * held <= there for held, there in zip(fit.held, room, strict=True))
    return Start(plan.launch, machine, subject_of(card, store).shape, 2 if twice else 1)
