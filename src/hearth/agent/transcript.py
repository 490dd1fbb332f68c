"""A session on disk: append-only JSON lines, one file a session, safe against a crash at any byte.

    {"type": "session", "version": 1, "created": "…", …frame}          first, written with the file
    {"type": "message", "message": {…}}                                 user or assistant
    {"type": "message", "prompt": "…", "message": {…}}                  a turn begins: what was typed, what is told
    {"type": "call", "id": "…", "name": "…"}                            a call is about to run
    {"type": "result", "message": {…}, "failed": …, "changed": […], "seconds": …, "seen": [{"path": "…", …}, …]}
    {"type": "usage", "prompt": …, "reused": …, …}
    {"type": "rewrite", "kind": "…", "messages": [{…}, …]}              from here on these are the messages
    {"type": "snapshot", "at": "begin" | "back" | "end", "id": "…", …}  the project around what the turn changed
    {"type": "turn", "status": "…", "partial": "…"}                     a turn is over; partial: text without an answer
    {"type": "restore", "kind": "undo" | "redo", "turns": …, …}         files are about to be taken back or forth
    {"type": "rewrite", "kind": "undo", "turns": …, "files": {…}, …}    they were, and so is the conversation

Every line is written at once, so that it outlives this process. A call's two lines and the end of a turn are forced to
the disk (with all before them), so that what has run is known even after a loss of power.

A line counts when it ends with a line feed and is JSON. What follows the last such line is a torn tail: it is moved
aside when the session is opened. A line that counts and is no record (``agent/records.py``) is of a later version, or
edited: the session is refused, and stays as it is. A call without a result was cut off by a crash; it is never run
again, the model is told that nobody knows how it ended. A ``restore`` without its ``rewrite`` was cut off too:
``agent/rewind.py`` goes on with it. What the records come to is in ``agent/replay.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from hearth.agent.frame import Frame
from hearth.agent.records import is_record
from hearth.agent.replay import Intent, Replay, Step
from hearth.errors import StateError, TranscriptError
from hearth.events import Rewrite, Status
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall, Usage
from hearth.tools.tool import ToolResult

VERSION = 1
SUBAGENTS = "tasks"
"""The folder below that of the sessions with those of sub-agents, named after the one that they worked for."""
UNKNOWN = "outcome unknown: hearth stopped while this ran; look before you run it again"
NOT_RUN = "not run: hearth stopped before"
NO_ANSWER = "[no answer: the turn was interrupted]"


class Transcript:
    """One open session: its messages in memory, and the file that holds them. Locked against other processes."""

    def __init__(self, path: Path, descriptor: int, frame: Frame, records: list[dict[str, Any]], size: int) -> None:
        """For ``create_transcript`` and ``open_transcript``; ``size`` is the length of what is valid, in bytes."""
        self.path = path
        self.frame = frame
        self.past = Replay()
        self._descriptor = descriptor
        self._size = size
        for record in records:
            self.past.feed(record)

    @property
    def messages(self) -> list[Message]:
        """Everything said so far, as it is told to the model."""
        return self.past.messages

    @property
    def resumed(self) -> bool:
        """Whether something was said before."""
        return bool(self.messages)

    def request(self) -> Request:
        """The next request: everything said so far."""
        return self.frame.request(self.messages)

    def begin_turn(self, prompt: str, told: Message | None = None) -> None:
        """Append the user's prompt; what a crash or an interruption left open is closed first.

        ``told`` is what the model reads in place of the bare prompt.
        """
        for call in self.past.open_calls():
            word = UNKNOWN if call.id in self.past.begun else NOT_RUN
            self.end_call(call, ToolResult(word, failed=True), 0.0)
        if self.messages and self.messages[-1].role != "assistant":
            # Many templates refuse a user message that follows a user message or a tool result.
            partial = self.past.partial
            self.add(Message("assistant", f"{partial}\n{NO_ANSWER}" if partial else NO_ANSWER))
        message = told or Message("user", prompt)
        self._append({"type": "message", "prompt": prompt, "message": message.to_wire()}, sync=False)

    def add(self, message: Message) -> None:
        """Append a message of the model or the user."""
        # Written at once; forced to the disk with the next call or the end of the turn, which follow it.
        self._append({"type": "message", "message": message.to_wire()}, sync=False)

    def begin_call(self, call: ToolCall) -> None:
        """Note that a call is about to run."""
        self._append({"type": "call", "id": call.id, "name": call.name})

    def end_call(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        """Append a call's result. The tool message is ``for_model``, exactly."""
        message = Message("tool", result.for_model, tool_call_id=call.id)
        record = {"type": "result", "message": message.to_wire(), "failed": result.failed}
        # With the digest: a session that goes on must know whether a file is still as its model saw it.
        seen = [{**asdict(one), "digest": one.digest.hex()} for one in result.seen]
        whole = {**record, "changed": list(result.changed), "seconds": seconds, **({"seen": seen} if seen else {})}
        self._append(whole)

    def rewrite(self, kind: Rewrite, messages: Iterable[Message]) -> None:
        """Put other messages in the place of all so far. The file keeps the old ones; requests begin anew."""
        self._append({"type": "rewrite", "kind": kind, "messages": [message.to_wire() for message in messages]})

    def add_snapshot(self, at: Literal["begin", "back", "end"], name: str, others: Sequence[str] = ()) -> None:
        """Note how the project was before this turn changed anything, before that was rolled back, and when the turn
        was over; ``others`` are files that somebody else changed meanwhile."""
        self._append({"type": "snapshot", "at": at, "id": name, **({"others": list(others)} if others else {})})

    def begin_restore(self, intent: Intent) -> None:
        """Note that the files are about to be taken back or forth: a crash on the way is known by it."""
        self._append({"type": "restore", **asdict(intent)})

    def abandon_restore(self) -> None:
        """Note that what was begun will not be gone on with; the conversation stays as it is."""
        self._append({"type": "restore", "kind": "abandoned"})

    def undo(self, turns: int, steps: Sequence[Step] = (), before: str = "", after: str = "") -> None:
        """Take the conversation back to before its last turns; the files were, from ``before`` to ``after``."""
        files = {"steps": steps, "before": before, "after": after} if after else None
        self._turn_to("undo", turns, self.past.turns[-turns].base, files)

    def redo(self) -> None:
        """Bring back what was undone last. Raises IndexError when nothing was."""
        self._turn_to("redo", len(self.past.undone[-1].turns), self.past.undone[-1].messages)

    def _turn_to(
        self, kind: Rewrite, turns: int, messages: Iterable[Message], files: dict[str, Any] | None = None
    ) -> None:
        record = {"type": "rewrite", "kind": kind, "turns": turns, **({"files": files} if files else {})}
        self._append({**record, "messages": [message.to_wire() for message in messages]})

    def add_usage(self, usage: Usage) -> None:
        """Note what a step cost."""
        self._append({"type": "usage", **asdict(usage)}, sync=False)

    def end_turn(self, status: Status, partial: str) -> None:
        """Note how a turn ended; ``partial`` is text that did not become an answer."""
        self._append({"type": "turn", "status": status, "partial": partial})

    def close(self) -> None:
        """Let go of the file and its lock."""
        os.close(self._descriptor)

    def _append(self, record: dict[str, Any], sync: bool = True) -> None:
        line = encode_line(record)
        try:
            _write_at(self._descriptor, line, self._size)
            if sync:
                os.fsync(self._descriptor)
        except OSError as error:
            # Half a line must not stay where the next one would follow it.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise StateError(f"cannot write {self.path}: {error.strerror}", "make room on the disk") from error
        self._size += len(line)
        self.past.feed(record)


