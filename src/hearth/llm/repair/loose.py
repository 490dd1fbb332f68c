"""Read JSON, Python literals and Gemma's objects as models write them: pure.

Mended is only what has one reading: raw control characters in strings, invalid escapes, trailing commas, Python's and
unquoted keys and literals, a closing bracket too few where something proves that the writer was done. What ends before
its end raises Open, what is damaged raises Broken: no value is ever guessed or completed.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from hearth.llm.repair.depth import is_deep
from hearth.llm.repair.found import Raw
from hearth.llm.repair.markers import space_end

Style = Literal["json", "python", "gemma"]
DEEPEST = 64
"""Levels of nesting beyond which nobody means it."""

END = re.compile(
    r"</[\w:.-]+\s*>|</[|｜]|<[|｜][^<>|｜\n]{1,40}[|｜]>|</s>|<\w+\|>|<end_\w+>|<eos>|\[/?TOOL_CALLS?\]|```|~~~"
)
"""What shows, where JSON might go on, that the model was done: a closing tag or a control token."""


class Open(ValueError):
    """The text ends in the middle of a value."""


class Broken(ValueError):
    """The text is no value, or one that is not certain."""


def read_value(text: str, start: int, style: Style = "json") -> tuple[Any, int]:
    """The value that begins at ``start``, and where it ends. Raises Open or Broken."""
    if style == "json":
        try:
            value, end = _STRICT.raw_decode(text, start)
        except Broken:
            raise
        except RecursionError as error:
            raise Broken("nested too deep") from error
        except ValueError:
            pass  # now with patience
        else:
            if is_deep(value):
                raise Broken("nested too deep")
            return value, end
    reader = Reader(text, start, style)
    return reader.value(), reader.at


class Reader:
    """Reads values from ``at`` on, with patience; ``at`` moves on."""

    def __init__(self, text: str, at: int, style: Style = "json") -> None:
        self.text = text
        self.at = at
        self._style = style
        self._within: list[str] = []

    def skip(self) -> str:
        """Skip white space; the next character, empty at the end."""
        self.at = space_end(self.text, self.at)
        return self.text[self.at : self.at + 1]

    def ended(self) -> bool:
        """Whether something stands here that proves that the writer was done."""
        return self._style != "python" and END.match(self.text, self.at) is not None and not self._delimiter()

    def value(self) -> Any:
        """The value here."""
        first = self.skip()
        if not first:
            raise Open("a value is missing")
        if first in "{[(":
            return self._nested(first)
        if delimiter := self._delimiter():
            return self._delimited(delimiter)
        if self._style == "python" and (prefix := _PREFIX.match(self.text, self.at)):
            self.at = prefix.end() - 1
            return self._joined("r" in prefix[0].lower())
        if first in _CLOSING:
            return self._joined(raw=False)
        return self._plain()

    def _nested(self, first: str) -> Any:
        if len(self._within) >= DEEPEST:
            raise Broken("nested too deep")
        if first == "(" and self._style != "python":
            raise Broken("a bracket that JSON does not know")
        self.at += 1
        self._within.append(first)
        value = self._members() if first == "{" else self._elements("]" if first == "[" else ")")
        self._within.pop()
        return value

    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        fresh = True
        while True:
            what = self._between("}", fresh)
            if what == "end":
                return members
            if what == "next":
                fresh = True
                continue
            if not fresh:
                raise Broken("no comma between two members")
            key = self._key()
            if self.skip() != ":":
                raise Broken("no colon after a key") if self.skip() else Open("a key without a value")
            self.at += 1
            add_member(members, key, self.value())
            fresh = False

    def _elements(self, closer: str) -> list[Any]:
        elements: list[Any] = []
        fresh = True
        while True:
            what = self._between(closer, fresh)
            if what == "end":
                return elements
            if what == "next":
                fresh = True
                continue
            if not fresh:
                raise Broken("no comma between two elements")
            elements.append(self.value())
            fresh = False

    def _between(self, closer: str, fresh: bool) -> Literal["end", "next", "item"]:
        """What comes where a comma or a closing bracket may stand; ``fresh`` after an opening bracket or a comma."""
        char = self.skip()
        if not char:
            raise Open("a bracket is not closed")
        if char == closer:
            self.at += 1
            return "end"
        if self.ended():
            return "end"  # closes all that is open: the marker behind it proves that nothing was to come
        if char == "," and not fresh:
            self.at += 1
            return "next"
        if char in "}])" and not fresh and _OPENING[char] in self._within[:-1]:
            return "end"  # one closing bracket was forgotten; this one belongs to what is around
        return "item"

    def _key(self) -> str:
        if delimiter := self._delimiter():
            return self._delimited(delimiter)
        if self.text[self.at] in _CLOSING:
            return self._string(raw=False)
        if not (word := _IDENTIFIER.match(self.text, self.at)):
            raise Broken("a key is missing")
        self.at = word.end()
        return word[0]

    def _joined(self, raw: bool) -> str:
        """A string; in Python several that follow one another are one."""
        parts = [self._string(raw)]
        while self._style == "python":
            self.skip()
            prefix = _PREFIX.match(self.text, self.at)
            if not prefix and self.text[self.at : self.at + 1] not in ("'", '"'):
                break
            self.at = prefix.end() - 1 if prefix else self.at
            parts.append(self._string(bool(prefix) and "r" in prefix[0].lower() if prefix else False))
        return "".join(parts)

    def _string(self, raw: bool) -> str:
        first = self.text[self.at]
        quote = _CLOSING[first]
        if first in "'\"" and self.text.startswith(first * 3, self.at):
            quote = first * 3
        self.at += len(quote)
        pieces: list[str] = []
        literal = False
        stop = _STOPS[quote[0]]
        while True:
            found = stop.search(self.text, self.at)
            if not found:
                raise Open("a string does not end")
            pieces.append(self.text[self.at : found.start()])
            self.at = found.start()
            if found[0] != "\\":
                if self.text.startswith(quote, self.at):
                    self.at += len(quote)
                    break
                pieces.append(found[0])
                self.at += 1
                continue
            escape, valid = (self._raw_escape(), True) if raw else self._escape(quote[0])
            literal = literal or not valid
            pieces.append(escape)
        text = "".join(pieces)
        # Whoever wrote \d unescaped meant \b as well: nobody sends a backspace.
        return text.replace("\b", "\\b").replace("\f", "\\f") if literal else text

    def _raw_escape(self) -> str:
        escape = self.text[self.at : self.at + 2]
        if len(escape) < 2:
            raise Open("a string does not end")
        self.at += 2
        return escape

    def _escape(self, quote: str) -> tuple[str, bool]:
        """What the escape here stands for, and whether it is one: an invalid one is a literal backslash."""
        after = self.text[self.at + 1 : self.at + 2]
        if not after:
            raise Open("a string does not end")
        pythonic = self._style == "python" or quote == "'"
        if after == "u" and (code := _HEX4.match(self.text, self.at + 2)):
            self.at = code.end()
            return self._code_point(int(code[0], 16)), True
        if after == "u" and len(self.text) < self.at + 6:
            raise Open("a string does not end")
        if pythonic and after == "x" and (code := _HEX2.match(self.text, self.at + 2)):
            self.at = code.end()
            return chr(int(code[0], 16)), True
        if pythonic and after == "U" and (code := _HEX8.match(self.text, self.at + 2)):
            self.at = code.end()
            return chr(int(code[0], 16)), True
        if pythonic and after == "\n":
            self.at += 2
            return "", True
        simple = _SIMPLE.get(after) or (_PYTHON_SIMPLE.get(after) if pythonic else None)
        if simple is not None and (self._style != "python" or after != "/"):
            self.at += 2
            return simple, True
        self.at += 1
        return "\\", False

    def _code_point(self, high: int) -> str:
        if 0xD800 <= high < 0xDC00 and self.text.startswith("\\u", self.at):
            low = _HEX4.match(self.text, self.at + 2)
            if low and 0xDC00 <= int(low[0], 16) < 0xE000:
                self.at = low.end()
                return chr(0x10000 + ((high - 0xD800) << 10) + int(low[0], 16) - 0xDC00)
        return chr(high)

    def _delimiter(self) -> str:
        if self._style != "gemma":
            return ""
        return next((each for each in _GEMMA_QUOTES if self.text.startswith(each, self.at)), "")

    def _delimited(self, delimiter: str) -> str:
        begin = self.at + len(delimiter)
        end = self.text.find(delimiter, begin)
        if end < 0:
            return self._undelimited(begin)
        self.at = end + len(delimiter)
        return self.text[begin:end]

    def _undelimited(self, begin: int) -> str:
        """The last value of a call whose closing delimiter is missing, if an end marker shows where it ends."""
        last = _LAST.match(self.text, begin)
        if not last:
            raise Broken("a string does not end") if END.search(self.text, begin) else Open("a string does not end")
        self.at = last.end("value")
        return last["value"]

    def _plain(self) -> Any:
        if word := _WORD.match(self.text, self.at):
            text, after = word[0], word.end()
            if after == len(self.text) and self._within:
                raise Open("a value may go on")
            number = _NUMBER.fullmatch(text)
            alone = self._style != "gemma" or _GEMMA_AFTER.match(self.text, after)
            if alone and (text in _LITERALS or number):
                self.at = after
                return to_number(text) if number else _LITERALS[text]
        if self._style == "gemma":
            return self._bare()
        raise Broken("no value")

    def _bare(self) -> Raw:
        """Gemma's value without its opening delimiter: up to the closing one, or to what must end it."""
        end = min((at for each in _GEMMA_QUOTES if (at := self.text.find(each, self.at)) >= 0), default=-1)
        if end >= 0 and not _NEXT_KEY.search(self.text[self.at : end]) and "}" not in self.text[self.at : end]:
            text = self.text[self.at : end]
            self.at = end + len(next(each for each in _GEMMA_QUOTES if self.text.startswith(each, end)))
            return Raw(text)
        word = _BARE.match(self.text, self.at)
        if not word:
            raise Broken("no value")
        if word.end() == len(self.text):
            raise Open("a value may go on")
        self.at = word.end()
        return Raw(word[0].rstrip())


