"""Edits as models write them, each with what must come of it: the text after, or what the refusal says.

Collected from what is known to go wrong: indentation that is off, text that is stale, lines that repeat, elisions, line
numbers that were echoed, other line ends, signs that were made prettier or escaped on the way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

CLASS = '''\
import os


class Reader:
    """Reads."""

    def __init__(self, path):
        self.path = path
        self.lines = []

    def parse(self):
        for line in self.lines:
            if not line:
                continue
            yield line.strip()

    def close(self):
        if not self.path:
            return None
        return os.close(self.path)


def main():
    reader = Reader("x")
    reader.parse()
    return None
'''
TABS = "func main() {\n\tif ok {\n\t\trun()\n\t}\n\tdone()\n}\n"
HEADER = "package main\n\n"
MARKDOWN = """\
# Guide

Some words – with a dash.

## Install

1. Get it.
2. Run it.

## Use

Call `run`.

## Notes

Call `run`.
"""
JS = """\
export function add(a, b) {
  return a + b;
}

export function sub(a, b) {
  return a - b;
}
"""


@dataclass(frozen=True)
class Case:
    """One call of a tool on one file, or on several.

    ``after`` is the text of ``path`` then; None: refused, and the file as it was. ``says`` must all be in the result.
    """

    name: str
    tool: str
    text: str
    arguments: dict[str, Any]
    after: str | None = None
    says: tuple[str, ...] = ()
    path: str = "f.py"
    read: bool = True
    others: dict[str, str] = field(default_factory=dict)
    others_after: dict[str, str | None] = field(default_factory=dict)


def edit(
    name: str, text: str, old: str, new: str, after: str | None = None, says: tuple[str, ...] = (), **more: Any
) -> Case:
    """A call of ``edit``."""
    path = more.pop("path", "f.py")
    return Case(name, "edit", text, {"path": path, "old": old, "new": new, **more}, after, says, path)


def swap(text: str, *pairs: str) -> str:
    """The text with each first of a pair replaced by the second; each is there once."""
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


EXACT = [
    edit("one line", CLASS, "self.lines = []", "self.lines = list()", swap(CLASS, "lines = []", "lines = list()")),
    edit(
        "whole line",
        CLASS,
        "        self.path = path\n",
        "        self.path = str(path)\n",
        swap(CLASS, "= path\n", "= str(path)\n"),
    ),
    edit(
        "several lines",
        CLASS,
        "    def close(self):\n        if not self.path:\n            return None\n",
        "    def close(self):\n",
        swap(CLASS, "        if not self.path:\n            return None\n", ""),
    ),
    edit("part of a line", CLASS, "line.strip()", "line.rstrip()", swap(CLASS, "line.strip()", "line.rstrip()")),
    edit("delete a line", CLASS, "        self.lines = []\n", "", swap(CLASS, "        self.lines = []\n", "")),
    edit(
        "append at the end",
        CLASS,
        "    reader.parse()\n    return None\n",
        "    reader.parse()\n    reader.close()\n    return None\n",
        swap(CLASS, "reader.parse()\n", "reader.parse()\n    reader.close()\n"),
    ),
    edit(
        "insert above",
        CLASS,
        "import os\n",
        "import os\nimport sys\n",
        swap(CLASS, "import os\n", "import os\nimport sys\n"),
    ),
    edit("rename everywhere", "a = run()\nb = run()\n", "run(", "go(", "a = go()\nb = go()\n", all=True),
    edit("every one of one", CLASS, "lines = []", "lines = [1]", swap(CLASS, "lines = []", "lines = [1]"), all=True),
    edit("no newline at the end stays", "a = 1\nb = 2", "b = 2", "b = 3", "a = 1\nb = 3"),
    edit("no newline at the end, first line", "a = 1\nb = 2", "a = 1\n", "a = 2\n", "a = 2\nb = 2"),
    edit("a newline at the end is added on purpose", "a = 1\nb = 2", "b = 2", "b = 2\n", "a = 1\nb = 2\n"),
    edit("unicode", "name = 'Zoë'\n", "'Zoë'", "'Zoé'", "name = 'Zoé'\n"),
    edit("astral signs", "x = '😀'  # 𝒳\n", "'😀'", "'🎉'", "x = '🎉'  # 𝒳\n"),
    edit("form feed is no line end", "a = 1\n\x0c\nb = 2\n", "b = 2", "b = 3", "a = 1\n\x0c\nb = 3\n"),
    edit("tabs as they are", TABS, "\t\trun()\n", "\t\trun(1)\n", swap(TABS, "run()", "run(1)"), path="f.txt"),
    edit("backslashes stay", "p = 'a\\\\b'\n", "'a\\\\b'", "'a\\\\c'", "p = 'a\\\\c'\n"),
    edit("escapes that are in the file", "s = 'a\\nb'\n", "a\\nb", "a\\tb", "s = 'a\\tb'\n"),
    edit("dollar and groups are no pattern", "s = '$1'\n", "$1", "\\1", "s = '\\1'\n", path="f.txt"),
    edit("regular expression signs", "r = a.*b\n", ".*", ".+", "r = a.+b\n", path="f.txt"),
    edit("markdown heading", MARKDOWN, "## Use\n", "## Usage\n", swap(MARKDOWN, "## Use\n", "## Usage\n"), path="f.md"),
    edit(
        "markdown dash",
        MARKDOWN,
        "words – with",
        "words with",
        swap(MARKDOWN, "words – with", "words with"),
        path="f.md",
    ),
    edit("real ellipsis in code", "def f():\n    ...\n", "    ...\n", "    return 1\n", "def f():\n    return 1\n"),
    edit(
        "a first line without its indentation",
        CLASS,
        "if not line:\n                continue\n",
        "if line:\n                pass\n",
        swap(CLASS, "if not line:\n                continue\n", "if line:\n                pass\n"),
    ),
]

ENDS = [
    edit(
        "crlf file, lf old",
        "a = 1\r\nb = 2\r\nc = 3\r\n",
        "a = 1\nb = 2\n",
        "a = 9\n",
        "a = 9\r\nc = 3\r\n",
        ("line ends",),
    ),
    edit("crlf file, one line", "a = 1\r\nb = 2\r\n", "b = 2", "b = 3", "a = 1\r\nb = 3\r\n"),
    edit(
        "crlf file, one line becomes two", "a = 1\r\nb = 2\r\n", "b = 2", "b = 3\nc = 4", "a = 1\r\nb = 3\r\nc = 4\r\n"
    ),
    edit("crlf file, within lines", "aa = 1\r\nbb = 2\r\n", "= 1\nbb", "= 2\ncc", "aa = 2\r\ncc = 2\r\n"),
    edit(
        "crlf old, lf file",
        "a = 1\nb = 2\n",
        "a = 1\r\nb = 2\r\n",
        "a = 2\r\nb = 2\r\n",
        "a = 2\nb = 2\n",
        ("line ends",),
    ),
    edit("mixed ends, lf part", "a = 1\nb = 2\r\nc = 3\n", "a = 1\nb", "a = 9\nb", "a = 9\nb = 2\r\nc = 3\n"),
    edit("mixed ends, crlf part", "a = 1\nb = 2\r\nc = 3\n", "b = 2\nc", "b = 9\nc", "a = 1\nb = 9\r\nc = 3\n"),
    edit(
        "trailing blanks in the file",
        "a = 1   \nb = 2\n",
        "a = 1\nb = 2",
        "a = 3\nb = 2",
        "a = 3\nb = 2\n",
        ("blanks",),
    ),
    edit("trailing blanks in old", "a = 1\nb = 2\n", "a = 1  \nb = 2\t", "a = 3\nb = 2", "a = 3\nb = 2\n", ("blanks",)),
    edit(
        "trailing blanks on an empty line",
        "def f():\n    a = 1\n    \n    b = 2\n",
        "    a = 1\n\n    b = 2\n",
        "    a = 1\n    b = 2\n",
        "def f():\n    a = 1\n    b = 2\n",
        ("blanks",),
    ),
    edit("old ends with a newline that the file lacks", "a = 1\nb = 2", "b = 2\n", "b = 3\n", "a = 1\nb = 3"),
    edit("crlf and trailing blanks", "a = 1 \r\nb = 2\r\n", "a = 1\nb = 2\n", "a = 2\nb = 2\n", "a = 2\r\nb = 2\r\n"),
    edit(
        "trailing blanks, several places",
        "a = 1 \nb\na = 1 \nb\n",
        "a = 1\nb\n",
        "c\n",
        None,
        ("occurs 2 times (lines 1, 3)", "f.txt is unchanged"),
        path="f.txt",
    ),
    edit(
        "trailing blanks, every place", "a = 1 \nb\na = 1 \nb\n", "a = 1\nb\n", "c\n", "c\nc\n", path="f.txt", all=True
    ),
]

INDENT = [
    edit(
        "old at the left edge",
        CLASS,
        "def close(self):\n    if not self.path:\n        return None\n",
        "def close(self):\n    if not self.path:\n        return 1\n",
        swap(CLASS, "            return None\n", "            return 1\n"),
        ("4 blanks were put in front",),
    ),
    edit(
        "old too far right",
        "def f():\n    a = 1\n    b = 2\n",
        "        a = 1\n        b = 2\n",
        "        a = 1\n        b = 3\n",
        "def f():\n    a = 1\n    b = 3\n",
        ("4 blanks were taken",),
    ),
    edit(
        "new deeper than old",
        CLASS,
        "for line in self.lines:\n    if not line:\n        continue\n    yield line.strip()\n",
        "for line in self.lines:\n    if line:\n        yield line.strip()\n",
        swap(
            CLASS,
            "            if not line:\n                continue\n            yield line.strip()\n",
            "            if line:\n                yield line.strip()\n",
        ),
    ),
    edit(
        "one line of less indentation becomes two",
        "if a:\n    if b:\n        run()\n",
        "    run()\n",
        "    run()\n    stop()\n",
        "if a:\n    if b:\n        run()\n        stop()\n",
    ),
    edit(
        "tabs in the file, blanks in old",
        TABS,
        "    if ok {\n        run()\n    }\n",
        "    if ok {\n        run(1)\n    }\n",
        swap(TABS, "run()", "run(1)"),
        ("a tab for 4 blanks",),
        path="f.txt",
    ),
    edit(
        "tabs in the file, two blanks in old",
        TABS,
        "  if ok {\n    run()\n  }\n",
        "  if ok {\n    if no {\n      run()\n    }\n  }\n",
        swap(TABS, "\t\trun()\n", "\t\tif no {\n\t\t\trun()\n\t\t}\n"),
        ("a tab for 2 blanks",),
        path="f.txt",
    ),
    edit(
        "blanks in the file, tabs in old",
        "def f():\n    if a:\n        b()\n",
        "\tif a:\n\t\tb()\n",
        "\tif a:\n\t\tc()\n",
        "def f():\n    if a:\n        c()\n",
        ("4 blanks for a tab",),
    ),
    edit(
        "tabs in the file, left edge",
        TABS,
        "if ok {\n\trun()\n}\n",
        "if ok {\n\trun(2)\n}\n",
        swap(TABS, "run()", "run(2)"),
        ("1 tab was put",),
        path="f.txt",
    ),
    edit(
        "blank lines between do not count",
        "class A:\n    a = 1\n\n    b = 2\n",
        "a = 1\n\nb = 2\n",
        "a = 1\n\nb = 3\n",
        "class A:\n    a = 1\n\n    b = 3\n",
    ),
    edit(
        "crlf and indentation",
        "if a:\r\n    b()\r\n    c()\r\n",
        "b()\nc()\n",
        "b()\nd()\n",
        "if a:\r\n    b()\r\n    d()\r\n",
    ),
    edit(
        "not uniform",
        "if a:\n    if b:\n        c()\n",
        "if a:\n  if b:\n        c()\n",
        "x\n",
        None,
        ("old is not in the file", "only blanks and line ends differ", "f.py is unchanged"),
    ),
    edit(
        "only the first line is cut off",
        "    if a:\n        b()\n    c()\n",
        "  if a:\n        b()\n    c()\n",
        "  if a:\n        b(1)\n    c()\n",
        "    if a:\n        b(1)\n    c()\n",
        path="f.txt",
    ),
    edit(
        "only the first line is too deep",
        "  if a:\n        b()\n    c()\n",
        "    if a:\n        b()\n    c()\n",
        "x\n",
        None,
        ("nearest text is lines 1-3",),
        path="f.txt",
    ),
    edit(
        "new has the right indentation already",
        "def f():\n    a()\n    b()\n",
        "a()\nb()\n",
        "    a()\n    c()\n",
        None,
        ("old is not in the file",),
    ),
    edit(
        "new begins elsewhere",
        "def f():\n    a()\n    b()\n",
        "a()\nb()\n",
        "  a()\n",
        None,
        ("old is not in the file",),
    ),
    edit(
        "new cannot be moved left",
        "def f():\n  a()\n  b()\n",
        "      a()\n      b()\n",
        "      a()\n  c()\n",
        None,
        ("old is not in the file",),
    ),
    edit(
        "two blocks fit at other depths",
        "if a:\n    x()\n    y()\nif b:\n        x()\n        y()\n",
        "x()\ny()\n",
        "z()\n",
        None,
        ("occurs 2 times (lines 2, 5)",),
        path="f.txt",
    ),
    edit(
        "an odd number of blanks is no tab",
        TABS,
        "   if ok {\n      run()\n   }\n",
        "   if ok {\n     run()\n   }\n",
        None,
        ("old is not in the file",),
        path="f.txt",
    ),
]

BLANK = [
    edit(
        "a blank line before",
        CLASS,
        "\n\n        self.lines = []\n",
        "\n\n        self.lines = [0]\n",
        swap(CLASS, "lines = []", "lines = [0]"),
        ("blank lines at the ends",),
    ),
    edit(
        "a blank line after",
        CLASS,
        "        self.path = path\n\n",
        "        self.path = 1\n\n",
        swap(CLASS, "self.path = path\n", "self.path = 1\n"),
    ),
    edit(
        "blank lines around and indentation",
        CLASS,
        "\nself.path = path\nself.lines = []\n",
        "\nself.path = 1\nself.lines = []\n",
        swap(CLASS, "self.path = path\n", "self.path = 1\n"),
    ),
    edit("a blank line that new lacks", "a = 1\nb = 2\n", "\n\nb = 2\n", "b = 3\n", "a = 1\nb = 3\n"),
    edit(
        "a line end that new lacks, in code",
        "a = 1\nb = 2\n",
        "\nb = 2\n",
        "b = 3\n",
        None,
        ("would break the syntax",),
    ),
    edit(
        "a line end that new lacks, in a text",
        "one\ntwo\n",
        "one\n",
        "ONE",
        None,
        ("two lines would be joined", "next: the same with a line end"),
        path="f.txt",
    ),
    edit("blank lines alone", "a = 1\nb = 2\n", "\n\n", "\n", None, ("old is not in the file",)),
    edit("blanks alone", "a = 1\nb = 2\n", "   ", "", None, ("old is not in the file",)),
]

ELISION = [
    edit(
        "dots in both",
        CLASS,
        "    def parse(self):\n...\n            yield line.strip()\n",
        "    def parse(self, more):\n...\n            yield line\n",
        swap(CLASS, "def parse(self):", "def parse(self, more):", "yield line.strip()", "yield line"),
        ("lines that ... stands for",),
    ),
    edit(
        "a comment with dots in both",
        JS,
        "export function add(a, b) {\n  // ...\n}\n\nexport function sub",
        "export function add(a, b, c) {\n  // ...\n}\n\nexport function sub",
        None,
        ("not in the file",),
        path="f.js",
    ),
    edit(
        "a comment with dots, whole lines",
        JS,
        "export function sub(a, b) {\n  // ... existing code ...\n}\n",
        "export function sub(a, b, c) {\n  // ... existing code ...\n}\n",
        swap(JS, "sub(a, b)", "sub(a, b, c)"),
        path="f.js",
    ),
    edit(
        "dots, whole lines, one way",
        "one\ntwo\nthree\nfour\n",
        "one\n...\nfour\n",
        "ONE\n...\nFOUR\n",
        "ONE\ntwo\nthree\nFOUR\n",
        path="f.txt",
    ),
    edit(
        "dots that stand for nothing",
        "one\nfour\n",
        "one\n...\nfour\n",
        "ONE\n...\nfour\n",
        "ONE\nfour\n",
        path="f.txt",
    ),
    edit(
        "dots in old only",
        "one\ntwo\nthree\n",
        "one\n...\nthree\n",
        "ONE\nTWO\nTHREE\n",
        None,
        ("not in the file",),
        path="f.txt",
    ),
    edit(
        "dots in new only",
        "one\ntwo\nthree\n",
        "one\ntwo\n",
        "one\n# ... rest of the code unchanged\n",
        None,
        ("stands for text that you left out",),
    ),
    edit(
        "dots, two ways",
        "one\nx\nfour\none\ny\nfour\n",
        "one\n...\nfour\n",
        "1\n...\n4\n",
        None,
        ("occurs 2 times",),
        path="f.txt",
    ),
    edit(
        "dots, the last piece twice",
        "one\nx\nend\ny\nend\n",
        "one\n...\nend\n",
        "1\n...\n2\n",
        None,
        ("occurs 2 times",),
        path="f.txt",
    ),
    edit(
        "two elisions", "a\n1\nb\n2\nc\n", "a\n...\nb\n...\nc\n", "A\n...\nB\n...\nC\n", "A\n1\nB\n2\nC\n", path="f.txt"
    ),
    edit(
        "another number of elisions",
        "a\n1\nb\n2\nc\n",
        "a\n...\nb\n...\nc\n",
        "A\n...\nC\n",
        None,
        ("not in the file",),
        path="f.txt",
    ),
    edit("dots at the end of both", "a\n1\nb\n", "a\n...\n", "A\n...\n", "A\n1\nb\n", path="f.txt"),
    edit("a piece is removed", "a\n1\nb\nc\n", "a\n...\nb\nc\n", "a\n...\nc\n", "a\n1\nc\n", path="f.txt"),
    edit(
        "lazy text is not written",
        CLASS,
        "        self.lines = []\n",
        "        self.lines = []\n        # ... existing code ...\n",
        None,
        ("stands for text that you left out", "f.py is unchanged"),
    ),
    edit(
        "a comment that is in the file may stay",
        "# ... rest omitted\na = 1\n",
        "# ... rest omitted\na = 1\n",
        "# ... rest omitted\na = 2\n",
        "# ... rest omitted\na = 2\n",
    ),
]

NUMBERS = [
    edit(
        "our own numbers",
        CLASS,
        "8|         self.path = path\n9|         self.lines = []\n",
        "8|         self.path = path\n9|         self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
        ("line numbers",),
    ),
    edit(
        "numbers in old only",
        CLASS,
        "9|         self.lines = []",
        "        self.lines = [1]",
        swap(CLASS, "lines = []", "lines = [1]"),
    ),
    edit(
        "numbers with a tab",
        CLASS,
        "     9\t        self.lines = []\n",
        "        self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
    ),
    edit(
        "numbers with an arrow",
        CLASS,
        "     8→        self.path = path\n     9→        self.lines = []\n",
        "     8→        self.path = path\n     9→        self.lines = {}\n",
        swap(CLASS, "lines = []", "lines = {}"),
    ),
    edit(
        "numbers with a colon",
        CLASS,
        "8: self.path = path\n9: self.lines = []\n",
        "8: self.path = path\n9: self.lines = {}\n",
        swap(CLASS, "lines = []", "lines = {}"),
    ),
    edit(
        "numbers with an empty line",
        CLASS,
        "9|         self.lines = []\n10|\n11|     def parse(self):\n",
        "9|         self.lines = {}\n10|\n11|     def parse(self):\n",
        swap(CLASS, "lines = []", "lines = {}"),
    ),
    edit(
        "numbers not on each line",
        CLASS,
        "8|         self.path = path\n        self.lines = []\n",
        "        self.lines = {}\n",
        None,
        ("not in the file",),
    ),
    edit(
        "numbers not in a row",
        CLASS,
        "8|         self.path = path\n12|         self.lines = []\n",
        "x = 1\n",
        None,
        ("not in the file",),
    ),
    edit(
        "numbers on some lines of new",
        CLASS,
        "8|         self.path = path\n9|         self.lines = []\n",
        "8|         self.path = path\n        self.lines = {}\n",
        None,
        ("not in the file",),
    ),
    edit("numbers that belong to the text", "1: one\n2: two\n", "1: one", "1: uno", "1: uno\n2: two\n", path="f.yaml"),
    edit(
        "numbers and wrong text",
        CLASS,
        "9|         self.rows = []",
        "9|         self.rows = {}",
        None,
        ("not in the file",),
    ),
]

STALE = [
    edit(
        "a misspelt name",
        CLASS,
        "        self.path = pth\n",
        "        self.path = 1\n",
        None,
        ("old is not in the file", "nearest text", "8|         self.path = path", "next: read f.py with offset"),
    ),
    edit("a word too much", CLASS, "return os.close(self.path, True)", "return 1", None, ("nearest text is line 20",)),
    edit(
        "one line of three differs",
        CLASS,
        "    def close(self):\n        if self.path:\n            return None\n",
        "x\n",
        None,
        ("-old:         if self.path:", "+18|         if not self.path:", " 19|             return None"),
    ),
    edit("nothing like it", CLASS, "SELECT * FROM users", "x", None, ("next: read f.py",)),
    edit("an empty file", "", "a", "b", None, ("not in the file", "empty")),
    edit("done already", "a = 2\n", "a = 1", "a = 2", None, ("new already is", "f.py is unchanged")),
    edit("old and new alike", CLASS, "import os", "import os", None, ("are the same",)),
    edit("old empty", CLASS, "", "import sys\n", None, ("old is empty",)),
    edit("other case", CLASS, "class reader:", "class Writer:", None, ("only upper and lower case differ",)),
    edit("quotes made prettier", "say('it')\n", "say(‘it’)", "say('that')", None, ("typographic quotes",)),
    edit("double quotes made prettier", 'x = "a"\n', "x = “a”", 'x = "b"', None, ("typographic quotes",)),
    edit(
        "quotes of a text made plain",
        "It’s “so”.\n",
        'It\'s "so".',
        "No.",
        None,
        ("the file has typographic",),
        path="f.md",
    ),
    edit("a dash made longer", "a - b\n", "a – b", "c", None, ("typographic quotes, dashes",), path="f.md"),
    edit("hard blanks", "a b\n", "a\u00a0b", "c", None, ("typographic",), path="f.md"),
    edit("escaped newlines", "a = 1\nb = 2\n", "a = 1\\nb = 2", "a = 2", None, ("backslash escapes",)),
    edit("escaped quotes", 'x = "a"\n', 'x = \\"a\\"', "x = 1", None, ("backslash escapes",)),
    edit("escaped tabs", "\trun()\n", "\\trun()", "x", None, ("backslash escapes",), path="f.txt"),
    edit("html entities", "if a < b:\n    pass\n", "if a &lt; b:", "if a > b:", None, ("HTML entities",)),
    edit("another unicode form", "name = 'é'\n", "name = 'e\u0301'", "x = 1", None, ("another Unicode form",)),
    edit("blanks within a line", "x  =  1\n", "x = 1", "x = 2", None, ("only blanks and line ends differ",)),
    edit("joined lines", "f(a,\n  b)\n", "f(a, b)", "g()", None, ("only blanks and line ends differ",)),
    edit(
        "moved code",
        "def b():\n    return 2\n\n\ndef a():\n    return 1\n",
        "def a():\n    return 1\n\n\ndef b():\n    return 2\n",
        "x = 1\n",
        None,
        ("nearest text",),
    ),
    edit("a fence around old", "a = 1\n", "```python\na = 1\n```", "a = 2", None, ("not in the file", "1| a = 1")),
    edit(
        "a block that is in two classes",
        "class A:\n    def f(self):\n        return 1\n\n\nclass B:\n    def f(self):\n        return 1\n",
        "        return 1\n",
        "        return 2\n",
        None,
        ("occurs 2 times (lines 3, 8)", "line 3 in def f in class A", "line 8 in def f in class B"),
    ),
    edit(
        "a repeated line",
        "a\nb\na\nb\n",
        "a\n",
        "c\n",
        None,
        ("occurs 2 times (lines 1, 3)", "next: edit with a line above"),
        path="f.txt",
    ),
    edit(
        "a repeated heading text",
        MARKDOWN,
        "Call `run`.",
        "Call `go`.",
        None,
        ("occurs 2 times", "line 12 in Guide > Use", "line 16 in Guide > Notes"),
        path="f.md",
    ),
    edit("places that overlap", "x\nx\nx\n", "x\nx\n", "y\n", None, ("occurs 2 times",), path="f.txt"),
    edit("a brace alone", JS, "}", "};", None, ("occurs 2 times",), path="f.js"),
    edit(
        "similar by nine tenths",
        "total = compute_sum(values)\n",
        "total = compute_sum(value)\n",
        "total = 0\n",
        None,
        ("not in the file", "compute_sum(values)"),
    ),
    edit(
        "first and last line right, the middle not",
        "def f(a):\n    b = a\n    return b\n",
        "def f(a):\n    b = a + 1\n    return b\n",
        "def f(a):\n    return a\n",
        None,
        ("-old:     b = a + 1", "+2|     b = a"),
    ),
]

GATE = [
    edit(
        "a bracket left open",
        CLASS,
        "self.lines = []",
        "self.lines = [",
        None,
        ("would break the syntax", "f.py is unchanged"),
    ),
    edit(
        "indentation broken",
        CLASS,
        "        self.lines = []\n",
        "      self.lines = []\n",
        None,
        ("would break the syntax",),
    ),
    edit(
        "a body left out",
        CLASS,
        "            if not line:\n                continue\n",
        "            if not line:\n",
        None,
        ("would break",),
    ),
    edit(
        "a broken file may be edited",
        "def f(:\n    pass\n\n\nx = 1\n",
        "x = 1",
        "x = 2",
        "def f(:\n    pass\n\n\nx = 2\n",
    ),
    edit("a broken file is mended", "def f(:\n    pass\n", "def f(:", "def f():", "def f():\n    pass\n"),
    edit(
        "javascript left open",
        JS,
        "  return a - b;\n}\n",
        "  return a - b;\n",
        None,
        ("would break the syntax",),
        path="f.js",
    ),
    edit(
        "json with a comma too many",
        '{"a": 1}\n',
        '{"a": 1}',
        '{"a": 1,}',
        None,
        ("would break the syntax",),
        path="f.json",
    ),
    edit("toml", "a = 1\n", "a = 1", "a = = 1", None, ("would break the syntax",), path="f.toml"),
    edit("a text is not parsed", "a (\n", "a (", "b ((", "b ((\n", path="f.txt"),
    Case(
        "write drops a function",
        "write",
        CLASS,
        {"path": "f.py", "content": "import os\n\n\nclass Reader:\n    pass\n"},
        None,
        ("leaves out", "Reader.__init__", "main", "drops", "f.py is unchanged"),
    ),
    Case(
        "write drops it on purpose",
        "write",
        JS,
        {"path": "f.py", "content": JS.split("\n\n")[0] + "\n", "drops": "sub"},
        JS.split("\n\n")[0] + "\n",
        path="f.js",
    ),
    Case(
        "write drops a heading",
        "write",
        MARKDOWN,
        {"path": "f.md", "content": MARKDOWN.replace("## Notes\n", "")},
        None,
        ("leaves out", "Notes"),
        path="f.md",
    ),
    Case(
        "write with an elision",
        "write",
        CLASS,
        {"path": "f.py", "content": CLASS[:90] + "\n    # ... rest of the class unchanged\n"},
        None,
        ("stands for text that you left out",),
    ),
    Case(
        "write of a file that was not read",
        "write",
        CLASS,
        {"path": "f.py", "content": "x = 1\n"},
        None,
        ("you have not read it", "def main():", "or read f.py and write it again", "f.py is unchanged"),
        read=False,
    ),
    Case(
        "write keeps line ends",
        "write",
        "a = 1\r\nb = 2\r\n",
        {"path": "f.py", "content": "a = 1\nb = 3\n"},
        "a = 1\r\nb = 3\r\n",
    ),
    Case(
        "write keeps the last newline",
        "write",
        "a = 1\nb = 2\n",
        {"path": "f.py", "content": "a = 1\nb = 3"},
        "a = 1\nb = 3\n",
    ),
    Case(
        "write of half a text",
        "write",
        "line\n" * 100,
        {"path": "f.txt", "content": "line\n" * 20},
        None,
        ("the new text has 20 lines, the file has 100",),
        path="f.txt",
    ),
    Case("write of the same text", "write", CLASS, {"path": "f.py", "content": CLASS}, None, ("this very text",)),
]


def patch(name: str, text: str, body: str, after: str | None = None, says: tuple[str, ...] = (), **more: Any) -> Case:
    """A call of ``apply_patch`` with the marks around ``body``."""
    whole = more.pop("whole", f"*** Begin Patch\n{body}*** End Patch\n")
    return Case(name, "apply_patch", text, {"patch": whole}, after, says, **more)


UPDATE = "*** Update File: f.py\n"
PATCHES = [
    patch(
        "an update",
        CLASS,
        UPDATE + "@@ def close(self):\n         if not self.path:\n-            return None\n+            return 1\n"
        "         return os.close(self.path)\n",
        swap(CLASS, "            return None\n", "            return 1\n"),
    ),
    patch(
        "no @@ at all",
        CLASS,
        UPDATE + "-        self.lines = []\n+        self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
    ),
    patch(
        "counts that are wrong",
        CLASS,
        UPDATE + "@@ -99,7 +99,12 @@ def parse(self):\n-        self.lines = []\n+        self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
    ),
    patch(
        "no blank before context",
        CLASS,
        UPDATE + '@@\nclass Reader:\n-    """Reads."""\n+    """Reads all."""\n',
        swap(CLASS, "Reads.", "Reads all."),
    ),
    patch(
        "a blank line of context too many",
        CLASS,
        UPDATE + "@@\n \n-        self.lines = []\n+        self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
    ),
    patch(
        "a fence around it",
        CLASS,
        "",
        swap(CLASS, "lines = []", "lines = [1]"),
        whole="```\n*** Begin Patch\n"
        + UPDATE
        + "-        self.lines = []\n+        self.lines = [1]\n*** End Patch\n```\n",
    ),
    patch(
        "a here-document",
        CLASS,
        "",
        swap(CLASS, "lines = []", "lines = [1]"),
        whole="apply_patch <<'EOF'\n*** Begin Patch\n"
        + UPDATE
        + "-        self.lines = []\n+        self.lines = [1]\n*** End Patch\nEOF\n",
    ),
    patch(
        "no marks around it",
        CLASS,
        "",
        swap(CLASS, "lines = []", "lines = [1]"),
        whole=UPDATE + "@@\n-        self.lines = []\n+        self.lines = [1]\n",
    ),
    patch(
        "a unified diff",
        CLASS,
        "",
        swap(CLASS, "lines = []", "lines = [1]"),
        whole="--- a/f.py\n+++ b/f.py\n@@ -8,2 +8,2 @@\n         self.path = path\n"
        "-        self.lines = []\n+        self.lines = [1]\n",
    ),
    patch(
        "indentation off",
        CLASS,
        UPDATE + "@@\n-    self.lines = []\n+    self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
        ("indentation differed",),
    ),
    patch(
        "context with trailing blanks keeps the file's",
        "a = 1  \nb = 2\n",
        UPDATE + "@@\n a = 1\n-b = 2\n+b = 3\n",
        "a = 1  \nb = 3\n",
    ),
    patch("crlf", "a = 1\r\nb = 2\r\n", UPDATE + "@@\n a = 1\n-b = 2\n+b = 3\n+c = 4\n", "a = 1\r\nb = 3\r\nc = 4\r\n"),
    patch("no newline at the end", "a = 1\nb = 2", UPDATE + "@@\n a = 1\n-b = 2\n+b = 3\n", "a = 1\nb = 3"),
    patch(
        "at the end of the file",
        "a = 1\nb = 2\na = 1\n",
        UPDATE + "@@\n-a = 1\n+a = 2\n*** End of File\n",
        "a = 1\nb = 2\na = 2\n",
    ),
    patch("only new lines at the end", "a = 1\n", UPDATE + "@@\n+b = 2\n*** End of File\n", "a = 1\nb = 2\n"),
    patch(
        "only new lines below an anchor",
        CLASS,
        UPDATE + "@@ import os\n+import sys\n",
        swap(CLASS, "import os\n", "import os\nimport sys\n"),
    ),
    patch(
        "only new lines anywhere", CLASS, UPDATE + "@@\n+import sys\n", None, ("has no context", "f.py is unchanged")
    ),
    patch(
        "two hunks",
        CLASS,
        UPDATE + "@@\n-import os\n+import os, sys\n@@\n-        self.lines = []\n+        self.lines = [1]\n",
        swap(CLASS, "import os\n", "import os, sys\n", "lines = []", "lines = [1]"),
    ),
    patch(
        "the second hunk is stale",
        CLASS,
        UPDATE + "@@\n-import os\n+import sys\n@@\n-        self.rows = []\n+        self.rows = {}\n",
        None,
        ("hunk 2 is not in the file", "nearest text", "f.py is unchanged"),
    ),
    patch(
        "the anchor tells two places apart",
        "class A:\n    x = 1\n\n\nclass B:\n    x = 1\n",
        UPDATE + "@@ class B:\n-    x = 1\n+    x = 2\n",
        "class A:\n    x = 1\n\n\nclass B:\n    x = 2\n",
    ),
    patch(
        "nested anchors",
        "class A:\n    def f(self):\n        return 1\n\n\nclass B:\n    def f(self):\n        return 1\n",
        UPDATE + "@@ class B:\n@@     def f(self):\n-        return 1\n+        return 2\n",
        "class A:\n    def f(self):\n        return 1\n\n\nclass B:\n    def f(self):\n        return 2\n",
    ),
    patch(
        "two places and no anchor",
        "class A:\n    x = 1\n\n\nclass B:\n    x = 1\n",
        UPDATE + "@@\n-    x = 1\n+    x = 2\n",
        None,
        ("fits 2 places (lines 2, 6)", "in class B"),
    ),
    patch(
        "order tells the second place",
        "x = 1\ny = 1\nx = 1\n",
        UPDATE + "@@\n-y = 1\n+y = 2\n@@\n-x = 1\n+x = 2\n",
        "x = 1\ny = 2\nx = 2\n",
    ),
    patch(
        "a wrong anchor for a text that is unique",
        CLASS,
        UPDATE + "@@ def nowhere():\n-        self.lines = []\n+        self.lines = [1]\n",
        swap(CLASS, "lines = []", "lines = [1]"),
    ),
    patch("nothing changes", CLASS, UPDATE + "@@\n import os\n", None, ("changes nothing",)),
    patch("done already", "a = 2\n", UPDATE + "@@\n-a = 1\n+a = 2\n", None, ("seems to be done",)),
    patch(
        "a new file",
        CLASS,
        "*** Add File: new/g.py\n+x = 1\n+y = 2\n",
        CLASS,
        others_after={"new/g.py": "x = 1\ny = 2\n"},
    ),
    patch(
        "a new file without plus signs",
        CLASS,
        "*** Add File: g.py\nx = 1\ny = 2\n",
        CLASS,
        others_after={"g.py": "x = 1\ny = 2\n"},
    ),
    patch(
        "a new file with some plus signs",
        CLASS,
        "*** Add File: g.py\n+x = 1\ny = 2\n",
        None,
        ("some lines",),
        others_after={"g.py": None},
    ),
    patch(
        "a new file that is there",
        CLASS,
        "*** Add File: f.py\n+x = 1\n",
        None,
        ("is there already", "*** Update File: f.py"),
    ),
    patch(
        "a deleted file",
        CLASS,
        "*** Delete File: g.py\n",
        CLASS,
        ("deleted g.py",),
        others={"g.py": "x = 1\n"},
        others_after={"g.py": None},
    ),
    patch("a deleted file that is not there", CLASS, "*** Delete File: g.py\n", None, ("does not exist",)),
    patch(
        "a moved file",
        "a = 1\n",
        UPDATE + "*** Move to: g.py\n@@\n-a = 1\n+a = 2\n",
        None,
        ("moved f.py to g.py",),
        others_after={"f.py": None, "g.py": "a = 2\n"},
    ),
    patch(
        "moved onto another",
        "a = 1\n",
        UPDATE + "*** Move to: g.py\n",
        None,
        ("is there already",),
        others={"g.py": "x = 1\n"},
        others_after={"g.py": "x = 1\n"},
    ),
    patch(
        "several files, one is stale",
        CLASS,
        UPDATE + "@@\n-import os\n+import sys\n*** Update File: g.py\n@@\n-y = 1\n+y = 2\n",
        None,
        ("g.py: the hunk is not in the file", "no file was changed"),
        others={"g.py": "x = 1\n"},
        others_after={"g.py": "x = 1\n"},
    ),
    patch("prose instead of a patch", CLASS, "", None, ("a patch begins with",), whole="Replace the import.\n"),
    patch("breaks the syntax", CLASS, UPDATE + "@@\n-import os\n+import os (\n", None, ("would break the syntax",)),
    patch(
        "markdown with a rule",
        MARKDOWN,
        "*** Update File: f.md\n@@ ## Use\n-Call `run`.\n+Call `go`.\n",
        None,
        ("fits 2 places",),
        path="f.md",
    ),
]

OTHERS = [
    Case(
        "multi: two files",
        "multi_edit",
        "a = 1\n",
        {"edits": [{"path": "f.py", "old": "a = 1", "new": "a = 2"}, {"path": "g.py", "old": "b = 1", "new": "b = 2"}]},
        "a = 2\n",
        ("edited f.py", "edited g.py"),
        others={"g.py": "b = 1\n"},
        others_after={"g.py": "b = 2\n"},
    ),
    Case(
        "multi: one after the other",
        "multi_edit",
        "a = 1\n",
        {"edits": [{"path": "f.py", "old": "a = 1", "new": "b = 1"}, {"path": "f.py", "old": "b = 1", "new": "b = 2"}]},
        "b = 2\n",
    ),
    Case(
        "multi: one does not apply",
        "multi_edit",
        "a = 1\nb = 2\n",
        {"edits": [{"path": "f.py", "old": "a = 1", "new": "a = 2"}, {"path": "f.py", "old": "c = 1", "new": "c = 2"}]},
        None,
        ("1 of 2 edits", "edit 2 (f.py)", "none was made", "the others apply", "f.py is unchanged"),
    ),
    Case("multi: none", "multi_edit", "a = 1\n", {"edits": []}, None, ("there is no edit",)),
    Case(
        "blocks: one",
        "search_replace",
        "a = 1\n",
        {"blocks": "f.py\n<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n"},
        "a = 2\n",
    ),
    Case(
        "blocks: the path as a parameter",
        "search_replace",
        "a = 1\n",
        {"path": "f.py", "blocks": "<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE"},
        "a = 2\n",
    ),
    Case(
        "blocks: the path in a fence",
        "search_replace",
        "a = 1\n",
        {"blocks": "`f.py`\n```python\n<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n```\n"},
        "a = 2\n",
    ),
    Case(
        "blocks: a new file",
        "search_replace",
        "a = 1\n",
        {"blocks": "g.py\n<<<<<<< SEARCH\n=======\nb = 1\n>>>>>>> REPLACE\n"},
        "a = 1\n",
        others_after={"g.py": "b = 1\n"},
    ),
    Case(
        "blocks: no end",
        "search_replace",
        "a = 1\n",
        {"blocks": "f.py\n<<<<<<< SEARCH\na = 1\n=======\na = 2\n"},
        None,
        ("has no end",),
    ),
    Case(
        "blocks: two dividers",
        "search_replace",
        "T\n=======\nx\n",
        {"path": "f.py", "blocks": "<<<<<<< SEARCH\nT\n=======\nx\n=======\ny\n>>>>>>> REPLACE\n"},
        None,
        ("more than one =======",),
        path="f.md",
    ),
    Case(
        "blocks: no path",
        "search_replace",
        "a = 1\n",
        {"blocks": "Here it is:\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"},
        None,
        ("names no file",),
    ),
    Case(
        "lines: replaced",
        "replace_lines",
        "a\nb\nc\n",
        {"path": "f.txt", "first": 2, "last": 2, "new": "B\nBB\n"},
        "a\nB\nBB\nc\n",
        path="f.txt",
    ),
    Case(
        "lines: put before",
        "replace_lines",
        "a\nb\n",
        {"path": "f.txt", "first": 2, "last": 1, "new": "x"},
        "a\nx\nb\n",
        path="f.txt",
    ),
    Case(
        "lines: removed",
        "replace_lines",
        "a\nb\nc",
        {"path": "f.txt", "first": 2, "last": 3, "new": ""},
        "a",
        path="f.txt",
    ),
    Case(
        "lines: echoed numbers",
        "replace_lines",
        "a\nb\nc\n",
        {"path": "f.txt", "first": 1, "last": 2, "new": "1| x\n2| y\n"},
        "x\ny\nc\n",
        ("line numbers in new were left out",),
        path="f.txt",
    ),
    Case(
        "lines: beyond the end",
        "replace_lines",
        "a\nb\n",
        {"path": "f.txt", "first": 2, "last": 9, "new": "x"},
        None,
        ("the file has 2",),
        path="f.txt",
    ),
    Case(
        "lines: not read",
        "replace_lines",
        "a\nb\n",
        {"path": "f.txt", "first": 1, "last": 1, "new": "x"},
        None,
        ("you have not read the file", "1| a"),
        path="f.txt",
        read=False,
    ),
    Case(
        "symbol: a method",
        "replace_symbol",
        CLASS,
        {"path": "f.py", "name": "Reader.close", "new": "def close(self):\n    return 1\n"},
        swap(
            CLASS,
            "        if not self.path:\n            return None\n        return os.close(self.path)\n",
            "        return 1\n",
        ),
    ),
    Case(
        "symbol: a decorator stays",
        "replace_symbol",
        "@cached\ndef f():\n    return 1\n",
        {"path": "f.py", "name": "f", "new": "def f():\n    return 2"},
        "@cached\ndef f():\n    return 2\n",
        ("kept above it: @cached",),
    ),
    Case(
        "symbol: a decorator goes",
        "replace_symbol",
        "@cached\ndef f():\n    return 1\n",
        {"path": "f.py", "name": "f", "new": "@once\ndef f():\n    return 2"},
        "@once\ndef f():\n    return 2\n",
    ),
    Case(
        "symbol: not there",
        "replace_symbol",
        CLASS,
        {"path": "f.py", "name": "read", "new": "def read(): pass"},
        None,
        ("defines no read", "Reader.parse"),
    ),
    Case(
        "symbol: several",
        "replace_symbol",
        "class A:\n    def f(self): pass\n\n\nclass B:\n    def f(self): pass\n",
        {"path": "f.py", "name": "f", "new": "def f(self): return 1"},
        None,
        ("2 times", "A.f", "B.f"),
    ),
    Case(
        "symbol: another definition",
        "replace_symbol",
        CLASS,
        {"path": "f.py", "name": "main", "new": "def start():\n    pass\n"},
        None,
        ("does not define main",),
    ),
]

TWO = "def foo():\n    a = 1\n    return res\n\n\ndef bar():\n    a = 3\n    return result\n"
PATCH = "*** Begin Patch\n*** Update File: f.py\n@@\n-    return res\n+    return 0\n*** End Patch"
ESCAPED = json.dumps(PATCH)[1:-1]

WRAPPED = [
    Case(f"patch: {name}", "apply_patch", TWO, {"patch": patch}, swap(TWO, "    return res\n", "    return 0\n"))
    for name, patch in {
        "moved to the right": "  " + PATCH.replace("\n", "\n  "),
        "escaped once more": ESCAPED,
        "in JSON": json.dumps({"input": PATCH}),
        "a command and its words": json.dumps(["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF"]),
        "quoted for a shell": f'apply_patch "{PATCH}"',
        "behind another command": f"cd /repo && apply_patch <<'PATCH'\n{PATCH}\nPATCH\n",
        "words around it": f"Here is the patch:\n\n{PATCH}\n\nIt returns 0 now.",
        "context without its signs": PATCH.replace("@@\n", "@@\ndef foo():\n    a = 1\n"),
    }.items()
]
UNWRAPPED = [
    Case(
        "patch: a text that tells of patches",
        "apply_patch",
        "one\ntwo\n",
        {"patch": "*** Update File: f.txt\n@@\n one\n-two\n+*** Begin Patch\n*** End Patch"},
        "one\n*** Begin Patch\n",
        path="f.txt",
    ),
    Case(
        "patch: several places",
        "apply_patch",
        "x = 1\ny = 2\nx = 1\n",
        {"patch": PATCH.replace("    return res", "x = 1").replace("    return 0", "x = 2")},
        None,
        ("next: apply_patch with a line above or below in the hunk",),
    ),
]

YAML = "services:\n  web:\n    image: a\n  db:\n    image: b\n"

UNSURE = [
    edit(
        "lines that may be meant further right",
        YAML,
        "image: b",
        "image: c\nports:\n  - 80",
        None,
        ("line 5 of the file is indented", "line 2 of new", "old beginning with '    '"),
        path="f.yaml",
    ),
    edit(
        "the same with its indentation",
        YAML,
        "    image: b",
        "    image: c\n    ports:\n      - 80",
        YAML.replace("    image: b", "    image: c\n    ports:\n      - 80"),
        path="f.yaml",
    ),
    edit(
        "a statement that would leave its function",
        "def f():\n    x = 0\n",
        "x = 0",
        "x = 1\ny = 2",
        None,
        ("line 2 of the file is indented",),
    ),
    edit(
        "lines that stand where the file's do",
        "def f():\n    x = 0\n",
        "x = 0",
        "x = 1\n    y = 2",
        "def f():\n    x = 1\n    y = 2\n",
    ),
    edit("a list of Markdown", "- a\n  - b\n- c\n", "- b", "- b\n- d", None, ("line 2 of the file",), path="f.md"),
    edit("the end of a whole line", "A=1\nB=2\n", "A=1\n", "A=3", None, ("two lines would be joined",), path=".env"),
    edit(
        "a here-document keeps its place",
        "f() {\n  if true; then\n    echo 1\n  fi\n}\n",
        "if true; then\n  echo 1\nfi",
        "if true; then\n  cat <<EOF\nhi\nEOF\nfi",
        "f() {\n  if true; then\n    cat <<EOF\nhi\nEOF\n  fi\n}\n",
        path="f.sh",
    ),
    Case(
        "symbol: a string at the left edge keeps its place",
        "replace_symbol",
        "class A:\n    def f(self):\n        return 1\n",
        {
            "path": "f.py",
            "name": "A.f",
            "new": 'def f(self):\n    """Doc.\n\n    More.\n    """\n    return """\nSELECT\n"""',
        },
        'class A:\n    def f(self):\n        """Doc.\n\n        More.\n        """\n        return """\nSELECT\n"""\n',
    ),
    edit(
        "a line that new brings along",
        "class A:\n    @property\n    def x(self):\n        return 1\n",
        "    def x(self):\n        return 1",
        "    @property\n    def x(self):\n        return 2",
        "class A:\n    @property\n    @property\n    def x(self):\n        return 2\n",
        ("the first line of new is there twice now: @property",),
    ),
    edit(
        "a line below that new brings along",
        "a()\nb()\nclose_it()\n",
        "b()\n",
        "c()\nclose_it()\n",
        "a()\nc()\nclose_it()\nclose_it()\n",
        ("the last line of new is there twice now: close_it()",),
    ),
    edit("two lines made one", "a\nb\n", "a\n", "a", "ab\n", path="f.txt"),
    edit("the end of a list joined", "[1,\n2]\n", ",\n", ", ", "[1, 2]\n", path="f.txt"),
    edit("a continued line joined", "a \\\nb\n", "a \\\n", "a ", "a b\n", path="f.txt"),
    edit(
        "an elision that runs into another function",
        TWO,
        "def foo():\n    a = 1\n    ...\n    return result",
        "def foo():\n    a = 2\n    ...\n    return result + 1",
        None,
        ("old is not in the file",),
    ),
    edit(
        "an elision within the function",
        TWO,
        "def bar():\n    ...\n    return result",
        "def bar():\n    ...\n    return result + 1",
        swap(TWO, "return result", "return result + 1"),
    ),
    edit(
        "an elision over functions that says so",
        TWO,
        "    a = 1\n...\ndef bar():\n    a = 3",
        "    a = 2\n...\ndef bar():\n    a = 4",
        swap(TWO, "a = 1", "a = 2", "a = 3", "a = 4"),
    ),
    edit(
        "an elision in CRLF",
        TWO.replace("\n", "\r\n"),
        "def bar():\n    ...\n    return result",
        "def bar():\n    ...\n    return result + 1",
        swap(TWO, "return result", "return result + 1").replace("\n", "\r\n"),
    ),
    edit(
        "dots for statements in new alone",
        "def f():\n    a()\n    b()\n    return 1\n",
        "    a()\n    b()\n    return 1\n",
        "    a()\n    ...\n    return 2\n",
        None,
        ("'...' stands for text",),
    ),
    edit("dots that are a body", "def f():\n    a()\n", "    a()\n", "    ...\n", "def f():\n    ...\n"),
    edit(
        "another line that is like new",
        "def f():\n    foo(2)\n    return None\n",
        "    foo(1)\n",
        "    return None\n",
        None,
        ("nearest text is line 2",),
    ),
    edit("done before", "x = 2\ny = 1\n", "x = 1\n", "x = 2\n", None, ("already is", "lines 1-1")),
    edit(
        "blanks for the tab of a recipe",
        "test:\n\tpytest\n",
        "\tpytest",
        "    pytest -q",
        None,
        ("a recipe begins with a tab",),
        path="Makefile",
    ),
    edit(
        "a recipe",
        "test:\n\tpytest\n",
        "\tpytest",
        "\tpytest -q",
        "test:\n\tpytest -q\n",
        path="Makefile",
    ),
    Case(
        "patch: a hunk that is in another function than it says",
        "apply_patch",
        TWO,
        {"patch": "*** Update File: f.py\n@@ def bar():\n-    return res\n+    return 0\n"},
        None,
        ("fits line 3, which is not in 'def bar():'", "line 3 in def foo"),
    ),
    Case(
        "patch: an anchor of a unified diff only says what stood above",
        "apply_patch",
        TWO,
        {"patch": "*** Update File: f.py\n@@ -6,3 +6,3 @@ def foo():\n-    return result\n+    return 0\n"},
        swap(TWO, "return result", "return 0"),
    ),
    Case(
        "symbol: a comment alone takes no decorator away",
        "replace_symbol",
        "class A:\n    @property\n    def x(self):\n        return 1\n",
        {"path": "f.py", "name": "A.x", "new": "# faster\ndef x(self):\n    return 2"},
        "class A:\n    @property\n    # faster\n    def x(self):\n        return 2\n",
        ("kept above it: @property",),
    ),
    Case(
        "write gives a function another name",
        "write",
        TWO,
        {"path": "f.py", "content": TWO.replace("foo", "start")},
        TWO.replace("foo", "start"),
    ),
    Case(
        "blocks: several places",
        "search_replace",
        "x = 1\nx = 1\n",
        {"path": "f.py", "blocks": "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"},
        None,
        ("add a line around it\n",),
    ),
]

CASES = [
    *EXACT,
    *UNSURE,
    *WRAPPED,
    *UNWRAPPED,
    *ENDS,
    *INDENT,
    *BLANK,
    *ELISION,
    *NUMBERS,
    *STALE,
    *GATE,
    *PATCHES,
    *OTHERS,
]
