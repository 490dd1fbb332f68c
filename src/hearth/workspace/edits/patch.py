"""The patch language of gpt-oss and Codex (``*** Begin Patch``): text in, operations out.

Read as widely as its models write it: without the marks around it, in a fence, a here-document, a command or its
arguments, with the line counts of a unified diff (which are wrong and are not looked at), with context lines that lack
their blank.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass, field
from typing import Literal

from hearth.workspace.edits.outcome import Refused

_HEADER = re.compile(r"\*{3}\s*(Add|Update|Delete|Create|Modify|Remove) File:\s*(.*?)\s*", re.IGNORECASE)
_MOVE = re.compile(r"\*{3}\s*(?:Move|Rename)(?: File)?(?: to)?:\s*(.*?)\s*", re.IGNORECASE)
_MARK = re.compile(r"\*{3}\s*(?:Begin|End) Patch\b", re.IGNORECASE)
_BEGIN = re.compile(r"^(?![+-]).*?(?=\*{3}\s*Begin Patch\b)", re.IGNORECASE | re.MULTILINE)
_WRAPPER = re.compile(r"```[\w-]*\s*|(?:apply_patch\s*)?<<-?\s*['\"]?(\w+)['\"]?\s*|apply_patch\s*|")
_END_OF_FILE = re.compile(r"\*{3}\s*End of File\s*", re.IGNORECASE)
_COUNTS = re.compile(r"@@\s*-\d+(?:,\d+)?\s+\+\d+(?:,\d+)?\s*@@\s?(.*)")
_ANCHOR = re.compile(r"@@+\s?(.*?)(?:\s*@@)?\s*")
_KINDS: dict[str, Literal["add", "update", "delete"]] = {
    "add": "add",
    "create": "add",
    "update": "update",
    "modify": "update",
    "delete": "delete",
    "remove": "delete",
}


@dataclass(slots=True)
class Hunk:
    """One change: where it belongs (``anchors``), then its lines, each with a blank, minus or plus for a sign.

    ``strict``: the anchors are meant. Those of a unified diff only name what stood above."""

    anchors: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    at_end: bool = False
    strict: bool = True


@dataclass(slots=True)
class Operation:
    """What happens to one file. ``text`` is that of a file to be added, ``target`` where one is moved to."""

    kind: Literal["add", "update", "delete"]
    path: str
    text: str = ""
    hunks: list[Hunk] = field(default_factory=list)
    target: str = ""


def parse_patch(patch: str) -> tuple[Operation, ...] | Refused:
    """The operations of a patch, in order."""
    operations: list[Operation] = []
    bodies: list[list[str]] = []
    lines = _from_unified(_unwrap([line.rstrip("\r") for line in _unpack(patch).split("\n")]))
    ended = False
    for line in lines:
        header = _HEADER.fullmatch(line.strip()) if line.lstrip().startswith("***") else None
        if header:
            operations.append(Operation(_KINDS[header[1].lower()], header[2].strip("`\"'")))
            bodies.append([])
            ended = False
        elif _MARK.match(line):
            ended = ended or "end patch" in line.lower()
        elif not operations:
            return Refused(f"a patch begins with *** Begin Patch and *** Update File: PATH, not with {line[:60]!r}")
        elif not ended:
            bodies[-1].append(line)
    if not operations:
        return Refused("the patch is empty: name a file with *** Update File: PATH")
    for operation, body in zip(operations, bodies, strict=True):
        if refused := _read_body(operation, body):
            return refused
    return tuple(operations)


def _unpack(patch: str) -> str:
    """The patch itself, where it came as JSON, escaped, as the argument of a command, or moved to the right."""
    text = patch.strip("\n")
    bare = text.strip()
    if bare[:1] in ("{", "[") or ("\n" not in bare and "\\n" in bare):
        try:
            found = _find_patch(json.loads(bare if bare[:1] in ("{", "[") else f'"{bare}"', strict=False))
        except (ValueError, RecursionError):
            found = ""
        text = found or text
    begin = _BEGIN.search(text)
    if begin and not re.search(r"^\s*\*{3} ?\w+ File:", text[: begin.start()], re.MULTILINE):
        text = text[begin.start() if not begin[0].strip() else begin.end() :]
    return textwrap.dedent(text).strip() if re.match(r"\s+\*{3} ", text) else text.strip()


def _find_patch(value: object) -> str:
    """The text in some JSON that has a patch."""
    if isinstance(value, str):
        return value if "*** " in value else ""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for one in values if (found := _find_patch(one))), "")


def _unwrap(lines: list[str]) -> list[str]:
    """The lines without a fence, a here-document or a command around them."""
    closers = set()
    first = 0
    while first < len(lines) and (match := _WRAPPER.fullmatch(lines[first].strip())):
        closers.add(match[1] or "```")
        first += 1
    while len(lines) > first and closers and lines[-1].strip() in closers:
        lines = lines[:-1]
    return lines[first:]


def _from_unified(lines: list[str]) -> list[str]:
    """Headers of a unified diff as our own; other lines as they are."""
    if any(line.lstrip().startswith("***") and _HEADER.fullmatch(line.strip()) for line in lines):
        return lines
    found: list[str] = []
    index = 0
    while index < len(lines):
        line, following = lines[index], lines[index + 1] if index + 1 < len(lines) else ""
        if line.startswith("--- ") and following.startswith("+++ "):
            old, new = (_plain_name(name) for name in (line[4:], following[4:]))
            kind = "Add" if old == "/dev/null" else "Delete" if new == "/dev/null" else "Update"
            found.append(f"*** {kind} File: {old if new == '/dev/null' else new}")
            if kind == "Update" and old != new:
                found[-1] = f"*** Update File: {old}"
                found.append(f"*** Move to: {new}")
            index += 2
            continue
        if not line.startswith(("diff --git ", "index ", "new file mode", "deleted file mode", "similarity index")):
            found.append(line)
        index += 1
    return found


def _plain_name(name: str) -> str:
    name = name.split("\t")[0].strip()
    return name if name == "/dev/null" else re.sub(r"^[ab]/", "", name)


def _read_body(operation: Operation, body: list[str]) -> Refused | None:
    if not operation.path:
        return Refused("a header of the patch names no file")
    if operation.kind == "delete":
        return None
    if operation.kind == "add":
        return _read_added(operation, body)
    hunk = Hunk()
    for line in body:
        if move := _MOVE.fullmatch(line.strip()):
            operation.target = move[1].strip("`\"'")
        elif _END_OF_FILE.fullmatch(line.strip()):
            hunk.at_end = True
        elif line.startswith("@@"):
            if hunk.lines:
                operation.hunks.append(hunk)
                hunk = Hunk()
            counts = _COUNTS.fullmatch(line)
            anchor = counts[1] if counts else (_ANCHOR.fullmatch(line) or [line, ""])[1]
            if anchor.strip():
                hunk.anchors.append(anchor.strip())
                hunk.strict = counts is None
        elif line.startswith("\\ No newline"):
            continue
        else:
            hunk.lines.append(_sign(line))
    if hunk.lines:
        operation.hunks.append(hunk)
    operation.hunks = [hunk for hunk in operation.hunks if any(sign != " " for sign, _ in hunk.lines)]
    if not operation.hunks and not operation.target:
        return Refused(f"the patch changes nothing in {operation.path}: mark lines with - and +")
    return None


def _sign(line: str) -> tuple[str, str]:
    """A line's sign and text; one without a sign is context whose blank was left out."""
    return (line[0], line[1:]) if line[:1] in (" ", "-", "+") else (" ", line)


def _read_added(operation: Operation, body: list[str]) -> Refused | None:
    lines = [line for line in body if not line.startswith("@@") and not _END_OF_FILE.fullmatch(line.strip())]
    while lines and not lines[-1].strip():
        lines.pop()
    signed = [line for line in lines if line.startswith("+")]
    if signed and any(line.strip() and not line.startswith("+") for line in lines):
        return Refused(f"some lines of the new file {operation.path} begin with + and some do not")
    plain = [line.removeprefix("+") for line in lines] if signed else lines
    operation.text = "".join(f"{line}\n" for line in plain)
    return None
