"""What is asked besides edits: one call and its result, two calls at once, reasoning sent back, a long argument."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace

from hearth.llm.answer import Completed, Failed, Truncated
from hearth.llm.calibration.exam import Exam
from hearth.llm.calibration.record import Prefix, Tally
from hearth.llm.families import EditFormat
from hearth.messages import Message, ToolCall, ToolSpec

_PATH = {"path": {"type": "string"}}
READ = ToolSpec("read", "Read a file of the project.", {"type": "object", "properties": _PATH, "required": ["path"]})
WRITE = ToolSpec(
    "write",
    "Write a whole file.",
    {"type": "object", "properties": {**_PATH, "content": {"type": "string"}}, "required": ["path", "content"]},
)
SYSTEM = "You are a coding agent. Do what the user asks with the tools, then answer in one short sentence."
CALL_TOKENS = 512
"""Tokens for one call, beside what the model may think."""
LONG_TOKENS = 3072
LONG_EXPECTED = 1000
"""Tokens that a right answer to it has, about."""
LARGEST_SHARE = 0.25
"""Share of the time that is left which one try may be expected to take."""
LONG_CHARACTERS = 2000
TRIES = 3
LONG_TRIES = 2

_WORDS = ("plum", "cedar", "amber")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What one round trip showed: whether it was right, whether there was reasoning, and what of the first request and
    its answer the second could reuse, and did."""

    right: bool
    reasoned: bool
    tokens: int
    seconds: float
    possible: int = 0
    reused: int = 0


@dataclass(slots=True)
class Findings:
    """What was counted so far; filled while the measurement runs, so that one cut short keeps what it has."""

    calls: Tally = field(default_factory=Tally)
    parallel: Tally = field(default_factory=Tally)
    reasoning: Tally = field(default_factory=Tally)
    prefix: Prefix = field(default_factory=Prefix)
    long: Tally = field(default_factory=Tally)
    edits: dict[EditFormat, Tally] = field(default_factory=dict)


async def make_calls(exam: Exam, found: Findings) -> None:
    """Round trips: whether a call is made and its result used; whether the model reasons, and what it does to the
    prefix to send that back. Ends early when the first two fail."""
    for number in range(TRIES):
        seen = await _round_trip(exam, number, echo=True)
        found.calls = found.calls.plus(seen.right, seen.tokens, seen.seconds)
        found.reasoning = found.reasoning.plus(seen.reasoned, 0, 0.0)
        found.prefix = found.prefix.plus(seen.possible, seen.reused, echo=True)
        exam.tell(f"a call and its result: {found.calls.right} of {found.calls.tried}")
        if found.calls.tried == 2 and not found.calls.right:
            return
    for number in range(TRIES if found.reasoning.right else 0):
        seen = await _round_trip(exam, number, echo=False)
        found.prefix = found.prefix.plus(seen.possible, seen.reused, echo=False)


async def _round_trip(exam: Exam, number: int, *, echo: bool) -> RoundTrip:
    began = exam.seconds
    word = f"{_WORDS[number]}-{471 + number}"
    # A text of its own at the very start: nothing of another conversation is taken for reuse.
    system = Message("system", f"Conversation {secrets.token_hex(4)}.\n{SYSTEM}")
    asked = Message("user", f"Which word stands in notes{number}.txt? Read it and tell me the word.")
    first = await exam.ask((system, asked), (READ,), CALL_TOKENS + exam.profile.thinking)
    if not isinstance(first, Completed):
        return RoundTrip(False, False, _generated(first), exam.seconds - began)
    calls = first.message.tool_calls
    reasoned = bool(first.message.reasoning)
    if len(calls) != 1 or not _reads(calls[0], f"notes{number}.txt"):
        return RoundTrip(False, reasoned, first.usage.generated, exam.seconds - began)
    said = first.message if echo else replace(first.message, reasoning="")
    result = Message("tool", f"The word is {word}.", tool_call_id=calls[0].id)
    second = await exam.ask((system, asked, said, result), (READ,), CALL_TOKENS + exam.profile.thinking)
    tokens = first.usage.generated + _generated(second)
    if not isinstance(second, Completed):
        return RoundTrip(False, reasoned, tokens, exam.seconds - began)
    possible = first.usage.prompt + first.usage.generated
    reused = min(second.usage.reused, possible)
    right = word.lower() in second.message.content.lower()
    return RoundTrip(right, reasoned, tokens, exam.seconds - began, possible, reused)


