"""The sessions that are on the disk: list, read, search, fork, delete them.

Nothing here asks a model, and nothing but ``delete_session`` locks a session: one that is in use can be looked at.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hearth.agent.frame import Frame
from hearth.agent.records import is_record
from hearth.agent.replay import Replay
from hearth.agent.transcript import (
    SUBAGENTS,
    encode_line,
    find_session,
    lock_session,
    new_session_id,
    read_frame,
    read_records,
    session_files,
    write_new,
)
from hearth.errors import StateError, TranscriptError, UsageError
from hearth.messages import Message

LONGEST_TITLE = 60
LONGEST_SNIPPET = 160
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_MARKS = re.compile(r"^(?:[#>=-]+\s*|```\w*\s*)*")
"""What Markdown has in front of a heading, a point of a list, a quote, and code."""
_OUTPUT = re.compile(rb"\boutput:(\d{1,9})\b")
_TURN = b'{"type":"message","prompt":'
_USER = b'{"type":"message","message":{"role":"user"'
"""The first word of a person, in files of before turns were marked."""
_END = b'{"type":"turn"'
_REWRITE = b'{"type":"rewrite","kind":"'


@dataclass(frozen=True, slots=True)
class Outline:
    """A session in a list: ``used`` is when it was last written, ``turns`` those that count still."""

    id: str
    title: str
    directory: str
    model: str
    created: str
    used: float
    turns: int
    bytes: int
    forked_from: str = ""


@dataclass(frozen=True, slots=True)
class PastSession:
    """A session as it is on the disk. ``records`` are those of the file, the first of them with the frame."""

    path: Path
    frame: Frame
    records: list[dict[str, Any]] = field(repr=False)
    past: Replay = field(repr=False)

    @property
    def id(self) -> str:
        """The session's id."""
        return self.frame.session

    @property
    def created(self) -> str:
        """When it was begun, ISO 8601."""
        return str(self.records[0].get("created", ""))

    @property
    def forked_from(self) -> str:
        """The id of the session that it was forked from, or nothing."""
        return str((self.records[0].get("forked_from") or {}).get("session", ""))

    @property
    def title(self) -> str:
        """What it is about."""
        return make_title(self.past.turns[0].prompt if self.past.turns else "")


@dataclass(frozen=True, slots=True)
class Hit:
    """A session in which all words were found: ``snippet`` is around the first, in this turn, said by this role."""

    outline: Outline
    turn: int
    role: str
    snippet: str


def make_title(prompt: str) -> str:
    """A title from the first line of a prompt that says something, at most LONGEST_TITLE characters."""
    for line in prompt.splitlines():
        words = _MARKS.sub("", " ".join(_CONTROL.sub(" ", line).split()))
        if words:
            return words if len(words) <= LONGEST_TITLE else f"{words[: LONGEST_TITLE - 1].rstrip()}…"
    return "(no words)"


def list_sessions(folder: Path, directory: Path | None = None) -> list[Outline]:
    """The sessions, last used first; with ``directory`` those of that project. What cannot be read is left out."""
    found = []
    for path in session_files(folder):
        with suppress(OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
            outline = _outline(path, path.read_bytes())
            if directory is None or outline.directory == str(directory):
                found.append(outline)
    return sorted(found, key=lambda outline: (outline.used, outline.id), reverse=True)


def read_session(folder: Path, session: str) -> PastSession:
    """A session, by its id or the start of it. Raises TranscriptError."""
    path = find_session(folder, session)
    try:
        records, _ = read_records(path.read_bytes(), path)
    except OSError as error:
        raise TranscriptError(f"cannot read {path}: {error.strerror}", f"run: chmod u+r {path}") from error
    return _read(path, records)


def search_sessions(folder: Path, words: str, directory: Path | None = None) -> Iterator[Hit]:
    """The sessions in which all words are said, whatever their case, last used first."""
    wanted = words.casefold().split()
    if not wanted:
        raise UsageError("nothing to search for", "run: hearth sessions search WORDS")
    # A file without such a word need not be read closer: what is not ASCII stands there in another way.
    plain = [word.encode() for word in wanted if word.isascii() and word.isalnum()]
    for outline in list_sessions(folder, directory):
        path = folder / f"{outline.id}.jsonl"
        with suppress(OSError, TranscriptError):
            data = path.read_bytes()
            lower = data.lower()
            if all(word in lower for word in plain):
                past = _read(path, read_records(data, path)[0]).past
                if hit := _find(outline, past, wanted):
                    yield hit


def fork_session(folder: Path, session: str, turn: int | None, now: datetime) -> str:
    """Begin a session that goes on from a turn of another one; its id. The files of the project stay as they are.

    ``turn`` counts from 1; 0 takes nothing but the frame, None everything. The other session is not changed. All that
    is sent to a model stays the same, byte for byte: the engine has read it already. Raises UsageError,
    TranscriptError.
    """
    origin = read_session(folder, session)
    turns = origin.past.turns
    number = len(turns) if turn is None else turn
    if not 0 <= number <= len(turns):
        raise UsageError(f"session {origin.id} has no turn {number}", f"it has {len(turns)}; 0 takes none")
    kept = 1 if number == 0 else turns[number - 1].records
    if turn is None and not origin.past.intent:
        kept = len(origin.records)
    fresh = new_session_id(now)
    head = {
        **origin.records[0],
        "created": now.isoformat(timespec="seconds"),
        "session": fresh,
        "forked_from": {"session": origin.id, "turn": number},
    }
    data = b"".join(encode_line(record) for record in (head, *origin.records[1:kept]))
    # What it names comes first: a fork that is seen is whole.
    _take_along(folder, origin.path.stem, fresh, data)
    descriptor = write_new(folder / f"{fresh}.jsonl", data)
    os.close(descriptor)
    return fresh


def delete_session(folder: Path, session: str) -> str:
    """Remove a session and what belongs to it, for good; its id. Raises TranscriptError when it is in use."""
    path = find_session(folder, session)
    with lock_session(path):
        try:
            # Whole outputs, torn tails that were set aside, the sessions of its sub-agents; itself last: cut off, it is
            # there to be deleted again.
            for left in [*_belongings(folder, path.stem), *_belongings(folder / SUBAGENTS, path.stem), path]:
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"cannot remove {path}: {error.strerror}", f"run: chmod u+w {folder}") from error
    return path.stem


