"""Decide what an answer of a model is: calls, words, calls that must not run, or nothing certain. Pure.

The rules, and why, are in docs/repair.md. The contract is tests/data/toolcalls.jsonl.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from hearth.llm.repair.bare import read_changes, read_message, read_whole
from hearth.llm.repair.elements import read_elements
from hearth.llm.repair.envelopes import unwrap
from hearth.llm.repair.found import Found, Mention, Raw, Walk
from hearth.llm.repair.labels import read_labelled
from hearth.llm.repair.loose import Broken, Open, read_value
from hearth.llm.repair.markers import CLOSER, JUNK, OPENER, strip_junk
from hearth.llm.repair.meant import translate
from hearth.llm.repair.names import Offer, clean_name
from hearth.llm.repair.params import read_function, read_pairs
from hearth.llm.repair.schema import Misfit, Twofold, fit_arguments, plain_values
from hearth.llm.repair.verdict import Answer, Calls, Kind, Rejected, Resample, Said, Verdict
from hearth.llm.repair.walk import read_calls, walk
from hearth.messages import ToolCall, ToolSpec

MOST_LAYERS = 3
"""Times that arguments may be written as text within text."""


def judge(said: Said, tools: Iterable[ToolSpec]) -> Verdict:
    """What the answer is, held against the tools that were offered. Never raises for what a model wrote."""
    offer = Offer(tools)
    if said.calls:
        held = [_Held(call.id, call.name, call.arguments) for call in said.calls]
        return _settle(held, said.cut, offer, said.text, said.reasoning)
    if whole := _judge_whole(said, offer):
        return whole
    found = walk(said.text, offer)
    if found.crowded:
        return Resample("more markup of calls than anybody can mean")
    text = strip_junk(found.said)
    reasoning = "\n".join(piece for piece in (said.reasoning, found.thought) if piece.strip())
    calls = tuple(found.calls)
    if not calls and text:
        calls, text = _read_spoken(found, text, offer)
    if not calls and not text and not said.cut:
        calls = _last_of_reasoning(said.reasoning if said.reasoning and not found.thoughts else found, offer)
    if calls:
        return _judge_calls(calls, said.cut, offer, _without_strays(text), reasoning)
    return _judge_words(said, found, text, reasoning, offer)


def _read_spoken(found: Walk, text: str, offer: Offer) -> tuple[tuple[Found, ...], str]:
    """The calls without a marker in what was said, and what was said beside them."""
    if calls := read_message(found.spoken, _spoken_fences(found), offer):
        return calls, ""
    if calls := _read_unmarked(found.spoken, offer):
        return calls, strip_junk(found.spoken[: calls[0].start])
    return (), text


def _read_unmarked(text: str, offer: Offer) -> tuple[Found, ...]:
    """The calls with which a text ends, in a form that has no word for a call."""
    return read_elements(text, offer) or read_labelled(text, offer) or read_changes(text, offer)


def _judge_whole(said: Said, offer: Offer) -> Verdict | None:
    """What an answer is that consists of JSON or of a call without marker: what looks like markup in it is data."""
    thought = _THOUGHT.match(said.text)
    text = strip_junk(said.text[thought.end() :] if thought else said.text)
    reasoning = "\n".join(filter(None, (said.reasoning, thought["text"].strip() if thought else "")))
    calls = read_whole(text, offer, positional=False) if text else ()
    before = ""
    if not calls and (calls := _read_unmarked(text, offer)):
        before = strip_junk(text[: calls[0].start])
    if not calls:
        with contextlib.suppress(ValueError, RecursionError):
            if text.startswith(("{", "[{")) and json.loads(text) and not said.cut:
                return Answer(text if thought else said.text, reasoning)
        return None
    return _judge_calls(calls, said.cut, offer, before, reasoning)


class _Held:
    """A call on its way: its id (empty for one that has none), name, and arguments as text or as read."""

    def __init__(self, id: str, name: str, arguments: Any, flaw: str = "") -> None:
        self.id = id or f"call_{secrets.token_hex(8)}"
        self.name = name
        self.arguments = arguments
        self.flaw = flaw


def _spoken_fences(found: Walk) -> list[Any]:
    """The fences with their places in the text without reasoning."""
    if not found.thoughts and not found.dropped:
        return list(found.fences)
    return walk(found.spoken, Offer(())).fences


def _judge_words(said: Said, found: Walk, text: str, reasoning: str, offer: Offer) -> Verdict:
    """What an answer without any call is."""
    begun = _find_begun(found, offer)
    if begun:
        if said.cut:
            return Rejected("truncated", (_refused_cut(begun),), "", reasoning)
        return Resample("the markup of a call without a call in it", reasoning=reasoning)
    if not text:
        what = "reasoning and then nothing" if reasoning else "an empty answer"
        return Resample(what, reasoning=reasoning, empty=True)
    return Answer(text if found.thoughts or found.dropped else said.text, reasoning)


def _without_strays(text: str) -> str:
    """The text beside calls without the markers that are left over at its ends."""
    while found := _STRAY_START.match(text) or _STRAY_END.search(text[-80:]):
        text = text[found.end() :] if text.startswith(found[0]) else text[: len(text) - len(found[0])]
        text = strip_junk(text)
    return text


def _find_begun(found: Walk, offer: Offer) -> str:
    """The marker with which a call was begun that is none; empty where markers are only spoken of."""
    if not found.mentions:
        return ""
    spans = [(mention.start, mention.end) for mention in found.mentions]
    bare = Walk(found.text, dropped=[*found.dropped, *found.thoughts, *spans])
    first, last = found.mentions[0], found.mentions[-1]
    name = found.text[first.start : first.end]
    if not strip_junk(bare.said):
        return name
    spoken_start = len(found.text) - len(found.text.lstrip())
    leads = first.opens and first.start <= max([spoken_start, *(end for _, end in found.dropped if end <= first.start)])
    leads = leads or (first.opens and not strip_junk(_before(found, first)))
    if leads and (not last.opens and not strip_junk(found.text[last.end :])):
        return name
    if leads and not _is_subject(found.text, first, offer):
        return name
    if last.opens and not strip_junk(found.text[last.end :]) and not _before_on_line(found.text, last.start):
        return found.text[last.start : last.end]
    return ""


def _before(found: Walk, mention: Mention) -> str:
    return Walk(found.text[: mention.start], dropped=found.dropped, thoughts=found.thoughts).said


def _before_on_line(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : at].strip()


def _is_subject(text: str, mention: Mention, offer: Offer) -> bool:
    """Whether a sentence goes on behind a marker with which it begins."""
    word = _SENTENCE.match(text, mention.end)
    return bool(word) and not offer.resolve(word["word"])  # type: ignore[index]  # it is there


def _last_of_reasoning(source: str | Walk, offer: Offer) -> tuple[Found, ...]:
    """The complete calls that are the very last thing in the reasoning: then the model stopped to have them run."""
    if isinstance(source, Walk):
        if not source.thoughts:
            return ()
        begin, end = source.thoughts[-1]
        source = source.text[begin:end]
    found = walk(source, offer)
    last: list[Found] = []
    end = len(source)
    for call in reversed(found.calls):
        if call.flaw or strip_junk(source[call.end : end]):
            break
        last.insert(0, call)
        end = min(call.start, end)
    return tuple(last)


def _judge_calls(calls: Sequence[Found], cut: bool, offer: Offer, text: str, reasoning: str) -> Verdict:
    """What an answer with these calls is."""
    if not cut and (verdict := _judge_flaws(calls, offer, text, reasoning)):
        return verdict
    held = [_Held("", call.name, call.arguments, call.flaw) for call in calls]
    return _settle(held, cut, offer, text, reasoning)


def _judge_flaws(calls: Sequence[Found], offer: Offer, text: str, reasoning: str) -> Verdict | None:
    """What calls that cannot be read whole make of the answer."""
    for call in calls:
        tool = offer.resolve(call.name)
        if call.flaw == "broken" or (call.flaw and not tool):
            return Resample(f"a call of {tool or 'no known tool'} that cannot be read", tool, text, reasoning)
    return None


def _settle(calls: Sequence[_Held], cut: bool, offer: Offer, text: str, reasoning: str) -> Verdict:
    """Hold complete calls against their tools."""
    settled: list[ToolCall] = []
    kind: Kind | None = None
    for call in calls:
        outcome = _settle_one(call, cut, offer)
        if isinstance(outcome, Resample):
            return Resample(outcome.reason, outcome.tool, text, reasoning)
        settled += outcome
        kind = kind or next((_kind_of(each.refusal) for each in outcome if each.refusal), None)
    if kind is None:
        return Calls(tuple(settled), text, reasoning)
    others = f"{kind}: not run, for another call of the same message could not be run. Send them again."
    refused = tuple(call if call.refusal else ToolCall(call.id, call.name, call.arguments, others) for call in settled)
    return Rejected(kind, refused, text, reasoning)


def _settle_one(call: _Held, cut: bool, offer: Offer) -> list[ToolCall] | Resample:
    """What one call comes to: itself, or the calls that another agent's tool stands for."""
    name, embedded = _split_name(call.name, offer)
    tool = offer.resolve(name)
    shown = tool or clean_name(name)
    if cut or call.flaw == "open":
        return [ToolCall(call.id, shown or "unknown", "{}", _cut_note(tool))]
    if not shown:
        return Resample("a call without a name")
    source = call.arguments
    try:
        arguments = read_arguments(source) if isinstance(source, str) else source
        if embedded is not None and not arguments:
            arguments = embedded
        if isinstance(arguments, dict) and (meant := translate(name, tool, plain_values(arguments), offer)):
            return [_fit(_Held(call.id if not n else "", *each), offer) for n, each in enumerate(meant)]
        if not tool:
            return [ToolCall(call.id, shown, _json(arguments), f"unknown_tool: {offer.describe_unknown(name)}")]
        arguments = _peel(arguments, tool, offer)
        if not isinstance(arguments, dict):
            must = f"the arguments of {tool} must be one JSON object with its arguments as members."
            return [ToolCall(call.id, tool, "{}", f"wrong_type: {must}")]
        return [_fit(_Held(call.id, tool, arguments), offer, source)]
    except Open:
        return [ToolCall(call.id, shown, "{}", _cut_note(tool))]
    except (Broken, Twofold, ValueError) as error:
        return Resample(f"a call of {shown} that cannot be read: {error}", tool)


