"""Show a turn on a terminal as it happens."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text as RichText

from hearth.cli.output import (
    cache_line,
    call_line,
    end_lines,
    error_line,
    first_lines,
    hidden_lines,
    progress_line,
    rewrite_line,
)
from hearth.cli.plain import printable
from hearth.events import (
    CommandOutput,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Rewritten,
    SessionStarted,
    Text,
    ToolCalled,
    ToolReturned,
    UsageReported,
)
from hearth.messages import ToolCall

MOST_LINES = 8
"""Lines of one tool result that are shown."""
LONGEST_ANSWER = 1024
"""Bytes of a line that a person types."""


class LiveText:
    """Lines that stay, and below them one status line that moves while something is waited for."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False, markup=False, emoji=False)
        self._status: Status | None = None
        self._line_open = False
        self._thought = 0

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case SessionStarted():
                context = f" · context {event.context_length:,} tokens" if event.context_length else ""
                self._print(f"session {event.session} · {event.model}{context}", "dim")
                self._wait("waiting for the model")
            case Progress():
                self._wait(progress_line(event))
            case Reasoning(text):
                self._thought += len(text)
                self._wait(f"thinking · {self._thought:,} characters")
            case Text(text):
                self._rest()
                self._line_open = not text.endswith("\n") if text else self._line_open
                self._console.print(printable(text), end="", soft_wrap=True)
            case UsageReported():
                self._thought = 0
                self._print(f"  {cache_line(event.usage)}", "dim")
            case ToolCalled():
                self._print(call_line(event), "bold")
                self._wait(f"running {event.name}")
            case CommandOutput(_, text):
                if lines := printable(text).strip().splitlines():
                    self._wait(f"running · {lines[-1][: self._console.width - 12]}")
            case Rewritten():
                self._print(f"  {rewrite_line(event)}", "dim")
            case ToolReturned():
                self._show_result(event)
                self._wait("waiting for the model")
            case Failed():
                self._print(error_line(event), "red")
            case Finished():
                self._show_end(event)

    def tell(self, line: str) -> None:
        """Say what is waited for before the session begins."""
        self._wait(line)

    def say(self, line: str, style: str = "") -> None:
        """A line that stays, between the events."""
        self._print(line, style)

    def glimpse(self, line: str, style: str = "") -> None:
        """A line of something longer: what does not fit the width is cut, so that each line stays one."""
        text = RichText(printable(line))
        text.truncate(self._console.width, overflow="ellipsis")
        self._print(text.plain, style)

    def close(self) -> None:
        """Take the status line away."""
        self._rest()
        self._end_line()

    async def ask(self, call: ToolCall, label: str) -> bool:
        """Ask whether a call may run, which is on the screen already; anything but yes is no."""
        for line in hidden_lines(call, label):
            self._print(f"  {line}", "")
        self._rest()
        agreed = await read_answer()
        if agreed:
            self._wait(f"running {call.name}")
        return agreed

    def _show_result(self, event: ToolReturned) -> None:
        shorten = end_lines if event.name == "bash" else first_lines
        for line in shorten(event.shown, MOST_LINES):
            colour = {"+": "green", "-": "red"}.get(line[:1], "") if event.name in ("edit", "write") else ""
            self.glimpse(f"  {line}", colour or ("yellow" if event.failed else "dim"))
        if event.seconds >= 1:
            self._print(f"  {event.seconds:.1f} s", "dim")

    def _show_end(self, event: Finished) -> None:
        self.close()
        if event.changed_files:
            self._print(f"changed: {', '.join(printable(name) for name in event.changed_files)}", "dim")

    def _print(self, line: str, style: str) -> None:
        self._rest()
        self._end_line()
        self._console.print(RichText(printable(line), style=style), soft_wrap=True)

    def _end_line(self) -> None:
        if self._line_open:
            self._console.print()
            self._line_open = False

    def _wait(self, line: str) -> None:
        self._end_line()
        if self._status:
            self._status.update(RichText(line))
        else:
            self._status = self._console.status(RichText(line), spinner="dots")
            self._status.start()

    def _rest(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


async def ask_terminal(call: ToolCall, label: str) -> bool:
    """Ask on standard error whether a call may run; anything but yes is no."""
    for line in (f"{printable(call.name)} {printable(label)}", *(f"  {line}" for line in hidden_lines(call, label))):
        print(line, file=sys.stderr)
    return await read_answer()


async def read_answer() -> bool:
    """Whether the person at the terminal types yes. What was typed before the question does not count."""
    terminal = sys.stdin.fileno()
    termios.tcflush(terminal, termios.TCIFLUSH)
    print("run it? [y/N] ", end="", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(terminal, ready.set)
    try:
        await ready.wait()
    except asyncio.CancelledError:
        print(file=sys.stderr)  # what is told of it stands on a line of its own
        raise
    finally:
        loop.remove_reader(terminal)
    # Not through sys.stdin: a line that stays in its buffer would be the answer to the next question.
    return os.read(terminal, LONGEST_ANSWER).strip().lower() in (b"y", b"yes")
