"""A measurement as a picture: an SVG that reads well on light and on dark. Pure: text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from hearth.runtime.speed.report import Side, SpeedReport

WIDTH, HEIGHT = 960, 420
_TOP, _BOTTOM = 96, 350
_PANELS = ((64, 300), (376, 612), (692, 936))
"""Left and right of the three panels."""
_STEPS = 4
_READABLE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5)
"""Steps of an axis, times a power of ten."""
_STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #444; }
.title { font-size: 16px; font-weight: 600; fill: #111; }
.head { font-size: 13px; font-weight: 600; fill: #111; }
.grid { stroke: #ddd; stroke-width: 1; }
.back { fill: #fff; }
.base { stroke: #6b7280; fill: #6b7280; }
.best { stroke: #c2571a; fill: #c2571a; }
.line { fill: none; stroke-width: 2; }
text.base, text.best { stroke: none; }
.small { font-size: 11px; }
@media (prefers-color-scheme: dark) {
  text { fill: #bbb; } .title, .head { fill: #eee; } .grid { stroke: #3a3d42; } .back { fill: #16181c; }
  .base { stroke: #9aa0aa; fill: #9aa0aa; } .best { stroke: #f0884a; fill: #f0884a; }
}"""


@dataclass(frozen=True, slots=True)
class _Line:
    """One side's values in one panel; ``kind`` is its class in the style."""

    kind: str
    values: tuple[float, ...]


def draw(report: SpeedReport) -> str:
    """Prefill and decode over the depth, and the waits for the first token, of what was and what is now."""
    sides = [("base", report.base)] + ([("best", report.best)] if report.best and report.best.points else [])
    depths = [f"{point.depth:,}" for point in report.base.points]
    prefill = [_Line(kind, tuple(point.prefill_per_s for point in side.points)) for kind, side in sides]
    decode = [_Line(kind, tuple(point.decode_per_s for point in side.points)) for kind, side in sides]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{_quoted(f"Speed of {report.model}")}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(24, 30, report.model, "title"),
        _text(24, 50, report.machine, ""),
        *_legend([kind for kind, _ in sides]),
        *_lines(_PANELS[0], "Prefill, tokens a second", depths, prefill),
        *_lines(_PANELS[1], "Decode, tokens a second", depths, decode),
        *_waits(_PANELS[2], sides),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def nice_top(most: float) -> float:
    """The end of an axis that reaches the value, in four steps that one can read."""
    if most <= 0:
        return 1.0
    power = 1e-6
    while power < 1e12:
        for step in _READABLE:
            if step * power * _STEPS >= most:
                return step * power * _STEPS
        power *= 10
    return most


def _legend(kinds: Sequence[str]) -> list[str]:
    parts = []
    for place, kind in enumerate(kinds):
        x = WIDTH - 24 - 110 * (len(kinds) - place)
        parts.append(f'<circle class="{kind}" cx="{x}" cy="26" r="5"/>')
        parts.append(_text(x + 12, 30, {"base": "as it was", "best": "tuned"}[kind], ""))
    return parts


def _axis(panel: tuple[int, int], head: str, ticks: Sequence[float]) -> list[str]:
    """The head, and a line for each tick at equal distances."""
    left, right = panel
    parts = [_text(left, _TOP - 18, head, "head")]
    for place, tick in enumerate(ticks):
        y = _BOTTOM - (_BOTTOM - _TOP) * place / (len(ticks) - 1)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 6, y + 4, _number(tick), "", "end"))
    return parts


def _lines(panel: tuple[int, int], head: str, labels: Sequence[str], lines: Sequence[_Line]) -> list[str]:
    left, right = panel
    top = nice_top(max((value for line in lines for value in line.values), default=0.0))
    parts = _axis(panel, head, [top * step / _STEPS for step in range(_STEPS + 1)])
    gap = (right - left) / max(len(labels), 1)
    across = [left + gap * (place + 0.5) for place in range(len(labels))]
    parts += [_text(x, _BOTTOM + 18, label, "", "middle") for x, label in zip(across, labels, strict=True)]
    parts.append(_text((left + right) / 2, _BOTTOM + 40, "tokens before", "", "middle"))
    for line in lines:
        points = [(x, _height(value, top)) for x, value in zip(across, line.values, strict=False)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line {line.kind}" style="fill:none" points="{path}"/>')
        for place, ((x, y), value) in enumerate(zip(points, line.values, strict=False)):
            parts.append(f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
            higher = value >= max(other.values[place] for other in lines if place < len(other.values))
            parts.append(_text(x, y - 10 if higher else y + 20, _number(value), line.kind, "middle"))
    return parts


def _waits(panel: tuple[int, int], sides: Sequence[tuple[str, Side]]) -> list[str]:
    """Bars by powers of ten: a warm wait is a hundredth of a cold one."""
    waits = [(kind, side.first_token) for kind, side in sides if side.first_token is not None]
    if not waits:
        return [_text(panel[0], _TOP - 18, "First token: no time to measure", "head")]
    left, right = panel
    groups = {
        "cold": [(kind, each.cold_s) for kind, each in waits],
        "warm": [(kind, each.warm_s) for kind, each in waits],
        "restored": [(kind, each.restored_s or 0.0) for kind, each in waits],
    }
    known = [value for bars in groups.values() for _, value in bars if value > 0]
    first, last = floor(log10(min(known))), max(ceil(log10(max(known))), floor(log10(min(known))) + 1)
    parts = _axis(panel, "First token, seconds (log)", [10.0**power for power in range(first, last + 1)])
    gap = (right - left) / len(groups)
    width = min(30.0, gap / (len(waits) + 0.5))
    for place, (name, bars) in enumerate(groups.items()):
        middle = left + gap * (place + 0.5)
        parts.append(_text(middle, _BOTTOM + 18, name, "", "middle"))
        for number, (kind, value) in enumerate(bars):
            x = middle + (number - len(bars) / 2) * width
            y = _height(log10(value) - first, last - first) if value > 0 else float(_BOTTOM)
            box = f'x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{_BOTTOM - y:.1f}"'
            parts.append(f'<rect class="{kind}" {box}/>')
            parts.append(
                _text(x + width / 2, y - 6, _number(value, 2) if value > 0 else "-", f"{kind} small", "middle")
            )
    parts.append(_text((left + right) / 2, _BOTTOM + 40, f"prompt of {waits[0][1].prompt:,} tokens", "", "middle"))
    return parts


def _height(value: float, top: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * min(value / top, 1.0)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def _number(value: float, digits: int = 3) -> str:
    """As many digits as one reads."""
    if value >= 10 ** (digits - 1) or value == 0:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"
