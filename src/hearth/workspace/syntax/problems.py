"""The mistakes of a text: what an edit must not add to a file."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.workspace.syntax.exact import check_json, check_make, check_python, check_toml
from hearth.workspace.syntax.languages import language_of, load_grammar
from hearth.workspace.syntax.trees import find_broken, find_unclosed, uses_newer_python

if TYPE_CHECKING:
    from tree_sitter import Node

LARGEST_CHECKED = 2_500_000
"""Characters of the largest text that is checked: longer ones have no known mistakes."""
CHEAP_TO_CHECK = 250_000
"""Characters that are checked in about 0.1 s (some 7,000 lines); 1.8 million (50,000 lines of Python) take 0.5 s."""

_MOST = 20
_CERTAIN = frozenset({"javascript", "typescript", "tsx", "go", "rust", "java", "ruby", "lua", "yaml"})
"""Languages whose grammar reads what people write. Of the others (macros, dialects, declaration files) only what does
not close is believed: a grammar's own gap must not make a right edit fail. Of 200 files each that lay around, the
grammars could not read 6 of bash, 5 of TypeScript (all ``.d.ts``), 1 of JavaScript, and most of C with its macros."""
_CLOSING = frozenset({"missing 'fi'", "missing 'done'", "missing 'esac'"})
_NO_BRACKETS = frozenset({"bash", "ruby", "yaml", "toml", "lua"})
"""Where a bracket may stand alone: ``case x in a)``, ``%w(a b)``, plain text."""
_TEMPLATE = re.compile(r"\{%|\{\{|<%|<\?")
_TEMPLATED = frozenset({"html", "yaml", "css", "bash"})
"""Languages that are often only what remains of a template."""
_NEAR = 3
"""Lines between two reports of one mistake."""


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A mistake: 1-based line and column (in characters), and what is wrong there in a few words."""

    line: int
    column: int
    what: str


def find_errors(path: str, text: str) -> tuple[SyntaxProblem, ...]:
    """The syntax errors of a file, at most 20, the surest first; () where it has none or no grammar is known.

    Python, JSON and TOML are judged by Python's own parsers, of Makefiles the tabs, the rest by tree-sitter.
    """
    language = language_of(path)
    if language is None or language == "markdown" or len(text) > LARGEST_CHECKED:
        return ()
    # A byte order mark is no mistake, and takes no column.
    text = text.removeprefix("\ufeff")
    match language:
        case "json":
            found = check_json(path, text)
        case "toml":
            found = check_toml(text)
        case "make":
            found = check_make(text)
        case "python":
            return _check_python(text)
        case _:
            if language in _TEMPLATED and _TEMPLATE.search(text):
                return ()
            return _check_tree(language, text, language in _CERTAIN and not path.endswith(".d.ts"))
    return (SyntaxProblem(*found),) if found else ()


def find_new_errors(path: str, before: str, after: str) -> tuple[SyntaxProblem, ...]:
    """What an edit broke: the errors of ``after`` that ``before`` did not have; () if it had as many already.

    ``before`` is read only if ``after`` has errors, so that a right edit costs one reading.
    """
    errors = find_errors(path, after)
    if not errors:
        return ()
    old = find_errors(path, before)
    if old and _count(path, after) <= _count(path, before):
        # A parser that stops at its first error tells of the next when that one is mended.
        return ()
    known = Counter(problem.what for problem in old)
    new: list[SyntaxProblem] = []
    for problem in errors:
        if known[problem.what] > 0:
            known[problem.what] -= 1
        else:
            new.append(problem)
    return tuple(new) if new or not old else errors


def _count(path: str, text: str) -> int:
    """How much of a text is wrong, by a reader that goes on after an error where there is one."""
    grammar = load_grammar(language_of(path) or "")
    if grammar is None:
        return len(find_errors(path, text))
    data = text.encode("utf-8", "replace")
    root = grammar.parse(data)
    return len(find_broken(root, data, 10 * _MOST)) if root is not None else 10 * _MOST


def _check_python(text: str) -> tuple[SyntaxProblem, ...]:
    found = check_python(text)
    if found is None:
        return ()
    exact = SyntaxProblem(*found)
    grammar = load_grammar("python")
    if grammar is None:
        return (exact,)
    data = text.encode("utf-8", "replace")
    root = grammar.parse(data)
    if root is None:
        return (exact,)
    others = _broken(root, data)
    if not others and uses_newer_python(root, exact.line):
        # A project may be written in a newer Python than the one that runs us.
        return ()
    if any(abs(other.line - exact.line) <= _NEAR for other in others):
        return (exact,)
    return (exact, *others)[:_MOST]


def _check_tree(language: str, text: str, certain: bool) -> tuple[SyntaxProblem, ...]:
    grammar = load_grammar(language)
    if grammar is None:
        return ()
    data = text.encode("utf-8", "replace")
    root = grammar.parse(data)
    if root is None or not root.has_error:
        return ()
    if language not in _NO_BRACKETS and (unclosed := find_unclosed(root, data)) is not None:
        return (SyntaxProblem(*unclosed),)
    return tuple(problem for problem in _broken(root, data) if certain or problem.what in _CLOSING)


def _broken(root: Node, data: bytes) -> tuple[SyntaxProblem, ...]:
    return tuple(SyntaxProblem(*found) for found in find_broken(root, data, _MOST))
