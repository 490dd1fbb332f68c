"""Small functions with a meaning, a bug that breaks it, and values that show the difference."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hearth.pilot.words import Words

SAMPLE_TRIES = 40
DOCUMENTED_SHARE = 0.85
"""Share of functions with a docstring; without one only the tests tell what is right."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a generated project.

    ``body`` holds unindented lines; ``wrong`` maps a bug's kind to (index of the line, the buggy line);
    ``meaning`` is the sentence that explains it, ``docs`` ways to say it in a docstring; ``sample`` draws arguments.
    """

    name: str
    params: tuple[str, ...]
    body: tuple[str, ...]
    meaning: str
    docs: tuple[str, ...]
    wrong: dict[str, tuple[int, str]]
    sample: Callable[[random.Random], tuple[object, ...]]
    documented: bool = True
    doc: str = ""
    typed: bool = False

    def source(self, bug: str = "") -> str:
        """The function's text, with one of its bugs if named."""
        lines = list(self.body)
        if bug:
            index, line = self.wrong[bug]
            lines[index] = line
        doc = [f'    """{self.doc}"""'] if self.documented else []
        return "\n".join([f"def {self.name}{self._signature()}:", *doc, *(f"    {line}" for line in lines)]) + "\n"

    def _signature(self) -> str:
        if not self.typed:
            return f"({', '.join(self.params)})"
        arguments = self.sample(random.Random(0))
        said = ", ".join(f"{name}: {_type_of(value)}" for name, value in zip(self.params, arguments, strict=True))
        space: dict[str, Callable[..., object]] = {}
        exec(replace(self, typed=False).source(), space)
        return f"({said}) -> {_type_of(space[self.name](*arguments))}"

    def evaluate(self, arguments: Sequence[object], bug: str = "") -> object:
        """Run it; raises whatever the function raises."""
        space: dict[str, Callable[..., object]] = {}
        exec(self.source(bug), space)
        return space[self.name](*arguments)

    def telling_arguments(self, rng: random.Random, bug: str) -> tuple[object, ...] | None:
        """Arguments for which the bug shows in the value; None if none was found."""
        for _ in range(SAMPLE_TRIES):
            arguments = self.sample(rng)
            try:
                if self.evaluate(arguments) != self.evaluate(arguments, bug):
                    return arguments
            except (ZeroDivisionError, IndexError):
                continue
        return None


def _type_of(value: object) -> str:
    return "list[int]" if isinstance(value, list) else type(value).__name__


def _number(rng: random.Random) -> int:
    return rng.randint(1, 20)


def _numbers(count: int) -> Callable[[random.Random], tuple[object, ...]]:
    return lambda rng: tuple(_number(rng) for _ in range(count))


def _close_pair(rng: random.Random) -> tuple[object, ...]:
    first = _number(rng)
    return first, first + rng.choice((-2, -1, 0, 0, 1, 2))


def _some_list(rng: random.Random) -> list[int]:
    return [_number(rng) for _ in range(rng.randint(4, 6))]


def _list_only(rng: random.Random) -> tuple[object, ...]:
    return (_some_list(rng),)


def _list_and_number(rng: random.Random) -> tuple[object, ...]:
    items = _some_list(rng)
    return items, rng.choice(items) + rng.choice((0, 0, 1))


def _flags(rng: random.Random) -> tuple[object, ...]:
    return rng.random() < 0.5, rng.random() < 0.5


OPERATORS = {
    "+": ("the sum of {a} and {b}", ("Return the sum of {a} and {b}.", "Add {a} and {b}.", "Return {a} plus {b}.")),
    "-": ("{a} minus {b}", ("Return {a} minus {b}.", "Subtract {b} from {a}.", "Return {a} less {b}.")),
    "*": ("{a} times {b}", ("Return {a} times {b}.", "Multiply {a} by {b}.", "Return the product of {a} and {b}.")),
    "//": (
        "{a} divided by {b}, rounded down",
        ("Return {a} divided by {b}, rounded down.", "Divide {a} by {b}, without a remainder."),
    ),
    "%": (
        "the remainder of {a} divided by {b}",
        ("Return the remainder of {a} divided by {b}.", "What is left when {a} is divided by {b}."),
    ),
}
COMPARISONS = {
    ">": ("{a} is greater than {b}", ("greater than", "above", "more than")),
    ">=": ("{a} is at least {b}", ("at least", "not less than", "greater than or equal to")),
    "<": ("{a} is less than {b}", ("less than", "below", "smaller than")),
    "<=": ("{a} is at most {b}", ("at most", "not more than", "less than or equal to")),
    "==": ("{a} equals {b}", ("equal to", "the same as")),
    "!=": ("{a} differs from {b}", ("not equal to", "different from")),
}
_WRONG_COMPARISON = {
    ">": ("<", ">="),
    ">=": (">", "<="),
    "<": (">", "<="),
    "<=": ("<", ">="),
    "==": ("!=",),
    "!=": ("==",),
}
GUESSES = ("+", "-", "*", "//")
"""The order in which operators are tried when nothing says which one is right."""


