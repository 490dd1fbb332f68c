"""Small Python projects with a chore to do in each, and the check that tells whether it was done."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hearth.pilot.functions import Function, make_function
from hearth.pilot.words import Words

Kind = Literal["fix", "rename", "constant", "explain", "other"]

PROMPTS: dict[str, tuple[str, ...]] = {
    "fix": (
        "Fix the failing test",
        "Fix the failing test.",
        "fix the failing tests",
        "The tests fail. Fix the bug.",
        "A test fails, please fix it.",
        "Make the tests pass.",
        "Run the tests and fix what fails.",
        "Fix the bug",
        "There is a bug. Find it and fix it.",
        "tests are red, fix them",
        "Please fix the failing test",
        "Fix the tests.",
    ),
    "rename": (
        "Rename {old} to {new}",
        "Rename the function {old} to {new}",
        "rename {old} to {new} everywhere",
        "Rename the function {old} to {new} everywhere.",
        "Please rename {old} to {new}.",
        "Change the name of {old} to {new}.",
        "{old} should be called {new}. Rename it.",
        "Rename {old} to {new} in the whole project.",
    ),
    "constant": (
        "Set {name} to {value}",
        "set {name} to {value}",
        "Change {name} to {value}.",
        "Set the constant {name} to {value}.",
        "Please set {name} to {value}.",
        "{name} should be {value}.",
        "Make {name} {value}.",
        "Change the value of {name} to {value}",
    ),
    "explain": (
        "Explain {name}",
        "Explain what {name} does.",
        "What does {name} do?",
        "Explain the function {name}.",
        "what does the function {name} do",
        "Tell me what {name} does.",
        "Describe {name}.",
        "How does {name} work?",
    ),
    "other": (
        "hello",
        "Hello",
        "hi",
        "Hi there",
        "hey",
        "Who are you?",
        "What can you do?",
        "help",
        "Reply with one word: ready",
        "Write me a web site",
        "Write a poem",
        "Refactor the project",
        "Add a login page",
        "Translate this to German",
        "What is the weather?",
        "Explain quantum physics",
        "Review my code",
        "Write tests for the project",
        "thanks",
    ),
}

GREETING = (
    "I am the pilot, a tiny model that comes with hearth. I can fix a failing test, rename a function, "
    "set a constant and explain a function. Load a real model for more."
)


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: constants, then functions."""

    path: str
    dotted: str
    constants: tuple[tuple[str, str], ...]
    functions: tuple[Function, ...]
    head: str = ""
    others: tuple[str, ...] = ()
    """Code that no chore is about."""

    def text(self, bugs: dict[str, str]) -> str:
        """The file's text, with the named functions broken."""
        constants = ["".join(f"{name} = {value}\n" for name, value in self.constants)] if self.constants else []
        top = "\n".join([*([self.head] if self.head else []), *constants])
        functions = [function.source(bugs.get(function.name, "")) for function in self.functions]
        return "\n\n".join([*([top] if top else []), *self.others, *functions])


@dataclass(frozen=True, slots=True)
class Chore:
    """One task in one project.

    ``files`` is the project before; ``wanted`` the files that must have exactly this text afterwards; ``answer`` the
    final text that must be given word for word (explain only); ``facts`` tells an oracle what it may know.
    """

    kind: Kind
    prompt: str
    files: dict[str, str]
    wanted: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    bugs: tuple[tuple[str, Function, str], ...] = ()

    def write(self, folder: Path) -> None:
        """Write the project below ``folder``."""
        for path, text in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    def is_done(self, folder: Path, answer: str) -> bool:
        """Whether every wanted file is there as wanted, nothing else changed, and the answer is right."""
        if self.answer and answer.strip() != self.answer:
            return False
        expected = {**self.files, **self.wanted}
        return all((folder / path).read_text(encoding="utf-8") == text for path, text in expected.items())


def make_chore(rng: random.Random, kind: Kind, words: Words) -> Chore:
    """Draw a project named with these words, and a chore of this kind in it."""
    taken: set[str] = set()
    modules = _make_modules(rng, words, taken)
    make = {
        "fix": _make_fix,
        "rename": _make_rename,
        "constant": _make_constant,
        "explain": _make_explain,
        "other": _make_other,
    }
    return make[kind](rng, words, modules, taken)


def _make_modules(rng: random.Random, words: Words, taken: set[str]) -> list[Module]:
    root, dotted_root = _layout(rng, words, taken)
    modules = []
    for _ in range(rng.choices((1, 2, 3), (4, 4, 2))[0]):
        stem = words.fresh_name(taken, 2)
        typed = rng.random() < 0.3
        functions = tuple(
            make_function(rng, words, taken, typed) for _ in range(rng.choices((1, 2, 3, 4), (2, 4, 3, 1))[0])
        )
        constants = tuple(
            (words.fresh_name(taken).upper(), _value(rng, words))
            for _ in range(rng.choices((0, 1, 2, 3), (3, 3, 2, 1))[0])
        )
        dotted = f"{dotted_root}.{stem}" if dotted_root else stem
        head, others = _make_head(rng, stem), _make_others(rng, words, taken)
        modules.append(Module(f"{root}{stem}.py", dotted, constants, functions, head, others))
    return modules


