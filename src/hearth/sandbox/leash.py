"""Ties commands to this process: when it is gone, whatever ended it, their process groups are killed."""

from __future__ import annotations

import contextlib
import os
import subprocess

_WATCH = """
trap '' HUP INT TERM
held=
while read -r verb group; do
    kept=
    for one in $held; do [ "$one" = "$group" ] || kept="$kept $one"; done
    held=$kept
    [ "$verb" = hold ] && held="$held $group"
done
for one in $held; do kill -KILL "-$one"; done
"""
"""Remembers the groups that its standard input names; at its end, which is our end, it kills them. A group's number is
used again only after ``free``: it is said when the last of the group is dead."""


class Leash:
    """A small shell outside our process group that outlives us for a moment. It is started with the first command.

    It needs nothing of the kernel but a pipe that closes, so it holds after ``kill -9`` too, and on every system.
    Whoever makes a session of its own (``setsid``) is not on it.
    """

    def __init__(self) -> None:
        self._watch: subprocess.Popen[bytes] | None = None
        self._held: set[int] = set()

    def hold(self, group: int) -> None:
        """From now on this group dies with us. Where no shell can be started it does not: no reason not to work."""
        self._held.add(group)
        self._say(f"hold {group}\n")

    def free(self, group: int) -> None:
        """The group is dead: its number may be somebody else's soon."""
        self._held.discard(group)
        if self._watch:
            self._say(f"free {group}\n")

    def close(self) -> None:
        """Let go: what is still held is killed."""
        watch, self._watch = self._watch, None
        self._held.clear()
        if watch and watch.stdin:
            with contextlib.suppress(OSError):
                watch.stdin.close()
            watch.wait()

    def _say(self, line: str) -> None:
        try:
            self._tell(line)
        except OSError:
            # Somebody ended the watch, or none can be started: another one learns of all, or there is none.
            with contextlib.suppress(OSError):
                if self._watch:
                    self._watch.wait()
                self._watch = None
                self._tell("".join(f"hold {group}\n" for group in sorted(self._held)))

    def _tell(self, lines: str) -> None:
        if self._watch is None:
            self._watch = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                bufsize=0,
                start_new_session=True,
            )
        assert self._watch.stdin is not None
        os.write(self._watch.stdin.fileno(), lines.encode())
