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
"""Measurements of each load, after one that does not count. The best of all is taken: noise only makes it slower."""


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
            sides.setdefault(side.name, []).extend(rounds)
    bundled, other = (_best(rounds) for rounds in sides.values())
    return Gain(model.stem, bundled, other)


def _best(rounds: list[Rates]) -> Rates:
    return Rates(max(each.prefill for each in rounds), max(each.decode for each in rounds))
