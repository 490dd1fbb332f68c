"""Calls without a marker: they count only if they are the whole message. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from hearth.llm.repair.blocks import read_blocks
from hearth.llm.repair.envelopes import BEGUN, open_envelopes
from hearth.llm.repair.found import Found
from hearth.llm.repair.loose import Broken, Open, read_value
from hearth.llm.repair.markers import skip_junk, space_end, strip_junk
from hearth.llm.repair.named import PYTHON, read_named, read_python
from hearth.llm.repair.names import Offer
from hearth.llm.repair.prose import Fence
from hearth.llm.repair.walk import walk

CALL_FENCES = frozenset(("tool_code", "tool_call", "tool_calls", "tool", "function_call", "function"))
"""What stands behind the backticks of a fence that can be nothing but a call."""
DATA_FENCES = frozenset(("", "python", "py", "python3", "json", "text", "txt", "plaintext", "plain", "xml"))
"""The others in which a call may be written as Python, or as a name and an object: all else is code of its language."""
MOST_CALLS = 64


def read_message(text: str, fences: list[Fence], offer: Offer) -> tuple[Found, ...]:
    """The calls that a message without marked calls consists of; none if there is anything beside them."""
    if fences:
        if strip_junk(_outside(text, fences)):
            return _read_named(strip_junk(text), offer) if len(fences) == 1 else ()
        calls: list[Found] = []
        for fence in fences:
            inner = _read_fence(fence, offer)
            if not inner:
                return ()
            calls += inner
        return tuple(calls)
    return read_whole(strip_junk(text), offer, positional=False)


def read_changes(text: str, offer: Offer) -> tuple[Found, ...]:
    """The edits that a message of nothing but SEARCH/REPLACE blocks consists of, as aider asks for them, fenced or not.
    A block below another of the same file need not name it again."""
    edit = offer.of_kind("edit")
    if not edit or "SEARCH" not in text:
        return ()
    blocks = read_blocks(strip_junk(text))
    if not blocks or not blocks[0].path:
        return ()
    if "blocks" in offer.parameters(edit).get("properties", {}):
        return (Found(edit, {"blocks": text}, 0, len(text)),)
    calls: list[Found] = []
    path = ""
    for block in blocks:
        path = block.path or path
        calls.append(Found(edit, {"path": path, "old": block.old, "new": block.new}, 0, len(text)))
    return tuple(calls)


def read_whole(text: str, offer: Offer, positional: bool) -> tuple[Found, ...]:
    """The calls that a text consists of, in one of the forms without marker."""
    if text.startswith(("{", "[")):
        calls = _read_objects(text, offer)
        if calls or text.startswith("{"):
            return calls
        return _read_python(text, offer, True)
    return _read_python(text, offer, positional) or _read_named(text, offer)


def _outside(text: str, fences: list[Fence]) -> str:
    kept: list[str] = []
    at = 0
    for fence in fences:
        kept.append(text[at : fence.start])
        at = fence.end
    return "".join([*kept, text[at:]])


def _read_fence(fence: Fence, offer: Offer) -> tuple[Found, ...]:
    inner = fence.inner.strip()
    info = fence.info.split()[0].lower() if fence.info else ""
    positional = info in CALL_FENCES
    is_code = not positional and info not in DATA_FENCES
    if is_code and not inner.startswith(("{", "[{", "<")):
        return ()
    if calls := read_whole(strip_junk(inner), offer, positional):
        return _close(calls, strip_junk(inner), offer, positional) if fence.closed else calls
    found = walk(inner, offer)
    return () if strip_junk(found.said) or found.thoughts or found.fences else tuple(found.calls)


def _close(calls: tuple[Found, ...], text: str, offer: Offer, positional: bool) -> tuple[Found, ...]:
    """The calls of a fence that is closed: that proves that the model was done, so a bracket too few is no cut."""
    if calls[-1].flaw != "open":
        return calls
    for end in ("</s>", ")", ")]"):
        closed = read_whole(f"{text}{end}", offer, positional)
        if closed and not closed[-1].flaw:
            return closed
    return (*calls[:-1], replace(calls[-1], flaw="broken"))


def _read_objects(text: str, offer: Offer) -> tuple[Found, ...]:
    """JSON objects or a list of them, one behind the other."""
    calls: list[Found] = []
    at = 0
    while at < len(text) and len(calls) < MOST_CALLS:
        if text[at] not in "{[":
            return ()
        try:
            value, end = read_value(text, at)
        except (Open, Broken) as error:
            begun = BEGUN.match(text, at)
            if not begun or not offer.resolve(begun["name"]):
                return ()
            flaw = Found(begun["name"], {}, at, len(text), "open" if isinstance(error, Open) else "broken")
            return (*calls, flaw)
        pairs = open_envelopes(value, offer, marked=False)
        if pairs is None:
            return ()
        calls += (Found(name, arguments, at, end) for name, arguments in pairs)
        end = space_end(text, end)
        while text[end : end + 1] in ("}", "]"):
            end = skip_junk(text, end + 1)
        at = skip_junk(text, end + 1 if text[end : end + 1] in (",", ";") else end)
    return tuple(calls)


def _read_python(text: str, offer: Offer, positional: bool) -> tuple[Found, ...]:
    """Python calls, a list of them or one behind the other."""
    calls: list[Found] = []
    at = 0
    while at < len(text) and len(calls) < MOST_CALLS:
        if assigned := _ASSIGNED.match(text, at):
            at = assigned.end()
        if calls and (printed := _PRINTED.match(text, at)):
            at = skip_junk(text, printed.end())
            continue
        if not (text.startswith("[", at) or PYTHON.match(text, at)):
            return ()
        body = read_python(text, at, offer, positional)
        if body is None:
            return ()
        calls += body.calls
        if body.calls[-1].flaw == "broken":
            return ()
        at = skip_junk(text, body.end)
        if text[at : at + 1] in (",", ";"):
            at = skip_junk(text, at + 1)
    return tuple(calls)


def _read_named(text: str, offer: Offer) -> tuple[Found, ...]:
    """A tool's name, then its arguments as an object."""
    head = _NAME_LINE.match(text)
    if not head or not offer.resolve(head["name"]):
        return ()
    body = read_named(text, 0, offer, marked=False)
    if body is None or (not body.calls[0].flaw and strip_junk(text[body.end :]).strip("}] \n")):
        return ()
    return () if body.calls[0].flaw == "broken" else body.calls


_NAME_LINE = re.compile(r"(?P<name>[A-Za-z_][\w.:-]{0,80})[ \t]*\n?\s*(?:```(?:json)?\s*)?\{")
_ASSIGNED = re.compile(r"[A-Za-z_]\w{0,60}\s*=\s*(?=[A-Za-z_][\w.]{0,118}\()")
_PRINTED = re.compile(r"print\(\s*[A-Za-z_]\w{0,60}\s*\)")
