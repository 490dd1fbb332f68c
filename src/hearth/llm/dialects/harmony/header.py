"""Read the header of a message, also where the model wrote it wrongly and there is still only one reading. Pure.

What goes wrong in practice: ``commentary?``, a mark twice, the recipient after the role or after the channel, on the
analysis channel, without ``to=``; no channel at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.llm.dialects.harmony.form import KINDS, Header
from hearth.llm.dialects.harmony.markers import CHANNEL, CONSTRAIN, START
from hearth.llm.dialects.harmony.naming import Naming

_CHANNEL = re.compile(r"(analysis|commentary|final)(?![A-Za-z])[^\sA-Za-z=]*")
_TO = re.compile(r"\bto=\s*([A-Za-z0-9_.-]+)(?=\s|$)")
_NOBODY = ("all", "user")
"""Recipients that are none: the message is for whoever reads it."""
_TYPES = ("json", "code", "text", "object", "string")


class Broken(Exception):
    """There is no certain reading. The message says why."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a header says. ``channel`` and ``recipient`` may be empty; ``foreign`` says that the message is another's:
    the model has begun to play the person or a tool. ``header`` is how a call's was written, if we write such."""

    channel: str = ""
    recipient: str = ""
    foreign: bool = False
    header: Header | None = None


def read_header(tokens: Sequence[str], naming: Naming) -> Said:
    """What stands between the end of one message and the ``<|message|>`` of the next, as marks and texts. The first one
    has no ``<|start|>assistant``: that was in the prompt. Raises Broken."""
    text = "".join(tokens)
    before, start, text = text.rpartition(START)
    if not is_opening(before):
        raise Broken("text outside of a message")
    role, *sections = re.split(f"({re.escape(CHANNEL)}|{re.escape(CONSTRAIN)})", text)
    role = role.strip().removeprefix("assistant")
    if (words := role.split()) and not _is_ours(words[0], naming, opened=bool(start)):
        return Said(foreign=True)
    recipients: list[str] = []
    channels: list[str] = []
    for mark, section in zip((CHANNEL, *sections[::2]), (role, *sections[1::2]), strict=True):
        rest = section.strip()
        found = _CHANNEL.match(rest) if mark == CHANNEL else None
        if found:
            channels.append(found[1])
            rest = rest[found.end() :].strip()
        recipients += _take_recipients(rest, naming)
    if "assistant" in recipients:
        return Said(foreign=True)
    named = set(recipients) - set(_NOBODY)
    if len(named) > 1:
        raise Broken(f"a call to {' and '.join(sorted(named))} at once")
    recipient = named.pop() if named else ""
    if len(set(channels)) > 1 and (not recipient or "final" in channels):
        raise Broken(f"the channels {' and '.join(channels)} at once")
    channel = channels[-1] if channels else ""
    if recipient and channel == "final":
        raise Broken("a call on the final channel")
    return Said(channel, recipient, header=_as_written(text, recipient, channel))


def is_opening(text: str) -> bool:
    """Whether this says no more than that the assistant speaks, however often."""
    return all(part.strip() in ("", "assistant") for part in text.split(START))


def _is_ours(word: str, naming: Naming, *, opened: bool) -> bool:
    """Whether a role that begins with this may be the assistant's. A tool's name right after ``<|start|>`` (``opened``)
    is the tool's role; after the prompt's ``assistant`` it is a recipient."""
    return word.startswith("to=") or _CHANNEL.match(word) is not None or (naming.knows(word) and not opened)


def _take_recipients(text: str, naming: Naming) -> list[str]:
    """The recipients in one section. Raises Broken for a word that is none, and no type either."""
    recipients = _TO.findall(text)
    for word in _TO.sub(" ", text).split():
        if naming.knows(word):
            recipients.append(word)
        elif word not in _TYPES:
            raise Broken(f"{word[:40]!r} in a header")
    if any(name.endswith(".") or name == "functions" for name in recipients):
        raise Broken("a call to no tool")
    return recipients


def _as_written(text: str, recipient: str, channel: str) -> Header | None:
    """The header that writes exactly this; None when none does."""
    if not recipient:
        return None
    written = text.removeprefix("assistant")
    headers = (Header(channel, after_role, kind) for after_role in (False, True) for kind in KINDS)
    return next((header for header in headers if header.write(recipient) == written), None)
