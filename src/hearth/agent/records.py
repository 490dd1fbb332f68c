"""What a line of a session's file may hold: each record's fields and their kinds. Pure.

A file is only ever appended to by us, but people edit files, and copy them from machine to machine. What is looked at
here need not be doubted anywhere else. A record of a type that this version does not know is none of its business.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]


class _Function(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Address(msgspec.Struct):
    url: str


class _Text(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class _Image(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: _Address


class _Said(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Text | _Image] | None = None
    tool_calls: list[_Call] = []
    tool_call_id: str = ""
    reasoning_content: str = ""


class _Message(msgspec.Struct):
    message: _Said
    prompt: str | None = None


class _Begun(msgspec.Struct):
    id: str


class _Sighting(msgspec.Struct):
    path: str
    digest: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$")] = ""
    whole: bool = False
    ranges: list[tuple[Count, Count]] = []


class _Result(msgspec.Struct):
    message: _Said
    failed: bool = False
    changed: list[str] = []
    seconds: float = 0.0
    seen: list[_Sighting] = []


class _Usage(msgspec.Struct):
    prompt: Count = 0
    reused: Count = 0
    new: Count = 0
    generated: Count = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0


class _Turn(msgspec.Struct):
    status: str
    partial: str


class _Snapshot(msgspec.Struct):
    at: str
    id: str
    others: list[str] = []


class _Abandoned(msgspec.Struct, tag_field="kind", tag="abandoned"):
    pass


class _Undo(msgspec.Struct, tag_field="kind", tag="undo"):
    turns: Count
    steps: list[tuple[str, str]]
    before: str
    force: bool = False


class _Redo(_Undo, tag_field="kind", tag="redo"):
    pass


class _Files(msgspec.Struct):
    steps: list[tuple[str, str]]
    before: str
    after: str


class _Rewrite(msgspec.Struct):
    kind: str
    messages: list[_Said]
    turns: Count = 0
    files: _Files | None = None


class _Origin(msgspec.Struct):
    session: str


class _Session(msgspec.Struct):
    """Whether the frame is whole is for ``frame`` to say."""

    created: str = ""
    forked_from: _Origin | None = None


_KINDS: dict[str, Any] = {
    "session": _Session,
    "message": _Message,
    "call": _Begun,
    "result": _Result,
    "usage": _Usage,
    "turn": _Turn,
    "snapshot": _Snapshot,
    "restore": _Abandoned | _Undo | _Redo,
    "rewrite": _Rewrite,
}


def is_record(record: Any) -> bool:
    """Whether this is a record, as far as this version knows its type."""
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        return False
    kind = _KINDS.get(record["type"])
    if kind is None:
        return True
    try:
        msgspec.convert(record, kind)
    except (msgspec.ValidationError, UnicodeError):
        return False
    return True