def _belongings(folder: Path, session: str) -> list[Path]:
    """What begins with a session's name and a point, but for its own file."""
    return [path for path in folder.glob(f"{glob.escape(session)}.*") if path.name != f"{session}.jsonl"]


def _take_along(folder: Path, origin: str, fresh: str, data: bytes) -> None:
    """Give a fork what belongs to its origin: the whole outputs that its records name, and the sessions of sub-agents.
    Both are read only, so that the same files may have two names."""
    named = {found.decode("ascii") for found in _OUTPUT.findall(data)}
    outputs = [folder / f"{origin}.outputs" / f"{number}.txt" for number in named]
    try:
        for path in filter(Path.is_file, outputs):
            (folder / f"{fresh}.outputs").mkdir(mode=0o700, exist_ok=True)
            _link(path, folder / f"{fresh}.outputs" / path.name)
        for path in _belongings(folder / SUBAGENTS, origin):
            _link(path, folder / SUBAGENTS / f"{fresh}{path.name.removeprefix(origin)}")
    except OSError as error:
        raise StateError(f"cannot write in {folder}: {error.strerror}", "run: hearth doctor") from error


def _link(path: Path, other: Path) -> None:
    try:
        other.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, other)  # a file system without such links


def _outline(path: Path, data: bytes) -> Outline:
    """Read only the lines that begin or take back turns: a session may have megabytes."""
    lines = data.splitlines(keepends=True)
    head = json.loads(lines[0])
    if not is_record(head) or not all(isinstance(head[name], str) for name in ("directory", "model")):
        raise TypeError("it does not start with a session")
    prompts: list[str] = []
    undone: list[list[str]] = []
    running = False
    for line in lines[1:]:
        if line.startswith(_TURN) or (not running and line.startswith(_USER)):
            with suppress(ValueError):
                record = json.loads(line)
                if not is_record(record):
                    raise ValueError("no record")
                prompt = record.get("prompt")
                prompts.append(Message.from_wire(record["message"]).content if prompt is None else prompt)
                undone.clear()
                running = True
        elif line.startswith(_END):
            running = False
        elif line.startswith(_REWRITE):
            kind = line[len(_REWRITE) : len(_REWRITE) + 5]
            if kind == b'undo"':
                first = max(len(prompts) - json.loads(line)["turns"], 0)
                undone.append(prompts[first:])
                prompts = prompts[:first]
            elif kind == b'redo"' and undone:
                prompts += undone.pop()
    found = path.stat()
    return Outline(
        id=path.stem,
        title=make_title(prompts[0] if prompts else ""),
        directory=head["directory"],
        model=head["model"],
        created=head.get("created", ""),
        used=found.st_mtime,
        turns=len(prompts),
        bytes=found.st_size,
        forked_from=(head.get("forked_from") or {}).get("session", ""),
    )


def _read(path: Path, records: list[dict[str, Any]]) -> PastSession:
    frame = read_frame(records, path)
    past = Replay()
    try:
        for record in records[1:]:
            past.feed(record)
    except (KeyError, TypeError) as error:
        raise TranscriptError(f"{path} holds a record that this version does not know", "update hearth") from error
    return PastSession(path, frame, records, past)


def _find(outline: Outline, past: Replay, words: Sequence[str]) -> Hit | None:
    """All words must be said somewhere; shown is the message that has most of them."""
    missing, best = set(words), (0, 0, Message("user", ""))
    for number, turn in enumerate(past.turns, 1):
        for said in turn.said:
            text = _text(said.message).casefold()
            found = {word for word in words if word in text}
            missing -= found
            if len(found) > best[0]:
                best = (len(found), number, said.message)
    if missing:
        return None
    return Hit(outline, best[1], best[2].role, _snippet(_text(best[2]), words))


def _text(message: Message) -> str:
    return "\n".join([message.content, *(f"{call.name} {call.arguments}" for call in message.tool_calls)])


def _snippet(text: str, words: Sequence[str]) -> str:
    # Case folding may change the length of a text: a little off is no harm here.
    places = [place for word in words if (place := text.casefold().find(word)) >= 0]
    start = max(min(places, default=0) - LONGEST_SNIPPET // 3, 0)
    cut = text[start : start + LONGEST_SNIPPET]
    line = " ".join(_CONTROL.sub(" ", cut).split())
    return f"{'…' if start else ''}{line}{'…' if start + LONGEST_SNIPPET < len(text) else ''}"
