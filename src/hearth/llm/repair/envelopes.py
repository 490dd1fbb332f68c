"""Calls written as JSON objects: which member is the name, which holds the arguments: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hearth.llm.repair.names import Offer

NAMES = ("name", "tool", "tool_name", "function", "function_name", "recipient_name", "action", "toolName")
ARGUMENTS = (
    *("arguments", "parameters", "args", "params", "input", "tool_input", "kwargs", "action_input", "tool_args"),
    *("tool_arguments", "function_args", "tool_parameters", "function_arguments"),
)
NOISE = frozenset(("type", "id", "call_id", "tool_call_id", "index", "thought", "thoughts", "reason", "explanation"))
WRAPPERS = ("tool_calls", "tool_call", "function_call", "calls", "tool_uses", "function")

BEGUN = re.compile(
    r"\s*\[?\s*\{\s*[\"']?(?:type[\"']?\s*:\s*[\"']function[\"']\s*,\s*[\"']?)?(?:id[\"']?\s*:\s*[\"'][^\"']{0,80}[\"']\s*,\s*[\"']?)?(?:function[\"']?\s*:\s*\{\s*[\"']?)?(?:name|tool|tool_name|function|function_name)[\"']?\s*:\s*[\"'](?P<name>[^\"'\n]{1,120})[\"']"
)
"""The first member of a call object, for those that cannot be read whole."""


def open_envelopes(value: Any, offer: Offer, marked: bool) -> list[tuple[str, Any]] | None:
    """The calls, name and arguments, that a value holds; None if it is none.

    ``marked`` says that a marker stood before it; without one only the plain form counts.
    """
    if isinstance(value, list):
        calls: list[tuple[str, Any]] = []
        for each in value:
            inner = open_envelopes(each, offer, marked) if isinstance(each, dict) else None
            if inner is None:
                return None
            calls += inner
        return calls or None
    if not isinstance(value, dict):
        return None
    for wrapper in WRAPPERS:
        held = value.get(wrapper)
        if isinstance(held, list | dict) and set(value) - {wrapper} <= NOISE | {"content", "role"}:
            return open_envelopes(held, offer, marked)
    return _open_one(value, offer, marked)


def _open_one(value: Mapping[str, Any], offer: Offer, marked: bool) -> list[tuple[str, Any]] | None:
    for key in NAMES:
        name = value.get(key)
        if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name.strip()):
            continue
        held = [each for each in ARGUMENTS if each in value]
        rest = set(value) - {key, *held} - NOISE
        given = [value[each] for each in held if value[each] not in (None, "", {})]
        if any(each != given[0] for each in given):
            return None  # two sets of arguments
        if held and (marked or (not rest and _is_call(name, key, held[0], value[held[0]], offer))):
            return [(name, given[0] if given else value[held[0]])]
        if marked and not held and offer.resolve(name):
            return [(name, {each: value[each] for each in value if each != key and each not in ("type", "id")})]
    if marked and len(value) == 1:
        [(name, arguments)] = value.items()
        if isinstance(arguments, dict) and offer.resolve(name):
            return [(name, arguments)]
    return None


def _is_call(name: str, key: str, held: str, arguments: Any, offer: Offer) -> bool:
    """Whether an object without any marker is a call, and not other data with a name and parameters."""
    if isinstance(arguments, str) and arguments.strip() and not arguments.lstrip().startswith("{"):
        return False
    if not isinstance(arguments, dict | str | type(None)):
        return False
    is_schema = isinstance(arguments, dict) and arguments.get("type") == "object" and "properties" in arguments
    usual = key in ("name", "tool_name", "function") and held in ("arguments", "parameters")
    return not is_schema and (bool(offer.resolve(name)) or usual)


def unwrap(arguments: Mapping[str, Any], tool: str, offer: Offer) -> Any:
    """The arguments without a second envelope around them. Raises ValueError if that one names another tool."""
    properties = offer.parameters(tool).get("properties", {})
    held = [key for key in ARGUMENTS if key in arguments and key not in properties]
    if len(held) != 1 or not isinstance(arguments[held[0]], dict | str):
        return arguments
    inner = arguments[held[0]]
    if isinstance(inner, str) and not inner.lstrip().startswith("{"):
        return arguments
    names = [key for key in NAMES if key in arguments and key not in properties]
    if set(arguments) - {held[0], *names} - NOISE:
        return arguments
    for key in names:
        if not isinstance(arguments[key], str) or offer.resolve(arguments[key]) != tool:
            raise ValueError("the envelope names another tool")
    return inner


_IDENTIFIER = re.compile(r"[^\s\"'{}()]{1,120}(?:\s*<[^\s]{0,80})?")
