"""Hold a call's arguments against the schema of its tool: pure.

Only what has one reading is converted; strings are data and stay what they are, byte for byte.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from hearth.llm.repair.aliases import STATES
from hearth.llm.repair.found import Raw
from hearth.llm.repair.loose import Broken, Open, read_value, to_number
from hearth.llm.repair.names import Offer

Kind = Literal["missing_argument", "wrong_type"]
LARGEST_EXACT = 2**53
"""Beyond, a float no longer names one integer."""
LONGEST_SHOWN = 40


class Misfit(ValueError):
    """Arguments that do not fit: one sentence says what is wrong and what would be right."""

    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


class Twofold(ValueError):
    """Two names of one argument with two values: nobody can tell which is meant."""


ABSENT = object()
"""Stands for an optional value that was not given."""


def fit_arguments(offer: Offer, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under their own names, with the types that the schema asks for, the unknown and absent ones left
    out. Raises Misfit, or Twofold."""
    schema = offer.parameters(tool)
    return _Fitting(offer, tool, schema).members(arguments, schema, "")


def plain_values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with what stood between tags as the text that it is."""
    return {name: value.text if isinstance(value, Raw) else value for name, value in arguments.items()}


class _Fitting:
    def __init__(self, offer: Offer, tool: str, root: Mapping[str, Any]) -> None:
        self._offer = offer
        self._tool = tool
        self._root = root

    def members(self, given: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        named = self._name_members(given, properties, bool(schema.get("additionalProperties")), where)
        fitted: dict[str, Any] = {}
        for name, value in named.items():
            found = self._value(value, properties.get(name, {}), f"{where}{name}", name in required)
            if found is not ABSENT:
                fitted[name] = found
        for name in required:
            if name not in fitted:
                raise Misfit("missing_argument", self._missing(f"{where}{name}", required, given, where))
        return fitted

    def _name_members(
        self, given: Mapping[str, Any], properties: Mapping[str, Any], others: bool, where: str
    ) -> dict[str, Any]:
        """The members under their own names, in the order given; the right name counts before any other."""
        exact = {name for name in given if name in properties and given[name] is not None}
        named: dict[str, Any] = {}
        for raw, value in given.items():
            if raw in exact:
                named[raw] = value
                continue
            if value is None:
                continue
            name = self._offer.member(self._tool, raw, properties) if where else self._offer.argument(self._tool, raw)
            if not name and others:
                name = raw
            if not name or name in exact:
                continue
            if name in named and named[name] != value:
                raise Twofold(f"two values for {name}")
            named[name] = value
        return named

    def _value(self, value: Any, schema: Mapping[str, Any], where: str, required: bool) -> Any:
        schema = self._follow(schema)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self._any(value, [self._follow(option) for option in options], where, required)
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._any(value, [{**schema, "type": kind} for kind in kinds], where, required)
        if "enum" in schema or "const" in schema:
            return self._enum(value, schema.get("enum") or [schema.get("const")], where)
        if kinds not in ("string", None) and not required and _says_nothing(value):
            return ABSENT
        match kinds:
            case "string":
                return self._string(value, where)
            case "integer":
                return self._integer(value, where)
            case "number":
                return self._number(value, where)
            case "boolean":
                return self._boolean(value, where)
            case "array":
                return self._array(value, schema, where)
            case "object":
                return self._object(value, schema, where)
            case "null":
                return None if value is None else self._wrong(value, "null", where)
        return value.text if isinstance(value, Raw) else value

    def _follow(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(8):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            found: Any = self._root
            for part in reference.removeprefix("#/").split("/"):
                found = found.get(part) if isinstance(found, Mapping) else None
            schema = found if isinstance(found, Mapping) else {}
        return schema

    def _any(self, value: Any, options: list[Mapping[str, Any]], where: str, required: bool) -> Any:
        """The first option that fits as it is, else the first that fits at all."""
        first: Misfit | None = None
        fitting: list[Any] = []
        for option in options:
            try:
                found = self._value(value, option, where, required)
            except Misfit as misfit:
                first = first or misfit
                continue
            if found is not ABSENT and type(found) is type(value) and found == value:
                return found
            fitting.append(found)
        if not fitting:
            raise first or Misfit("wrong_type", f"{where} of {self._tool} has a value that does not fit.")
        return fitting[0]

    def _enum(self, value: Any, options: list[Any], where: str) -> Any:
        text = value.text if isinstance(value, Raw) else value
        for option in options:
            if type(option) is type(text) and option == text:
                return option
        if isinstance(text, str):
            same = [option for option in options if str(option).lower() == text.strip().lower()]
            if len(same) == 1:
                return same[0]
        return self._wrong(value, f"one of {', '.join(json.dumps(option) for option in options)}", where)

    def _string(self, value: Any, where: str) -> Any:
        match value:
            case Raw(text, True):
                return _string_of_json(text)
            case Raw(text):
                return text
            case str():
                return value
            case bool() | float():
                return self._wrong(value, "a string", where)
            case int():
                return str(value)
        note = " with the whole text in it, exactly as it shall stand in the file" if where == "content" else ""
        return self._wrong(value, f"a string{note}", where)

    def _integer(self, value: Any, where: str) -> Any:
        value = _plain_number(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_EXACT:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self._wrong(value, "an integer", where)

    def _number(self, value: Any, where: str) -> Any:
        value = _plain_number(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
        return self._wrong(value, "a number", where)

    def _boolean(self, value: Any, where: str) -> Any:
        text = value.text if isinstance(value, Raw) else value
        if isinstance(text, str):
            word = text.strip().lower()
            if word in ("true", "false"):
                return word == "true"
            if word in STATES and where.endswith("].done"):
                return STATES[word]
        return value if isinstance(value, bool) else self._wrong(value, "true or false", where)

    def _array(self, value: Any, schema: Mapping[str, Any], where: str) -> Any:
        value = _unpack(value, "[")
        if not isinstance(value, list):
            return self._wrong(value, "a list", where)
        items = schema.get("items")
        if not isinstance(items, Mapping):
            return [_plain(each) for each in value]
        return [self._value(each, items, f"{where}[{index}]", True) for index, each in enumerate(value)]

    def _object(self, value: Any, schema: Mapping[str, Any], where: str) -> Any:
        value = _unpack(value, "{")
        if not isinstance(value, dict):
            return self._wrong(value, "an object", where)
        if "properties" not in schema:
            return _plain(value)
        return self.members(value, schema, f"{where}.")

    def _wrong(self, value: Any, wanted: str, where: str) -> Any:
        raise Misfit("wrong_type", f"{where} of {self._tool} must be {wanted}, not {_describe(value)}.")

    def _missing(self, name: str, required: list[str], given: Mapping[str, Any], where: str) -> str:
        sentence = f"{self._tool} needs {name}, which is not there"
        if where:
            return f"{sentence}; each must have {_list(required)}."
        told = [raw for raw, value in given.items() if value is not None]
        had = f"; it was called with {_list(told[:8])} only" if told else ""
        return f"{sentence}{had}. Call it again with {_list(required)}."


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"


def _says_nothing(value: Any) -> bool:
    """Whether a value that is no string by schema was written as none."""
    if isinstance(value, Raw):
        return value.text.strip().lower() in ("", "null", "none")
    return value is None or (isinstance(value, str) and value.strip() in ("null", "None"))


def _plain_number(value: Any) -> Any:
    text = value.text if isinstance(value, Raw) else value
    if isinstance(text, str) and _DECIMAL.fullmatch(text.strip()):
        stripped = text.strip().lstrip("+")
        try:
            return float(stripped) if "." in stripped else int(stripped)
        except ValueError:
            return value
    return value


def _string_of_json(text: str) -> str:
    """A string where the tag promised JSON: its content if it is quoted, else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str) else text


def _unpack(value: Any, bracket: str) -> Any:
    """A list or an object that was written as text. What is open or broken stays text, which fits nothing."""
    raw = isinstance(value, Raw)
    text = value.text if isinstance(value, Raw) else value
    if not isinstance(text, str) or not text.lstrip().startswith(bracket):
        return text
    # A closing tag behind it proves that the writer was done; the end of a string does not.
    whole = text.strip() + ("</s>" if raw else "")
    try:
        found, end = read_value(whole, 0)
    except (Open, Broken):
        return text
    return found if end == len(text.strip()) else text


def _plain(value: Any) -> Any:
    match value:
        case Raw(text):
            try:
                return to_number(text) if _DECIMAL.fullmatch(text) else text
            except ValueError:
                return text
        case list():
            return [_plain(each) for each in value]
        case dict():
            return {name: _plain(each) for name, each in value.items()}
    return value


def _describe(value: Any) -> str:
    match value:
        case Raw(text) | str(text):
            shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
            return f"the text {json.dumps(shown, ensure_ascii=False)}"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value:g}" if isinstance(value, float) else f"the number {str(value)[:LONGEST_SHOWN]}"
        case None:
            return "null"
        case list():
            return "a list"
    return "an object"


_DECIMAL = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?")
