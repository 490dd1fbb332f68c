"""The argument parser of every command: its errors are ours, one line each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

from hearth.errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong argument raises UsageError instead of printing the usage and leaving."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("action", "parsers", _Commands)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(message, f"run: {self.prog} --help")


class _Commands(argparse._SubParsersAction):  # type: ignore[type-arg]  # it takes no argument when it runs
    """Commands whose own help begins with what the list of them says."""

    def add_parser(self, name: str, **options: Any) -> Any:
        said = str(options.get("help", ""))
        return super().add_parser(name, **{"description": f"{said[:1].upper()}{said[1:]}.", **options})


def unknown_command(name: str, known: Iterable[str]) -> UsageError:
    """The error for a command that is not there, with the one that was probably meant."""
    close = get_close_matches(name, known, 1)
    meant = f", did you mean {close[0]}" if close else ""
    return UsageError(f"there is no command {name!r}{meant}", "run: hearth --help")
