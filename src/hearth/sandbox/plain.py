"""A command's output as plain text: no colours, no cursor, nothing that a terminal would obey."""

from __future__ import annotations

import codecs
import re

_TERMINAL_CODES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\-~])")
_UNFINISHED = re.compile(r"\x1b(\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
LONGEST_CODE = 256
"""Characters that a terminal code may have before it counts as text: the rest of it may come with the next piece."""


def clean_output(output: str) -> str:
    """Drop colours and cursor codes; of a line rewritten by carriage returns only the last state stays."""
    plain = _TERMINAL_CODES.sub("", output).replace("\r\n", "\n")
    if "\r" not in plain:
        return plain
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in plain.split("\n"))


class Cleaner:
    """Cleans output that comes in pieces, cut anywhere: also within a character or a code."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def add(self, data: bytes, last: bool = False) -> str:
        """The text of this piece that is certain by now; no control character but line feed and tab is in it."""
        text = self._rest + self._decoder.decode(data, last)
        held = len(text)
        if not last:
            if code := _UNFINISHED.search(text, max(0, len(text) - LONGEST_CODE)):
                held = code.start()
            elif text.endswith("\r"):
                # Of a line end, or of a line that is written anew: the next piece tells.
                held -= 1
        text, self._rest = text[:held], text[held:]
        # A line that is written anew over several pieces stands under what was told of it before.
        above = "\n" if text.startswith("\r") and not text.startswith("\r\n") else ""
        return above + _CONTROLS.sub("", clean_output(text).replace("\r", "\n"))
