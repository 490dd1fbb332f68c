"""Walk through a text and find its calls: outside reasoning, fences and inline code. Pure, in linear time."""

from __future__ import annotations

import re

from hearth.llm.repair import harmony
from hearth.llm.repair.elements import read_element, read_titled
from hearth.llm.repair.envelopes import BEGUN, open_envelopes
from hearth.llm.repair.found import Body, Found, Mention, Walk
from hearth.llm.repair.loose import Broken, Open, read_value
from hearth.llm.repair.markers import (
    CLOSER,
    FUNCTION,
    HARMONY,
    JUNK,
    MARKED,
    OPENER,
    RESULT,
    skip_junk,
    space_end,
    strip_junk,
)
from hearth.llm.repair.named import GEMMA, read_gemma, read_named, read_python
from hearth.llm.repair.names import Offer
from hearth.llm.repair.params import read_function, read_pairs
from hearth.llm.repair.prose import Quotes
from hearth.llm.repair.thoughts import THINK, THOUGHT

FAR = 4000
"""Characters before a line in which the beginning of its block is looked for."""
MARGINS = ("    ", "\t")
MOST_MARKERS = 256
"""Markers in one text that are looked behind; nobody means more."""


def walk(text: str, offer: Offer) -> Walk:
    """What the text holds."""
    return _Walker(text, offer).run()


def read_calls(text: str, at: int, offer: Offer) -> Body | None:
    """The calls that stand at ``at`` behind a marker, with what ends them; None if there are none.

    Several may share one marker, with or without a comma between.
    """
    calls: list[Found] = []
    end = at
    for _ in range(MOST_MARKERS):
        place = skip_junk(text, end)
        separated = bool(calls) and text[place : place + 1] in (",", ";")
        place = skip_junk(text, place + 1) if separated else place
        body = _read_one(text, place, offer)
        if body is None or (calls and _is_prose(text, end, place)):
            break
        calls += body.calls
        end = body.end
        if body.calls[-1].flaw:
            return Body(tuple(calls), end)
        closed = False
        while closer := CLOSER.match(text, space_end(text, end)):
            end, closed = closer.end(), True
        if closed:
            last = calls.pop()
            calls.append(Found(last.name, last.arguments, last.start, end, last.flaw))
            break
    return Body(tuple(calls), end) if calls else None


def _is_prose(text: str, end: int, place: int) -> bool:
    return "\n\n" in text[end:place] and not FUNCTION.match(text, place) and text[place : place + 1] not in ("{", "[")


def _read_one(text: str, at: int, offer: Offer) -> Body | None:
    """The call at ``at``, in whichever form."""
    char = text[at : at + 1]
    if char == "<":
        if text.startswith(("<arg_key>", "</arg_key>"), at):
            return read_pairs(text, at, at, offer)
        return read_function(text, at, offer) or read_element(text, at, offer) or read_titled(text, at)
    if char in ("{", "["):
        return _read_envelope(text, at, offer)
    if char.isalpha() or char == "_":
        return (
            read_gemma(text, at)
            or _read_pairs_here(text, at, offer)
            or read_named(text, at, offer)
            or read_python(text, at, offer, positional=True)
            or _read_name_alone(text, at, offer)
        )
    return None


def _read_pairs_here(text: str, at: int, offer: Offer) -> Body | None:
    tag = text.find("<", at, at + 200)
    # A tag inside of arguments in JSON is a part of them.
    if tag < 0 or len(text[at:tag].split()) > 2 or any(char in "{[(" for char in text[at:tag]):
        return None
    if not _ARG.match(text, tag) and not OPENER.match(text, tag):
        return None
    return read_pairs(text, at, at, offer)


def _read_name_alone(text: str, at: int, offer: Offer) -> Body | None:
    """A tool's name and nothing else between the markers, or before the end."""
    found = _ALONE.match(text, at)
    if not found or not offer.resolve(found["name"]):
        return None
    closer = CLOSER.match(text, found.end())
    if closer:
        return Body((Found(found["name"], {}, at, closer.end()),), closer.end())
    return Body((Found(found["name"], {}, at, len(text), "open"),), len(text)) if found.end() == len(text) else None


