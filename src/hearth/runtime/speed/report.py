"""What came of a measurement. Data alone."""

from __future__ import annotations

import msgspec

from hearth.runtime.launch import Launch
from hearth.runtime.speed.tuning import Tuned


class Point(msgspec.Struct, frozen=True):
    """Speeds at one depth, in tokens a second: ``prefill_per_s`` of what lies between this depth and the one before,
    ``decode_per_s`` of the tokens made there. Medians of all rounds."""

    depth: int
    prefill_per_s: float
    decode_per_s: float


class FirstToken(msgspec.Struct, frozen=True):
    """Seconds until the first token of the answer to a prompt of ``prompt`` tokens: of which nothing is known, which is
    in the slot but for its last message, and the same after a restore from the disk (None when that did not work)."""

    prompt: int
    cold_s: float
    warm_s: float
    restored_s: float | None


class Side(msgspec.Struct, frozen=True):
    """One launch, measured."""

    launch: Launch
    points: tuple[Point, ...]
    first_token: FirstToken | None


class Candidate(msgspec.Struct, frozen=True):
    """One setting that was tried, or would have been. ``gain`` is how much faster it is: 0.1 is a tenth."""

    setting: str
    value: int | str
    against: int | str
    judged: str
    fate: str
    gain: float
    why: str = ""


class SpeedReport(msgspec.Struct, frozen=True):
    """All of it. ``base`` is the model as it would be loaded without tuning; ``best`` is None when nothing was better.
    ``rounds`` is how often each figure was measured."""

    model: str
    build: str
    machine: str
    file_bytes: int
    base: Side
    best: Side | None
    tuned: Tuned
    tried: tuple[Candidate, ...]
    notes: tuple[str, ...]
    rounds: int
    took_s: float
    limit_s: float
    stored: bool = False
    plot: str = ""
