"""Which language a file is written in, and its grammar, loaded when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hearth.workspace.syntax.patterns import PATTERNS

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Query

_SUFFIXES = {
    **dict.fromkeys((".py", ".pyi", ".pyw"), "python"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), "javascript"),
    **dict.fromkeys((".ts", ".mts", ".cts"), "typescript"),
    ".tsx": "tsx",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    ".c": "c",
    # Headers of C read well as C++; the other way round they do not.
    **dict.fromkeys((".h", ".hh", ".hpp", ".hxx", ".cc", ".cpp", ".cxx", ".inl", ".ipp"), "cpp"),
    ".cs": "csharp",
    **dict.fromkeys((".rb", ".rake", ".gemspec"), "ruby"),
    ".php": "php",
    **dict.fromkeys((".kt", ".kts"), "kotlin"),
    **dict.fromkeys((".scala", ".sc"), "scala"),
    ".swift": "swift",
    ".lua": "lua",
    ".zig": "zig",
    **dict.fromkeys((".sh", ".bash"), "bash"),
    ".css": "css",
    **dict.fromkeys((".html", ".htm"), "html"),
    **dict.fromkeys((".yaml", ".yml"), "yaml"),
    ".toml": "toml",
    **dict.fromkeys((".json", ".jsonc", ".ipynb", ".webmanifest"), "json"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    ".mk": "make",
}
_NAMES = {"Rakefile": "ruby", "Gemfile": "ruby", ".bashrc": "bash", ".profile": "bash", "uv.lock": "toml"}
_NAMES |= dict.fromkeys(("Makefile", "makefile", "GNUmakefile"), "make")
_OWN = frozenset({"json", "markdown", "make"})
"""Languages that need no grammar: Python reads the first, we the others."""
_MODULES = {"tsx": ("typescript", "language_tsx"), "typescript": ("typescript", "language_typescript")}
_MODULES |= {"php": ("php", "language_php"), "csharp": ("c_sharp", "language")}
"""Package and function of a grammar where they are not named as the language."""

LONGEST_LINE = 20_000
"""Bytes of the longest line in a text that is parsed; what has longer ones was made by a program."""

_BLOCK = 1 << 16
_ROUNDS = 2_000
_ROUNDS_OF_MENDING = 4
_BYTES_A_ROUND = 15
_MOST_ROUNDS = 50_000
_MOST_LOOSE = 10_000


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that is loaded, with the query that finds its definitions."""

    name: str
    language: Language
    query: Query

    def parse(self, data: bytes) -> Node | None:
        """The tree of a text; wherever the text is wrong, the tree says so. None if it is not fit to be read.

        A grammar may take minutes over a text that is none of its language (120 kB of ``- * -`` took that of JavaScript
        287 s): a text has so many rounds for its size, four times what the worst of 3,000 real files needed. And it
        may take the square of a line's length where that nests (100 kB of ``a<b,``): longer lines, no person's work,
        are not read.
        """
        if len(data) > LONGEST_LINE and max(map(len, data.split(b"\n"))) > LONGEST_LINE:
            return None
        most = min(_ROUNDS + len(data) // _BYTES_A_ROUND, _MOST_ROUNDS)
        spent = 0

        def is_enough(_: int, has_error: bool) -> bool:
            nonlocal spent
            # Mending is what takes long.
            spent += _ROUNDS_OF_MENDING if has_error else 1
            return spent > most

        # A parser is no more than a stack: one for each text, so that any thread may ask.
        parser: Parser = import_module("tree_sitter").Parser(self.language)
        try:
            return parser.parse(lambda start, _: data[start : start + _BLOCK], progress_callback=is_enough).root_node
        except ValueError:
            return None

    def find(self, root: Node) -> dict[str, list[Node]]:
        """What the query finds below a node, by capture; nothing in a tree that is little but mistakes."""
        if root.has_error and _is_rubble(root):
            return {}
        found: dict[str, list[Node]] = import_module("tree_sitter").QueryCursor(self.query).captures(root)
        return found


def _is_rubble(root: Node) -> bool:
    """Whether what could not be read lies flat in one node: a query of it takes time by the square of its size."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error and node.child_count > _MOST_LOOSE:
            return True
        if node.has_error:
            waiting += node.children
    return False


def language_of(path: str) -> str | None:
    """The language of a file by its name; None where none is known or its grammar is not installed."""
    name = PurePosixPath(path).name
    language = _NAMES.get(name) or _SUFFIXES.get(PurePosixPath(name).suffix.lower())
    return language if language is not None and _is_known_here(language) else None


@cache
def _is_known_here(language: str) -> bool:
    """Whether we read it ourselves or its grammar is installed; to load that is the reader's."""
    if language in _OWN:
        return True
    package, _ = _MODULES.get(language, (language, ""))
    return find_spec("tree_sitter") is not None and find_spec(f"tree_sitter_{package}") is not None


@cache
def load_grammar(language: str) -> Grammar | None:
    """The grammar of a language, None where it is not installed or its package does not fit the library."""
    if language not in PATTERNS:
        return None
    package, function = _MODULES.get(language, (language, "language"))
    try:
        library = import_module("tree_sitter")
        loaded = library.Language(getattr(import_module(f"tree_sitter_{package}"), function)())
        return Grammar(language, loaded, _build_query(loaded, PATTERNS[language]))
    except (ImportError, AttributeError, TypeError, ValueError, OSError):
        return None


def _build_query(language: Language, patterns: str) -> Query:
    try:
        return _compile(language, patterns)
    except ValueError:
        # A release of the grammar that lacks a node: what it still has is worth having.
        return _compile(language, "\n".join(part for part in _split(patterns) if _is_known(language, part)))


def _compile(language: Language, patterns: str) -> Query:
    query: Query = import_module("tree_sitter").Query(language, patterns)
    return query


def _is_known(language: Language, pattern: str) -> bool:
    try:
        _compile(language, pattern)
    except ValueError:
        return False
    return True


def _split(patterns: str) -> list[str]:
    """The single patterns: a line that is indented belongs to the one before."""
    parts: list[str] = []
    for line in patterns.splitlines():
        if line.startswith(" ") and parts:
            parts[-1] += f"\n{line}"
        elif line:
            parts.append(line)
    return parts
