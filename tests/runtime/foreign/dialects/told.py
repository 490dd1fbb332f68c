"""Reads what a translation told, as a client of llama-server does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hearth.runtime.dialect import Translation

Json = dict[str, Any]


def tell(translation: Translation, stream: bytes, cuts: Sequence[int] = ()) -> bytes:
    """All that is told of this stream when it arrives cut at these places."""
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    starts = [0, *ends[:-1]]
    told = b"".join(translation.feed(stream[start:end]) for start, end in zip(starts, ends, strict=True))
    return told + translation.finish()


def events(told: bytes) -> list[Json | str]:
    """The events: objects, and ``[DONE]``. Whatever is no whole event fails the test."""
    assert told == b"" or told.endswith(b"\n\n"), told[-100:]
    found: list[Json | str] = []
    for event in told.split(b"\n\n")[:-1]:
        assert event.startswith(b"data: ")
        assert b"\n" not in event
        data = event[6:].decode()
        found.append(data if data == "[DONE]" else json.loads(data))
    return found


def objects(told: bytes) -> list[Json]:
    """The events that are objects."""
    return [event for event in events(told) if isinstance(event, dict)]


def deltas(told: bytes) -> list[Json]:
    """The deltas of the first choice, in order, without empty ones."""
    return [choice["delta"] for event in objects(told) for choice in event.get("choices", []) if choice["delta"]]


def text(told: bytes, name: str = "content") -> str:
    """What the deltas add up to."""
    return "".join(delta.get(name) or "" for delta in deltas(told))


def calls(told: bytes) -> list[Json]:
    """The tool calls that the deltas add up to, as a client of llama-server puts them together."""
    found: list[Json] = []
    for part in (part for delta in deltas(told) for part in delta.get("tool_calls", ())):
        if "id" in part:
            assert part["index"] == len(found)
            found.append({"id": part["id"], **part["function"]})
        else:
            found[part["index"]]["arguments"] += part["function"]["arguments"]
    return found


def ending(told: bytes) -> str | None:
    """The finish reason; it comes once at most."""
    reasons = [choice["finish_reason"] for event in objects(told) for choice in event.get("choices", [])]
    given = [reason for reason in reasons if reason is not None]
    assert len(given) <= 1
    return given[0] if given else None
