"""Pulls in processes of their own, which are killed: ``python tests/pull_child.py MODELS ENDPOINT``.

Each line on the standard input is a plan as JSON; a child is forked for it and its pid printed, then, when it has
ended, its status. Forked and not started anew: a hundred interpreters would take most of a test's time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from hearth.weights.fetch.plan import Plan
from hearth.weights.fetch.pull import Puller
from hearth.weights.fetch.transfer import Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.store import Store

TUNING = Tuning(connections=3, piece_bytes=40_000, sync_bytes=1, tick_s=0.001, backoff_s=0.0)


def main(models: Path, endpoint: str) -> None:
    for line in sys.stdin:
        plan = msgspec.json.decode(line, type=Plan)
        pid = os.fork()
        if not pid:
            Puller(models, Store(models).publish, Access(endpoint), lambda _: None, tuning=TUNING).pull(plan)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
