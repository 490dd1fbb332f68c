"""Read calls out of plain text while it comes, in pieces of any size. Pure.

Strict: a block counts where it begins a line outside of every other block, and when it is closed. What broke off, or
says something else than parameters, becomes a call with a ``refusal``: it does not run, and the model reads why.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hearth.llm.dialects.text.form import (
    FENCE,
    LINES,
    LONGEST_PATH,
    MIDDLE,
    NAME,
    PARAMETER,
    REPLACE,
    SEARCH,
    TOOL,
    ends_fence,
    path_of,
)
from hearth.messages import ToolCall, ToolSpec

_MAYBE_FENCE = re.compile(r" {0,3}(?:[`~<]|\Z)")
_MAYBE_PATH = re.compile(r"[`*]*[^\s`*<>\"'|]*[`*:]*\s*\Z")
UNCLOSED = "not run: the call broke off before its end; write it again, whole"
AMBIGUOUS = "not run: the block has not exactly one line =======; use whole lines, and a tool block if they hold it"
NO_PATH = "not run: no path stands on the line before <<<<<<< SEARCH"
NOT_ONLY_EDITS = "not run: the fence around the SEARCH/REPLACE block holds other text; write the block without a fence"


@dataclass(slots=True)
class _Block:
    """A tool block, or a SEARCH/REPLACE block (``edit``) in the making. ``fence`` closes it, or what is around it."""

    name: str
    fence: str = ""
    values: dict[str, str] = field(default_factory=dict)
    refusal: str = ""
    parameter: str = ""
    word: str = ""
    chomped: bool = False
    lines: list[str] = field(default_factory=list)


class TextParser:
    """One answer. ``feed`` it, then ``finish`` it."""

    def __init__(self, tools: Mapping[str, ToolSpec], edit: str) -> None:
        """``edit`` names the tool that SEARCH/REPLACE blocks call, with ``path``, ``old`` and ``new``; only if it is
        among the tools."""
        self._tools = tools
        self._edit = edit if edit in tools else ""
        self._line = ""
        self._told = 0
        self._held: list[str] = []
        self._gap = ""
        self._prose: list[str] = []
        self._calls: list[ToolCall] = []
        self._block: _Block | None = None
        self._fence = ""
        self._path = ""
        self._first_of_fence = 0
        self._state: Callable[[str], str] = self._in_prose

    @property
    def content(self) -> str:
        """What was said so far; nothing of it is part of a call."""
        return "".join(self._prose)

    @property
    def calling(self) -> bool:
        """Whether what comes is part of a call, or follows one, and is not said."""
        return self._block is not None or bool(self._calls)

    def feed(self, text: str) -> str:
        """What more is certain to be said to the person."""
        said = ""
        *lines, rest = text.split("\n")
        for line in lines:
            whole, told = self._line + line, self._told
            self._line, self._told = "", 0
            said += self._tell(whole[told:] + "\n") if told else self._state(f"{whole}\n")
        self._line += rest
        return said + self._tell_beginning()

    def finish(self, *, cut: bool = False) -> tuple[str, tuple[ToolCall, ...], str]:
        """The content, the calls, and what had not been told yet. A ``cut`` answer has no calls."""
        line, told = self._line, self._told
        self._line, self._told = "", 0
        said = (self._tell(line[told:]) if told else self._state(line)) if line else ""
        said += self._flush()
        if self._block is not None and not cut:
            self._block.refusal = UNCLOSED
            self._end_block(self._block)
        if not self._calls and self._gap:
            said += self._gap
            self._prose.append(self._gap)
            self._gap = ""
        return self.content, () if cut else tuple(self._calls), said

    def _tell_beginning(self) -> str:
        """As much of an unfinished line as can be nothing else than said."""
        if not self._line or self._held or self._block is not None or self._state == self._between_edits:
            return ""
        inside = self._state == self._in_fence
        if not self._told and (_MAYBE_FENCE.match(self._line) or (not inside and _may_be_path(self._line))):
            return ""
        new, self._told = self._line[self._told :], len(self._line)
        return self._tell(new)

    def _tell(self, text: str) -> str:
        """Text outside of calls. Line ends wait for what follows: before a call they are none of the content; and what
        follows a call is not said, for the model cannot know yet what came of it."""
        if self._calls:
            return ""
        body = text.rstrip("\n")
        if not body:
            self._gap += text
            return ""
        told = self._gap + body
        self._gap = text[len(body) :]
        self._prose.append(told)
        return told

    def _flush(self) -> str:
        held, self._held = self._held, []
        return "".join(map(self._tell, held))

    # States: each takes one line and gives what is said by it.

    def _in_prose(self, line: str) -> str:
        text = line.rstrip()
        if tool := TOOL.match(text):
            said = self._flush()
            self._begin(_Block(tool[2] or "", tool[1]), self._in_tool)
            return said
        if text == SEARCH and self._edit:
            return self._begin_edit(line)
        if self._held and not FENCE.match(self._held[-1]) and (fence := FENCE.match(line)) and self._edit:
            self._held.append(line)
            self._fence = fence[1]
            self._state = self._in_new_fence
            return ""
        said = self._flush()
        if fence := FENCE.match(line):
            self._held.append(line)
            self._fence = fence[1]
            self._state = self._in_new_fence
            return said
        if path_of(line) and self._edit:
            self._held.append(line)
            return said
        return said + self._tell(line)

    def _in_new_fence(self, line: str) -> str:
        """The first lines of a fence, before it is known whether it holds SEARCH/REPLACE blocks."""
        text = line.rstrip()
        is_named = len(self._held) > 1
        if text == SEARCH and self._edit and self._fence[0] == "`":
            return self._begin_edit(line)
        if not is_named and path_of(line) and self._edit and not ends_fence(line, self._fence):
            self._held.append(line)
            return ""
        said = self._flush()
        self._state = self._in_fence
        return said + self._in_fence(line)

    def _in_fence(self, line: str) -> str:
        if ends_fence(line, self._fence):
            self._state = self._in_prose
            self._fence = ""
        return self._tell(line)

    def _begin_edit(self, line: str) -> str:
        """A SEARCH, with its path held before it; without one only if it turns out to be a whole block."""
        paths = [path for each in self._held if not FENCE.match(each) and (path := path_of(each))]
        fence = self._fence
        self._path = paths[-1] if paths else ""
        self._held = []
        self._first_of_fence = len(self._calls)
        self._begin(_Block(self._edit, fence, {"path": self._path} if self._path else {}), self._in_search)
        return ""

    def _begin(self, block: _Block, state: Callable[[str], str]) -> None:
        self._block, self._state = block, state

    def _in_tool(self, line: str) -> str:
        block = self._block
        assert block is not None
        text = line.removesuffix("\n")
        if ends_fence(line, block.fence) and not line.startswith(" "):
            self._end_block(block)
        elif not text.strip():
            pass
        elif not block.name and NAME.fullmatch(text.strip()):
            block.name = text.strip()
        elif found := LINES.match(text):
            block.parameter, block.word, block.chomped, block.lines = found[1], found[2], bool(found[3]), []
            self._state = self._in_lines
        elif found := PARAMETER.match(text):
            self._set(block, found[1], found[2])
        else:
            block.refusal = block.refusal or f"not run: {text[:60]!r} in the block is no parameter"
        return ""

    def _in_lines(self, line: str) -> str:
        block = self._block
        assert block is not None
        if line.rstrip() == block.word:
            value = "".join(block.lines)
            self._set(block, block.parameter, value.removesuffix("\n") if block.chomped else value)
            self._state = self._in_tool
        else:
            block.lines.append(line)
        return ""

    def _set(self, block: _Block, parameter: str, value: str) -> None:
        if parameter in block.values:
            block.refusal = block.refusal or f"not run: {parameter} is there twice"
        block.values[parameter] = value

    def _in_search(self, line: str) -> str:
        block = self._block
        assert block is not None
        text = line.rstrip()
        if text != REPLACE:
            block.lines.append(line)
            return ""
        middles = [place for place, each in enumerate(block.lines) if each.rstrip() == MIDDLE]
        if len(middles) != 1:
            block.refusal = AMBIGUOUS
        elif not self._path:
            block.refusal = NO_PATH
        else:
            block.values["old"] = "".join(block.lines[: middles[0]])
            block.values["new"] = "".join(block.lines[middles[0] + 1 :])
        if any(each.startswith("<<<<<<<") for each in block.lines):
            block.refusal = UNCLOSED
        self._end_block(block)
        self._state = self._between_edits if block.fence else self._in_prose
        return ""

    def _between_edits(self, line: str) -> str:
        """Within a fence, after a block of it."""
        text = line.rstrip()
        if ends_fence(line, self._fence):
            self._state = self._in_prose
            self._fence = ""
        elif text == SEARCH:
            values = {"path": self._path} if self._path else {}
            self._begin(_Block(self._edit, self._fence, values), self._in_search)
        elif path := path_of(line):
            self._path = path
        elif text:
            first = self._first_of_fence
            refused = [ToolCall(call.id, call.name, "{}", NOT_ONLY_EDITS) for call in self._calls[first:]]
            self._calls[first:] = refused
            self._state = self._in_fence
        return ""

    def _end_block(self, block: _Block) -> None:
        self._block, self._state, self._gap = None, self._in_prose, ""
        name = block.name or "tool"
        refusal = block.refusal or ("" if block.name else "not run: the block names no tool")
        arguments = "{}" if refusal else json.dumps(self._typed(name, block.values), ensure_ascii=False)
        self._calls.append(ToolCall(f"call_{secrets.token_hex(8)}", name, arguments, refusal))

    def _typed(self, name: str, values: Mapping[str, str]) -> dict[str, Any]:
        """Text stays text; what the schema has as something else is read as JSON, if it is some."""
        tool = self._tools.get(name)
        fields = tool.parameters.get("properties", {}) if tool else {}
        return {
            parameter: text if fields.get(parameter, {}).get("type", "string") == "string" else _value(text)
            for parameter, text in values.items()
        }


def _may_be_path(line: str) -> bool:
    return len(line) < LONGEST_PATH and _MAYBE_PATH.match(line) is not None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
