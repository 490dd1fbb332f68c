"""What of an answer may be shown while it comes: ordinary text at once, what may be markup of a call not at all. Pure.

It is no judge: it only holds back. What is held and turns out to be words is shown when the answer is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hearth.llm.answer import ReasoningDelta, TextDelta
from hearth.llm.repair.thoughts import THINK, THOUGHT


class Screen:
    """One answer in the making, made for the names of the offered tools. Feed it the pieces of text."""

    def __init__(self, tools: Iterable[str]) -> None:
        self._names = sorted(tools, key=len, reverse=True)
        self._text = ""
        self._at = 0
        self._sent = 0
        self._shown: list[str] = []
        self._begun = False
        self._held = False
        self._thinking = False
        self._fence = ""
        self._ticks = 0
        self._looked = 0
        self._closed = 0

    @property
    def shown(self) -> str:
        """The text that was let through."""
        return "".join(self._shown)

    def feed(self, piece: str) -> list[TextDelta | ReasoningDelta]:
        """Take a piece of text; what may be shown of all that came."""
        self._text += piece
        if self._held:
            return []
        deltas: list[TextDelta | ReasoningDelta] = []
        if not self._begun and not self._begin():
            return deltas
        while not self._held:
            safe, done = self._think() if self._thinking else self._read()
            if safe > self._sent:
                part = self._text[self._sent : safe]
                self._sent = safe
                deltas.append(ReasoningDelta(part) if self._thinking else self._show(part))
            if done:
                break
            self._step()
        return deltas

    def _show(self, part: str) -> TextDelta:
        self._shown.append(part)
        return TextDelta(part)

    def _begin(self) -> bool:
        """Whether the answer does not begin like a call without a marker, as far as can be told."""
        text = self._text.lstrip()
        if text in ("", "`", "``", "~", "~~"):
            return False
        if text.startswith("{"):
            self._held = True
            return False
        if text.startswith("["):
            return self._begin_list(text)
        if text.startswith(("```", "~~~")):
            return self._begin_fence(text)
        if any(label.startswith(text) for label in _LABELS):
            return False
        self._held = text.startswith(_LABELS)
        for name in self._names:
            if name.startswith(text) or text == name:
                return False
            if text.startswith(name):
                rest = text[len(name) :]
                if not rest.strip() and "\n" in rest:
                    return False
                self._held = rest.lstrip().startswith(("{", "(", "[ARGS]")) and (rest[0] in "{([" or "\n" in rest)
                break
        self._begun = not self._held
        return self._begun

    def _begin_list(self, text: str) -> bool:
        """A list of calls, unless it is a link or a box to tick."""
        if _LIST.match(text):
            self._held = True
            return False
        self._begun = not _PERHAPS_LIST.fullmatch(text)
        return self._begun

    def _begin_fence(self, text: str) -> bool:
        """A fence may be a call as long as nothing follows it."""
        opening = _FENCE_START.match(text)
        if not opening:
            return False
        if not self._closed:
            # Only what is new can hold the closing line, but for the few characters that waited for the rest.
            closing = re.compile(rf"\n[ \t]*{opening['mark']}[ \t]*\n").search(self._text, max(self._looked - 80, 0))
            self._looked = len(self._text)
            self._closed = closing.end() if closing else 0
        self._begun = self._closed > 0 and bool(self._text[self._closed :].strip())
        return self._begun

    def _read(self) -> tuple[int, bool]:
        """Up to where the text is ordinary, and whether there is nothing more to look at; else an event follows."""
        found = _FENCE_LINE.search(self._text, self._at) if self._fence else _EVENT.search(self._text, self._at)
        if not found:
            # What may be the beginning of a marker, or of a line of backticks, waits for more.
            line = self._text.rfind("\n", 0) + 1
            if line >= self._at and _PERHAPS_FENCE.match(self._text, line):
                self._at = line
                return line, True
            tail = _TAIL.search(self._text, max(self._at, len(self._text) - 40))
            self._at = tail.start() if tail else len(self._text)
            return self._at, True
        grows = found[0].startswith(("```", "~~~")) or found.end() == len(self._text)
        if not self._fence and found[0][0] in "`~" and grows and self._text.find("\n", found.start()) < 0:
            # The line of a fence is read when it is whole.
            self._at = self._at if not self._text[self._at : found.start()].strip() else found.start()
            return self._at, True
        self._at = found.start()
        return found.start(), found.end() == len(self._text) and found[0] != "\n"

    def _step(self) -> None:
        """Past what stands at the place that was reached."""
        if self._thinking:
            closing = THOUGHT.match(self._text, self._at)
            if closing:
                self._thinking = False
                self._at = self._sent = closing.end()
            return
        text, at = self._text, self._at
        if fence := _FENCE_LINE.match(text, at):
            mark = fence["mark"]
            if not self._fence:
                self._fence = mark
            elif mark[0] == self._fence[0] and len(mark) >= len(self._fence) and not fence["info"].strip():
                self._fence = ""
            self._at = fence.end()
            return
        event = _EVENT.match(text, at)
        if not event:
            self._at += 1
            return
        if event[0].startswith("`"):
            length = len(event[0])
            self._ticks = 0 if self._ticks == length else self._ticks or length
            self._at = event.end()
        elif event[0] == "\n":
            self._ticks = 0
            self._at = event.end()
        elif self._ticks:
            self._at = event.end()
        elif opening := THINK.match(text, at):
            self._thinking = True
            self._at = self._sent = opening.end()
        elif closing := THOUGHT.match(text, at):
            self._at = self._sent = closing.end()
        elif _MENTION.match(text, event.end()):
            self._at = event.end()
        else:
            self._held = True

    def _think(self) -> tuple[int, bool]:
        found = THOUGHT.search(self._text, self._at)
        if found:
            self._at = found.start()
            return self._at, False
        tail = _TAIL.search(self._text, max(self._at, len(self._text) - 40))
        self._at = tail.start() if tail else len(self._text)
        return self._at, True


_LIST = re.compile(r"\[\s*(?:\{|[A-Za-z_][\w.]{0,80}\s*\()")
_PERHAPS_LIST = re.compile(r"\[\s*(?:[A-Za-z_][\w.]{0,80}\s*)?")
_FENCE_START = re.compile(r"(?P<mark>`{3,}+|~{3,}+)[^\n]*\n")
_FENCE_LINE = re.compile(r"(?:^|(?<=\n))[ \t>]{0,80}+(?P<mark>`{3,}+|~{3,}+)(?P<info>[^\n]*)\n")
_EVENT = re.compile(
    r"(?:^|(?<=\n))[ \t>]{0,80}+(?:`{3,}+|~{3,}+)[^\n]*\n|`++|\n"
    r"|</?(?:[A-Za-z]\w*:)?(?:tool_?calls?|tools?|tool_?use|function_?calls?|functions|invoke|parameter|think|thinking)"
    r"\b[^<>\n]{0,120}>|<function(?:=|\s+name)[^<>\n]{0,120}>?|<arg_key>|<start_function_call>|<\w+\|>"
    r"|(?:^|(?<=\n))[ \t]{0,80}+<(?:[A-Za-z]{1,40}+(?:_[A-Za-z]{1,40}+)++"
    r"|bash|read|write|edit|grep|glob|task|todo|output|kill)>"
    r"|<[|｜]|\[/?TOOL_(?:CALLS?|REQUEST)\]|\[END_TOOL_REQUEST\]|\[ARGS\]|\[CALL_ID\]|\[/?THINK\]|\bto=functions\.|\bcall:\w+\{",
    re.IGNORECASE,
)
_LABELS = ("Thought:", "Action:", "**Thought:**", "**Action:**", "**Thought**:", "**Action**:")
"""How an answer begins whose call stands behind labels."""
_PERHAPS_FENCE = re.compile(r"[ \t>]{0,80}+(?:`{1,}[^`\n]*|~{1,}[^\n]*)?\Z")
_TAIL = re.compile(
    r"(?:<(?:[A-Za-z/|｜][^<>\s]{0,38}|function\s[^<>\n]{0,60})?|\[[/A-Z_]{0,16}|`+|~+"
    r"|\b(?:t|to|to=[a-z]{0,9})|\bcall:\w*)\Z"
)
_MENTION = re.compile(r"[ ,.;:)\"']")
