"""What a session's records come to: its messages, its turns, and what was undone: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hearth.events import Rewrite
from hearth.messages import Message, ToolCall
from hearth.workspace.sight import Sighting

Step = tuple[str, str]
"""From one snapshot to another, by their names."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message as it was said, whatever was left out of the conversation later. For results of tools: whether it
    failed, what it changed, how many seconds it took, and what the model knew of files by it."""

    message: Message
    failed: bool = False
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    seen: tuple[Sighting, ...] = ()


@dataclass(slots=True)
class PastTurn:
    """One turn: ``prompt`` as it was typed, ``base`` all that the conversation held before. ``status`` is empty for a
    turn that was cut off. ``begin`` and ``end`` name the snapshots around what it changed, empty where there are none;
    ``others`` are files that somebody else changed meanwhile. ``records`` is how many records of the file lead up to
    its end."""

    prompt: str
    base: tuple[Message, ...]
    said: list[Said] = field(default_factory=list)
    status: str = ""
    partial: str = ""
    begin: str = ""
    end: str = ""
    others: tuple[str, ...] = ()
    records: int = 0


@dataclass(frozen=True, slots=True)
class Undone:
    """Turns that were undone and can be brought back: ``messages`` is the conversation before, ``steps`` the way that
    the files went, from the snapshot ``before`` to the snapshot ``after``; without files all of them are empty."""

    turns: tuple[PastTurn, ...]
    messages: tuple[Message, ...]
    steps: tuple[Step, ...] = ()
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """Files that are being taken to another state: when this is found at a start, it was cut off."""

    kind: Rewrite
    turns: int
    steps: tuple[Step, ...]
    before: str
    force: bool = False


class Replay:
    """The state of a session after its records so far."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.turns: list[PastTurn] = []
        self.undone: list[Undone] = []
        self.intent: Intent | None = None
        self.partial = ""
        self.begun: set[str] = set()
        self._current: PastTurn | None = None
        self._running = False
        self._records = 1

    def feed(self, record: dict[str, Any]) -> None:
        """Take one record, after the first. Raises KeyError or TypeError when it is none of ours; of a type that this
        version does not know it is passed over."""
        self._records += 1
        match record["type"]:
            case "message" | "result":
                self._say(record)
            case "call":
                self.begun.add(record["id"])
            case "turn":
                self.partial = record["partial"]
                self._end(record["status"], record["partial"])
            case "snapshot":
                self._note_snapshot(record)
            case "restore":
                self._note_intent(record)
                return
            case "rewrite":
                self._rewrite(record)
        if self._current is not None:
            self._current.records = self._records

    def open_calls(self) -> list[ToolCall]:
        """Calls of the last answer that have no result."""
        answered: set[str] = set()
        for message in reversed(self.messages):
            if message.role == "tool":
                answered.add(message.tool_call_id)
            elif message.role == "assistant":
                return [call for call in message.tool_calls if call.id not in answered]
            else:
                break
        return []

    def _say(self, record: dict[str, Any]) -> None:
        message = Message.from_wire(record["message"])
        # Files of before turns were marked: the first word of a person after a turn's end begins the next one.
        if "prompt" in record or (message.role == "user" and not self._running):
            prompt = record.get("prompt")
            self._current = PastTurn(message.content if prompt is None else prompt, tuple(self.messages))
            self.turns.append(self._current)
            self.undone.clear()
            self._running = True
        self.messages.append(message)
        self.partial = ""
        # Some servers number their calls anew in each answer: an id is open only until its result.
        self.begun.discard(message.tool_call_id)
        if self._current is not None:
            changed, seconds = tuple(record.get("changed", ())), record.get("seconds", 0.0)
            seen = tuple(_sighting(one) for one in record.get("seen", ()))
            self._current.said.append(Said(message, record.get("failed", False), changed, seconds, seen))

    def _end(self, status: str, partial: str) -> None:
        self._running = False
        if self._current is not None:
            self._current.status, self._current.partial = status, partial

    def _note_snapshot(self, record: dict[str, Any]) -> None:
        at, name = record["at"], record["id"]
        if self._current is None:
            return
        if at == "end":
            self._current.end, self._current.others = name, tuple(record.get("others", ()))
        elif at == "begin" and not self._current.begin:
            self._current.begin = name

    def _note_intent(self, record: dict[str, Any]) -> None:
        if record["kind"] == "abandoned":
            self.intent = None
            return
        whole = 1 <= record["turns"] <= len(self.turns) if record["kind"] == "undo" else bool(self.undone)
        if not whole:
            raise TypeError("an undo or redo of turns that are not there")
        self.intent = Intent(
            record["kind"], record["turns"], _steps(record["steps"]), record["before"], record.get("force", False)
        )

    def _rewrite(self, record: dict[str, Any]) -> None:
        before, self.messages = tuple(self.messages), [Message.from_wire(wire) for wire in record["messages"]]
        match record["kind"]:
            case "undo":
                first = max(len(self.turns) - record["turns"], 0)
                gone, self.turns = tuple(self.turns[first:]), self.turns[:first]
                files = record.get("files") or {"steps": (), "before": "", "after": ""}
                self.undone.append(Undone(gone, before, _steps(files["steps"]), files["before"], files["after"]))
            case "redo":
                if self.undone:
                    self.turns += self.undone.pop().turns
            case _:
                return
        self.intent = self._current = None
        self._running = False
        self.partial = ""
        self.begun.clear()


def _sighting(record: dict[str, Any]) -> Sighting:
    ranges = tuple((first, last) for first, last in record.get("ranges", ()))
    return Sighting(record["path"], bytes.fromhex(record.get("digest", "")), record.get("whole", False), ranges)


def _steps(pairs: Any) -> tuple[Step, ...]:
    return tuple((str(start), str(target)) for start, target in pairs)
