"""What each language defines, on which lines, and what encloses a line."""

from __future__ import annotations

from textwrap import dedent

import pytest

from hearth.workspace.syntax import enclosing, language_of, list_definitions, list_references, outline

PYTHON = """\
#!/usr/bin/env python
import os

LIMIT = 10


# Reads things.
# Twice.
@decorated
@twice(1)
class Reader(Base):
    # Of one.
    @property
    def size(self) -> int:
        return 1

    async def parse(self, text):
        def inner():
            pass
        return inner
        # the end


if os.name:
    def late(): ...  # here

x, y = 1, 2
"""

CASES: dict[str, tuple[str, list[tuple[str, str, int, int]]]] = {
    "a.py": (
        PYTHON,
        [
            ("variable", "LIMIT", 4, 4),
            ("class", "Reader", 7, 21),
            ("method", "Reader.size", 12, 15),
            ("method", "Reader.parse", 17, 21),
            ("function", "Reader.parse.inner", 18, 19),
            ("function", "late", 25, 25),
        ],
    ),
    "a.js": (
        """\
        /** Doc. */
        export default class Reader {
          static parse(text) { return text }
          #own() {}
          handle = () => 1
        }
        const limit = 3
        export const go = async (a) => a
        function* all() {}
        module.exports.late = function () {}
        Reader.prototype.old = function () {}
        """,
        [
            ("class", "Reader", 1, 6),
            ("method", "Reader.parse", 3, 3),
            ("method", "Reader.#own", 4, 4),
            ("method", "Reader.handle", 5, 5),
            ("variable", "limit", 7, 7),
            ("function", "go", 8, 8),
            ("function", "all", 9, 9),
            ("function", "late", 10, 10),
            ("function", "Reader.old", 11, 11),
        ],
    ),
    "a.ts": (
        """\
        // What reads.
        export interface Reader<T> {
          read(): T
        }
        export abstract class Base {
          abstract close(): void
        }
        type Id = string
        enum Kind { A }
        namespace Inner {
          export function deep() {}
        }
        """,
        [
            ("interface", "Reader", 1, 4),
            ("class", "Base", 5, 7),
            ("method", "Base.close", 6, 6),
            ("type", "Id", 8, 8),
            ("enum", "Kind", 9, 9),
            ("namespace", "Inner", 10, 12),
            ("function", "Inner.deep", 11, 11),
        ],
    ),
    "a.tsx": (
        "export const View = () => <div>a</div>\nfunction App() {\n  return <View />\n}\n",
        [("function", "View", 1, 1), ("function", "App", 2, 4)],
    ),
    "a.go": (
        """\
        package a

        // Reader reads.
        type Reader struct{ x int }

        type (
            // One.
            One int
            Two int
        )

        func (r *Reader) Parse(a int) error {
            return nil
        }
        func (l List[T]) Len() int { return 0 }
        func Top() {}
        const Limit = 1
        """,
        [
            ("type", "Reader", 3, 4),
            ("type", "One", 7, 8),
            ("type", "Two", 9, 9),
            ("method", "Reader.Parse", 12, 14),
            ("method", "List.Len", 15, 15),
            ("function", "Top", 16, 16),
            ("variable", "Limit", 17, 17),
        ],
    ),
    "a.rs": (
        """\
        /// Doc.
        #[derive(Debug)]
        pub struct Reader<T> { x: T }

        impl<T> Reader<T> {
            // Inside.
            pub fn parse(&self) -> u8 { 1 }
        }
        impl fmt::Display for Reader<u8> {
            fn fmt(&self) {}
        }
        trait Read { fn read(&self); }
        mod inner { fn deep() {} }
        macro_rules! twice { () => {} }
        """,
        [
            ("struct", "Reader", 1, 3),
            ("impl", "impl Reader", 5, 8),
            ("method", "Reader.parse", 6, 7),
            ("impl", "impl fmt::Display for Reader", 9, 11),
            ("method", "Reader.fmt", 10, 10),
            ("trait", "Read", 12, 12),
            ("method", "Read.read", 12, 12),
            ("module", "inner", 13, 13),
            ("function", "inner.deep", 13, 13),
            ("macro", "twice", 14, 14),
        ],
    ),
    "A.java": (
        """\
        package a;

        /** Doc. */
        @Deprecated
        public class A<T> extends B {
            A() {}
            @Override
            public int parse(int a) { return a; }
            enum E { X }
        }
        interface I { void f(); }
        record R(int a) {}
        """,
        [
            ("class", "A", 3, 10),
            ("constructor", "A.A", 6, 6),
            ("method", "A.parse", 7, 8),
            ("enum", "A.E", 9, 9),
            ("interface", "I", 11, 11),
            ("method", "I.f", 11, 11),
            ("record", "R", 12, 12),
        ],
    ),
    "a.c": (
        """\
        /* Doc. */
        static int *find(struct node *n, int (*cmp)(int)) {
            return 0;
        }
        struct node { int x; };
        typedef struct { int a; } pair_t;
        #define TWICE(x) ((x) * 2)
        enum kind { A };
        """,
        [
            ("function", "find", 1, 4),
            ("struct", "node", 5, 5),
            ("typedef", "pair_t", 6, 6),
            ("macro", "TWICE", 7, 7),
            ("enum", "kind", 8, 8),
        ],
    ),
    "a.cpp": (
        """\
        namespace io {
        // Doc.
        template <class T>
        class Reader : Base {
          public:
            int parse(int a) { return a; }
            ~Reader() {}
        };
        }
        int io::Reader::close(int a) { return a; }
        int &ref() { static int x; return x; }
        """,
        [
            ("namespace", "io", 1, 9),
            ("class", "io.Reader", 2, 8),
            ("method", "io.Reader.parse", 6, 6),
            ("method", "io.Reader.~Reader", 7, 7),
            ("function", "io.Reader.close", 10, 10),
            ("function", "ref", 11, 11),
        ],
    ),
    "a.cs": (
        """\
        namespace A {
            /// Doc.
            [Serializable]
            public class R : B {
                public int X { get; set; }
                public int Parse(int a) { return a; }
            }
        }
        """,
        [
            ("namespace", "A", 1, 8),
            ("class", "A.R", 2, 7),
            ("property", "A.R.X", 5, 5),
            ("method", "A.R.Parse", 6, 6),
        ],
    ),
    "a.rb": (
        """\
        module A
          # Doc.
          class R < B
            X = 1
            def parse(a)
              a
            end
            def self.z; end
          end
        end
        """,
        [
            ("module", "A", 1, 10),
            ("class", "A.R", 2, 9),
            ("variable", "A.R.X", 4, 4),
            ("method", "A.R.parse", 5, 7),
            ("method", "A.R.z", 8, 8),
        ],
    ),
    "a.php": (
        "<?php\n/** Doc. */\nclass R extends B {\n  public function parse($a) { return $a; }\n}\nfunction top() {}\n",
        [("class", "R", 2, 5), ("method", "R.parse", 4, 4), ("function", "top", 6, 6)],
    ),
    "a.kt": (
        "/** Doc. */\nclass R(val x: Int) {\n    fun parse(a: Int): Int = a\n}\nobject O\nfun top() = 3\n",
        [("class", "R", 1, 4), ("method", "R.parse", 3, 3), ("object", "O", 5, 5), ("function", "top", 6, 6)],
    ),
    "a.scala": (
        "class R(x: Int) {\n  def parse(a: Int): Int = a\n}\nobject O { def q() = {} }\ntrait T\n",
        [
            ("class", "R", 1, 3),
            ("method", "R.parse", 2, 2),
            ("object", "O", 4, 4),
            ("method", "O.q", 4, 4),
            ("trait", "T", 5, 5),
        ],
    ),
    "a.swift": (
        "/// Doc.\nstruct R {\n  func parse(a: Int) -> Int { return a }\n  init() {}\n}\nextension R { func z() {} }\n",
        [
            ("struct", "R", 1, 5),
            ("method", "R.parse", 3, 3),
            ("constructor", "R.init", 4, 4),
            ("extension", "R", 6, 6),
            ("function", "R.z", 6, 6),
        ],
    ),
    "a.lua": (
        "-- Doc.\nfunction M.f(a)\n  return a\nend\nlocal function h() end\nM.k = function() end\n",
        [("function", "M.f", 1, 4), ("function", "h", 5, 5), ("function", "M.k", 6, 6)],
    ),
    "a.zig": (
        "/// Doc.\npub fn main() void {}\nconst S = struct {\n    pub fn f() void {}\n};\n",
        [("function", "main", 1, 2), ("struct", "S", 3, 5), ("method", "S.f", 4, 4)],
    ),
    "a.sh": (
        "#!/bin/sh\n# Doc.\ngo() {\n  ls\n}\nfunction stop { :; }\n",
        [("function", "go", 2, 5), ("function", "stop", 6, 6)],
    ),
    "a.css": (".a, #b {\n  color: red;\n}\n", [("rule", ".a, #b", 1, 3)]),
    "a.yml": ("# Doc.\non: push\njobs:\n  build:\n    x: 1\n", [("key", "on", 1, 2), ("key", "jobs", 3, 5)]),
    "a.toml": ("a = 1\n[t.u]\nb = 2\n[[many]]\nc = 3\n", [("table", "t.u", 2, 3), ("table", "many", 4, 5)]),
    "a.md": (
        "Before\n\n# One\ntext\n## Two ##\n```\n# none\n```\nTitle\n=====\n### Three\n",
        [
            ("heading", "One", 3, 8),
            ("heading", "One > Two", 5, 8),
            ("heading", "Title", 9, 11),
            ("heading", "Title > Three", 11, 11),
        ],
    ),
    "a.json": ('{"a": 1}', []),
    "a.xyz": ("def f(): pass", []),
}


