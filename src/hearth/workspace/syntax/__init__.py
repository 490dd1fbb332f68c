"""What is known of a text from its grammar: mistakes, definitions, names; pure, and never an exception.

A language whose grammar is not installed (`pip install 'hearth-code[languages]'` brings the less common ones) is a
language that we know nothing about: no mistakes, no definitions. Grammars are loaded one by one, when first used.
"""

from __future__ import annotations

from hearth.workspace.syntax.definitions import (
    Definition,
    Outline,
    enclosing,
    list_definitions,
    list_references,
    outline,
)
from hearth.workspace.syntax.languages import language_of
from hearth.workspace.syntax.problems import (
    CHEAP_TO_CHECK,
    LARGEST_CHECKED,
    SyntaxProblem,
    find_errors,
    find_new_errors,
)

__all__ = [
    "CHEAP_TO_CHECK",
    "LARGEST_CHECKED",
    "Definition",
    "Outline",
    "SyntaxProblem",
    "enclosing",
    "find_errors",
    "find_new_errors",
    "language_of",
    "list_definitions",
    "list_references",
    "outline",
]
