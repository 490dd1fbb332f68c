"""Calls as elements, a tag for the tool and one for each argument, as Cline and Roo taught models to write: pure.

``<read_file><path>a</path></read_file>`` has no word of its own for a call, and XML is much else. So it counts only at
the end of the answer, where it begins a line, with arguments of a tool that was offered and nothing else in it.
"""

from __future__ import annotations

import re

from hearth.llm.repair.found import Body, Flaw, Found, Raw
from hearth.llm.repair.loose import Broken, Open, read_value
from hearth.llm.repair.markers import CLOSER, MARKED, RESULT, skip_junk, space_end
from hearth.llm.repair.meant import DIFFS
from hearth.llm.repair.names import Offer, squash
from hearth.llm.repair.params import trim_breaks
from hearth.llm.repair.prose import Quotes
from hearth.llm.repair.thoughts import THOUGHT

MOST_TAGS = 256
"""Tags of tools in one text that are looked behind; nobody means more."""
BESIDE = frozenset(("requires_approval", "task_progress", "end_line", "line_range", "line_count", "recursive"))
"""Arguments of Cline's and Roo's that no tool of ours has, and without which it still does what was meant."""


def read_elements(text: str, offer: Offer) -> tuple[Found, ...]:
    """The calls with which a text ends; none if anything is said behind them, or another kind of call, or
    reasoning, before them."""
    quoted = [(fence.start, fence.end) for fence in Quotes(text).fences()]
    reached = 0
    for count, head in enumerate(_TOOL.finditer(text)):
        at = head.start("tag") - 1
        if count >= MOST_TAGS:
            break
        if at < reached or any(begin <= at < end for begin, end in quoted) or not _tool_of(head["tag"], offer):
            continue
        calls, reached = _read_chain(text, at, offer)
        if calls:
            return () if MARKED.search(text, 0, at) or THOUGHT.search(text, 0, at) else calls
    return ()


def read_element(text: str, at: int, offer: Offer) -> Body | None:
    """The element that begins at ``at`` behind a marker; None if it is none."""
    head = _CHILD.match(text, at)
    call = _Element(text, at, offer, marked=True).read() if head and _tool_of(head["key"], offer) else None
    return Body((call,), call.end) if call else None


def read_titled(text: str, at: int) -> Body | None:
    """A name in a tag, and an object in another, behind a marker: as models write that know of both XML and JSON."""
    head = _TITLED.match(text, at)
    if not head:
        return None
    name, inside = head["name"], head.end()
    try:
        value, end = read_value(text, inside)
    except Open:
        return Body((Found(name, {}, at, len(text), "open"),), len(text))
    except Broken:
        return Body((Found(name, {}, at, inside, "broken"),), inside)
    closing = re.compile(rf"\s*</{head['tag']}>").match(text, end)
    flaw: Flaw = "" if closing else "open" if not text[end:].strip() else "broken"
    end = closing.end() if closing else end
    return Body((Found(name, value, at, end, flaw),), end)


def _read_chain(text: str, at: int, offer: Offer) -> tuple[tuple[Found, ...], int]:
    """Element behind element, up to the end; none if something else follows. And how far they go in any case."""
    calls: list[Found] = []
    while len(calls) < MOST_TAGS:
        call = _Element(text, at, offer).read()
        if call is None:
            return (), at
        calls.append(call)
        at = skip_junk(text, call.end)
        if at == len(text) or _IMAGINED.match(text, at):
            return tuple(calls), at
        head = _TOOL.match(text, text.rfind("\n", 0, at) + 1)
        if not head or head.start("tag") != at + 1 or not _tool_of(head["tag"], offer):
            break
    return (), at


def _tool_of(tag: str, offer: Offer) -> str:
    """The offered tool that a tag means. One word alone must be its name: ``<search>`` and ``<view>`` are much else."""
    if tag in offer.specs:
        return tag
    if "_" not in tag:
        return ""
    return offer.resolve(tag) or (offer.of_kind("edit") if squash(tag) in DIFFS else "")


