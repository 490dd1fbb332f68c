"""What a model that makes no call means by it: an end, nothing at all, or only that it is about to begin. Pure."""

from __future__ import annotations

import re
from typing import Literal

from hearth.messages import Message

Rest = Literal["answer", "empty", "thought", "announced"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NUDGES: dict[Rest, str] = {
    "empty": "Your last answer was empty: no text, no tool call. Go on with the task: make the next tool call. If all "
    "is done, say in a sentence what you did.",
    "thought": "Your last answer was reasoning only: no text, no tool call. Nobody sees your reasoning. Make the next "
    "tool call now. If all is done, say in a sentence what you did.",
    "announced": "You said what you will do, but made no tool call, so nothing was done. Make the call now. If all is "
    "done, say so in a sentence.",
}
"""What is said to a model that rests with nothing, once for each kind in a turn."""

_CHANGES = _words(
    "add adapt adjust allow append apply build bump change clean complete convert copy correct create debug "
    "delete disable drop edit enable ensure export extend extract fill finish fix format generate handle "
    "implement improve inline insert install integrate introduce make mend merge migrate modify move optimise "
    "optimize patch port raise reduce refactor remove rename reorder repair replace resolve return rewrite set "
    "simplify solve split support swap switch translate turn undo update upgrade use wire wrap write"
)
_LEADS = re.compile(
    r"^(?:[-*•>\s]|\d+[.)]|(?:please|now|then|also|just|first|next|finally|and|so|but|hi|hello|kindly|go and)\b"
    r"|(?:can|could|would|will) you\b|(?:i|we)(?:'d| would) like you to\b|(?:i|we) (?:want|need) you to\b"
    r"|you (?:should|must|have to|need to)\b|let'?s\b|help me(?: to)?\b|try to\b|[,\s])+",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"^(?:make|write|create|generate|build)(?: me| us)? (?:an? |the |up )*(?:short |brief |quick )?"
    r"(?:summary|list|overview|plan|report|review|explanation|sure)\b",
    re.IGNORECASE,
)
_HANDS_OFF = re.compile(
    r"\b(?:do not|don'?t|never|without) (?:chang|edit|modify|touch|writ)\w*(?: to)? (?:anything|any|the|my|a)?\b"
    r"|\bread[- ]only\b|\bno changes\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```.*?(```|\Z)", re.DOTALL)
_CLAUSES = re.compile(r"[.!?;:,\n]|\b(?:and|then|so)\b", re.IGNORECASE)
_MUST = re.compile(
    r"\b(?:should|must|needs? to|has to|have to) (?:be|not be|now be|return|raise|accept|support|print|use|have)\b",
    re.IGNORECASE,
)
_REPEATED = re.compile(
    r"\b(?:\d+|two|three|four|five|six|ten|twenty|several|many|multiple|a few) times\b|\brepeat|\bflak(?:y|iness)"
    r"|\bagain and again\b|\b(?:un)?till? (?:it|the|all|they|that|everything)\b|\bwait|\bpoll|\bmonitor"
    r"|\bkeep (?:trying|running|checking|an eye)\b|\bbisect|\bstress|\bbenchmark|\bsoak\b",
    re.IGNORECASE,
)

_ABOUT_TO = re.compile(
    r"^(?:(?:so|now|next|then|first|second|finally|okay|ok|alright|great|good|perfect|sure|and|well)\b[,.:!]?\s+)*"
    r"(?:I(?:['’]ll| will| am going to|['’]m going to| must| need to| have to|['’]m about to)|let me|let['’]s|time to)"
    r"\s+(?:(?:now|first|next|then|also|just|quickly|(?:start|begin) (?:by|with)|go ahead and|try to|try|take)\s+)*"
    r"(?P<verb>[a-z]+)\b",
    re.IGNORECASE,
)
_DOING = _words(
    "a add adding apply build call change check checking compare correct create creating debug delete dig edit "
    "editing examine examining execute explore exploring find fix fixing get grep identify implement implementing "
    "inspect inspecting investigate list locate look looking make modify move open proceed read reading refactor "
    "remove rename replace reproduce rerun rewrite run running search searching see test trace update updating "
    "use verify view write writing"
)
"""What is done with a tool. ``a``: take a look."""
_IF = re.compile(
    r"\b(?:if|once|when|unless|after|as soon as|whenever) (?:you|the user|it)\b|\bfor you to\b", re.IGNORECASE
)
_SENTENCES = re.compile(r"(?<=[.!…])\s+|\n+")


def asks_for_change(prompt: str) -> bool:
    """Whether a task wants something changed. In doubt it is a question: then nothing is ever stopped for looking."""
    plain = _FENCE.sub(" ", prompt)
    if _HANDS_OFF.search(plain):
        return False
    for clause in _CLAUSES.split(plain):
        start = _LEADS.sub("", clause).strip()
        word = re.match(r"[A-Za-z]+", start)
        if word and word[0].lower() in _CHANGES and not _TELLING.match(start):
            return True
    return bool(_MUST.search(plain)) and not plain.rstrip().endswith("?")


def asks_to_repeat(prompt: str) -> bool:
    """Whether a task wants something done again and again, or waited for."""
    return bool(_REPEATED.search(prompt))


def announces(text: str) -> bool:
    """Whether the last sentence only says what will be done next, with a tool."""
    lines = [line for line in _SENTENCES.split(text.strip()) if line.strip()]
    if not lines or text.rstrip().endswith("```"):
        return False
    last = lines[-1].strip().strip("*_#> -")
    found = _ABOUT_TO.match(last)
    return bool(found and found["verb"].lower() in _DOING and "?" not in last and not _IF.search(last))


def judge_rest(message: Message, asks: bool, acted: bool) -> Rest:
    """What a message without calls is. ``asks``: the task wants a change; ``acted``: something was done in this turn.

    An announcement counts where a change was asked for, or where nothing was done at all: who answers a question may
    end with what it would do.
    """
    if not message.content.strip():
        return "thought" if message.reasoning.strip() else "empty"
    if (asks or not acted) and announces(message.content):
        return "announced"
    return "answer"