def _read_envelope(text: str, at: int, offer: Offer) -> Body | None:
    try:
        value, end = read_value(text, at)
    except (Open, Broken) as error:
        if text[at] == "[" and (body := read_python(text, at, offer, positional=True)):
            return body
        begun = BEGUN.match(text, at)
        if not begun:
            return None
        # A string that swallows the end marker was damaged, not cut.
        cut = isinstance(error, Open) and not _ENDS_MARKED.search(text[-60:])
        end = len(text) if isinstance(error, Open) else _next_marker(text, begun.end())
        return Body((Found(begun["name"], {}, at, end, "open" if cut else "broken"),), end)
    pairs = open_envelopes(value, offer, marked=True)
    if pairs is None:
        return None
    while stray := _STRAY.match(text, end):
        end = stray.end()
    return Body(tuple(Found(name, arguments, at, end) for name, arguments in pairs), end)


def _next_marker(text: str, at: int) -> int:
    found = CLOSER.search(text, at) or OPENER.search(text, at)
    return found.end() if found and CLOSER.match(text, found.start()) else found.start() if found else len(text)


class _Walker:
    def __init__(self, text: str, offer: Offer) -> None:
        self._text = text
        self._offer = offer
        self._quotes = Quotes(text)
        self._found = Walk(text)
        self._tried = 0
        self._last_thought = max((each.end() for each in THOUGHT.finditer(text)), default=0)

    def run(self) -> Walk:
        at = 0
        while event := EVENT.search(self._text, at):
            after = self._meet(event)
            at = max(after, event.end() if event.end() > event.start() else event.start() + 1)
        return self._found

    def _meet(self, event: re.Match[str]) -> int:
        """What to do where something stands; where to go on."""
        at = event.start()
        match event.lastgroup:
            case "fence":
                return self._pass_fence(at)
            case "ticks":
                return self._quotes.inline_end(at, len(event["ticks"]), MARKED) or event.end()
            case "think":
                return self._think(at)
            case "thought":
                return self._end_thought(at)
            case "result":
                return self._imagine(event)
        if self._tried >= MOST_MARKERS:
            self._found.crowded = True
            return len(self._text)
        if self._is_quotation(at):
            line_end = self._text.find("\n", at)
            return line_end if line_end >= 0 else len(self._text)
        self._tried += 1
        if HARMONY.match(self._text, at):
            return self._read_harmony(at)
        return self._read_marked(at)

    def _pass_fence(self, at: int) -> int:
        fence = self._quotes.fence_at(at)
        if fence is None:
            return at
        self._found.fences.append(fence)
        return fence.end

    def _think(self, at: int) -> int:
        opening = THINK.match(self._text, at)
        closing = THOUGHT.search(self._text, at) if at < self._last_thought else None
        if not opening or (not closing and not _begins_line(self._text, at)):
            return at
        begin, end = opening.end(), closing.start() if closing else len(self._text)
        self._found.thoughts.append((begin, end))
        self._found.dropped += [(at, begin), (end, closing.end() if closing else end)]
        return closing.end() if closing else end

    def _end_thought(self, at: int) -> int:
        closing = THOUGHT.match(self._text, at)
        if not closing:
            return at
        around = self._text[at - 1 : at] + self._text[closing.end() : closing.end() + 1]
        if around.isspace() and len(around) == 2 and "\n" not in around:
            return at  # in the middle of a sentence: it is spoken of
        # All that came before was reasoning, though nothing had said so.
        found = self._found
        found.calls, found.mentions, found.fences = [], [], []
        found.thoughts.append((found.thoughts[-1][1] if found.thoughts else 0, at))
        found.dropped.append((at, closing.end()))
        return closing.end()

    def _imagine(self, event: re.Match[str]) -> int:
        """What is imagined of a call's result, and all that rests on it, does not count."""
        if not self._found.calls or self._is_quotation(event.start()):
            return event.end()
        self._found.dropped.append((event.start(), len(self._text)))
        return len(self._text)

    def _is_quotation(self, at: int) -> bool:
        """Whether the marker is escaped, or its line a quotation or code by Markdown's signs for it."""
        if self._text[at - 1 : at] == "\\":
            return True
        line = self._text.rfind("\n", 0, at) + 1
        before = self._text[line : min(at, line + 200)]
        return before.lstrip(" \t").startswith(">") or (before.startswith(MARGINS) and self._is_indented(line))

    def _is_indented(self, line: int) -> bool:
        """Whether a line with a margin is code: a blank line is before it, and words are before and behind. With
        nothing behind it the model waits for the result, and has only moved its call to the right."""
        begun = _BLOCK_START.search(self._text, max(line - FAR, 0), line)
        end = _BLOCK.match(self._text, line)
        return bool(begun and end and self._text[end.end() :].strip())

    def _read_harmony(self, at: int) -> int:
        header = harmony.read_header(self._text, at)
        if header is None:
            return at
        if header.recipient:
            return self._take(harmony.read_body(self._text, at, header, self._offer))
        if not header.whole:
            self._found.mentions.append(Mention(at, header.end, True))
            return header.end
        self._found.dropped.append((at, header.end))
        if header.channel != "analysis":
            return header.end
        end = harmony.find_body_end(self._text, header.end)
        self._found.thoughts.append((header.end, end))
        ending = _ENDING.match(self._text, end)
        self._found.dropped.append((end, ending.end() if ending else end))
        return ending.end() if ending else end

    def _read_marked(self, at: int) -> int:
        text, offer = self._text, self._offer
        opener = OPENER.match(text, at)
        if opener:
            inside = opener.end()
            name = _ATTRIBUTE.search(opener[0])
            place = skip_junk(text, inside)
            for _ in range(MOST_MARKERS):  # a marker doubled, or one within another
                if not (again := OPENER.match(text, place)):
                    break
                place = skip_junk(text, again.end())
            body = read_calls(text, place, offer)
            if body is None and name and text.startswith("{", place):
                body = read_named(f"{name['name']}{text[place:]}", 0, offer)
                shift = place - len(name["name"])
                body = body and Body(tuple(_shifted(call, shift) for call in body.calls), body.end + shift)
            if body:
                return self._take(Body((_from(body.calls[0], at), *body.calls[1:]), body.end))
            self._found.mentions.append(Mention(at, opener.end(), True))
            return opener.end()
        body = self._read_headless(at)
        if body:
            return self._take(body)
        if closer := CLOSER.match(text, at):
            self._found.mentions.append(Mention(at, closer.end(), False))
            return closer.end()
        return at

    def _read_headless(self, at: int) -> Body | None:
        """A call whose opening marker is missing."""
        text, offer = self._text, self._offer
        if gemma := GEMMA.match(text, at):
            body = read_calls(text, at, offer) if offer.resolve(gemma["name"]) else None
            return body if body and self._is_marked(at, body) else None
        if FUNCTION.match(text, at):
            return read_calls(text, at, offer)
        if text.startswith("to=", at):
            bare = harmony.read_bare(text, at, offer)
            return bare if bare and self._is_marked(at, bare) else None
        begin = self._last_end(at)
        if text.startswith(("[ARGS]", "[CALL_ID]"), at) or _ARG.match(text, at):
            name = _NAME_BEFORE.search(text, max(begin, at - 120), at)
            return read_calls(text, name.start(), offer) if name else None
        if CLOSER.match(text, at):
            return self._look_back(begin, at)
        return None

    def _is_marked(self, at: int, body: Body) -> bool:
        """Whether a call that begins with a word alone is more than a mention: a token ends it, or it stands by itself
        at the end."""
        text = self._text
        if "<|" in text[at : body.calls[0].start + 80].partition("{")[0] or _ENDS_MARKED.search(
            text[at : body.end][-60:]
        ):
            return True
        before = text[text.rfind("\n", 0, at) + 1 : at]
        alone = not before.strip() or before.rstrip().endswith(("commentary", "analysis", "assistant"))
        return alone and not strip_junk(text[body.end :])

    def _look_back(self, begin: int, at: int) -> Body | None:
        """The call that ends with the closing marker at ``at``: an object that begins a line and ends here."""
        text = self._text
        for count, line in enumerate(_OBJECT_LINE.finditer(text, begin, at)):
            if count >= 4:
                break
            body = _read_one(text, line.start("begin"), self._offer)
            if body and not body.calls[-1].flaw and space_end(text, body.end) == at:
                end = CLOSER.match(text, at)
                return Body(body.calls, end.end() if end else at)
        return None

    def _last_end(self, at: int) -> int:
        found = self._found
        ends = [call.end for call in found.calls[-1:]] + [each.end for each in found.mentions[-1:]]
        ends += [fence.end for fence in found.fences[-1:]] + [end for _, end in found.dropped[-1:]]
        return max((end for end in ends if end <= at), default=0)

    def _take(self, body: Body) -> int:
        first, last = body.calls[0].start, body.end
        before, behind = self._text[first - 1 : first], self._text[last : last + 1]
        if before and (before, behind) in _QUOTED:
            return last
        while closer := CLOSER.match(self._text, space_end(self._text, last)):
            last = closer.end()
        self._found.calls += body.calls
        self._found.dropped.append((first, last))
        return last