class _Element:
    """One of them, that begins at ``at``. One behind a marker may have its end marker behind it."""

    def __init__(self, text: str, at: int, offer: Offer, marked: bool = False) -> None:
        self._text = text
        self._start = at
        self._offer = offer
        self._marked = marked
        self._tag = text[at + 1 : text.index(">", at)]
        self._tool = _tool_of(self._tag, offer)
        self._given: dict[str, Raw] = {}
        self._flaw = False

    def read(self) -> Found | None:
        """The call; with a flaw if it is open, or cannot be told for certain; None if it is none."""
        text = self._text
        place = self._skip(_WRAPPERS, space_end(text, text.index(">", self._start) + 1))
        while (child := _CHILD.match(text, place)) and self._knows(key := child["key"]):
            end = self._find_end(key, child.end())
            if end is None:
                return self._unended(key, child.end())
            if key in self._given:
                return self._found(len(text), "broken") if self._ends_text() else None
            self._take(key, text[child.end() : end])
            place = space_end(text, end + len(key) + 3)
        if not self._given:
            return None
        place = self._skip(_UNWRAPPERS, place)
        if text.startswith(f"</{self._tag}>", place):
            return self._found(place + len(self._tag) + 3, "broken" if self._flaw else "")
        if place == len(text):
            return self._found(place, "open")
        return self._found(len(text), "broken") if self._ends_text() else None

    def _found(self, end: int, flaw: Flaw) -> Found:
        return Found(self._tag, {} if flaw else dict(self._given), self._start, end, flaw)

    def _knows(self, key: str) -> bool:
        return key in BESIDE or self._is_meant(key)

    def _is_meant(self, key: str) -> bool:
        return DIFFS.get(squash(self._tag)) == key or bool(self._offer.argument(self._tool, key))

    def _skip(self, tags: re.Pattern[str], place: int) -> int:
        found = tags.match(self._text, place)
        return found.end() if found else place

    def _find_end(self, key: str, begin: int) -> int | None:
        """The closing tag behind which the structure goes on: another argument, or the end of the element."""
        text, close = self._text, f"</{key}>"
        at = text.find(close, begin)
        while at >= 0:
            after = space_end(text, at + len(close))
            child = _CHILD.match(text, after)
            if child and self._knows(child["key"]):
                again = re.search(rf"{re.escape(close)}\s*{re.escape(child[0])}", text[child.end() :])
                self._flaw = self._flaw or bool(again and f"<{key}>" not in text[at : child.end() + again.start()])
                return at
            after = self._skip(_UNWRAPPERS, after)
            if text.startswith(f"</{self._tag}>", after) and self._is_over(after + len(self._tag) + 3):
                return at
            at = text.find(close, at + 1)
        return None

    def _unended(self, key: str, at: int) -> Found | None:
        """What an element is whose argument does not end: open, or closed in a way that nobody can read, or closed with
        words behind it."""
        if re.compile(rf"</{re.escape(key)}>\s*{_UNWRAPPERS.pattern}</{re.escape(self._tag)}>").search(self._text, at):
            return None
        return self._found(len(self._text), "broken" if self._ends_text() else "open")

    def _ends_text(self) -> bool:
        return self._text.rstrip().endswith(f"</{self._tag}>")

    def _is_over(self, at: int) -> bool:
        at = skip_junk(self._text, at)
        following = _TOOL.match(self._text, self._text.rfind("\n", 0, at) + 1)
        is_next = bool(following and following.start("tag") == at + 1 and _tool_of(following["tag"], self._offer))
        is_last = at == len(self._text) or (self._marked and bool(CLOSER.match(self._text, at)))
        return is_last or is_next or bool(_IMAGINED.match(self._text, at))

    def _take(self, key: str, value: str) -> None:
        value = trim_breaks(value)
        if data := _CDATA.fullmatch(value):
            value = trim_breaks(data["inner"])
        elif _ENTITY.search(value) and not _NO_ENTITY.search(value):
            self._flaw = True  # escaped, or meant so: both are possible
        self._given[key] = Raw(value)


_NAME = r"[A-Za-z][\w-]{0,60}"
_TOOL = re.compile(rf"^[ \t]*<(?P<tag>{_NAME})>", re.MULTILINE)
_TITLED = re.compile(
    rf"<(?P<title>(?:tool_|function_)?name)>\s*(?P<name>{_NAME})\s*</(?P=title)>\s*"
    r"<(?P<tag>arguments|parameters|args|input|params)>\s*(?=\{)"
)
_CHILD = re.compile(rf"<(?P<key>{_NAME})>")
_WRAPPERS = re.compile(r"(?:<args>\s*)?(?:<file>\s*)?(?=<)")
_UNWRAPPERS = re.compile(r"(?:</file>\s*)?(?:</args>\s*)?(?=<)")
_CDATA = re.compile(r"\s*<!\[CDATA\[(?P<inner>(?:(?!\]\]>).)*)\]\]>\s*", re.DOTALL)
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos);")
_NO_ENTITY = re.compile(r"[<>]|&(?!(?:lt|gt|amp|quot|apos);)")
_IMAGINED = re.compile(
    rf"(?:{RESULT.pattern})|\[\w{{1,60}}\ for\ [^\n]{{1,300}}\]\ Result:", re.VERBOSE | re.IGNORECASE
)
