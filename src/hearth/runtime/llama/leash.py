"""Ties a process to the one that started it: it dies with it, whatever kills that.

Run as ``python -m hearth.runtime.llama.leash PARENT COMMAND ...`` it does so for a program that knows nothing of us.
Its standard input must stay open: where the system does not tell of a parent's death, its end does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

EXIT_ORPHAN = 75
EXIT_NOT_STARTED = 127


def tie_to_parent(parent: int) -> bool:
    """Die when the parent dies; False when it is dead already. Without Linux the end of the input alone tells."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    return os.getppid() == parent


def stand_first_for_the_oom_killer() -> None:
    """When memory runs out, the engine goes: one model, not the daemon or the owner's editor."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def run_watched(command: Sequence[str]) -> int:
    """Run it as a child and kill it at the end of our standard input; its exit code. For systems on which a process
    cannot ask to die with its parent."""
    child = os.posix_spawnp(command[0], list(command), os.environ)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    # Whoever ends us signals the whole group, the child too, and waits for both.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    threading.Thread(target=watch, daemon=True).start()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(arguments: Sequence[str]) -> int:
    """Tie ourselves, then become the program. Returns only when that is not possible."""
    parent, *command = arguments
    if not tie_to_parent(int(parent)):
        return EXIT_ORPHAN
    os.umask(0o077)
    stand_first_for_the_oom_killer()
    try:
        if sys.platform != "linux":
            code = run_watched(command)
            return code if code >= 0 else 128 - code
        # The tie outlives it: the same process, another program.
        os.execvp(command[0], command)
    except OSError as error:
        print(f"hearth leash: {command[0]}: {error.strerror}", file=sys.stderr)
    return EXIT_NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
