"""What a change must not do unasked."""

import ast
import re

import pytest

from hearth.workspace import syntax
from hearth.workspace.edits.gate import (
    LARGEST_PARSED,
    check_left_out,
    check_whole,
    find_broken,
    find_dropped,
    find_lazy,
)


@pytest.mark.parametrize(
    "line",
    [
        "# ... rest of the code unchanged",
        "    // ... existing code ...",
        "/* ... remaining methods ... */",
        "# rest of the file",
        "<!-- ... other content ... -->",
        "-- ... same as before",
        "    # … unchanged …",
        "[... rest of the document ...]",
        "[rest of the document unchanged]",
        "// existing code here",
        "# keep the existing imports ...",
    ],
)
def test_a_line_that_stands_for_text_is_found(line: str) -> None:
    assert find_lazy(f"a = 1\n{line}\nb = 2\n", "a = 1\n") == line.strip()
    assert find_lazy(f"{line}\n", f"x\n  {line}\n") == ""


@pytest.mark.parametrize(
    "line",
    [
        "    ...",
        "return {...rest, a: 1}",
        "first, *rest = values",
        "(rest)",
        "# the existing users keep their names",
        "for (const item of rest) {",
        "## Existing code",
        "Wait... the rest is silence.",
        "# more tests follow in the other file",
        "print('loading...')",
        "<rest />",
    ],
)
def test_a_line_that_stands_for_itself_is_not(line: str) -> None:
    assert find_lazy(f"a = 1\n{line}\n", "") == ""


def test_what_moved_is_not_dropped_and_what_is_in_a_dropped_one_is_not_named() -> None:
    before = "class A:\n    def f(self): pass\n    def g(self): pass\n\n\ndef h(): pass\n\n\nx = 1\n"
    assert find_dropped(syntax, "f.py", before, "def f(): pass\n") == ("A", "h")
    assert find_dropped(syntax, "f.py", before, before.replace("x = 1", "")) == ()
    assert find_dropped(syntax, "f.py", before, before.replace("g(self): pass", "k(self, x): return x")) == ("A.g",)


def test_what_only_has_another_name_is_not_dropped() -> None:
    before = (
        "def old_name(path):\n    data = load(path)\n    return old_name(data)\n\n\nclass Box:\n    x = 1\n    y = 2\n"
    )
    after = before.replace("old_name", "read_all").replace("Box", "Chest").replace("x = 1", "x: int = 1")
    assert find_dropped(syntax, "f.py", before, after) == ()
    assert find_dropped(syntax, "f.py", before, "def read_all(path):\n    return path\n") == ("old_name", "Box")


@pytest.mark.parametrize(
    ("path", "changed", "lazy"),
    [
        ("f.py", "def f():\n    a()\n    ...\n    return 2\n", True),
        ("f.py", "class A:\n    ...\n    def f(self):\n        return 2\n", True),
        ("f.py", "def f():\n    # ...\n    return 2\n", True),
        ("f.js", "function f() {\n  // ...\n}\n", True),
        ("f.js", "function f() {\n  ...\n}\n", True),
        ("f.c", "int f() {\n  a();\n  ...\n}\n", True),
        ("f.py", 'class P(Protocol):\n    def f(self) -> int:\n        """Says."""\n        ...\n', False),
        ("f.py", 'def f():\n    """\n    >>> f()\n    ...\n    """\n    return 2\n', False),
        ("f.pyi", "def f(x: int) -> int: ...\n", False),
        ("f.md", "Words\n\n...\n\n```py\n# ... existing code ...\n```\n", False),
        ("f.md", "<!-- the rest of the document is unchanged ... -->\n", True),
        ("f.yaml", "a: 1\n...\n", False),
        ("f.txt", "...\n", False),
    ],
)
def test_text_that_was_left_out(path: str, changed: str, lazy: bool) -> None:
    refused = check_left_out(syntax, path, changed, "", changed)
    assert bool(refused) is lazy
    assert check_left_out(syntax, path, changed, changed, changed) is None


def test_names_may_be_given_short_or_whole() -> None:
    before, after = "class A:\n    def f(self): pass\n    def g(self): pass\n", "class A:\n    x = 1\n"
    for drops, left in (("A.f, A.g", ""), ("f,g", ""), ("f", "A.g"), ("", "A.f, A.g")):
        refused = check_whole(syntax, "f.py", before, after, drops)
        assert (refused.reason if refused else "") == (f"the new text leaves out {left}" if left else "")


def test_of_a_large_text_the_part_that_changed_is_parsed() -> None:
    block = "def f():\n    a = 1\n    return a\n\n\n"
    before = block * (LARGEST_PARSED // len(block) + 10)
    middle = before.index("    a = 1", len(before) // 2)
    broken = before[:middle] + "    a = (" + before[middle + 9 :]
    refused = find_broken(syntax, "f.py", before, broken)
    assert refused is not None
    line = before.count("\n", 0, middle) + 1
    assert line <= refused.region[0] <= line + 4
    assert find_broken(syntax, "f.py", before, before[:middle] + "    a = 2" + before[middle + 9 :]) is None
    # An error elsewhere was there before.
    assert find_broken(syntax, "f.py", "def (:\n" + before, "def (:\n" + before.replace("a = 1", "a = 3")) is None


@pytest.mark.parametrize(
    ("path", "before"),
    [
        ("f.md", '# Guide\n\nText.\n\n## Install, run and test\n\nText.\n\n## `x`, v1.2 "new"\n'),
        ("f.css", ".a, .b > i {\n  color: red;\n}\n\n@media print {\n  p { a: b }\n}\n"),
        ("f.py", "def f():\n    return 1\n\n\nclass A:\n    def g(self):\n        return 1\n"),
        ("f.toml", "[a]\nx = 1\n\n[[b.c]]\ny = 1\n"),
    ],
)
def test_what_a_refusal_says_to_add_lets_the_text_pass(path: str, before: str) -> None:
    refused = check_whole(syntax, path, before, "\n", "")
    assert refused
    said = re.search(r"add drops: (.*) if they", refused.detail)
    assert said
    assert check_whole(syntax, path, before, "\n", ast.literal_eval(said[1])) is None
    assert check_whole(syntax, path, before, "\n", said[1].strip("'")) is None


def test_of_very_many_the_names_are_not_asked_for() -> None:
    before = "".join(f"def f{number}():\n    return 1\n\n\n" for number in range(30))
    refused = check_whole(syntax, "f.py", before, "x = 1\n", "")
    assert refused
    assert "remove the file with bash first" in refused.detail
