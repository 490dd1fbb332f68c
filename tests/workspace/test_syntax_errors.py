"""Mistakes: found where they are, and none found where there is none."""

from __future__ import annotations

import pytest

from hearth.workspace.syntax import LARGEST_CHECKED, SyntaxProblem, find_errors, find_new_errors

RIGHT = [
    ("a.py", "def f():\n    return 1\n"),
    ("a.py", "\ufeffx = 1\r\n"),
    ("a.py", "x = 1 is 1\n"),
    ("a.py", "type X = int\nclass A[T]:\n    def f[U](self, x: U) -> U: ...\n"),
    ("a.py", "x = f'{d['a']} {\"\\n\".join(y)}'\n"),
    ("a.pyi", "def f(x: int) -> str: ...\n"),
    ("a.js", "const r = /[{(]/; const s = `a${b}{`;\n"),
    ("a.jsx", "const a = <div className='x'>{b}</div>;\n"),
    ("a.ts", "export const a = <T,>(x: T): T => x satisfies T;\n"),
    ("a.d.ts", "declare const x: number;\nexport default x;\n"),
    ("a.go", "package a\nfunc f[T any](x []T) {}\n"),
    ("a.rs", "fn f<'a>(x: &'a str) -> char { '{' }\n"),
    ("A.java", "class A { char c = '{'; String s = \"}\"; }\n"),
    ("a.c", "FOO_DECLARE(x)\nint f(void) { return '{'; }\n"),
    ("a.cpp", "auto f = [=](int x) [[likely]] { return x; };\nBOOST_THING(a, b)\n"),
    ("a.cs", 'class A { string s = $"{x}{{"; }\n'),
    ("a.rb", 'x = %w[a b]\nputs "#{x}"\n'),
    ("a.php", '<?php\n$a = "{$b}";\n?>\n<p>text</p>\n'),
    ("a.sh", "case $a in\n  x) ls;;\nesac\n"),
    ("a.html", "<p>one<p>two<br>\n"),
    ("a.css", "a { color: red; } @media (x) { b { c: d } }\n"),
    ("a.yml", "a: [1, 2]\nb:\n  - c: {{ template }}\n"),
    ("a.toml", "a = 1\n[b]\nc = [1,\n 2]\n"),
    ("a.json", '{"a": [1, 2]}'),
    ("tsconfig.json", '{ // why\n "a": "//no", /* b */ "c": [1, 2,], }'),
    (".vscode/settings.json", "{\n// x\n}"),
    ("a.md", "# any\n```\n("),
    ("a.unknown", "((("),
    ("a.kt", "class A {\n    companion object {\n        const val X = 1\n    }\n}\n"),
    ("a.lua", "local function f(a) return a end\n"),
    (
        "Makefile",
        "A = 1\nB := \\\n    x \\\n    y\nifeq ($(A),1)\n    C = 2\nendif\nall: a b\n\ttouch all\n    D = 3\n",
    ),
    ("Makefile", "define RUN\n    echo x\nendef\nall:\n\t$(RUN)\n\n# words\n    # more\n%.o: %.c ; cc -c $<\n"),
    ("Makefile", ".RECIPEPREFIX = >\nall:\n> echo\n    x\n"),
    ("a.ipynb", '{"cells": []}'),
    ("a.py", ""),
]


@pytest.mark.parametrize(("path", "text"), RIGHT)
def test_what_is_right_has_no_errors(path: str, text: str) -> None:
    assert find_errors(path, text) == ()


