"""What the model calls our tools: ``container.exec`` is our ``bash``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

FUNCTIONS = "functions"
"""The namespace of tools that the model was not trained on."""
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")


class Naming:
    """Names there and back. ``names`` maps ours to the model's, as a profile has them; one without a namespace, and a
    tool that is not named, belong to ``functions``."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._theirs = {ours: _qualified(theirs) for ours, theirs in (names or {}).items()}
        self._ours = {theirs: ours for ours, theirs in self._theirs.items()}
        last: dict[str, list[str]] = {}
        for theirs, ours in self._ours.items():
            last.setdefault(theirs.rpartition(".")[2], []).append(ours)
        self._by_last = {name: found[0] for name, found in last.items() if len(found) == 1}

    def to_model(self, name: str) -> str:
        """The model's name of our tool, with its namespace."""
        return self._theirs.get(name) or _qualified(name)

    def to_ours(self, recipient: str) -> str:
        """Our name of what the model called. One that nobody knows loses ``functions.`` and is else as it was."""
        bare = recipient.removeprefix(f"{FUNCTIONS}.")
        for name in (recipient, bare):
            if name in self._ours:
                return self._ours[name]
        return self._by_last.get(bare, bare)

    def knows(self, word: str) -> bool:
        """Whether this, standing alone in a header, can only be a tool."""
        return word in self._ours or (word.startswith(f"{FUNCTIONS}.") and len(word) > len(FUNCTIONS) + 1)


def _qualified(name: str) -> str:
    """With a namespace, and of letters that cannot end a header: a model may have made the name up."""
    name = _FOREIGN.sub("_", name) or "_"
    return name if "." in name else f"{FUNCTIONS}.{name}"