def create_transcript(folder: Path, frame: Frame, created: datetime) -> Transcript:
    """Start a session's file with its frame in it. Raises StateError when the folder cannot be written."""
    path = folder / f"{frame.session}.jsonl"
    line = encode_line(
        {"type": "session", "version": VERSION, "created": created.isoformat(timespec="seconds"), **frame.to_record()}
    )
    descriptor = write_new(path, line)
    return Transcript(path, descriptor, frame, [], len(line))


def write_new(path: Path, data: bytes) -> int:
    """Make a session's file with its first lines; its locked descriptor. Raises StateError."""
    folder = path.parent
    # Written aside and renamed: a session's file is never without its first line.
    temporary = folder / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_at(descriptor, data, 0)
            os.fsync(descriptor)
            _lock(descriptor, path)
            temporary.rename(path)
            _sync_folder(folder)
        except BaseException:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}", "run: hearth doctor") from error
    return descriptor


@contextmanager
def lock_session(path: Path) -> Iterator[None]:
    """Hold a session's lock without reading it. Raises TranscriptError when another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise TranscriptError(f"cannot open {path}: {error.strerror}", f"run: chmod u+rw {path}") from error
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def open_transcript(folder: Path, session: str) -> Transcript:
    """Open a session to go on with it; a torn tail is moved to ``ID.torn-N`` beside the file.

    ``session`` may be the start of an id if only one session has it. Raises TranscriptError when there is none, when
    it is in use, or when it is damaged before its last lines.
    """
    path = find_session(folder, session)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise TranscriptError(f"cannot open {path}: {error.strerror}", f"run: chmod u+rw {path}") from error
    try:
        _lock(descriptor, path)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read()
        records, size = read_records(data, path)
        frame = read_frame(records, path)
        if size < len(data):
            _set_aside(path, data[size:])
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        try:
            return Transcript(path, descriptor, frame, records[1:], size)
        except (KeyError, TypeError) as error:
            raise TranscriptError(f"{path} holds a record that this version does not know", _elsewhere(path)) from error
    except BaseException:
        os.close(descriptor)
        raise


def latest_session(folder: Path, directory: Path) -> str:
    """The id of the session last used in this project folder. Raises TranscriptError if there is none."""
    for path in sorted(session_files(folder), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            if json.loads(file.readline())["directory"] == str(directory):
                return path.stem
    raise TranscriptError(f"no session was held in {directory} yet", "start one with: hearth run PROMPT")


def new_session_id(now: datetime) -> str:
    """An id that sorts by time."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def encode_line(record: dict[str, Any]) -> bytes:
    """One line of the file. Pure ASCII: even lone surrogates come back as they were."""
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def read_records(data: bytes, path: Path) -> tuple[list[dict[str, Any]], int]:
    """The records, and where what is valid ends. Raises TranscriptError when valid lines follow a broken one."""
    records: list[dict[str, Any]] = []
    size = position = broken = 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        position += len(line)
        record = _decode(line)
        if record is None:
            broken = broken or number
        elif not is_record(record):
            # No crash leaves a whole line that is wrong: somebody edited it, or a later version wrote it.
            raise TranscriptError(f"{path} holds a record that this version does not know", _elsewhere(path))
        elif broken:
            raise TranscriptError(f"{path} is damaged at line {broken}", _elsewhere(path))
        else:
            records.append(record)
            size = position
    return records, size


