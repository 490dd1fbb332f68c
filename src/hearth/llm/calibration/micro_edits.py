"""Thirty small changes of small files, each with the one right outcome. Pure; always the same ones.

Ten kinds, three of each: what goes wrong in practice is in them (repeated lines, deep indentation, tabs, quotes and
backslashes, text that is no ASCII, several lines at once).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MicroEdit:
    """One change. ``wish`` says it so that only ``after`` fulfils it."""

    kind: str
    path: str
    before: str
    wish: str
    after: str


@dataclass(frozen=True, slots=True)
class _Words:
    """What tells the three edits of a kind apart."""

    thing: str
    other: str
    number: int


_WORDS = (_Words("order", "invoice", 7), _Words("sensor", "signal", 12), _Words("player", "match", 45))


def micro_edits() -> tuple[MicroEdit, ...]:
    """All of them, one of each kind before the second of any: whoever stops early has met every kind."""
    return tuple(_change(kind, make, words) for words in _WORDS for kind, make in _KINDS.items())


_Sides = tuple[str, str, str, str, str]
"""Path, text, wish, old part, new part."""


def _change(kind: str, make: Callable[[_Words], _Sides], words: _Words) -> MicroEdit:
    path, before, wish, old, new = make(words)
    return MicroEdit(kind, path, before, f"In {path}: {wish} Change nothing else.", before.replace(old, new, 1))


def _constant(w: _Words) -> _Sides:
    text = (
        f'"""Settings of the {w.thing} service."""\n\nNAME = "{w.thing}"\nRETRIES = 3\nTIMEOUT_S = 30.0\n'
        f"BATCH = {w.number * 10}\nVERBOSE = False\n\n\ndef describe() -> str:\n"
        f'    return f"{{NAME}}: {{RETRIES}} retries, {{TIMEOUT_S}} s"\n'
    )
    return f"{w.thing}_settings.py", text, f"set RETRIES to {w.number}.", "RETRIES = 3", f"RETRIES = {w.number}"


def _insert(w: _Words) -> _Sides:
    text = (
        f"import os\nimport sys\n\n\ndef load_{w.thing}(path):\n    with open(path) as file:\n"
        f"        data = file.read()\n    return data.strip()\n\n\ndef main():\n"
        f"    print(load_{w.thing}(sys.argv[1]))\n"
    )
    wish = "add the line `import json` between `import os` and `import sys`."
    return f"load_{w.thing}.py", text, wish, "import os\n", "import os\nimport json\n"


def _delete(w: _Words) -> _Sides:
    text = (
        f"export function save{w.thing.title()}(item, store) {{\n  const key = item.id;\n"
        f'  console.log("saving {w.thing}", key);\n  store.set(key, item);\n  return store.get(key);\n}}\n'
    )
    line = f'  console.log("saving {w.thing}", key);\n'
    return f"{w.thing}.js", text, "delete the line that calls console.log.", line, ""


def _repeated(w: _Words) -> _Sides:
    body = "    total = 0\n    for item in items:\n        total += item.price\n    return total\n"
    text = f"def {w.thing}_total(items):\n{body}\n\ndef {w.other}_total(items):\n{body}"
    changed = body.replace("total = 0", f"total = {w.number}")
    wish = f"in the function {w.other}_total alone, let total begin at {w.number} instead of 0."
    return "totals.py", text, wish, f"def {w.other}_total(items):\n{body}", f"def {w.other}_total(items):\n{changed}"


def _nested(w: _Words) -> _Sides:
    text = (
        f"class {w.thing.title()}Queue:\n    def drain(self, limit):\n        done = []\n"
        f"        while self.waiting:\n            for {w.thing} in list(self.waiting):\n"
        f"                if {w.thing}.ready:\n                    if len(done) > limit:\n"
        f"                        return done\n                    done.append({w.thing})\n"
        f"                    self.waiting.remove({w.thing})\n        return done\n"
    )
    wish = "in drain, compare with >= instead of > where len(done) is held against limit."
    return f"{w.thing}_queue.py", text, wish, "len(done) > limit", "len(done) >= limit"


def _escapes(w: _Words) -> _Sides:
    text = (
        f"import re\n\nVERSION = re.compile(r'^v(\\d+)\\.(\\d+)$')\nQUOTED = re.compile(r'\"([^\"\\\\]*)\"')\n"
        f'HEADER = "{w.thing}\\tcount\\n"\n\n\ndef read_version(text):\n    found = VERSION.match(text)\n'
        "    return (int(found[1]), int(found[2])) if found else None\n"
    )
    wish = f'let HEADER be the string "{w.thing}\\t{w.other}\\n", both escapes as they are.'
    return f"{w.thing}_patterns.py", text, wish, f'"{w.thing}\\tcount\\n"', f'"{w.thing}\\t{w.other}\\n"'


def _tabs(w: _Words) -> _Sides:
    text = (
        f"package {w.thing}\n\nfunc Count(items []string) int {{\n\tseen := map[string]bool{{}}\n"
        f"\tfor _, item := range items {{\n\t\tseen[item] = true\n\t}}\n\treturn len(seen)\n}}\n"
    )
    wish = f"let Count return len(seen) + {w.number}."
    return f"{w.thing}.go", text, wish, "return len(seen)\n", f"return len(seen) + {w.number}\n"


def _prose(w: _Words) -> _Sides:
    text = (
        f"# Über die {w.thing}s\n\nEach {w.thing} has a name – “short” ones are better – and a date.\n\n"
        f"- naïve values are dropped\n- the {w.other} comes afterwards\n- prices are in €\n\nSee also: façade.md\n"
    )
    wish = "in the last item of the list, write ¥ instead of €."
    return f"{w.thing}s.md", text, wish, "prices are in €", "prices are in ¥"


def _rename(w: _Words) -> _Sides:
    old = f"def area(size):\n    half = size / 2\n    return half * size * {w.number}\n"
    new = f"def area(side):\n    half = side / 2\n    return half * side * {w.number}\n"
    text = f"def volume(size):\n    return size ** 3\n\n\n{old}\n\ndef edge(size):\n    return 4 * size\n"
    return f"{w.thing}_shapes.py", text, "in the function area alone, rename its parameter size to side.", old, new


def _block(w: _Words) -> _Sides:
    old = f"def label_{w.thing}(item):\n    return str(item)\n"
    head = f"def label_{w.thing}(item):\n    if item is None:\n        return 'no {w.thing}'\n"
    new = f"{head}    return f'{{item.name}} ({w.number})'\n"
    text = f"{old}\n\ndef print_{w.thing}(item):\n    print(label_{w.thing}(item))\n"
    wish = f"replace the whole function label_{w.thing} by\n```\n{new}```\n"
    return f"{w.thing}_labels.py", text, wish, old, new


_KINDS: dict[str, Callable[[_Words], _Sides]] = {
    "constant": _constant,
    "insert": _insert,
    "repeated": _repeated,
    "nested": _nested,
    "escapes": _escapes,
    "delete": _delete,
    "tabs": _tabs,
    "prose": _prose,
    "rename": _rename,
    "block": _block,
}
