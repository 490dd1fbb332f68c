"""A measurement as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hearth.cli.models.text import size_text, table
from hearth.runtime.speed.report import Candidate, Side, SpeedReport

_BAR_WIDTH = 40
_JUDGED = {"prefill": "prefill", "decode": "decode", "both": "a step", "text": "decode of texts"}
_LEAST_SHOWN = 0.005


def describe(report: SpeedReport) -> list[str]:
    """The lines of ``hearth bench speed``."""
    launch = report.base.launch
    lines = [
        f"{report.model} · {size_text(report.file_bytes)} · {launch.context:,} tokens in each of {launch.slots} slots, "
        f"{launch.kv_type} KV",
        report.machine,
        "",
        *_tried(report.tried),
        *table(list(_rows(report)), frozenset({1, 2, 3})),
        "",
        *_bars(report),
        *(f"note: {note}" for note in report.notes),
        _kept(report),
    ]
    if report.plot:
        lines.append(f"plot: {report.plot}")
    times = "once" if report.rounds == 1 else f"{report.rounds} times"
    return [*lines, f"took {_span(report.took_s)}, each figure measured {times}"]


def setting_text(field: str, value: int | str) -> str:
    """A setting as a person reads it."""
    return f"{field.replace('_', ' ')} {value}"


def _tried(tried: Sequence[Candidate]) -> list[str]:
    rows = [("tried", "against", "gain", "")]
    rows += [
        (
            setting_text(one.setting, one.value),
            str(one.against),
            f"{_percent(one.gain)} {_JUDGED[one.judged]}" if one.fate != "left out" else "",
            f"{one.fate}: {one.why}" if one.why else one.fate,
        )
        for one in tried
    ]
    return [*table(rows), ""] if tried else ["there is nothing to try: every setting follows from the machine", ""]


def _rows(report: SpeedReport) -> Iterator[tuple[str, str, str, str]]:
    best = report.best if report.best and report.best.points else None
    others = {point.depth: point for point in best.points} if best else {}
    yield ("", "as it was", "tuned" if best else "", "")
    for point in report.base.points:
        other = others.get(point.depth)
        yield _row(f"prefill up to {point.depth:,}", point.prefill_per_s, other.prefill_per_s if other else None)
    for point in report.base.points:
        other = others.get(point.depth)
        yield _row(f"decode at {point.depth:,}", point.decode_per_s, other.decode_per_s if other else None)
    waits, tuned = report.base.first_token, best.first_token if best else None
    if waits is None:
        return
    for name, text in (("cold", f"first token of {waits.prompt:,}, cold"), ("warm", "warm"), ("restored", "restored")):
        label = text if name == "cold" else f"first token, {text}"
        before, after = getattr(waits, f"{name}_s"), getattr(tuned, f"{name}_s", None)
        yield (label, _seconds(before), _seconds(after) if tuned else "", _percent_of(after, before))


def _row(label: str, before: float, after: float | None) -> tuple[str, str, str, str]:
    return label, _speed(before), _speed(after) if after else "", _percent_of(before, after)


def _bars(report: SpeedReport) -> list[str]:
    """Prefill and decode of both sides, each against the fastest of its kind."""
    sides: list[tuple[str, Side]] = [("as it was", report.base)]
    if report.best and report.best.points:
        sides.append(("tuned", report.best))
    lines = []
    for what in ("prefill", "decode"):
        values = [
            (f"{what} {name}, {point.depth:,}", getattr(point, f"{what}_per_s"))
            for place in range(len(report.base.points))
            for name, side in sides
            for point in side.points[place : place + 1]
        ]
        most = max(value for _, value in values)
        rows = [(label, "█" * max(round(_BAR_WIDTH * value / most), 1), _speed(value)) for label, value in values]
        lines += [*table(rows), ""]
    return lines


def _kept(report: SpeedReport) -> str:
    if not report.tuned.changes:
        return "nothing was faster by more than the noise: the model is loaded as it was"
    changes = ", ".join(setting_text(change.field, change.after) for change in report.tuned.changes)
    return f"kept: {changes}; used from the next load" if report.stored else f"found, and not kept: {changes}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def _percent_of(before: float | None, after: float | None) -> str:
    return _percent(after / before - 1) if before and after else ""


def _percent(share: float) -> str:
    return f"{share:+.0%}" if abs(share) >= _LEAST_SHOWN else "0%"


def _speed(value: float) -> str:
    return f"{value:,.0f} tok/s" if value >= 100 else f"{value:.1f} tok/s"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if value >= 10 else f"{value:.3f} s"
