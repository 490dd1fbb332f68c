"""The whole measurement: a fixed plan within a time limit, every item counted, early ends where nothing is to hope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from hearth.errors import EngineFailed, UsageError
from hearth.llm.answer import Model
from hearth.llm.calibration.editing import FORMS, TEXT_FORMS, Bench, try_forms
from hearth.llm.calibration.exam import Exam, OutOfTime
from hearth.llm.calibration.items import Findings, call_twice, carry_long, make_calls
from hearth.llm.calibration.record import Calibration
from hearth.llm.families import Dialect, EditFormat
from hearth.llm.profile import Profile

LIMIT_S = 60.0
"""Seconds that a measurement takes at most, the load of the model not counted."""


def _say_nothing(line: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is measured: the name that requests have, the endpoint (empty: the local daemon), the profile, and ways to
    it by dialect."""

    name: str
    at: str
    profile: Profile
    models: Mapping[Dialect, Model]


async def measure(
    subject: Subject, bench: Bench, now: datetime, limit_s: float = LIMIT_S, tell: Callable[[str], None] = _say_nothing
) -> Calibration:
    """Measure a model as its profile would speak to it; when no call comes through so, as text, if there is a way.

    Never takes much longer than ``limit_s`` after the model is loaded. Raises EngineFailed when it does not answer at
    all, UsageError when there is no way to it in its dialect.
    """
    dialect = subject.profile.dialect
    if dialect not in subject.models:
        raise UsageError(
            f"{subject.name} speaks {dialect}, which is not measured here", f"set profiles.{subject.name}.dialect"
        )
    found = await _measure(subject, dialect, bench, now, limit_s, tell)
    left = limit_s - found.seconds
    if found.calls.tried and not found.calls.right and dialect != "text" and "text" in subject.models and left > 0:
        tell("no call comes through: now as text")
        other = await _measure(subject, "text", bench, now, left, tell)
        return other if other.calls.right else found
    return found


async def _measure(
    subject: Subject, dialect: Dialect, bench: Bench, now: datetime, limit_s: float, tell: Callable[[str], None]
) -> Calibration:
    profile = subject.profile
    exam = Exam(subject.models[dialect], subject.name, profile, limit_s, tell)
    await exam.begin()
    found = Findings()
    try:
        ended = await _carry_out(exam, found, bench, dialect)
    except OutOfTime:
        ended = f"the time of {limit_s:.0f} s was over"
    except EngineFailed as error:
        ended = f"the engine failed: {error.what}"
    return Calibration(
        model=subject.name,
        at=subject.at,
        when=now.isoformat(timespec="seconds"),
        seconds=round(exam.seconds, 1),
        dialect=dialect,
        own=_own_form(profile.edit, dialect),
        calls=found.calls,
        parallel=found.parallel,
        reasoning=found.reasoning,
        prefix=found.prefix,
        long=found.long,
        edits={form: tally for form, tally in found.edits.items() if tally.tried},
        ended=ended,
    )


async def _carry_out(exam: Exam, found: Findings, bench: Bench, dialect: Dialect) -> str:
    await make_calls(exam, found)
    if not found.calls.right:
        return "no call comes through"
    # A call ends an answer of Harmony: two at once are not in the form.
    if dialect != "harmony":
        await call_twice(exam, found)
    await carry_long(exam, found)
    tools = TEXT_FORMS if dialect == "text" else FORMS
    return await try_forms(exam, bench, tools, _own_form(exam.profile.edit, dialect), found.edits)


def _own_form(form: EditFormat, dialect: Dialect) -> EditFormat:
    """The form of the profile as it is measured in a dialect: in text an edit is a block."""
    return "search_replace" if dialect == "text" and form == "replace" else form