def _decode(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "type" in record else None


def read_frame(records: list[dict[str, Any]], path: Path) -> Frame:
    """The frame in a session's first record. Raises TranscriptError."""
    if not records or records[0]["type"] != "session":
        raise TranscriptError(f"{path} does not start with a session", _elsewhere(path))
    if records[0].get("version") != VERSION:
        version = records[0].get("version")
        raise TranscriptError(f"{path} is of version {version}, this hearth reads {VERSION}", "update hearth")
    try:
        frame = Frame.from_record(records[0])
    except (msgspec.ValidationError, UnicodeError) as error:
        raise TranscriptError(f"{path} does not start with a whole session record", _elsewhere(path)) from error
    # Files are named after it.
    if "/" in frame.session or "\0" in frame.session or frame.session in ("", ".", ".."):
        raise TranscriptError(f"{path} names a session that cannot be: {frame.session!r}", _elsewhere(path))
    return frame


def session_files(folder: Path) -> list[Path]:
    """The files of all sessions but those of sub-agents: these have a point in their names."""
    return [path for path in folder.glob("*.jsonl") if "." not in path.stem and path.is_file()]


def find_session(folder: Path, session: str) -> Path:
    """The file of a session, by its id or the start of it. Raises TranscriptError when there is not exactly one."""
    exact = folder / f"{session}.jsonl"
    if session and "/" not in session and exact.is_file():
        return exact
    # A point is in the names of sub-agents' sessions: those are found by their whole name alone.
    plain = [path for path in folder.glob("*.jsonl") if "." not in path.stem]
    found = [path for path in plain if session and path.stem.startswith(session)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} sessions start with {session!r}" if found else f"there is no session {session!r}"
    raise TranscriptError(what, f"the sessions are in {folder}; hearth run -c takes the latest of this folder")


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TranscriptError(f"session {path.stem} is in use by another process", "wait for it, or end it") from error
    if os.fstat(descriptor).st_nlink == 0:
        raise TranscriptError(f"session {path.stem} was removed just now", "run: hearth sessions list")


def _write_at(descriptor: int, data: bytes, position: int) -> None:
    # A disk that fills up takes a part and says so; it refuses the rest only when asked again.
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], position + written)


def _set_aside(path: Path, tail: bytes) -> None:
    number = 1
    while (aside := path.with_suffix(f".torn-{number}")).exists():
        number += 1
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(tail)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _elsewhere(path: Path) -> str:
    return f"start a new session; the text is still in {path}"
