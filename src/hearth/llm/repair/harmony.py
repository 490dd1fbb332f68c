"""Headers of Harmony, gpt-oss's format, that leak into the text: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hearth.llm.repair.found import Body, Found
from hearth.llm.repair.loose import Broken, Open, read_value
from hearth.llm.repair.markers import space_end
from hearth.llm.repair.names import Offer


@dataclass(frozen=True, slots=True)
class Header:
    """A message's header up to ``end``: to whom it is, on which channel (empty if none that is known). ``whole`` says
    that a body follows."""

    recipient: str
    channel: str
    end: int
    whole: bool


def read_header(text: str, at: int) -> Header | None:
    """The header that begins at ``at``; of several in a row, as broken ones are followed by a good one, the last."""
    found = _HEADER.match(text, at)
    if not found:
        return None
    recipients = [name for name in _RECIPIENT.findall(found[0]) if name not in ("assistant", "user", "all")]
    channels = _CHANNEL.findall(found[0])
    whole = bool(found["message"]) or bool(recipients and text.startswith("{", found.end()))
    return Header(recipients[-1] if recipients else "", channels[-1] if channels else "", found.end(), whole)


def find_body_end(text: str, at: int) -> int:
    """Where the body that begins at ``at`` ends: before the next token of the format."""
    found = _TOKEN.search(text, at)
    return found.start() if found else len(text)


def read_body(text: str, start: int, header: Header, offer: Offer) -> Body:
    """The call whose header begins at ``start``."""
    name, at = header.recipient, space_end(text, header.end)
    known = bool(offer.resolve(name))
    if not header.whole or at == len(text):
        return Body((Found(name, {}, start, at, "open" if known or not header.whole else "broken"),), at)
    fence = _FENCE.match(text, at)
    at = fence.end() if fence else at
    if not text.startswith("{", at):
        end = find_body_end(text, at)
        said = text[at:end].strip()
        return Body((Found(name, {}, start, _past(text, end), "broken" if said and known else ""),), _past(text, end))
    try:
        value, end = read_value(text, at)
    except Open:
        return Body((Found(name, {}, start, len(text), "open"),), len(text))
    except Broken:
        end = find_body_end(text, at)
        return Body((Found(name, {}, start, end, "broken"),), end)
    end = _past(text, end)
    return Body((Found(name, value, start, end),), end)


def read_bare(text: str, at: int, offer: Offer) -> Body | None:
    """A call whose control tokens were swallowed: ``to=functions.NAME`` and an object."""
    found = BARE.match(text, at)
    if not found or not offer.resolve(found["name"]):
        return None
    return read_body(text, at, Header(found["name"], "", found.end(), True), offer)


def _past(text: str, at: int) -> int:
    found = _ENDING.match(text, at)
    return found.end() if found else at


_HEADER = re.compile(r"(?:<\|(?:start|channel|constrain)\|>[^<>{\n]{0,200})+(?P<message><\|message\|>)?")
_RECIPIENT = re.compile(r"\bto=\s*([^\s<>{}]{1,120})")
_CHANNEL = re.compile(r"analysis|commentary|final")
_TOKEN = re.compile(r"<\|(?:end|start|channel|return|call)\|>")
_FENCE = re.compile(r"```(?:json)?\s*\n\s*(?=\{)")
_ENDING = re.compile(r"[\s}`]*<\|(?:call|end|return)\|>")
BARE = re.compile(
    r"to=(?P<name>functions\.[A-Za-z_][\w.-]{0,80})\s*(?:<\|channel\|>\s*\w{0,12})?"
    r"\s*(?:<\|constrain\|>)?\s*(?:json|code)?\s*(?:<\|message\|>)?\s*(?=\{)"
)
