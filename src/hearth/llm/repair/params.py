"""Calls whose arguments stand between tags: Qwen3-Coder, Seed, MiniMax, DeepSeek, and GLM's keys and values: pure.

The values are raw text, not XML. A value ends at the closing tag behind which the structure goes on; what looks like a
tag within it is text. Models forget and double closing tags: a value then ends where the next tag begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hearth.llm.repair.found import Body, Found, Raw
from hearth.llm.repair.loose import Broken, Open, add_member, read_value
from hearth.llm.repair.markers import CLOSER, FUNCTION, JUNK, OPENER, PREFIX, space_end
from hearth.llm.repair.names import Offer


def read_function(text: str, at: int, offer: Offer) -> Body | None:
    """The call whose ``<function=`` or ``<invoke name=`` begins at ``at``; None if no body follows it."""
    head = FUNCTION.match(text, at)
    if not head:
        return None
    name, inside = head["name"], space_end(text, head.end())
    if text.startswith("{", inside):
        return _read_json(text, name, at, inside)
    tool = offer.resolve(name)
    if not (_PARAMETER.match(text, inside) or _END.match(text, inside) or (tool and inside == len(text))):
        return None
    trim = head["tag"].lower() == "function"
    arguments: dict[str, Any] = {}
    ended = False
    place, count = inside, 0
    try:
        while parameter := _PARAMETER.match(text, place):
            key, begin = parameter["name"].strip(), parameter.end()
            value = _find_end(text, begin, offer, tool, {key, *arguments})
            if value is None:
                return Body((Found(name, {}, at, len(text), "open"),), len(text))
            raw = text[begin : value.end]
            json = _IS_JSON.search(parameter["rest"]) is not None
            add_member(arguments, key, Raw(trim_breaks(raw) if trim else raw, json))
            count += 1
            if count > MOST_PARAMETERS:
                raise Broken("more parameters than any tool has")
            place = space_end(text, value.after)
            while double := _CLOSE_PARAMETER.match(text, place):
                place = space_end(text, double.end())
        if end := _END.match(text, place):
            place, ended = end.end(), True
    except Broken:
        return Body((Found(name, {}, at, place, "broken"),), place)
    flaw = _judge_end(text, place, ended, tool, arguments, offer)
    return Body((Found(name, arguments, at, place, flaw),), place)


def read_pairs(text: str, at: int, begin: int, offer: Offer) -> Body | None:
    """GLM's call, whose marker begins at ``at`` and whose name at ``begin``; None if no keys and values follow it."""
    first = _PAIR_TAG.search(text, begin, begin + 400)
    if not first:
        return None
    header, place = text[begin : first.start()].strip(), first.start()
    key = ""
    if first[0].lower() == "</arg_key>" or (OPENER.match(text, first.start()) and _KEY_END.search(text, first.end())):
        # The opener of the first key is missing: the key is glued to the name, or another marker stands between.
        name, key, place = _read_damaged(text, header, first, offer)
    else:
        name = header
    if not name or any(char in name for char in "{[("):
        return None
    arguments: dict[str, Any] = {}
    tool = offer.resolve(name)
    try:
        while True:
            if not key:
                opened = _KEY.match(text, space_end(text, place))
                if not opened:
                    break
                key, place = opened["key"].strip(), opened.end()
            opener = _VALUE.match(text, space_end(text, place))
            begin_value = opener.end() if opener else place + text.startswith("\n", place)
            ending = _find_value_end(text, begin_value, offer, tool)
            if ending is None:
                return Body((Found(name, {}, at, len(text), "open"),), len(text))
            add_member(arguments, key, Raw(text[begin_value : ending.end]))
            key, place = "", ending.after
    except Broken:
        return Body((Found(name, {}, at, place, "broken"),), place)
    place = space_end(text, place)
    if not arguments:
        return None
    flaw = _judge_end(text, place, False, tool, arguments, offer)
    return Body((Found(name, arguments, at, place, flaw),), place)


MOST_PARAMETERS = 64
MOST_CLOSERS = 32
"""Closing tags in a row that are looked through."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where a value ends, and where to read on."""

    end: int
    after: int