def _from(call: Found, start: int) -> Found:
    return Found(call.name, call.arguments, start, call.end, call.flaw)


def _shifted(call: Found, by: int) -> Found:
    return Found(call.name, call.arguments, call.start + by, call.end + by, call.flaw)


def _begins_line(text: str, at: int) -> bool:
    return not text[max(at - 80, text.rfind("\n", max(at - 80, 0), at) + 1, 0) : at].strip()


_ENDING = re.compile(r"<\|(?:end|return|call)\|>")
_ARG = re.compile(r"</?arg_(?:key|value)>", re.IGNORECASE)
_ALONE = re.compile(r"(?P<name>[A-Za-z_][\w.-]{0,80})(?:\(\))?\s*(?=</|<[|｜]|\Z)")
_ATTRIBUTE = re.compile(r"\bname\s*=\s*[\"'](?P<name>[A-Za-z_][\w.-]{0,80})[\"']")
_STRAY = re.compile(r"\s*[}\]](?=[\s}\]]*(?:</|<[|｜]|\Z))")
_NAME_BEFORE = re.compile(r"(?<![\w.-])[A-Za-z_][\w.-]{0,80}\s*\Z")
_OBJECT_LINE = re.compile(r"^[ \t]*(?P<begin>[{\[]|[A-Za-z_][\w.-]{0,80}\s*\n?\s*\{)", re.MULTILINE)
_ENDS_MARKED = re.compile(rf"(?:{CLOSER.pattern}|{JUNK.pattern})\s*\Z", re.VERBOSE | re.IGNORECASE)
_QUOTED = {('"', '"'), ("'", "'"), ("“", "”"), ("«", "»"), ("‘", "’")}
_BLOCK_START = re.compile(
    r"^[ \t]*+[^ \t\n][^\n]*\n(?:[ \t]*+\n)++(?:(?:\t| {4})[ \t]*+[^ \t\n][^\n]*\n|[ \t]*+\n)*+\Z", re.MULTILINE
)
_BLOCK = re.compile(r"(?:(?:\t| {4})[^\n]*(?:\n|\Z)|[ \t]*\n)++")
EVENT = re.compile(
    r"(?P<fence>^[ \t>]*(?:`{3,}|~{3,}))|(?P<ticks>`+)"
    rf"|(?P<think>{THINK.pattern.replace('(?P<tag>', '(?:')})|(?P<thought>{THOUGHT.pattern})"
    rf"|(?P<result>{RESULT.pattern})"
    rf"|(?P<marker>{OPENER.pattern}|{CLOSER.pattern}|{HARMONY.pattern}|{FUNCTION.pattern.replace('(?P<', '(?P<in_')}"
    r"|</?arg_key>|\[ARGS\]|\[CALL_ID\]|\bcall:(?=[A-Za-z_][\w.:/-]{0,118}\s*\{)|\bto=functions\.)",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
