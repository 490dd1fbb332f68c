"""Replace a definition by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hearth.workspace.edits.gate import Defined, Syntax
from hearth.workspace.edits.indentation import find_fixed, indentation
from hearth.workspace.edits.lines import find_starts, split_lines, strip_shown
from hearth.workspace.edits.outcome import Edited, Refused, splice_text
from hearth.workspace.edits.span import splice_lines

_MARKS = ("@", "[<", "#[")
"""How decorators and attributes begin."""
_LEAD = ("@", "#", "//", "/*", "*", "--", ";", "[<", "#[")
"""How lines begin that belong to a definition and stand above it: decorators, attributes, comments."""
MOST_NAMED = 20


def replace_symbol(syntax: Syntax, path: str, text: str, name: str, new: str) -> Edited | Refused:
    """``new`` in place of the whole definition ``name``: its own name if it is unique, or with those around it.

    Decorators and comments above it stay unless ``new`` brings some itself; decorators stay unless it brings some.
    ``new`` may stand at the left edge: it is moved to where the definition is.
    """
    if syntax.language_of(path) is None:
        return Refused(f"the definitions of {path} are not known: use edit")
    defined = syntax.list_definitions(path, text)
    found = [one for one in defined if one.qualified == name] or [
        one for one in defined if one.name == name or one.qualified.endswith(f".{name}")
    ]
    if not found:
        names = ", ".join(one.qualified for one in defined[:MOST_NAMED])
        return Refused(f"{path} defines no {name}", "missing", f"it defines: {names}" if names else "")
    if len(found) > 1:
        places = "\n".join(f"line {one.first_line}: {one.qualified}" for one in found[:MOST_NAMED])
        return Refused(f"{path} defines {name} {len(found)} times: name one with what it is in", "many", places)
    if not new.strip():
        return Refused("new is empty: to remove a definition use edit")
    return _put(text, found[0], split_lines(text), strip_shown(new).strip("\n"))


def _put(text: str, one: Defined, lines: Sequence[str], new: str) -> Edited | Refused:
    own = one.head_line
    brings_lead = new.lstrip().startswith(_LEAD)
    marked = any(line.lstrip().startswith(_MARKS) for line in lines[one.first_line - 1 : own - 1])
    if marked and not any(line.lstrip().startswith(_MARKS) for line in new.split("\n")):
        brings_lead = False  # a comment alone: the decorators stay
    first = one.first_line if brings_lead else own
    there = indentation(lines[own - 1])
    given = indentation(new.split("\n", 1)[0])
    moved = new
    if given != there:
        if given:
            return Refused(
                f"new begins with other blanks than {one.qualified} has: begin it at the left edge, or as the file does"
            )
        given_lines = new.split("\n")
        fixed = find_fixed(given_lines)
        moved = "\n".join(
            there + line if line.strip() and index not in fixed else line for index, line in enumerate(given_lines)
        )
    if not re.search(rf"(?<!\w){re.escape(one.name)}(?!\w)", new):
        return Refused(f"new does not define {one.name}: give the whole new definition, or use edit")
    note = ""
    if first > one.first_line:
        note = f"kept above it: {lines[one.first_line - 1].strip()}"
    elif moved is not new:
        note = "new was moved to the indentation of the definition"
    splice = splice_lines(text, find_starts(text), first - 1, one.last_line, moved)
    edited = splice_text(text, [splice], "exact", note)
    return Refused("the definition is already so", "same") if edited.text == text else edited