def _fit(call: _Held, offer: Offer, source: Any = None) -> ToolCall:
    """The call as its tool takes it, or refused. Raises Twofold."""
    try:
        fitted = fit_arguments(offer, call.name, call.arguments)
    except Misfit as misfit:
        return ToolCall(call.id, call.name, _json(call.arguments), f"{misfit.kind}: {misfit.sentence}")
    return ToolCall(call.id, call.name, _carry(source, fitted))


def _split_name(raw: str, offer: Offer) -> tuple[str, dict[str, Any] | None]:
    """A name, and the arguments that a server left in it, where they are complete."""
    if not any(mark in raw for mark in "<{([\n") or offer.resolve(raw) == raw:
        return raw, None
    text = raw.strip()
    end = re.search(r"[<{(\[\s]", text)
    name = text[: end.start()] if end else text
    if not offer.resolve(name):
        return raw, None
    if "<parameter" in text:
        body = read_function(f"<function={name}>{text[len(name) :].lstrip()}", 0, offer)
    elif "<arg_key>" in text:
        body = read_pairs(text, 0, 0, offer)
    else:
        body = read_calls(text, 0, offer)
    if body is None or len(body.calls) != 1 or body.calls[0].flaw or not isinstance(body.calls[0].arguments, dict):
        return raw, None
    return name, body.calls[0].arguments or None


