"""Whatever the text: no exception, the same answer twice, and places that are in the text."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hearth.workspace.syntax import enclosing, find_errors, find_new_errors, list_definitions, outline

PATHS = [
    *("a.py", "a.js", "a.ts", "a.tsx", "a.go", "a.rs", "A.java", "a.c", "a.cpp", "a.cs", "a.rb", "a.php", "a.kt"),
    *("a.scala", "a.swift", "a.lua", "a.zig", "a.sh", "a.css", "a.html", "a.yml", "a.toml", "a.json", "tsconfig.json"),
    *("a.md", "a.txt"),
]
WORDS = [
    *(
        "def",
        "class",
        "function",
        "fn",
        "func",
        "impl",
        "struct",
        "namespace",
        "type",
        "if",
        "end",
        "return",
        "x",
        "Ab",
    ),
    *("(", ")", "{", "}", "[", "]", "<", ">", ";", ":", ",", ".", "=", "=>", "->", "::", "@", "#", "//", "/*", "*/"),
    *("'", '"', "`", "${", "\\", "\n", "\n  ", "\n\t", "\r\n", "\r", "\f", "1", "ä", "𝒳", "\ud800", "\0", "\ufeff"),
    *("---", "# ", "```", "<?php ", "===", "*", "&", "|", "!", "\u2028"),
]
DEADLY = re.compile(r"\{.*[^\x00-\uffff]", re.DOTALL)
"""What the grammar of bash may die of, and with it the process (see test_syntax_reader): not asked of it here."""
texts = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))


@pytest.mark.parametrize("path", PATHS)
@given(text=texts, line=st.integers(-3, 40))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_read(path: str, text: str, line: int) -> None:
    assume(path != "a.sh" or not DEADLY.search(text))
    problems = find_errors(path, text)
    assert problems == find_errors(path, text)
    count = text.count("\n") + 1
    assert all(1 <= problem.line <= count and problem.column >= 1 and problem.what for problem in problems)
    found = outline(path, text)
    assert found == outline(path, text)
    assert found.definitions == list_definitions(path, text)
    for each in found.definitions:
        assert 1 <= each.first_line <= each.head_line <= each.last_line <= count
        assert each.name
    enclosing(path, text, line)


@pytest.mark.parametrize("path", PATHS)
@given(before=texts, after=texts)
@settings(max_examples=20, deadline=None)
def test_a_text_breaks_nothing_in_itself(path: str, before: str, after: str) -> None:
    assume(path != "a.sh" or not (DEADLY.search(before) or DEADLY.search(after)))
    assert find_new_errors(path, before, before) == ()
    assert set(find_new_errors(path, before, after)) <= set(find_errors(path, after))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_a_text_that_repeats_itself_ends(path: str) -> None:
    for word in ("(", "- * ", "{ a : ", "a<b, ", "x\n", "'", "#"):
        text = word * 2_000
        find_errors(path, text)
        list_definitions(path, text)
