"""How soon a stuck engine is found: seeded stories of engines that fail, with times a tenth as long. It writes
docs/faults.md."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))
import engine_faults  # the stories that the tests play too
import gguf_models  # the writers of test models
from hearth.runtime.watch.vigil import Limits

SCALE = 1 / 10
PAGE = Path("docs/faults.md")
PLAIN = Limits()
LATEST_S = PLAIN.prefill_s + 2 * PLAIN.look_every_s
HEAD = f"""\
# An engine that is stuck

An engine can hang while its process runs and its health route says ok. hearth goes by progress: bytes of an answer, and
what the engine and the system tell of its work when no bytes come. The limits below are those of `engine.stuck_s = 20`
(`docs/settings.md`), and grow with it.

| a request | may be silent for | counted from |
|---|---|---|
| in the middle of its answer | {PLAIN.decode_s:.0f} s, or {PLAIN.pauses:.0f} times its usual pause if that is more | \
its last piece, or token in its slot |
| before its answer | {PLAIN.prefill_s:.0f} s | the question, or the last progress of its prompt |
| that the engine has not begun, by its own account | {PLAIN.queued_s:.0f} s | the question |

Silence alone ends nothing. After {PLAIN.quiet_s:.0f} s of it the engine is looked at each {PLAIN.look_every_s:.0f} s,
and called stuck only when a second, independent signal says so:

- it computes nothing: in {PLAIN.flat_looks} looks in a row no token moved in any slot, no byte of any answer came, its
  processes used less than {PLAIN.idle_cpu:.0%} of a core and hardly read their disk; or
- a token that it is asked for, away from all conversations, does not come within {PLAIN.canary_s:.0f} s. This is asked
  where an idle processor proves nothing (cards) or nobody tells (no `/proc`), and after a request that was not begun.

A prompt that takes an hour is slow, not stuck: its processor time or its counters move. Where it cannot be known
whether an engine computes (a processor that may only wait for its card), all requests must have been silent for
{PLAIN.busy_s / 60:.0f} minutes; where only processor time moves and no token in any slot, for {PLAIN.spin_s / 60:.0f}
minutes. A client that does not read its answer is not held against the engine.

What follows: nobody new is sent to it; what it was at is kept in the logs folder (`stuck-MODEL-TIME.json`, ten at
most, for the owner alone, without what was asked or answered); it is killed, and a new one starts, after the usual
back-off. A request of whose answer the client has nothing (how far its prompt was read is nothing) is asked again by
itself, once. Another ends with an error of source `engine` (`engine_lost`), with `partial` in it: how many events of
its answer came before. A request that the engine did not begin while it answers others is asked again, or ends with
`engine_stuck`, and the engine is kept if it makes a token. An engine that hearth did not start is never ended: a
request to it is given up after {PLAIN.unseen_s / 60:.0f} minutes of silence. While nobody waits nobody looks: an
engine that died in its sleep is found by the next request, which loses {PLAIN.decode_s:.0f} to {LATEST_S:.0f} s,
and a token each minute would keep cards and disks awake for that.

## Measured

"""


async def measure(count: int, real: int) -> tuple[str, list[str]]:
    """The table, and what was wrong."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        model = gguf_models.write_llama(Path(folder) / "model.gguf")
        stories = await engine_faults.play_many(list(range(count)), Path(folder), model, scale=SCALE, at_once=30)
        children = await engine_faults.play_many(
            list(range(real)), Path(folder), model, scale=SCALE, at_once=3, real=True
        )
    wrong = [f"seed {story.seed}: {what}" for story in (*stories, *children) for what in story.wrong]
    return engine_faults.table([*stories, *children]), wrong


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(prog="bench.faults", description="How soon a stuck engine is found.")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--real", type=int, default=12, help="seeds with engines in processes of their own")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    table, wrong = asyncio.run(measure(options.seeds, options.real))
    note = (
        f"`make bench-faults`: {options.seeds} seeds of several clients and engines that pretend, {options.real} with\n"
        f"engines in processes of their own, all times a tenth as long, shown at full length. From the moment at\n"
        f"which the engine hung, or computed for the last time, until the request was let go, its diagnosis written\n"
        f"and the process killed. `unscheduled` is a request that the engine takes and never begins.\n\n"
    )
    PAGE.write_text(HEAD + note + table + "\n", encoding="utf-8")
    print(table, *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
