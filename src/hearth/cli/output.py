"""Show a turn's events: as text when piped, as one JSON object, or as JSON lines. The live display is ``cli.live``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from hearth.cli.plain import printable
from hearth.events import Event, Failed, Finished, Progress, Rewritten, ToolCalled, UsageReported, event_to_json
from hearth.messages import ToolCall, Usage

_BAR_WIDTH = 24
REWRITES = {
    "compaction": "the conversation was summed up",
    "mask": "old results were left out",
    "restart": "the model begins afresh",
    "retry": "the last step was taken back",
    "undo": "a turn was undone",
    "redo": "a turn was done again",
}
LONGEST_LABEL = 200
"""Characters of a call's label that are shown."""
MOST_ASKED_LINES = 60
"""Lines of one argument that are shown to who is asked."""


class Output(Protocol):
    """Something that shows events. ``show`` MUST NOT fail on any event of the union."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def tell(self, line: str) -> None:
        """Say what is waited for before the session begins."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class PlainText:
    """For pipes: the final text on ``out``; on ``err`` an error as one line, and what a person should know of the way
    there, each as one line. ``quiet`` leaves out the latter."""

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False) -> None:
        self._out = out
        self._err = err
        self._quiet = quiet

    def show(self, event: Event) -> None:
        """Show the end of a turn, and notes before."""
        if isinstance(event, Failed):
            print(error_line(event), file=self._err)
        elif isinstance(event, Finished) and event.text and event.status != "failed":
            print(event.text, file=self._out, flush=True)
        elif not self._quiet and (note := note_line(event)):
            print(f"hearth: {note}", file=self._err, flush=True)

    def tell(self, line: str) -> None:
        """Pipes are told nothing."""

    def close(self) -> None:
        """Nothing to leave."""


class JsonObject:
    """One object when the turn is over: the result, the sum of the usage, the error if there is one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._usage = Usage()
        self._error: dict[str, Any] | None = None

    def show(self, event: Event) -> None:
        """Collect, and print at the end."""
        if isinstance(event, UsageReported):
            self._usage = add_usage(self._usage, event.usage)
        elif isinstance(event, Failed):
            self._error = {key: value for key, value in event_to_json(event).items() if key != "type"}
        elif isinstance(event, Finished):
            whole = {**event_to_json(event), "usage": asdict(self._usage), "error": self._error}
            print(json.dumps(whole), file=self._out, flush=True)

    def tell(self, line: str) -> None:
        """Programs are told nothing."""

    def close(self) -> None:
        """Nothing to leave."""


class JsonLines:
    """One line an event, as it comes; ``result`` is last."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Event) -> None:
        """Print the event."""
        print(json.dumps(event_to_json(event)), file=self._out, flush=True)

    def tell(self, line: str) -> None:
        """Programs are told nothing: a session's first line is ``session``."""

    def close(self) -> None:
        """Nothing to leave."""


def add_usage(one: Usage, other: Usage) -> Usage:
    """The sum of two steps' costs."""
    return Usage(
        prompt=one.prompt + other.prompt,
        reused=one.reused + other.reused,
        new=one.new + other.new,
        generated=one.generated + other.generated,
        prefill_s=round(one.prefill_s + other.prefill_s, 4),
        decode_s=round(one.decode_s + other.decode_s, 4),
    )


def cache_line(usage: Usage) -> str:
    """What a step cost: ``reused 41,230 · new 612 · 0.9 s``, then the answer's size and speed."""
    line = f"reused {usage.reused:,} · new {usage.new:,} · {usage.prefill_s:.1f} s"
    if not usage.generated:
        return line
    speed = f" at {usage.generated / usage.decode_s:,.0f} tokens/s" if usage.decode_s > 0 else ""
    return f"{line} · generated {usage.generated:,}{speed}"


def error_line(event: Failed) -> str:
    """The failure as one line."""
    return printable(f"hearth: {event.message} · {event.fix}" if event.fix else f"hearth: {event.message}")


def call_line(event: ToolCalled) -> str:
    """The call as one line: the tool and its label."""
    label = printable(event.label or event.arguments).replace("\n", " ")
    return f"{printable(event.name)} {label if len(label) <= LONGEST_LABEL else label[:LONGEST_LABEL] + '…'}"


def hidden_lines(call: ToolCall, label: str) -> list[str]:
    """The texts among a call's arguments that its line does not show whole: who is asked must see them."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return []  # nothing of it will run
    if not isinstance(arguments, dict):
        return []
    lines: list[str] = []
    for name, value in _texts("", arguments):
        if len(label) > LONGEST_LABEL or value.strip() not in label:
            shown = first_lines(value, MOST_ASKED_LINES)
            lines += [f"{name}: {shown[0]}"] if len(shown) == 1 else [f"{name}:", *(f"  {line}" for line in shown)]
    return lines


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts in an argument, however deep, and what each is called: ``edits 2 new``."""
    if isinstance(value, str):
        yield printable(name).replace("\n", " "), value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(f"{name} {key}".strip(), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _texts(f"{name} {number}", inner)


def progress_line(event: Progress) -> str:
    """What is waited for; in prefill a bar, the tokens and the estimated time."""
    if event.phase == "resample":
        return printable(f"asked again ({event.done}): {event.note}")
    if event.phase == "subagent":
        return printable(f"sub-agent, step {event.done} of {event.total} · {event.note}")
    if event.phase != "prefill" or event.total <= 0:
        return printable(event.note) or event.phase
    if event.done >= event.total:
        return "the model answers"
    filled = _BAR_WIDTH * event.done // event.total
    bar = "━" * filled + "─" * (_BAR_WIDTH - filled)
    eta = f" · about {_span(event.eta_s)} left" if event.eta_s >= 0 else ""
    return f"prefill {bar} {event.done:,} of {event.total:,} tokens{eta}"


def note_line(event: Event) -> str:
    """What a person should know who does not watch: what was left out of the history or asked again, what cannot be
    undone. Empty for what only moves while something is waited for."""
    match event:
        case Rewritten():
            line = rewrite_line(event)
        case Progress(phase="resample" | "starting") | Progress(phase="compaction", total=0):
            line = progress_line(event)
        case _:
            line = ""
    return " ".join(line.split())


def rewrite_line(event: Rewritten) -> str:
    """What was left out of the history, and what it costs."""
    what = REWRITES[event.kind]
    cost = f" · reading again takes about {_span(event.read_s)}" if event.read_s >= 1 else ""
    note = f" · {event.note}" if event.note else ""
    return printable(f"{what}: {event.before:,} tokens, now {event.after:,}{cost}{note}")


def first_lines(text: str, most: int) -> list[str]:
    """At most ``most`` lines of a result, and how many there are beyond."""
    lines = printable(text).splitlines()
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"… {len(lines) - most + 1} more lines"]


def end_lines(text: str, most: int) -> list[str]:
    """At most ``most`` lines of a command's output, most of them from its end, where the verdict stands."""
    lines = printable(text).splitlines()
    if len(lines) <= most:
        return lines
    first = most // 4
    last = most - 1 - first
    return [*lines[:first], f"… {len(lines) - first - last} lines", *lines[-last:]]


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