def _make_head(rng: random.Random, stem: str) -> str:
    doc = f'"""{stem.replace("_", " ").capitalize()}."""\n'
    imports = rng.choice(("import math\n", "import os\nimport sys\n", "from __future__ import annotations\n"))
    return rng.choice(("", "", "", doc, doc, doc, imports, f"{doc}\n{imports}", f"# {stem.replace('_', ' ')}\n"))


def _make_others(rng: random.Random, words: Words, taken: set[str]) -> tuple[str, ...]:
    if rng.random() < 0.75:
        return ()
    a, b, c = (words.fresh_name(taken, 2) for _ in range(3))
    made = rng.choice(
        (
            f"class {a.title().replace('_', '')}:\n    def __init__(self, {b}):\n        self.{b} = {b}\n\n"
            f"    def {c}(self):\n        return self.{b}\n",
            f"def {a}({b}):\n    {c} = {{}}\n    for key, value in {b}:\n        {c}[key] = value\n    return {c}\n",
            f'def {a}({b}, {c}):\n    print(f"{{{b}}}: {{{c}}}")\n',
            f"def {a}({b}):\n    with open({b}) as {c}:\n        return {c}.read().split()\n",
        )
    )
    return (made,)


def _layout(rng: random.Random, words: Words, taken: set[str]) -> tuple[str, str]:
    package, inner = words.fresh_name(taken, 1), words.fresh_name(taken, 1)
    return rng.choice(
        (
            ("", ""),
            (f"{package}/", package),
            (f"{package}/", package),
            (f"{package}/{inner}/", f"{package}.{inner}"),
            (f"src/{package}/", package),
            (f"src/{package}/{inner}/", f"{package}.{inner}"),
        )
    )


def _value(rng: random.Random, words: Words) -> str:
    return rng.choice(
        (
            str(rng.randint(0, 9)),
            str(rng.randint(10, 999)),
            str(rng.randint(1000, 99999)),
            # Round numbers are what people write, and repeated digits what a copying model trips over.
            str(rng.choice((1, 2, 3, 5, 10, 15, 25)) * 10 ** rng.randint(1, 4)),
            str(rng.randint(1, 99) / rng.choice((2, 4, 10))),
            f'"{words.word()}"',
            rng.choice(("True", "False")),
        )
    )


def _test_text(rng: random.Random, module: Module, bugs: dict[str, str], words: Words) -> str | None:
    names = [function.name for function in module.functions]
    tests = [_one_test(rng, function, bugs.get(function.name, ""), words) for function in module.functions]
    if any(test is None and name in bugs for name, test in zip(names, tests, strict=True)):
        return None
    said = [test for test in tests if test]
    if not said:
        return None
    imports = f"from {module.dotted} import {', '.join(names)}\n"
    if rng.random() < 0.08:
        body = "\n".join(test.replace("()", "(self)", 1) for test in said)
        title = f"class Test{words.word().capitalize()}:\n"
        return f"{imports}\n\n{title}" + "".join(f"    {line}\n" if line else "\n" for line in body.splitlines())
    return "\n\n".join([imports, *said])


def _one_test(rng: random.Random, function: Function, bug: str, words: Words) -> str | None:
    telling = function.telling_arguments(rng, bug) if bug else None
    if bug and telling is None:
        return None
    named = rng.random() < 0.15
    suffix = f"_{words.word()}" if not named and rng.random() < 0.25 else ""
    lines = [f"def test_{function.name}{suffix}():"]
    # The broken assertion is the first, as in most projects where one value shows the bug.
    drawn = [
        *([telling] if telling else []),
        *(function.sample(rng) for _ in range(rng.randint(0 if telling else 1, 2))),
    ]
    for arguments in drawn:
        try:
            value = function.evaluate(arguments)
        except ZeroDivisionError:
            continue
        call = f"{function.name}({', '.join(repr(argument) for argument in arguments)})"
        sign = "is" if isinstance(value, bool) else "=="
        lines += (
            [f"    result = {call}", f"    assert result {sign} {value!r}"]
            if named
            else [f"    assert {call} {sign} {value!r}"]
        )
    return "\n".join(lines) + "\n" if len(lines) > 1 else None


