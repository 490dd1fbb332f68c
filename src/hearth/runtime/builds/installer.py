"""Runs pip in a process group that ends with its parent.

Run as ``python -m hearth.runtime.builds.installer ARGUMENTS`` with one line on standard input, which must then stay
open: its end means that whoever asked is gone, however it ended, and pip with all that it started (a compiler for an
hour) ends too. Modules only of Python itself: pip may not see ours.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Run pip with this process's arguments; ends as pip does."""
    sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.argv[0] = "pip"
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def _end_with_the_parent() -> None:
    # The descriptor itself: a reader of the stream would hold its lock when Python ends.
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
