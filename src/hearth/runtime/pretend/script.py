"""What a pretending engine plays: answers, and what goes wrong in them. Pure data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec

from hearth.errors import UsageError

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Fault(StrEnum):
    """What goes wrong with an answer. Those of a stream strike after ``Answer.after`` pieces of it."""

    NONE = "none"
    STALL = "stall"
    """Says no more and keeps the slot until the client leaves."""
    GARBAGE = "garbage"
    """Sends a line that is no JSON, then goes on."""
    HTTP_500 = "http_500"
    """Refuses the request as a failing server does."""
    DISCONNECT = "disconnect"
    """Closes the connection in the middle."""
    ERROR_CHUNK = "error_chunk"
    """Sends ``{"error": ...}`` as an event and ends without ``[DONE]``, as llama-server does."""
    TOO_LONG = "too_long"
    """Says that the prompt exceeds the context, whatever its length."""
    TRUNCATED = "truncated"
    """Stops after ``Answer.after`` pieces with ``finish_reason`` ``length``."""


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to answer with. ``arguments`` is an object, or text that is sent as it is (to be broken)."""

    name: str
    arguments: dict[str, Any] | str = {}
    id: str = ""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scripted answer.

    ``prefill_s`` is how long the prompt takes, with progress; ``token_s`` the pause after each piece of the answer.
    """

    text: str = ""
    tool_calls: tuple[Call, ...] = ()
    reasoning: str = ""
    prefill_s: Seconds = 0.0
    token_s: Seconds = 0.0
    fault: Fault = Fault.NONE
    after: Annotated[int, msgspec.Meta(ge=0)] = 1


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers in the order of the requests; when they are used up, ``otherwise`` answers every further request.

    ``loading_s`` is how long the engine says that it loads its model.
    """

    answers: tuple[Answer, ...] = ()
    otherwise: Answer = Answer(text="Done.")
    loading_s: Seconds = 0.0

    def answer(self, number: int) -> Answer:
        """The answer to request ``number``, counted from 0."""
        return self.answers[number] if number < len(self.answers) else self.otherwise


def load_script(path: Path) -> Script:
    """Read a script from a JSON file. Raises UsageError saying what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror}", "name another file") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not a script: {error}", "see hearth.runtime.pretend.script") from error