def _project(rng: random.Random, words: Words, modules: list[Module], bugs: dict[str, str]) -> dict[str, str] | None:
    files: dict[str, str] = {}
    folder = rng.choice(("tests/", "tests/", "tests/", "", "test/"))
    for module in modules:
        files[module.path] = module.text(bugs)
        text = _test_text(rng, module, bugs, words)
        broken = any(function.name in bugs for function in module.functions)
        if text is None and broken:
            return None
        if text is not None and (broken or rng.random() < 0.8):
            files[f"{folder}test_{module.dotted.rsplit('.', 1)[-1]}.py"] = text
    source_root = "src" if modules[0].path.startswith("src/") else "."
    files["pyproject.toml"] = f'[tool.pytest.ini_options]\npythonpath = ["{source_root}"]\n'
    if rng.random() < 0.3:
        files["README.md"] = f"# {words.word().capitalize()}\n\nA small project.\n"
    return files


def _make_fix(rng: random.Random, words: Words, modules: list[Module], taken: set[str]) -> Chore:
    while True:
        candidates = [(module, function) for module in modules for function in module.functions]
        chosen = rng.sample(candidates, min(len(candidates), rng.choices((1, 2), (92, 8))[0]))
        bugs = {function.name: rng.choice(tuple(function.wrong)) for _, function in chosen}
        files = _project(rng, words, modules, bugs)
        if files is None:
            continue
        if not all(_is_unique(files, module, function, bugs) for module, function in chosen):
            modules = _make_modules(rng, words, taken)
            continue
        wanted = {module.path: module.text({}) for module, _ in chosen}
        broken = tuple((module.path, function, bugs[function.name]) for module, function in chosen)
        return Chore("fix", rng.choice(PROMPTS["fix"]), files, wanted, bugs=broken)


def _is_unique(files: dict[str, str], module: Module, function: Function, bugs: dict[str, str]) -> bool:
    line = function.wrong[bugs[function.name]][1].strip()
    return files[module.path].count(line) == 1


def _make_rename(rng: random.Random, words: Words, modules: list[Module], taken: set[str]) -> Chore:
    files = _project(rng, words, modules, {}) or {}
    module = rng.choice(modules)
    old = rng.choice([*(function.name for function in module.functions), *(name for name, _ in module.constants)])
    new = words.fresh_name(taken)
    new = new.upper() if old.isupper() else new
    if rng.random() < 0.5:
        caller = words.fresh_name(taken, 2)
        user = f"from {module.dotted} import {old}\n\n\ndef {caller}({words.fresh_name(taken, 1)}):\n    return {old}\n"
        files[f"{module.path.rsplit('/', 1)[0] + '/' if '/' in module.path else ''}{words.fresh_name(taken, 1)}.py"] = (
            user
        )
    wanted = {path: text.replace(old, new) for path, text in files.items() if old in text}
    prompt = rng.choice(PROMPTS["rename"]).format(old=old, new=new)
    return Chore("rename", prompt, files, wanted, facts={"old": old, "new": new})


def _make_constant(rng: random.Random, words: Words, modules: list[Module], taken: set[str]) -> Chore:
    name, before = words.fresh_name(taken).upper(), _value(rng, words)
    while True:
        after = _value(rng, words)
        if after != before:
            break
    index = rng.randrange(len(modules))
    module = modules[index]
    constants = list(module.constants)
    constants.insert(rng.randint(0, len(constants)), (name, before))
    modules[index] = replace(module, constants=tuple(constants))
    files = _project(rng, words, modules, {}) or {}
    if rng.random() < 0.4:
        reader = f"from {module.dotted} import {name}\n\n\ndef {words.fresh_name(taken, 2)}():\n    return {name}\n"
        folder = module.path.rsplit("/", 1)[0] + "/" if "/" in module.path else ""
        files[f"{folder}{words.fresh_name(taken, 1)}.py"] = reader
    wanted = {module.path: files[module.path].replace(f"{name} = {before}\n", f"{name} = {after}\n")}
    shown = after.strip('"') if rng.random() < 0.5 else after
    prompt = rng.choice(PROMPTS["constant"]).format(name=name, value=shown)
    facts = {"name": name, "before": before, "after": after, "path": module.path}
    return Chore("constant", prompt, files, wanted, facts=facts)


def _make_explain(rng: random.Random, words: Words, modules: list[Module], taken: set[str]) -> Chore:
    files = _project(rng, words, modules, {}) or {}
    module = rng.choice(modules)
    function = rng.choice(module.functions)
    head = f"def {function.name}("
    line = 1 + next(i for i, text in enumerate(files[module.path].splitlines()) if text.startswith(head))
    params = (
        f"{', '.join(function.params[:-1])} and {function.params[-1]}"
        if len(function.params) > 1
        else function.params[0]
    )
    answer = f"The function {function.name} is in {module.path}, line {line}. It takes {params}. {function.meaning}"
    prompt = rng.choice(PROMPTS["explain"]).format(name=function.name)
    return Chore("explain", prompt, files, answer=answer, facts={"name": function.name, "path": module.path})


def _make_other(rng: random.Random, words: Words, modules: list[Module], taken: set[str]) -> Chore:
    files = _project(rng, words, modules, {}) or {}
    return Chore("other", rng.choice(PROMPTS["other"]), files, answer=GREETING)
