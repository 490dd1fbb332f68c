"""What a calibration found: counts of every item, what follows from them, and the file that keeps it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from hearth.errors import StateError
from hearth.llm.families import Dialect, EditFormat

VERSION = 1
LONGEST_NAME = 150
"""Bytes of a model's name in a file name; beyond, its digest stands for the rest."""
CLEARLY = 0.15
"""How much more often another form of edits must be right than the profile's own, to be taken in its place."""
LEAST_EDITS = 5
"""Edits below which a form is not judged."""
KEPT = 0.9
"""Share of the possible reuse from which a prefix counts as kept."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Tally(msgspec.Struct, frozen=True):
    """One item: ``right`` of ``tried``, what it took in generated tokens and seconds; ``note`` says why it ended."""

    right: _Count = 0
    tried: _Count = 0
    tokens: _Count = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def share(self) -> float:
        """How often it was right; 0 when it was never tried."""
        return self.right / self.tried if self.tried else 0.0

    def plus(self, right: bool, tokens: int, seconds: float) -> Tally:
        """One try more."""
        return Tally(
            self.right + right, self.tried + 1, self.tokens + tokens, round(self.seconds + seconds, 2), self.note
        )

    def noted(self, note: str) -> Tally:
        """The same, with a word on why it ended."""
        return msgspec.structs.replace(self, note=note)


class Prefix(msgspec.Struct, frozen=True):
    """Tokens of earlier requests that could be reused by the next ones, and that were: with the reasoning sent back,
    and without it. Zeros where the endpoint does not tell."""

    possible: _Count = 0
    reused: _Count = 0
    possible_without: _Count = 0
    reused_without: _Count = 0

    def plus(self, possible: int, reused: int, *, echo: bool) -> Prefix:
        """The sums with one more."""
        if echo:
            return msgspec.structs.replace(self, possible=self.possible + possible, reused=self.reused + reused)
        return msgspec.structs.replace(
            self,
            possible_without=self.possible_without + possible,
            reused_without=self.reused_without + reused,
        )


class Calibration(msgspec.Struct, frozen=True):
    """One measurement of one model. ``at`` is the endpoint, empty for the local daemon; ``own`` the form of edits that
    its profile has; ``ended`` says why it ended before its plan was through, empty when it was."""

    model: str
    at: str
    when: str
    seconds: float
    dialect: Dialect
    own: EditFormat
    calls: Tally = Tally()
    parallel: Tally = Tally()
    reasoning: Tally = Tally()
    prefix: Prefix = Prefix()
    long: Tally = Tally()
    edits: dict[EditFormat, Tally] = {}
    ended: str = ""
    version: int = VERSION


def verdict(found: Calibration) -> dict[str, Any]:
    """The fields of a profile that follow from it; those of which too little is known are left out."""
    fields: dict[str, Any] = {}
    if found.dialect == "text":
        fields["dialect"] = "text"
    elif found.dialect == "chat" and found.calls.tried >= 2 and not found.calls.right:
        # Calls in the chat dialect do not come through at all: text is what is left.
        return {"dialect": "text", "edit": "search_replace", "parallel": False}
    if found.parallel.tried >= 2:
        fields["parallel"] = found.parallel.right * 2 > found.parallel.tried
    if found.reasoning.right and found.prefix.possible and found.prefix.possible_without:
        kept = found.prefix.reused / found.prefix.possible
        without = found.prefix.reused_without / found.prefix.possible_without
        if max(kept, without) > 0:
            fields["echo"] = kept >= KEPT or kept >= without
    if form := _best_form(found):
        fields["edit"] = form
    return fields


def _best_form(found: Calibration) -> EditFormat | None:
    """The form that is right most often; of equal ones that with the fewest tokens for one right edit. The profile's
    own stays unless another is clearly better. None when nothing was right, too little was tried, or the own form
    is none of those that are measured."""
    # A whole file is a long argument: who cannot carry those must not be asked for them.
    no_whole = found.long.tried > 0 and not found.long.right
    judged = {
        form: tally
        for form, tally in found.edits.items()
        if tally.tried >= LEAST_EDITS and tally.right and not (form == "whole" and no_whole)
    }
    if not judged or found.own not in found.edits:
        return None
    best = max(judged, key=lambda form: (judged[form].share, -judged[form].tokens / judged[form].right))
    own = judged.get(found.own)
    if own and own.share + CLEARLY >= judged[best].share:
        return found.own
    return best


def save(folder: Path, found: Calibration) -> Path:
    """Keep it, in place of an earlier one, atomically. Raises StateError."""
    path = _path(folder, found.model, found.at)
    aside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with aside.open("xb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(found)))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}", "make room, or mend the folder's rights") from error
    return path


def load(folder: Path, model: str, at: str = "") -> Calibration | None:
    """What was found of a model at an endpoint; None when nothing was, or by another version, or it is damaged: then
    the package's own knowledge counts, as before."""
    try:
        found = msgspec.json.decode(_path(folder, model, at).read_bytes(), type=Calibration)
    except (OSError, ValueError, msgspec.DecodeError, RecursionError):
        return None
    return found if (found.version, found.model, found.at) == (VERSION, model, at) else None


def forget(folder: Path, model: str, at: str = "") -> bool:
    """Remove what was found; whether there was anything. Raises StateError."""
    path = _path(folder, model, at)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateError(f"cannot remove {path}: {error.strerror}", "mend the folder's rights") from error
    return True


def measured(folder: Path, model: str, at: str = "") -> Mapping[str, Any] | None:
    """The fields of a profile that a calibration found, for ``profile_for``; None when there is none."""
    found = load(folder, model, at)
    return verdict(found) if found else None


def _path(folder: Path, model: str, at: str) -> Path:
    key = f"{model} at {at}" if at else model
    plain = quote(key, safe=" @:", errors="replace")
    if len(plain) > LONGEST_NAME:
        digest = hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()[:16]
        plain = f"{plain[:LONGEST_NAME]}-{digest}"
    return folder / f"{plain}.json"
