"""Ask the model for a summary of its own session: as a suffix of what it has read already, so that nothing is read
again to write it. Pure: the asking itself is in ``context``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from hearth.agent.meter import weigh
from hearth.agent.steps import join_steps, split_steps
from hearth.llm.answer import Completed, Final
from hearth.llm.request import Request
from hearth.messages import Message

ASK = """\
Stop here. The conversation is about to be shortened: only the task, the last steps and what you write now will stay. \
Do not call a tool. Write a summary to go on from, at most {words} words, in exactly this form:
Goal: what is to be done, in one sentence
Decisions: what was decided and why, what must not be done; one a line
Done: files with what changed in them; commands that were run and what came out
Facts: names, paths, line numbers and error texts that will be needed
Next: the next steps, the first one exactly"""
PAUSE = "I stop here."
"""Between a tool result and the question: many templates refuse a user message that follows a tool result."""
SMALLEST_SUMMARY = 192
"""Tokens below which a summary is not asked for."""
LARGEST_SUMMARY = 4_096
"""Tokens of a summary with the thinking before it."""
SHORTEST = 40
"""Characters of a summary that says something."""
_MARKUP = re.compile(r"<\|?/?(tool_call|function|channel|start|message|python_tag)|^\s*```(json|tool)", re.IGNORECASE)


def ask_summary(
    request: Request, count: Callable[[Sequence[Message]], int], window: int, margin: int
) -> Request | None:
    """The request for a summary: the same system text, tools and messages, and one question more. None if none fits.

    ``request`` is the one that would be sent next, ``count`` gives the tokens of messages. The last steps are left out
    as far as there would be no room for an answer: they stay in the conversation anyway.
    """
    system, *messages = request.messages
    answer = min(max(window // 8, SMALLEST_SUMMARY), LARGEST_SUMMARY)
    question = ASK.format(words=max(answer // 4, 60))
    steps = split_steps(messages)
    for end in range(len(steps), 0, -1):
        asked = join_steps(steps[:end])
        if asked[-1].role == "user":
            continue
        if asked[-1].role == "tool":
            asked.append(Message("assistant", PAUSE))
        asked.append(Message("user", question))
        left = window - margin - count(asked)
        if left >= max(answer // 2, SMALLEST_SUMMARY):
            return replace(request, max_tokens=min(answer, left), messages=(system, *asked))
    return None


def read_summary(answer: Final, most_weight: int) -> str:
    """The summary in an answer; empty when it is none: cut off, a call, failed, empty, or markup of some call."""
    if not isinstance(answer, Completed) or answer.message.tool_calls:
        return ""
    text = answer.message.content.strip()
    if len(text) < SHORTEST or _MARKUP.search(text):
        return ""
    # Longer than was asked for: the end, where the next steps are, counts as much as the start.
    while weigh(text) > most_weight:
        lines = text.split("\n")
        if len(lines) < 3:
            return text[: max(len(text) * most_weight // weigh(text) - 1, 0)]
        del lines[len(lines) // 2]
        text = "\n".join(lines)
    return text