def add_member(members: dict[str, Any], key: str, value: Any) -> None:
    """Add a member; the same key with two values raises Broken: nobody can tell which counts."""
    if key in members and (type(members[key]) is not type(value) or members[key] != value):
        raise Broken(f"two values for {key}")
    members[key] = value


def to_number(text: str) -> int | float:
    """A number of JSON; raises Broken for one that no computer holds."""
    try:
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
    except ValueError as error:
        raise Broken("a number too long") from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        add_member(members, key, value)
    return members


def _refuse(text: str) -> Any:
    raise Broken(f"{text} is no value of JSON")


_STRICT = json.JSONDecoder(strict=False, object_pairs_hook=_pairs, parse_constant=_refuse)
_PREFIX = re.compile(r"[rRuU]['\"]")
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$-]*")
_WORD = re.compile(r"[\w+.-]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_HEX8 = re.compile(r"00(?:10|0[0-9a-fA-F])[0-9a-fA-F]{4}")
_HEX2 = re.compile(r"[0-9a-fA-F]{2}")
_NEXT_KEY = re.compile(r",\s*[\"']?[A-Za-z_]\w*[\"']?\s*:")
_BARE = re.compile(r"[^,{}\[\]\"'<>\n]+")
_LAST = re.compile(r"(?P<value>[^{}\[\],<>]*)\}\s*(?:<tool_call\|>|<end_function_call>)")
_GEMMA_AFTER = re.compile(r"\s*[,}\]]")
_GEMMA_QUOTES = ('<|"|>', "<escape>")
_CLOSING = {'"': '"', "'": "'", "“": "”"}
_STOPS = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]"), "”": re.compile(r"[”\\]")}
_OPENING = {"}": "{", "]": "[", ")": "("}
_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_SIMPLE = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PYTHON_SIMPLE = {"'": "'", "a": "\a", "v": "\v", "0": "\0"}
