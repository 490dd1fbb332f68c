"""Calls that begin with a name: Mistral, DeepSeek, Kimi, Gemma, GLM without tags, and Python: pure."""

from __future__ import annotations

import re
from typing import Any

from hearth.llm.repair.aliases import DECORATIONS
from hearth.llm.repair.found import Body, Found
from hearth.llm.repair.loose import Broken, Open, Reader, add_member, read_value
from hearth.llm.repair.markers import JUNK, OPENER, SEPARATOR, space_end
from hearth.llm.repair.names import Offer
from hearth.llm.repair.params import read_function


def read_named(text: str, at: int, offer: Offer, marked: bool = True) -> Body | None:
    """The call whose name begins at ``at``, with its arguments as a JSON object; None if it is none.

    ``marked`` says that a marker stood before it; else the name must be of an offered tool, or a marker must follow.
    """
    head = NAME.match(text, at)
    if not head:
        return None
    name, place = head["name"], head.end()
    place = _skip_call_id(text, space_end(text, place))
    separator = SEPARATOR.match(text, place)
    if separator and name == "function" and not text.startswith("[", place):
        # DeepSeek R1 and V3: the word function, the name, then the object in a fence. Step: <invoke> behind it.
        place = space_end(text, separator.end())
        if body := read_function(text, place, offer):
            return body
        if not (head := NAME.match(text, place)):
            return None
        name, place = head["name"], head.end()
        separator = SEPARATOR.match(text, space_end(text, place)) or separator
        place = max(place, separator.end())
    elif separator:
        place = separator.end()
    known = offer.resolve(name)
    if not separator and not known and not (marked and text.startswith("{", place)):
        return None
    fence = _FENCE.match(text, place)
    place = space_end(text, fence.end() if fence else place)
    if place == len(text):
        return Body((Found(name, {}, at, place, "open"),), place) if known and (marked or separator) else None
    if not text.startswith("{", place):
        ended = separator and _ENDED.match(text, place)
        return Body((Found(name, {}, at, place),), place) if ended else None
    return _read_object(text, name, at, place)


def read_gemma(text: str, at: int) -> Body | None:
    """Gemma 4's ``call:NAME{key:value}``, whose strings have delimiters of their own."""
    head = GEMMA.match(text, at)
    if not head:
        return None
    reader = Reader(text, head.end() - 1, "gemma")
    try:
        value = reader.value()
    except Open:
        return Body((Found(head["name"], {}, at, len(text), "open"),), len(text))
    except Broken:
        return Body((Found(head["name"], {}, at, head.end(), "broken"),), head.end())
    return Body((Found(head["name"], value, at, reader.at),), reader.at)


def read_python(text: str, at: int, offer: Offer, positional: bool) -> Body | None:
    """A Python call or a list of calls; None if it is none, or not of offered tools.

    ``positional`` arguments count only where a marker says that this is a call, and only for what is required. Without
    such a marker a name behind a dot is one of the program that it stands in, unless what stands before is known.
    """
    listed = text.startswith("[", at)
    calls: list[Found] = []
    place = space_end(text, at + 1) if listed else at
    while True:
        body = _read_python_call(text, place, offer, positional)
        if body is None:
            return None
        calls += body.calls
        place = body.end
        if body.calls[0].flaw or not listed:
            return Body(tuple(calls), place)
        place = space_end(text, place)
        comma = text.startswith(",", place)
        place = space_end(text, place + 1) if comma else place
        if text.startswith("]", place):
            return Body(tuple(calls), place + 1)
        if place == len(text):
            return Body((*calls, Found(calls[-1].name, {}, place, place, "open")), place)
        if not comma:
            return None


def _read_python_call(text: str, at: int, offer: Offer, positional: bool) -> Body | None:
    wrapped = _PRINT.match(text, at)
    head = PYTHON.match(text, wrapped.end() if wrapped else at)
    if not head or not (tool := offer.resolve(head["name"])):
        return None
    name = head["name"]
    if not positional and "." in name and not set(name.lower().split(".")[:-1]) <= DECORATIONS:
        return None  # a method of something: code, and no call of a tool
    reader = Reader(text, head.end(), "python")
    try:
        arguments = _read_arguments(reader, offer.parameters(tool).get("required", []) if positional else [])
    except Open:
        return Body((Found(name, {}, at, len(text), "open"),), len(text))
    except Broken:
        return Body((Found(name, {}, at, reader.at, "broken"),), reader.at)
    if arguments is None:
        return None
    place = reader.at
    if wrapped:
        place = space_end(text, place)
        if place == len(text):
            return Body((Found(name, {}, at, place, "open"),), place)
        if not text.startswith(")", place):
            return None
        place += 1
    return Body((Found(name, arguments, at, place),), place)


def _read_arguments(reader: Reader, required: list[str]) -> dict[str, Any] | None:
    """The arguments behind the opening bracket; None if they are not those of a call."""
    arguments: dict[str, Any] = {}
    count = 0
    while True:
        char = reader.skip()
        if not char:
            raise Open("the call does not end")
        if char == ")":
            reader.at += 1
            return arguments
        keyword = _KEYWORD.match(reader.text, reader.at)
        if keyword:
            reader.at = keyword.end()
            add_member(arguments, keyword["key"], reader.value())
        elif count == len(arguments) and count < len(required):
            add_member(arguments, required[count], reader.value())
            count += 1
        else:
            return None
        char = reader.skip()
        if char == ",":
            reader.at += 1
        elif char and char != ")":
            raise Broken("no comma between two arguments")


def _read_object(text: str, name: str, start: int, at: int) -> Body:
    try:
        value, end = read_value(text, at)
    except Open:
        return Body((Found(name, {}, start, len(text), "open"),), len(text))
    except Broken:
        return Body((Found(name, {}, start, at, "broken"),), at + 1)
    if fence := _FENCE_END.match(text, end):
        end = fence.end()
    return Body((Found(name, value, start, end),), end)


def _skip_call_id(text: str, at: int) -> int:
    found = _CALL_ID.match(text, at)
    return found.end() if found else at


NAME = re.compile(r"(?P<name>[A-Za-z_][\w./-]{0,118}(?::{1,2}[\w./-]{1,80})?)")
PYTHON = re.compile(r"(?P<name>[A-Za-z_][\w.]{0,118})\s*\(")
GEMMA = re.compile(r"call:\s*(?P<name>[A-Za-z_][\w.:/-]{0,118}?)\s*\{")
_PRINT = re.compile(r"print\s*\(\s*(?=[A-Za-z_][\w.]{0,118}\s*\()")
_KEYWORD = re.compile(r"(?P<key>[A-Za-z_]\w{0,100})\s*=(?!=)\s*")
_CALL_ID = re.compile(r"\[CALL_ID\]\s*[\w-]{1,80}\s*")
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n")
_FENCE_END = re.compile(r"\s*```")
_ENDED = re.compile(rf"(?:{JUNK.pattern})|(?:{OPENER.pattern})", re.VERBOSE | re.IGNORECASE)
