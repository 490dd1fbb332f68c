"""Every error that hearth raises, as one tree.

    HearthError                    exit 1   anything that went wrong and can be said in one line
    ├── UsageError                 exit 2   the command line or an argument is off
    │   └── SettingsError          exit 2   a settings file, variable or flag has a wrong value
    ├── StateError                 exit 1   a folder or file of ours cannot be used
    │   └── TranscriptError        exit 1   a session's transcript is missing, damaged or in use
    ├── WorkspaceError             exit 1   a path or file of the project cannot be used
    ├── LimitReached               exit 3   the turn stopped at a limit of steps
    ├── Unavailable                exit 4   the model or the engine is not there
    │   ├── DaemonUnavailable      exit 4   no daemon answers and none could be started
    │   ├── ModelUnavailable       exit 4   no such model, or its file is missing
    │   │   └── CorruptModel       exit 4   the file is there but is not a whole GGUF of a known kind
    │   └── EngineFailed           exit 4   the engine did not start, or stopped
    │       └── OutOfMemory        exit 4   the engine did not start for want of memory
    └── Denied                     exit 5   a policy forbids it

Model and tool failures are values (see ``events`` and ``tools.tool``), never exceptions across a seam.
"""

from __future__ import annotations


class HearthError(Exception):
    """Something went wrong that one line can tell: what, where, and the command or step that mends it.

    ``what`` says what happened and where; ``fix`` says what to do, empty when nothing helps.
    ``str()`` gives the one line.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} · {self.fix}" if self.fix else self.what


class UsageError(HearthError):
    """The command line or an argument is off."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file, environment variable or flag has a wrong value; ``what`` names its origin."""


class StateError(HearthError):
    """A folder or file of ours cannot be used: not writable, owned by another, unreadable."""


class TranscriptError(StateError):
    """A session's transcript is missing, damaged beyond its last line, or in use by another process."""


class WorkspaceError(HearthError):
    """A path or file of the project cannot be used: outside, a symlink, binary, too large, not UTF-8."""


class LimitReached(HearthError):
    """The turn stopped at a limit."""

    exit_code = 3


class Unavailable(HearthError):
    """The model or the engine is not there."""

    exit_code = 4


class DaemonUnavailable(Unavailable):
    """No daemon answers and none could be started."""


class ModelUnavailable(Unavailable):
    """No such model, or its file is missing."""


class CorruptModel(ModelUnavailable):
    """The model file is there but is not a whole GGUF of an architecture that the engine knows."""


class EngineFailed(Unavailable):
    """The engine did not start, or stopped while it was needed."""


class OutOfMemory(EngineFailed):
    """The engine did not start for want of memory."""


class Denied(HearthError):
    """A policy forbids it."""

    exit_code = 5