@pytest.mark.parametrize("path", CASES)
def test_definitions_are_found_with_what_belongs_to_them(path: str) -> None:
    text, expected = CASES[path]
    found = [
        (each.kind, each.qualified, each.first_line, each.last_line) for each in list_definitions(path, dedent(text))
    ]
    assert found == expected


ENCLOSING = [
    ("a.py", PYTHON, 4, "variable LIMIT"),
    ("a.py", PYTHON, 2, ""),
    ("a.py", PYTHON, 8, "class Reader"),
    ("a.py", PYTHON, 13, "def size in class Reader"),
    ("a.py", PYTHON, 19, "def inner in def parse in class Reader"),
    ("a.py", PYTHON, 999, ""),
    ("a.go", CASES["a.go"][0], 13, "func Reader.Parse"),
    ("a.rs", CASES["a.rs"][0], 7, "fn parse in impl Reader"),
    ("a.rs", CASES["a.rs"][0], 10, "fn fmt in impl fmt::Display for Reader"),
    ("a.cpp", CASES["a.cpp"][0], 6, "method parse in class Reader in namespace io"),
    ("a.cpp", CASES["a.cpp"][0], 10, "function io.Reader.close"),
    ("a.js", CASES["a.js"][0], 3, "method parse in class Reader"),
    ("a.md", CASES["a.md"][0], 6, "One > Two"),
    ("a.md", CASES["a.md"][0], 1, ""),
    ("a.toml", CASES["a.toml"][0], 3, "table t.u"),
    ("a.txt", "x", 1, ""),
]