def read_arguments(text: str) -> Any:
    """The arguments of a server's call. What stands behind a complete object must be nothing that belonged into it.
    Raises Open or Broken."""
    text = _LABEL.sub("", strip_junk(text), count=1)
    if fenced := _FENCED.match(text):
        text = fenced["inner"].strip()
    if text in ("", "null", "None"):
        return {}
    if text[0] not in "{[\"'":
        raise Broken("the arguments are no object")
    value, end = read_value(text, 0)
    rest = _STRAY.sub("", JUNK.sub("", text[end:]), count=1)
    if not rest:
        return value
    if value == {} and rest.startswith("{"):
        return read_arguments(rest)
    if rest.startswith(text[:end]) and rest.strip() == text[:end].strip():
        return value
    if any(char in rest for char in "{}[]\"':"):
        raise Broken("something stands behind the arguments")
    return value


def _peel(arguments: Any, tool: str, offer: Offer) -> Any:
    """The arguments out of strings and envelopes around them."""
    for _ in range(MOST_LAYERS):
        if isinstance(arguments, str) and arguments.strip().startswith("{"):
            arguments = read_arguments(arguments)
        elif arguments is None or (isinstance(arguments, str) and not arguments.strip()):
            arguments = {}
        elif isinstance(arguments, list) and len(arguments) == 1 and isinstance(arguments[0], dict):
            arguments = arguments[0]
        elif isinstance(arguments, dict):
            inner = unwrap(arguments, tool, offer)
            if inner is arguments:
                break
            arguments = inner
        else:
            break
    return arguments


