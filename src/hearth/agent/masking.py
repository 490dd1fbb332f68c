"""Old observations behind one line each: which ones, and what stands there instead: pure.

Done in batches at a high-water mark: each time the engine reads everything after the first placeholder again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from hearth.agent.meter import weigh
from hearth.agent.steps import calls_by_id, label_call, split_steps
from hearth.messages import Message, ToolCall

KEPT = 10
"""Observations that stay at most, the newest (masking with ten is as good as a summary, arXiv 2508.21433)."""
SHORTEST = 400
"""Characters below which a result stays: the placeholder would be as long."""
PLACEHOLDER = "[left out: "
LONGEST_VERDICT = 80
Keep = Callable[[str], str]
"""Keeps a text and gives the name that the model can read it by, empty when it could not be kept."""
_KEPT_NAME = re.compile(r"\[[^\n\[\]]*the whole is in (output:\d+)\]")


def choose_masked(messages: Sequence[Message], most_weight: int) -> list[int]:
    """The indexes of the results to mask: all but those of the last step, and the newest others up to ``KEPT`` and to
    ``most_weight`` together."""
    last = split_steps(messages)[-1:]
    always = len(messages) - sum(len(step) for step in last)
    left, kept, chosen = most_weight, 0, []
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role != "tool":
            continue
        left, kept = left - weigh(message.content), kept + 1
        old = index < always and (kept > KEPT or left < 0)
        if old and len(message.content) > SHORTEST and not message.content.startswith(PLACEHOLDER):
            chosen.append(index)
    return chosen[::-1]


def saved_weight(messages: Sequence[Message], chosen: Sequence[int]) -> int:
    """About the weight that masking these spares."""
    return sum(weigh(messages[index].content) - SHORTEST // 2 for index in chosen)


def mask(messages: Sequence[Message], chosen: Sequence[int], keep: Keep) -> list[Message]:
    """The messages with the chosen results behind placeholders; what was there is kept first."""
    masked = list(messages)
    calls: dict[str, ToolCall] = {}
    wanted = set(chosen)
    for index, message in enumerate(messages):
        # Some servers number their calls anew in each answer: an id means the call of the answer before.
        calls = calls_by_id([message]) if message.role == "assistant" else calls
        if index not in wanted:
            continue
        call = calls.get(message.tool_call_id)
        name = kept_name(message.content) or keep(message.content)
        masked[index] = replace(message, content=_placeholder(message.content, label_call(call) if call else "", name))
    return masked


def kept_name(text: str) -> str:
    """The name under which the whole of a result that was cut at birth is kept already, else empty."""
    found = _KEPT_NAME.search(text)
    return found[1] if found else ""


def _placeholder(text: str, label: str, name: str) -> str:
    lines = text.rstrip().splitlines()
    where = f"; the whole is in {name}" if name else "; run it again if you need it"
    # A command's exit status and a tool's own notes stand in brackets at the end.
    verdict = lines[-1] if lines and lines[-1].startswith("[") and len(lines[-1]) <= LONGEST_VERDICT else ""
    ended = f"; it ended with {verdict}" if verdict and "the whole is in" not in verdict else ""
    return f"{PLACEHOLDER}the result of {label or 'a call'}, {len(lines):,} lines{ended}{where}]"
