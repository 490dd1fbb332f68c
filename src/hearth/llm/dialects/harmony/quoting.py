"""Whether a text leaves a quotation open: a mark that comes now is spoken of, and begins no message. Pure.

The engine gives a special token and the same letters alike. But a model that goes over to a call has ended what it
said, and one that quotes a call says so, as Markdown has it: a fence, inline code, a quoted line, a backslash.
"""

from __future__ import annotations

import re

from hearth.llm.repair.prose import Quotes


def is_quoting(text: str) -> bool:
    """Whether what follows the text is within a quotation."""
    if text.endswith(("\\", "“", "«")):
        return True
    if ("```" in text or "~~~" in text) and any(not fence.closed for fence in Quotes(text).fences()):
        return True
    line = text[text.rfind("\n") + 1 :]
    if line.lstrip().startswith(">") or (line.endswith('"') and line.count('"') % 2):
        return True
    return _is_inline(line) or bool(_INDENTED.search(text[-_FAR:]))


def _is_inline(line: str) -> bool:
    """Whether inline code is open at the end of a line: each run of backticks is closed by one that is as long."""
    opened = 0
    for run in _TICKS.finditer(line):
        length = len(run[0])
        opened = 0 if opened == length else opened or length
    return opened > 0


_TICKS = re.compile(r"`+")
_FAR = 4000
"""Characters of one line that are looked at."""
_INDENTED = re.compile(r"^[ \t]*+[^ \t\n][^\n]*\n[ \t]*+\n(?:\t| {4})[^\n]*\Z", re.MULTILINE)
"""A block that Markdown has as code for its margin."""
