"""Tool calls as llama-server streams them: each has an index, an id and a name in its first piece only, and its
arguments as text."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

Json = dict[str, Any]


class Calls:
    """The tool calls of one answer, made regular. ``seed`` keeps the ids that are made up here apart from those of
    other answers; with ``only_one``, further calls are left out."""

    def __init__(self, seed: bytes, *, only_one: bool = False) -> None:
        self._seed = seed
        self._only_one = only_one
        self._ids: list[str] = []
        self._at: dict[int, int] = {}

    @property
    def count(self) -> int:
        """How many have begun."""
        return len(self._ids)

    def delta(self, parts: object) -> list[Json]:
        """These pieces of a stream as pieces in llama-server's shape; what is none is left out."""
        pieces = (self._piece(part) for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()
        return [piece for piece in pieces if piece]

    def whole(self, calls: object) -> list[Json]:
        """These calls of an answer in one piece."""
        found = []
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and (piece := self._piece({**call, "index": None})):
                found.append({name: piece[name] for name in ("type", "function", "id")})
        return found

    def _piece(self, part: Json) -> Json:
        function = part.get("function")
        function = function if isinstance(function, dict) else {}
        name, identity = _text(function.get("name")), _text(part.get("id"))
        arguments = _arguments(function.get("arguments"))
        index = part.get("index")
        place = self._place(index, name, identity)
        if place is None:
            if not name:
                return {}
            place = len(self._ids)
            self._ids.append(identity or self._made_up(place))
            if isinstance(index, int):
                self._at[index] = place
            if place and self._only_one:
                return {}
            first = {"name": name, "arguments": arguments}
            return {"index": place, "id": self._ids[place], "type": "function", "function": first}
        if not arguments or (place and self._only_one):
            return {}
        return {"index": place, "function": {"arguments": arguments}}

    def _place(self, index: object, name: str, identity: str) -> int | None:
        """Which call this piece goes on with; None when it begins one. Some servers give every call the index 0, some
        repeat id and name in each piece, some give no index."""
        known = self._at.get(index) if isinstance(index, int) else None
        if known is not None:
            begins_another = name and identity and identity != self._ids[known]
            return None if begins_another else known
        if name:
            return None
        return len(self._ids) - 1 if self._ids and not isinstance(index, int) else None

    def _made_up(self, place: int) -> str:
        return "call_" + hashlib.sha256(self._seed + b"#%d" % place).hexdigest()[:24]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    """As text, whatever they came as."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
