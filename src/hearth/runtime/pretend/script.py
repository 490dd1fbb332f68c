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
    STALL_IN_PREFILL = "stall_in_prefill"
    """The same half-way through the prompt."""
    FREEZE = "freeze"
    """The whole engine computes no more, for nobody, and its slots do not tell; its health is good."""
    FREEZE_IN_PREFILL = "freeze_in_prefill"
    """The same half-way through the prompt."""
    UNSCHEDULED = "unscheduled"
    """Takes the request and never begins it, though slots are idle."""
    DIE = "die"
    """The process kills itself."""
    DRIBBLE = "dribble"
    """Sends its next piece one byte at a time, ``Answer.token_s`` after each."""
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
    With ``one_batch`` the prompt is read in a single one: no progress is told, and nothing else is answered meanwhile,
    as by the builds of llama.cpp that look up only between two batches. ``error`` is what ``http_500`` and
    ``error_chunk`` say, in place of their usual words.
    """

    text: str = ""
    tool_calls: tuple[Call, ...] = ()
    reasoning: str = ""
    prefill_s: Seconds = 0.0
    token_s: Seconds = 0.0
    fault: Fault = Fault.NONE
    after: Annotated[int, msgspec.Meta(ge=0)] = 1
    one_batch: bool = False
    error: str = ""


class Load(StrEnum):
    """How a load ends."""

    WELL = "well"
    DEATH = "death"
    """The process ends with exit code 1 and says no word."""
    OUT_OF_MEMORY = "out_of_memory"
    """The same, with the words of llama.cpp."""
    NEVER = "never"
    """It loads for ever, and says nothing."""


class Health(StrEnum):
    """What ``/health`` says."""

    TRUE = "true"
    """503 while it loads, then 200: also of an engine that is stuck, as llama-server does."""
    GOOD = "good"
    """200 even while it loads."""
    BAD = "bad"
    """503 for ever."""
    SILENT = "silent"
    """Nothing: it hangs."""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers in the order of the requests; when they are used up, ``otherwise`` answers every further request.

    ``loading_s`` is how long the engine says that it loads its model; how that ends says ``load``. A process that is
    ``deaf`` does not end when it is asked to.
    """

    answers: tuple[Answer, ...] = ()
    otherwise: Answer = Answer(text="Done.")
    loading_s: Seconds = 0.0
    load: Load = Load.WELL
    health: Health = Health.TRUE
    deaf: bool = False

    def answer(self, number: int) -> Answer:
        """The answer to request ``number``, counted from 0."""
        return self.answers[number] if number < len(self.answers) else self.otherwise


class Orders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process is told on its standard input: the key, because ``argv`` is public, and what it plays."""

    api_key: str
    script: Script = Script()


def load_script(path: Path) -> Script:
    """Read a script from a JSON file. Raises UsageError saying what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror}", "name another file") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not a script: {error}", "see hearth.runtime.pretend.script") from error
