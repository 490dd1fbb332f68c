"""Measures a build against the one in the package: the same model, by turns, on this machine."""

from __future__ import annotations

from pathlib import Path

from hearth.errors import HearthError
from hearth.runtime.builds.build import Build, Gain, Rates, bundled_build
from hearth.runtime.builds.trial import ANSWER_TOKENS, PROMPT_TOKENS, serving
from hearth.runtime.builds.wheels import Step, Tell

PASSES = 2
"""How often each build is loaded and measured, by turns: a machine that grows warm or busy must not favour one."""
ROUNDS = 2
"""Measurements of each load, after one that does not count."""
APART = 1.25
"""How many times as fast one pass may be as another before the figures are called rough."""


async def measure_gain(
    build: Build,
    model: Path,
    runtime: Path,
    log_file: Path,
    tell: Tell,
    *,
    prompt: int = PROMPT_TOKENS,
    answer: int = ANSWER_TOKENS,
) -> Gain | None:
    """Both sides on this model; None when the build in the package cannot run it here. Raises EngineFailed when the
    new one cannot."""
    sides: dict[str, list[Rates]] = {}
    for number in range(PASSES):
        for side in (bundled_build(), build):
            tell(Step(f"measuring {side.name}, pass {number + 1} of {PASSES}", passing=True))
            try:
                async with serving(side, model, runtime, log_file) as served:
                    await served.rates(prompt=prompt, answer=answer)
                    rounds = [
                        await served.rates(prompt=prompt, answer=answer, seed=seed) for seed in range(1, 1 + ROUNDS)
                    ]
            except HearthError:
                if side.folder is None and number == 0:
                    return None
                raise
            sides.setdefault(side.name, []).append(best(rounds))
    bundled, other = (best(passes) for passes in sides.values())
    return Gain(model.stem, bundled, other, any(far_apart(passes) for passes in sides.values()))


def best(rounds: list[Rates]) -> Rates:
    """The best of each rate: noise only makes it slower."""
    return Rates(max(each.prefill for each in rounds), max(each.decode for each in rounds))


def far_apart(passes: list[Rates]) -> bool:
    """Whether the passes of one side say so different things that others must have been at work."""
    rates = [[each.prefill for each in passes], [each.decode for each in passes]]
    return any(max(kind) > APART * min(kind) for kind in rates)
