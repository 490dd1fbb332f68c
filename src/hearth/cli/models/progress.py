"""The line that moves while a model arrives or is read."""

from __future__ import annotations

import shutil
from typing import TextIO

from hearth.cli.models.text import size_text, span_text
from hearth.weights.fetch.progress import Notice, Progress

_BAR_WIDTH = 24


class Bar:
    """One line on a terminal that moves while files arrive; on anything else only what must be said."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._moves = stream.isatty()
        self._open = False

    def show(self, event: Progress | Notice) -> None:
        """Show how far it is, or say a line."""
        if isinstance(event, Notice):
            self.close()
            print(event.text, file=self._stream)
        elif self._moves:
            line = progress_line(event)[: shutil.get_terminal_size().columns - 1]
            print(f"\r\x1b[K{line}", end="", file=self._stream, flush=True)
            self._open = True

    def close(self) -> None:
        """Leave the line."""
        if self._open:
            print(file=self._stream)
            self._open = False


def progress_line(progress: Progress) -> str:
    """A bar, the bytes, the speed, the time to go, and of several files which."""
    share = progress.done_bytes / progress.size_bytes if progress.size_bytes else 1.0
    filled = int(_BAR_WIDTH * share)
    parts = [
        f"{'━' * filled}{'─' * (_BAR_WIDTH - filled)} {share:4.0%}",
        f"{size_text(progress.done_bytes)} of {size_text(progress.size_bytes)}",
        f"{size_text(round(progress.speed))}/s" if progress.speed else "",
        f"about {span_text(progress.eta_s)} left" if progress.eta_s is not None else "",
        f"file {progress.number} of {progress.count}" if progress.count > 1 else "",
    ]
    return " · ".join(filter(None, parts))
