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
        if held and (marked or (not rest and isinstance(value[held[0]], dict | str | type(None)))):
            return [(name, value[held[0]])]
        if marked and not held and offer.resolve(name):
            return [(name, {each: value[each] for each in value if each != key and each not in ("type", "id")})]
    if marked and len(value) == 1:
        [(name, arguments)] = value.items()
        if isinstance(arguments, dict) and offer.resolve(name):
            return [(name, arguments)]
    return None


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