def _carry(source: Any, fitted: dict[str, Any]) -> str:
    """The arguments as they were written where they are right, else as canonical JSON."""
    if isinstance(source, str):
        with contextlib.suppress(ValueError, RecursionError):
            if _json(json.loads(source)) == _json(fitted):
                return source
    return _json(fitted)


def _json(value: Any) -> str:
    return json.dumps(value if value is not None else {}, ensure_ascii=False, default=_raw)


def _raw(value: Any) -> Any:
    return value.text if isinstance(value, Raw) else str(value)


def _refused_cut(marker: str) -> ToolCall:
    return ToolCall(f"call_{secrets.token_hex(8)}", "unknown", "{}", _cut_note("") + f" It began with {marker[:40]}.")


def _cut_note(tool: str) -> str:
    what = f"the call of {tool}" if tool else "a call"
    smaller = {"write": " Write a long file in parts.", "edit": " Make one small edit at a time."}.get(tool, "")
    said = f"truncated: {what} was cut off before its end, so nothing of this message was run."
    return f"{said} Send it again, shorter.{smaller}"


def _kind_of(refusal: str) -> Kind:
    kinds: tuple[Kind, ...] = ("truncated", "unknown_tool", "missing_argument", "wrong_type")
    return next(kind for kind in kinds if refusal.startswith(kind))


_STRAY_START = re.compile(rf"(?:{CLOSER.pattern})", re.VERBOSE | re.IGNORECASE)
_STRAY_END = re.compile(rf"(?:{OPENER.pattern}|{CLOSER.pattern}|</[\w:]{{0,20}})\Z", re.VERBOSE | re.IGNORECASE)
_THOUGHT = re.compile(r"\s*<think>(?P<text>.*?)</think>", re.DOTALL)
_SENTENCE = re.compile(r"[ ]+(?P<word>[a-z][\w'-]*)")
_FENCED = re.compile(r"```\w*\s*\n(?P<inner>.*?)\n?```\Z", re.DOTALL)
_STRAY = re.compile(r"^[\s}\]),;\"']+")
_LABEL = re.compile(r"^\ufeff?(?:(?:json|code)\s*(?=\{))?")