def make_function(rng: random.Random, words: Words, taken: set[str], typed: bool = False) -> Function:
    """Draw a function whose names do not meet those in ``taken``; they are added to it."""
    name, a, b, c = words.fresh_name(taken), *(words.fresh_name(taken, 2, (7, 3)) for _ in range(3))
    function = rng.choices(_FAMILIES, _WEIGHTS)[0](rng, name, a, b, c)
    return replace(function, documented=rng.random() < DOCUMENTED_SHARE, doc=rng.choice(function.docs), typed=typed)


def _operation(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign = rng.choices(tuple(OPERATORS), (4, 4, 4, 2, 2))[0]
    phrase, docs = OPERATORS[sign]
    other = rng.choice([guess for guess in GUESSES if guess != sign])
    wrong = {"operator": (0, f"return {a} {other} {b}")}
    wrong["variable"] = (0, f"return {a} {sign} {a}" if rng.random() < 0.5 else f"return {b} {sign} {b}")
    if sign in "-//%":
        wrong["swapped"] = (0, f"return {b} {sign} {a}")
    said = tuple(text.format(a=a, b=b) for text in docs)
    return Function(
        name, (a, b), (f"return {a} {sign} {b}",), f"It returns {phrase.format(a=a, b=b)}.", said, wrong, _numbers(2)
    )


def _named_result(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    plain = _operation(rng, name, a, b, c)
    line = plain.body[0].replace("return", f"{c} =", 1)
    wrong = {kind: (0, bad.replace("return", f"{c} =", 1)) for kind, (_, bad) in plain.wrong.items()}
    wrong["variable"] = (1, f"return {rng.choice((a, b))}")
    return Function(name, (a, b), (line, f"return {c}"), plain.meaning, plain.docs, wrong, plain.sample)


def _two_operations(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign = rng.choice("+-")
    word = "plus" if sign == "+" else "minus"
    other = "-" if sign == "+" else "+"
    wrong = {
        "operator": (0, rng.choice((f"return {a} * {b} {other} {c}", f"return {a} + {b} {sign} {c}"))),
        "variable": (0, rng.choice((f"return {a} * {a} {sign} {c}", f"return {a} * {b} {sign} {b}"))),
    }
    docs = (
        f"Return {a} times {b}, {word} {c}.",
        f"Multiply {a} by {b}, then {'add' if sign == '+' else 'subtract'} {c}.",
    )
    body = (f"return {a} * {b} {sign} {c}",)
    return Function(name, (a, b, c), body, f"It returns {a} times {b}, {word} {c}.", docs, wrong, _numbers(3))


def _comparison(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign = rng.choice(tuple(COMPARISONS))
    phrase, ways = COMPARISONS[sign]
    wrong = {"comparison": (0, f"return {a} {rng.choice(_WRONG_COMPARISON[sign])} {b}")}
    docs = tuple(f"{lead} {a} is {way} {b}." for way in ways for lead in ("Tell whether", "True if"))
    meaning = f"It tells whether {phrase.format(a=a, b=b)}."
    return Function(name, (a, b), (f"return {a} {sign} {b}",), meaning, docs, wrong, _close_pair)


def _clamp(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign, limit, ways = rng.choice(
        (
            (">", "at most", (f"Return {a}, but at most {b}.", f"Return {a}, never more than {b}.")),
            ("<", "at least", (f"Return {a}, but at least {b}.", f"Return {a}, never less than {b}.")),
        )
    )
    body = (f"if {a} {sign} {b}:", f"    return {b}", f"return {a}")
    other = "<" if sign == ">" else ">"
    wrong = {"comparison": (0, f"if {a} {other} {b}:"), "variable": (2, f"return {b}")}
    return Function(name, (a, b), body, f"It returns {a}, but {limit} {b}.", ways, wrong, _numbers(2))


def _keep(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign = rng.choice((">", ">=", "<", "<="))
    _, ways = COMPARISONS[sign]
    wrong = {"comparison": (0, f"return [{c} for {c} in {a} if {c} {rng.choice(_WRONG_COMPARISON[sign])} {b}]")}
    docs = tuple(f"{lead} the {a} that are {way} {b}." for way in ways for lead in ("Keep", "Return"))
    body = (f"return [{c} for {c} in {a} if {c} {sign} {b}]",)
    return Function(name, (a, b), body, f"It keeps the {a} that are {ways[0]} {b}.", docs, wrong, _list_and_number)


def _count(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign = rng.choice((">", ">=", "<", "<="))
    _, ways = COMPARISONS[sign]
    bad = rng.choice(_WRONG_COMPARISON[sign])
    wrong = {
        "comparison": (2, f"    if {c} {bad} {b}:"),
        "constant": (3, "        total += 2"),
    }
    docs = tuple(f"Count the {a} that are {way} {b}." for way in ways)
    body = ("total = 0", f"for {c} in {a}:", f"    if {c} {sign} {b}:", "        total += 1", "return total")
    return Function(name, (a, b), body, f"It counts the {a} that are {ways[0]} {b}.", docs, wrong, _list_and_number)


def _add_constant(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    sign, word, doc = rng.choice(
        (
            ("+", "plus", "Add {n} to {a}."),
            ("-", "minus", "Subtract {n} from {a}."),
            ("*", "times", "Multiply {a} by {n}."),
        )
    )
    number = rng.randint(2, 99)
    off = number + rng.choice((-1, 1))
    others = [other for other in "+-*" if other != sign]
    wrong = {"constant": (0, f"return {a} {sign} {off}"), "operator": (0, f"return {a} {rng.choice(others)} {number}")}
    docs = (f"Return {a} {word} {number}.", doc.format(a=a, n=number))
    meaning = f"It returns {a} {word} {number}."
    return Function(name, (a,), (f"return {a} {sign} {number}",), meaning, docs, wrong, _numbers(1))


def _slice(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    number = rng.randint(1, 3)
    off = number + 1 if number == 1 else number + rng.choice((-1, 1))
    expression, bad, phrase, lead = rng.choice(
        (
            (f"{a}[:{number}]", f"{a}[:{off}]", f"the first {number} of {a}", "Return"),
            (f"{a}[{number}:]", f"{a}[{off}:]", f"{a} without the first {number}", "Return"),
            (f"{a}[-{number}:]", f"{a}[-{off}:]", f"the last {number} of {a}", "Return"),
            (f"{a}[:-{number}]", f"{a}[:-{off}]", f"{a} without the last {number}", "Return"),
        )
    )
    wrong = {"constant": (0, f"return {bad}")}
    docs = (f"{lead} {phrase}.", f"Give {phrase}.")
    return Function(name, (a,), (f"return {expression}",), f"It returns {phrase}.", docs, wrong, _list_only)


def _total_range(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    line = f"return sum(range(1, {a} + 1))"
    bad = rng.choice((f"return sum(range(1, {a} + 2))", f"return sum(range(1, {a}))", f"return sum(range(2, {a} + 1))"))
    docs = (f"Return the sum of the numbers from 1 to {a}.", f"Add up all numbers from 1 to {a}.")
    meaning = f"It returns the sum of the numbers from 1 to {a}."
    return Function(name, (a,), (line,), meaning, docs, {"constant": (0, bad)}, _numbers(1))


def _total(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    body = ("total = 0", f"for {c} in {a}:", f"    total += {c}", "return total")
    wrong = {"operator": (2, f"    total -= {c}"), "constant": (0, "total = 1")}
    docs = (f"Return the sum of all {a}.", f"Add up the {a}.")
    return Function(name, (a,), body, f"It returns the sum of all {a}.", docs, wrong, _list_only)


def _weighted_total(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    body = ("total = 0", f"for {c} in {a}:", f"    total += {c} * {b}", "return total")
    wrong = {
        "operator": (2, rng.choice((f"    total += {c} + {b}", f"    total -= {c} * {b}"))),
        "variable": (2, rng.choice((f"    total += {c} * {c}", f"    total += {b} * {b}"))),
    }
    docs = (f"Return the sum of all {a}, each times {b}.", f"Add up the {a}, each multiplied by {b}.")
    meaning = f"It returns the sum of all {a}, each times {b}."
    return Function(name, (a, b), body, meaning, docs, wrong, _list_and_number)


def _both(rng: random.Random, name: str, a: str, b: str, c: str) -> Function:
    word, other, phrase = rng.choice((("and", "or", "both {a} and {b} are true"), ("or", "and", "{a} or {b} is true")))
    said = phrase.format(a=a, b=b)
    wrong = {"operator": (0, f"return {a} {other} {b}")}
    docs = (f"Tell whether {said}.", f"True if {said}.")
    return Function(name, (a, b), (f"return {a} {word} {b}",), f"It tells whether {said}.", docs, wrong, _flags)


_FAMILIES = (
    _operation, _named_result, _two_operations, _comparison, _clamp, _keep, _count,
    _add_constant, _slice, _total_range, _total, _weighted_total, _both,
)  # fmt: skip
_WEIGHTS = (7, 3, 3, 5, 3, 3, 2, 4, 3, 1, 2, 2, 2)