@pytest.mark.parametrize(("path", "text", "line", "expected"), ENCLOSING)
def test_a_line_is_told_by_what_encloses_it(path: str, text: str, line: int, expected: str) -> None:
    assert enclosing(path, dedent(text), line) == expected


LANGUAGES = [
    ("src/a.py", "python"),
    ("A.PY", "python"),
    ("a.d.ts", "typescript"),
    ("a.h", "cpp"),
    ("Rakefile", "ruby"),
    ("README.md", "markdown"),
    ("package.json", "json"),
    ("a.unknown", None),
    ("Makefile", "make"),
    ("rules.mk", "make"),
    ("notes.ipynb", "json"),
    ("Dockerfile", None),
    ("", None),
    (".", None),
]


@pytest.mark.parametrize(("path", "expected"), LANGUAGES)
def test_a_language_is_known_by_the_name_of_the_file(path: str, expected: str | None) -> None:
    assert language_of(path) == expected


def test_references_leave_out_comments_strings_and_the_definition_itself() -> None:
    text = '# reader here\ndef reader():\n    "reader there"\n    return reader, other(reader)\n'
    assert {"reader": 2, "other": 1}.items() <= list_references("a.py", text).items()


def test_one_reading_gives_both() -> None:
    found = outline("a.py", PYTHON)
    assert found.definitions == list_definitions("a.py", PYTHON)
    assert found.references == list_references("a.py", PYTHON)


def test_windows_line_ends_and_a_byte_order_mark_shift_no_line() -> None:
    text = "\ufeff" + PYTHON.replace("\n", "\r\n")
    assert [(each.qualified, each.first_line, each.last_line) for each in list_definitions("a.py", text)] == [
        (name, first, last) for _, name, first, last in CASES["a.py"][1]
    ]


def test_what_stands_before_a_mistake_is_still_found() -> None:
    text = "class A:\n    def f(self):\n        return 1\n\ndef broken(:\n    pass\n"
    assert [each.qualified for each in list_definitions("a.py", text)][:2] == ["A", "A.f"]