async def call_twice(exam: Exam, found: Findings) -> None:
    """Two files in one step: right when both are read in one answer."""
    for one, other in (("left.txt", "right.txt"), ("north.md", "south.md")):
        began = exam.seconds
        wish = f"Read {one} and {other}, both in one step: make two calls at once."
        room = CALL_TOKENS + exam.profile.thinking
        answer = await exam.ask((Message("system", SYSTEM), Message("user", wish)), (READ,), room)
        made = answer.message.tool_calls if isinstance(answer, Completed) else ()
        right = len(made) == 2 and all(_reads(call, path) for call, path in zip(made, (one, other), strict=True))
        found.parallel = found.parallel.plus(right, _generated(answer), exam.seconds - began)
        exam.tell(f"two calls in one step: {found.parallel.right} of {found.parallel.tried}")


async def carry_long(exam: Exam, found: Findings) -> None:
    """A long argument: right when it comes back byte for byte. Left out where it would take most of the time."""
    for number in range(LONG_TRIES):
        if exam.expect_s(LONG_EXPECTED) > exam.left_s() * LARGEST_SHARE:
            found.long = found.long.noted("too slow for it")
            return
        began = exam.seconds
        text = long_text(number)
        wish = f"Write this to copy{number}.txt, every character as it is, without the two lines of #####:"
        asked = Message("user", f"{wish}\n#####\n{text}#####")
        room = LONG_TOKENS + exam.profile.thinking
        answer = await exam.ask((Message("system", SYSTEM), asked), (WRITE,), room)
        made = answer.message.tool_calls if isinstance(answer, Completed) else ()
        given = _arguments(made[0]).get("content") if len(made) == 1 else None
        # Whether the last line ends is no question of fidelity.
        right = isinstance(given, str) and given.removesuffix("\n") == text.removesuffix("\n")
        found.long = found.long.plus(right, _generated(answer), exam.seconds - began)
        exam.tell(f"a long argument: {found.long.right} of {found.long.tried}")
        if isinstance(answer, Truncated):
            found.long = found.long.noted("cut off at the limit of an answer")
            return


def long_text(number: int) -> str:
    """About 2,000 characters with what gets lost on the way: quotes, backslashes, line ends, tabs, other scripts."""
    lines = []
    for index in range(200):
        key = f"{_WORDS[index % 3]}{number}{index}"
        lines.append(
            (
                f'print("{key}: \\"quoted\\" and \'single\'\\n", end="")',
                f"path = 'C:\\\\{key}\\\\new\\table.txt'  # \\d+\\.\\d* \\\\",
                f"\t# naïve – “{key}” € ¥ 漢字 🙂 ž",
                f'{{"{key}": [1, 2.5, null], "s": "a/b\\u00e9"}}',
                f"    if a < {index} && b > 2: `{key}` $HOME %s {{}} <b>",
            )[index % 5]
        )
        if sum(map(len, lines)) + len(lines) >= LONG_CHARACTERS:
            break
    return "\n".join(lines) + "\n"


def _generated(answer: Completed | Truncated | Failed) -> int:
    return 0 if isinstance(answer, Failed) else answer.usage.generated


def _reads(call: ToolCall, path: str) -> bool:
    given = _arguments(call).get("path")
    return call.name == "read" and isinstance(given, str) and given.removeprefix("./") == path


def _arguments(call: ToolCall) -> dict[str, object]:
    try:
        found = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and not call.refusal else {}
