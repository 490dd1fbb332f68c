"""Models that do what a calibration asks, rightly or with one fault: real streams, no network."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator

from hearth.llm.answer import Completed, Failed, ModelEvent, Truncated
from hearth.llm.calibration.micro_edits import MicroEdit, micro_edits
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, Usage

PROMPT = 400
"""Tokens of every prompt, so that reuse can be told."""


class AbleModel:
    """Answers every question of a calibration as a perfect model would, except for ``faults``:

    ``calls`` (never a call), ``result`` (does not use it), ``parallel``, ``long``, ``cut`` (the long answer is cut),
    ``dead`` (fails), ``leaks`` (calls come as markup in the text),
    the name of a form's tool (wrong edits), ``prefix`` (reasoning sent back loses the prefix).
    """

    def __init__(self, *faults: str, reasoning: str = "", cost: int = 10) -> None:
        self.faults = frozenset(faults)
        self.reasoning = reasoning
        self.cost = cost
        self.requests: list[Request] = []

    async def answer(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """One answer."""
        self.requests.append(request)
        if "dead" in self.faults and request.tools:
            yield Failed("engine", "it is dead")
            return
        message = self._message(request)
        if "leaks" in self.faults:
            message = _leaked(message)
        cost = max(self.cost, sum(len(call.arguments) for call in message.tool_calls) // 4)
        again = any(earlier.role == "tool" for earlier in request.messages)
        sent_back = any(earlier.reasoning for earlier in request.messages)
        lost = again and self.reasoning and sent_back == ("prefix" in self.faults)
        reused = 0 if not again else PROMPT // 2 if lost else PROMPT
        usage = Usage(prompt=PROMPT, reused=reused, new=PROMPT - reused, generated=cost)
        long = [call for call in message.tool_calls if "copy" in call.arguments]
        if long and "cut" in self.faults:
            yield Truncated(Message("assistant", ""), usage)
            return
        yield Completed(message, usage)

    def _message(self, request: Request) -> Message:
        asked = request.messages[-1].content
        tools = [tool.name for tool in request.tools]
        if not tools:
            return Message("assistant", "ok")
        if "calls" in self.faults:
            return Message("assistant", "I would call a tool.")
        if request.messages[-1].role == "tool":
            word = re.search(r"\w+-\d+", asked)
            return Message("assistant", "No idea." if "result" in self.faults else f"It is {word and word[0]}.")
        if tools == ["read"]:
            paths = re.findall(r"\w+\.(?:txt|md)", asked)
            return self._calls(*(("read", {"path": path}) for path in paths[: 1 if "parallel" in self.faults else 2]))
        if "#####" in asked:
            text = asked.split("#####\n")[1].removesuffix("#####")
            path = re.search(r"copy\d\.txt", asked)
            given = text.replace("\\\\", "\\") if "long" in self.faults else text
            return self._calls(("write", {"path": path and path[0], "content": given}))
        edit = next(each for each in micro_edits() if asked.startswith(each.wish))
        wrong = tools[0] in self.faults
        return self._calls((tools[0], edit_as(tools[0], edit, asked, wrong=wrong)))

    def _calls(self, *made: tuple[str, dict[str, object]]) -> Message:
        calls = tuple(
            ToolCall(f"call_{index}", name, json.dumps(given, ensure_ascii=False))
            for index, (name, given) in enumerate(made)
        )
        return Message("assistant", "", calls, reasoning=self.reasoning)


def edit_as(tool: str, edit: MicroEdit, shown: str, *, wrong: bool = False) -> dict[str, object]:
    """The arguments with which this tool makes the edit; ``wrong`` ones make another."""
    old, new = edit.before.splitlines(), edit.after.splitlines()
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    # A line on each side, so that a place is named also where lines are only put in or taken out.
    low, high, new_high = max(start - 1, 0), min(len(old), len(old) - end + 1), min(len(new), len(new) - end + 1)
    fresh = [*new[low:new_high], "# wrong"] if wrong else new[low:new_high]
    match tool:
        case "edit":
            # All of it: what is around a repeated line tells which one is meant.
            return {"path": edit.path, "old": edit.before, "new": edit.after + ("# wrong\n" if wrong else "")}
        case "write":
            return {"path": edit.path, "content": edit.after + ("# wrong\n" if wrong else "")}
        case "replace_lines":
            return {"path": edit.path, "first": low + 1, "last": high, "new": "\n".join(fresh)}
        case "hashline":
            anchors = [line.partition("|")[0] for line in re.findall(r"^\d+:\w{4}\|.*$", shown, re.MULTILINE)]
            return {
                "path": edit.path,
                "edits": [{"first": anchors[low], "last": anchors[high - 1], "new": "\n".join(fresh)}],
            }
        case "search_replace":
            after = [*new, "# wrong"] if wrong else new
            lines = [edit.path, "<<<<<<< SEARCH", *old, "=======", *after, ">>>>>>> REPLACE"]
            return {"blocks": "\n".join(lines) + "\n"}
        case "apply_patch":
            after = [*new, "# wrong"] if wrong else new
            hunk = [*(f"-{line}" for line in old), *(f"+{line}" for line in after)]
            head = ["*** Begin Patch", f"*** Update File: {edit.path}", "@@"]
            return {"patch": "\n".join([*head, *hunk, "*** End Patch"])}
        case _:
            raise ValueError(tool)


def _leaked(message: Message) -> Message:
    """The same, as a server gives it that does not know how the model calls."""
    calls = (
        f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n</tool_call>'
        for call in message.tool_calls
    )
    return Message("assistant", "\n".join([message.content, *calls]).strip(), reasoning=message.reasoning)