WRONG = [
    ("Makefile", "all:\n    echo x\n", 2, 1, "a recipe begins with a tab, not with blanks"),
    ("a.mk", "all: b\n\ttouch b\n    pytest --cov=src\n", 3, 1, "a recipe begins with a tab, not with blanks"),
    ("a.ipynb", '{"cells": [}', 1, 12, "Expecting value"),
    ("a.py", "def f():\nreturn 1\n", 2, 1, "expected an indented block after function definition on line 1"),
    ("a.py", "x = (1,\ny = 2\n", 1, 5, "'(' was never closed"),
    ("a.py", "return 1\n", 1, 1, "'return' outside function"),
    ("a.py", "ab\0c", 1, 3, "a NUL byte"),
    ("a.js", "class A {\n  f() {\n    if (x) {\n      y();\n  }\n}\n", 3, 12, "'{' is never closed"),
    ("a.js", "foo(1, 2;\n", 1, 4, "'(' is never closed"),
    ("a.js", "f();\n}\n", 2, 1, "unexpected '}': nothing is open that it could close"),
    ("a.ts", "interface A { x: }\n", 1, 16, "unexpected ':'"),
    ("a.go", "package a\nfunc f() {\n\tx := [\n}\n", 4, 1, "unexpected '}': the '[' of line 3 is still open"),
    ("a.rs", "fn f() {\n", 1, 8, "'{' is never closed"),
    ("A.java", "class A { void f() { int x = 1 } }\n", 1, 31, "missing ';'"),
    ("a.c", "int f() {\n  if (x) {\n  return 1;\n}\n", 2, 10, "'{' is never closed"),
    ("a.cpp", "void f() { g((1); }\n", 1, 19, "unexpected '}': the '(' of line 1 is still open"),
    ("a.cs", "class A {\n  void F() {\n}\n", 2, 12, "'{' is never closed"),
    ("a.php", "<?php\nfunction f( { }\n", 2, 11, "'(' is never closed"),
    ("a.swift", "func f() {\n let x = (1\n}\n", 3, 1, "unexpected '}': the '(' of line 2 is still open"),
    ("a.sh", "if x; then\n  y\n", 3, 1, "missing 'fi'"),
    ("a.css", "a { color: red\nb { }\n", 1, 3, "'{' is never closed"),
    ("a.lua", "function f( return end", 1, 19, "missing ')'"),
    ("a.yml", "a: [1\nb: 2\n", 1, 4, "unexpected '['"),
    ("a.json", '{"ä": 1,\n "b" 2}', 2, 6, "Expecting ':' delimiter"),
    ("a.json", '{"a": 1, // no\n}', 1, 10, "Expecting property name enclosed in double quotes"),
    ("a.toml", "ok = 1\na = \n", 2, 5, "Invalid value"),
]


@pytest.mark.parametrize(("path", "text", "line", "column", "what"), WRONG)
def test_a_mistake_is_told_with_its_place(path: str, text: str, line: int, column: int, what: str) -> None:
    assert find_errors(path, text)[0] == SyntaxProblem(line, column, what)


def test_a_column_counts_characters() -> None:
    (found,) = find_errors("a.js", "let ä = 'ü' + (1;\n")
    assert (found.line, found.column) == (1, 15)


NEW = [
    # A right edit, and one that mends.
    ("a.py", "x = 1\n", "x = 2\n", False),
    ("a.py", "x = (\n", "x = 2\n", False),
    # One that breaks what was whole, and one that breaks what was broken elsewhere.
    ("a.py", "x = 1\n", "x = (\n", True),
    ("a.js", "f(1)\n\n\n\ng(2)\n", "f(1)\n\n\n\ng(2\n", True),
    ("a.py", "print 'x'\n\n\n\n\n\ndef f(): pass\n", "print 'x'\n\n\n\n\n\ndef f(: pass\n", True),
    # One that leaves a broken file as broken as it was.
    ("a.py", "x = (\n\ny = 1\n", "x = (\n\ny = 2\n", False),
    ("a.py", "print 'x'\n\ndef f(): pass\n", "print 'y'\n\ndef f(): return 1\n", False),
    # Of two mistakes one is mended: the other becomes the first that is told.
    ("a.py", "def f(:\n    pass\n\n\n\n\n\n\nx = = 2\n", "def f():\n    pass\n\n\n\n\n\n\nx = = 2\n", False),
    ("a.txt", "(", "((", False),
    ("a.json", "{", "{}", False),
    ("a.json", "{}", "{", True),
]


@pytest.mark.parametrize(("path", "before", "after", "broken"), NEW)
def test_only_what_an_edit_breaks_counts(path: str, before: str, after: str, broken: bool) -> None:
    assert bool(find_new_errors(path, before, after)) is broken


def test_what_is_too_large_has_no_known_errors() -> None:
    assert find_errors("a.py", "(" * (LARGEST_CHECKED + 1)) == ()
