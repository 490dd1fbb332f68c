"""Calls behind labels, as the prompts of ReAct have them (``Action:`` and ``Action Input:``): pure.

The labels are ordinary words. So they count only if the whole answer is a thought and an action, with an object as its
input; what the model imagines of the observation is dropped.
"""

from __future__ import annotations

import re

from hearth.llm.repair.envelopes import open_envelopes
from hearth.llm.repair.found import Flaw, Found
from hearth.llm.repair.loose import Broken, Open, read_value
from hearth.llm.repair.markers import skip_junk
from hearth.llm.repair.names import Offer


def read_labelled(text: str, offer: Offer) -> tuple[Found, ...]:
    """The call that a text consists of, with the thought before it; none if it is anything else."""
    start = skip_junk(text, 0)
    if not _BEGINNING.match(text, start):
        return ()
    head = _ACTION.search(text, start)
    if not head or _QUOTE.search(text, start, head.start()):
        return ()
    if head["name"] and not offer.resolve(head["name"]):
        return ()
    fence = _FENCE.match(text, head.end())
    at = fence.end() if fence else head.end()
    if not text.startswith("{", at):
        return ()
    try:
        value, end = read_value(text, at)
    except Open:
        name = head["name"] or ""
        return (Found(name, {}, head.start(), len(text), "open"),) if name else ()
    except Broken:
        return (Found(head["name"], {}, head.start(), len(text), "broken"),) if head["name"] else ()
    calls = [(head["name"], value)] if head["name"] else open_envelopes(value, offer, marked=True) or []
    if len(calls) != 1 or not offer.resolve(calls[0][0]):
        return ()
    closed = _FENCE_END.match(text, end) if fence else None
    at = skip_junk(text, closed.end() if closed else end)
    flaw: Flaw = ""
    if at < len(text) and not _OBSERVATION.match(text, at):
        if not _STEP.match(text, at):
            return ()
        flaw = "broken"  # it goes on as if it knew what came of it
    return (Found(calls[0][0], calls[0][1], head.start(), len(text), flaw),)


_LABEL = r"[*_#\s]{0,4}(?:%s)[*_]{0,2}\s{0,2}:[*_]{0,2}"
_BEGINNING = re.compile(_LABEL % "Thought|Action")
_ACTION = re.compile(
    r"^" + _LABEL.replace(r"\s", r" ") % "Action" + r"(?:[ \t]*`?(?P<name>[A-Za-z_][\w./-]{0,80})`?[ \t]*\n\s*"
    r"[*_]{0,2}Action[ _]Input[*_]{0,2}\s{0,2}:[*_]{0,2}\s*|\s*(?=```|\{))",
    re.MULTILINE,
)
_OBSERVATION = re.compile(_LABEL % "Observation")
_STEP = re.compile(_LABEL % "Thought|Action|Final Answer")
_QUOTE = re.compile(r"```|~~~")
_FENCE = re.compile(r"```(?:json)?[ \t]*\n\s*")
_FENCE_END = re.compile(r"\s*```")