def _judge_end(text: str, at: int, ended: bool, tool: str, arguments: dict[str, Any], offer: Offer) -> Any:
    """Whether a call without its closing tag was cut: not if all that it must have is there and closed."""
    if ended or CLOSER.match(text, at) or OPENER.match(text, at) or FUNCTION.match(text, at) or JUNK.match(text, at):
        return ""
    if at < len(text):
        return "broken" if not arguments else ""
    required = offer.parameters(tool).get("required", []) if tool else []
    given = {offer.argument(tool, key) for key in arguments} if tool else set()
    return "" if arguments and set(required) <= given else "open"


def _find_end(text: str, begin: int, offer: Offer, tool: str, known: set[str]) -> _End | None:
    """Where the value that begins at ``begin`` ends; None if it does not.

    A call that is quoted whole within the value is skipped with its own closing tags. If that leads nowhere, the tags
    are taken one by one.
    """
    found, balanced = _scan(text, begin, offer, tool, known, nested=True)
    if found is None or not balanced:
        found, _ = _scan(text, begin, offer, tool, known, nested=False)
    return found


def _scan(text: str, begin: int, offer: Offer, tool: str, known: set[str], nested: bool) -> tuple[_End | None, bool]:
    depth = 0
    missing: _End | None = None
    weak: _End | None = None
    for tag in _STRUCTURE.finditer(text, begin):
        kind = tag.lastgroup
        if kind == "function":
            if weak and not depth:
                return weak, True
            if nested and _PARAMETER.match(text, space_end(text, tag.end())):
                depth += 1
        elif kind == "end" and depth:
            depth -= 1
        elif depth:
            continue
        elif kind == "close":
            strength = _follows(text, tag.end(), offer, tool, known)
            if strength == 2:
                return missing or weak or _End(tag.start(), tag.end()), True
            if strength == 1:
                weak = weak or _End(tag.start(), tag.end())
        elif kind == "parameter":
            key = tag["key"] or ""
            line_start = _begins_line(text, begin, tag.start()) or text[begin : begin + 1] not in "\r\n"
            argument = offer.argument(tool, key) if tool else key
            taken = {offer.argument(tool, each) for each in known} if tool else known
            if argument and argument not in taken and line_start and _PARAMETER.match(text, tag.start()):
                missing = missing or _End(tag.start(), tag.start())
        elif _closes_all(text, tag.start()):
            missing = missing or _End(tag.start(), tag.start())
    return missing or weak, depth == 0


def _follows(text: str, at: int, offer: Offer, tool: str, known: set[str]) -> int:
    """How well the structure goes on behind a closing tag: 2 for certain, 1 perhaps, 0 not at all."""
    at = space_end(text, at)
    end = _END.match(text, at)
    if end or at == len(text) or JUNK.match(text, at) or CLOSER.match(text, at):
        if not end:
            return 2
        after = space_end(text, end.end())
        whole = after == len(text) or any(each.match(text, after) for each in (JUNK, CLOSER, OPENER, FUNCTION))
        return 2 if whole else 1
    if parameter := _PARAMETER.match(text, at):
        return 2 if not tool or offer.argument(tool, parameter["name"]) else 1
    return 2 if OPENER.match(text, at) or FUNCTION.match(text, at) else 0


def _closes_all(text: str, at: int) -> bool:
    """Whether nothing but closing tags and control tokens stands from here to the end, or to the next call."""
    for _ in range(MOST_CLOSERS):
        found = CLOSER.match(text, at) or JUNK.match(text, at)
        if not found:
            return at == len(text) or bool(OPENER.match(text, at) or FUNCTION.match(text, at))
        at = space_end(text, found.end())
    return False


def _begins_line(text: str, begin: int, at: int) -> bool:
    while at > begin and text[at - 1] in " \t":
        at -= 1
    return at > begin and text[at - 1] == "\n"


def _find_value_end(text: str, begin: int, offer: Offer, tool: str) -> _End | None:
    """The same for GLM, whose values are not trimmed."""
    for tag in _VALUE_TAG.finditer(text, begin):
        after = space_end(text, tag.end())
        if tag[0].lower() == "</arg_value>":
            key = _KEY.match(text, after)
            if (
                (key and _VALUE.match(text, space_end(text, key.end())))
                or after == len(text)
                or any(each.match(text, after) for each in (CLOSER, OPENER, JUNK))
            ):
                while double := _CLOSE_VALUE.match(text, after):
                    after = space_end(text, double.end())
                return _End(tag.start(), after)
        elif tag[0].lower() == "<arg_key>":
            key = _KEY.match(text, tag.start())
            if key and tool and offer.argument(tool, key["key"]) and _VALUE.match(text, space_end(text, key.end())):
                before = tag.start() - 1 if text[tag.start() - 1] == "\n" else tag.start()
                return _End(max(before, begin), tag.start())
        elif _closes_all(text, tag.start()) and "</arg_value>" not in text[tag.start() :]:
            return _End(tag.start(), tag.start())
    return None


