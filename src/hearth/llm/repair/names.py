"""Which offered tool and which of its arguments a model means by a name: pure.

Never by likeness: a name is known, or it is a usual name of another agent for the same thing, or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hearth.llm.repair.aliases import ARGUMENTS, ENDINGS, FOREIGN, INSTEAD, MEMBERS, TOOLS
from hearth.messages import ToolSpec

LONGEST_NAME = 120
"""Characters beyond which nothing is a name."""


class Offer:
    """The tools that were offered, and what else they are called."""

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        self.specs: dict[str, ToolSpec] = {tool.name: tool for tool in tools}
        self._spelled = _unique((squash(name), name) for name in self.specs)
        self._kinds: dict[str, str] = {}
        self._arguments: dict[tuple[str, str], str] = {}
        for kind, names in TOOLS.items():
            squashed = {squash(name) for name in names}
            offered = [name for name in self.specs if squash(name) in squashed]
            self._kinds.update(dict.fromkeys(offered, kind))
            if len(offered) == 1:
                for name in squashed:
                    self._spelled.setdefault(name, offered[0])

    def resolve(self, raw: str) -> str:
        """The offered tool that a raw name means, empty if there is none."""
        name = clean_name(raw)
        for candidate in _without_namespaces(name):
            if candidate in self.specs:
                return candidate
            if found := self._spelled.get(squash(candidate)):
                return found
            for glued in ("json", "code", "commentary"):
                stem = candidate.removesuffix(glued)
                if stem != candidate and (found := self._spelled.get(squash(stem))):
                    return found
        return ""

    def of_kind(self, kind: str) -> str:
        """The one offered tool of a kind (a group of ``aliases.TOOLS``), empty if there is none or more; of more the
        one that is called so."""
        if kind in self.specs:
            return kind
        offered = [name for name, each in self._kinds.items() if each == kind]
        return offered[0] if len(offered) == 1 else ""

    def parameters(self, tool: str) -> Mapping[str, Any]:
        """The schema of an offered tool's arguments."""
        return self.specs[tool].parameters

    def argument(self, tool: str, raw: str) -> str:
        """The argument of an offered tool that a raw name means, empty if there is none."""
        found = self._arguments.get((tool, raw))
        if found is None:
            found = _match(raw, self._properties(tool), ARGUMENTS.get(self._kinds.get(tool, ""), ()))
            self._arguments[tool, raw] = found
        return found

    def member(self, tool: str, raw: str, properties: Iterable[str]) -> str:
        """The same within an object among the arguments, which has these properties."""
        return _match(raw, tuple(properties), MEMBERS.get(self._kinds.get(tool, ""), ()))

    def split_glued(self, text: str) -> tuple[str, str]:
        """A tool's and an argument's name that stand together without anything between, empty if they are none."""
        text = text.strip()
        splits = {
            (tool, argument)
            for at in range(1, min(len(text), LONGEST_NAME))
            if (tool := self.resolve(text[:at])) and (argument := self.argument(tool, text[at:]))
        }
        return splits.pop() if len(splits) == 1 else ("", "")

    def describe_unknown(self, raw: str) -> str:
        """What to tell a model that called a tool which there is not."""
        name = clean_name(raw)
        last = _without_namespaces(name)[-1]
        known = ", ".join(self.specs) or "none"
        said = f"there is no tool {name}; the tools are: {known}."
        instead = [tool for tool in INSTEAD.get(squash_back(last), ()) if tool in self.specs]
        if instead:
            return f"{said[:-1]}; use {' or '.join(instead)} instead."
        if squash_back(last) in ENDINGS:
            return f"{said[:-1]}; to end the work, say what was done in plain words."
        close = get_close_matches(last[:LONGEST_NAME], self.specs, n=1, cutoff=0.7)
        return f"{said[:-1]}; perhaps {close[0]} was meant." if close else said

    def _properties(self, tool: str) -> tuple[str, ...]:
        return tuple(self.specs[tool].parameters.get("properties", {}))


def clean_name(raw: str) -> str:
    """A name without the control tokens, tags, quotes and line breaks that stick to it."""
    text = raw[: 4 * LONGEST_NAME].strip()
    if held := _HELD.match(text):
        text = held["name"]
    text = _LEADING.sub("", text).strip(" \t\r\n\"'`*")
    found = _JUNK.search(text)
    name = (text[: found.start()] if found else text).strip(" \t\"'`*:.,;")
    name = _NUMBER.sub("", name).removesuffix(".call")[:LONGEST_NAME]
    return "" if name in ("analysis", "commentary", "final", "assistant") else name


def squash(name: str) -> str:
    """A name without case, underscores and hyphens: two names that differ in these only are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def squash_back(name: str) -> str:
    """A name as the tables spell it: ``ListDir`` is ``list_dir``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")


def _match(raw: str, properties: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> str:
    name = raw.strip()
    if name in properties:
        return name
    squashed = squash(name)
    if not squashed:
        return ""
    spelled = [each for each in properties if squash(each) == squashed]
    if spelled:
        return spelled[0] if len(spelled) == 1 else ""
    for group in groups:
        if squashed in {squash(each) for each in group}:
            offered = [each for each in properties if each in group]
            if len(offered) == 1:
                return offered[0]
    return ""


def _without_namespaces(name: str) -> list[str]:
    """The name itself, then without its first namespace, and so on; not without one that means something else."""
    found = [name]
    while (split := _SPACE.search(name)) and split.end() < len(name):
        if squash_back(name[: split.start()]) in FOREIGN:
            break
        name = name[split.end() :]
        found.append(name)
    return found


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    twice: set[str] = set()
    for key, value in pairs:
        (twice.add(key) if key in found else found.__setitem__(key, value))
    return {key: value for key, value in found.items() if key not in twice}


_HELD = re.compile(
    r"""^(?:[^={}]{0,80}\bto=(?=[\w.]) | \{?\s*"name"\s*:\s*"(?=[\w.]) | <?function=(?=\w) | \[TOOL_CALLS\]\s*(?=\w)
    | \w{0,20}<[|｜]\s*tool[▁_ ]sep\s*[|｜]>\s*(?=\w) )(?P<name>.+)""",
    re.VERBOSE | re.DOTALL,
)
_LEADING = re.compile(r"^(?:<[|｜][^<>\n]{1,40}[|｜]>|<\|?/?\w+\|?>|\s|call:|tool_call>)+")
_JUNK = re.compile(r"[<>\n\r({\[\\]|\s")
_NUMBER = re.compile(r":\d+$")
_SPACE = re.compile(r"::|__|[.:/]")