def _read_damaged(text: str, header: str, tag: re.Match[str], offer: Offer) -> tuple[str, str, int]:
    if tag[0].lower() == "</arg_key>":
        tool, key = offer.split_glued(header)
        lines = header.split()
        if not tool and len(lines) == 2:
            tool, key = lines[0], lines[1]
        return tool, key, tag.end()
    ended = _KEY_END.search(text, tag.end(), tag.end() + 200)
    key = text[tag.end() : ended.start()].strip() if ended else ""
    if not ended or not re.fullmatch(r"[\w-]+", key):
        return "", "", tag.start()
    return header, key, ended.end()


def _read_json(text: str, name: str, start: int, at: int) -> Body | None:
    """Llama's and MiniMax's other form: an object where the parameters belong."""
    try:
        value, end = read_value(text, at)
    except Open:
        return Body((Found(name, {}, start, len(text), "open"),), len(text))
    except Broken:
        return Body((Found(name, {}, start, at, "broken"),), at + 1)
    closed = _END.match(text, space_end(text, end))
    end = closed.end() if closed else end
    return Body((Found(name, value, start, end),), end)


def trim_breaks(text: str) -> str:
    """The text without one line break at each end; the same at both, for a value may end with a carriage return of
    its own."""
    mark = "\r\n" if text.startswith("\r\n") else "\n"
    return text.removeprefix(mark).removesuffix(mark)


_NAMED = r"\s*(?:=|\s+name\s*=)\s*[\"']?(?P<{}>[^\s<>\"'=]{{1,120}})[\"']?"
_PARAMETER = re.compile(
    rf"<{PREFIX}(?:parameter|param)" + _NAMED.format("name") + r"(?P<rest>[^<>\n]{0,80})(?:>|(?=\r?\n))", re.IGNORECASE
)
_CLOSE_PARAMETER = re.compile(rf"</{PREFIX}(?:parameter|param)(?:\s*>|(?=[ \t]*\n))", re.IGNORECASE)
_END = re.compile(rf"</{PREFIX}(?:function|invoke)(?:\s*>|(?=\s*(?:\n|\Z)))", re.IGNORECASE)
_STRUCTURE = re.compile(
    rf"(?P<close></{PREFIX}(?:parameter|param)(?:\s*>|(?=[ \t]*\n)))"
    rf"|(?P<end></{PREFIX}(?:function|invoke)(?:\s*>|(?=\s*(?:\n|\Z))))"
    rf"|(?P<wrapper></{PREFIX}(?:tool_?calls?|function_?calls?)\s*>)"
    rf"|(?P<parameter><{PREFIX}(?:parameter|param)(?={_NAMED.format('key')}))"
    rf"|(?P<function><{PREFIX}(?:function|invoke)(?:=|\s+name\s*=)[^<>\n]{{1,200}}>)",
    re.IGNORECASE,
)
_IS_JSON = re.compile(r"string\s*=\s*[\"']?false", re.IGNORECASE)
_PAIR_TAG = re.compile(rf"</?arg_(?:key|value)>|{OPENER.pattern}|{CLOSER.pattern}", re.IGNORECASE | re.VERBOSE)
_KEY = re.compile(r"<arg_key>\s*(?P<key>[^<>\n]{1,120}?)\s*(?:</arg_key>|(?=<arg_value>))", re.IGNORECASE)
_KEY_END = re.compile(r"</arg_key>", re.IGNORECASE)
_VALUE = re.compile(r"<arg_value>", re.IGNORECASE)
_CLOSE_VALUE = re.compile(r"</arg_value>", re.IGNORECASE)
_VALUE_TAG = re.compile(r"</arg_value>|<arg_key>|</tool_call>|<\|[A-Za-z_]{1,30}\|>", re.IGNORECASE)
