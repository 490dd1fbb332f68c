"""The download of one file: several connections write ranges of it, one thread hashes what is there in order.

The ranges are handed out from the front, so that the hash is never far behind and reads what the kernel still has in
memory. A byte that was counted is never written again: what was hashed is what is on the disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from hearth.errors import ModelUnavailable, StateError
from hearth.weights.fetch.partial import Partial, Range, unwritable
from hearth.weights.fetch.plan import Digest, RemoteFile
from hearth.weights.fetch.ranged import Asker, Changed, NoRanges
from hearth.weights.fetch.wire import Access, Broken

MIB = 1 << 20
_SMALLEST_READ = 64 << 10
_LARGEST_READ = 1 * MIB
_LONGEST_WAIT_S = 60.0
_LAST_WORDS_S = 2.0
# A connection that brings less than its first read in twice the time limit is replaced.
_STALLED = 2.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a file is fetched. ``tries`` failures in a row without a new byte end it; the wait between them starts at
    ``backoff_s`` and doubles. Each ``tick_s`` it is looked how far it is; then, at the latest after ``sync_bytes`` or
    ``sync_s``, what arrived is made durable. ``write`` writes at an offset like ``os.pwrite``.
    """

    connections: int = 4
    piece_bytes: int = 64 * MIB
    sync_bytes: int = 256 * MIB
    sync_s: float = 5.0
    tries: int = 10
    backoff_s: float = 0.5
    timeout_s: float = 30.0
    tick_s: float = 0.2
    write: Callable[[int, memoryview, int], int] = os.pwrite


def next_piece(missing: Sequence[Range], active: Sequence[Range], piece_bytes: int) -> Range | None:
    """The first range that is missing and that nobody fetches, cut to the size of a piece; None when there is none."""
    for start, end in missing:
        for a, b in sorted(active):
            if b <= start or a >= end:
                continue
            if a > start:
                end = a
                break
            start = b
        if start < end:
            return start, min(end, start + piece_bytes)
    return None


class Transfer:
    """Fetches what is missing of one file, and hashes all of it. Used once."""

    def __init__(
        self, file: RemoteFile, partial: Partial, access: Access, tuning: Tuning, tick: Callable[[int], None]
    ) -> None:
        """``tick`` is called a few times a second, by the thread that calls ``run``, with the bytes that are there."""
        self._file = file
        self._partial = partial
        self._tuning = replace(tuning, piece_bytes=_piece(file.size_bytes, tuning))
        self._tick = tick
        self._asker = Asker(file, access, partial.etag)
        self._lines = [self._asker.line(tuning.timeout_s) for _ in range(max(1, tuning.connections))]
        self._turn = threading.Condition()
        self._over = threading.Event()
        self._stopped = False
        self._error: BaseException | None = None
        # All below is guarded by the condition.
        self._done = partial.done
        self._active: dict[int, Range] = {}
        self._failures = 0
        self._landed_s = [time.monotonic()] * len(self._lines)
        self._one_stream = True  # until the server has shown that it takes ranges
        self._digest = Digest(file)

    def run(self) -> Digest:
        """Fetch, and return the hash of what is on the disk.

        Raises Changed when the server has other content now, HearthError when it cannot go on. However it ends, also
        by KeyboardInterrupt, what arrived is written down for the next time. The part file stays open.
        """
        fetchers = [threading.Thread(target=self._guard, args=(self._fetch, n)) for n in range(len(self._lines))]
        threads = [*fetchers, threading.Thread(target=self._guard, args=(self._hash,))]
        for thread in threads:
            thread.daemon = True
            thread.start()
        try:
            self._watch()
        finally:
            self._stop()
            deadline = time.monotonic() + _LAST_WORDS_S
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            self._save_last()
            if any(thread.is_alive() for thread in threads):
                # It waits for a connection that does not come about. Its descriptor must not become another file's.
                self._partial.abandon()
        if self._error is not None:
            raise self._error
        return self._digest

    def _watch(self) -> None:
        saved, saved_s = self._done.total, time.monotonic()
        while not self._over.wait(self._tuning.tick_s):
            there, now_s = self._done.total, time.monotonic()
            self._tick(there)
            self._cut_stalled(now_s)
            if there > saved and (there - saved >= self._tuning.sync_bytes or now_s - saved_s >= self._tuning.sync_s):
                self._save()
                saved, saved_s = there, now_s
        self._tick(self._done.total)

    def _cut_stalled(self, now_s: float) -> None:
        with self._turn:
            active = set(self._active)
        for number, line in enumerate(self._lines):
            if number in active and now_s - self._landed_s[number] > self._tuning.timeout_s * _STALLED:
                self._landed_s[number] = now_s
                line.cut()

    def _save(self) -> None:
        with self._turn:
            done, etag = self._done.all(), self._asker.etag
        self._partial.save(done, etag)

    def _save_last(self) -> None:
        if isinstance(self._error, Changed) or not self._done.total:
            return
        # Of two errors the first one is told: a full disk takes no sidecar either.
        with suppress(StateError) if self._error else nullcontext():
            self._save()

    def _stop(self) -> None:
        with self._turn:
            self._stopped = True
            self._turn.notify_all()
        self._over.set()
        for line in self._lines:
            line.break_off()

    def _guard(self, work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            with self._turn:
                self._error = self._error or error
                self._stopped = True
                self._turn.notify_all()
            self._over.set()

    # What the fetching threads do.

    def _fetch(self, number: int) -> None:
        line = self._lines[number]
        room = memoryview(bytearray(_LARGEST_READ))
        try:
            while (taken := self._take(number)) is not None:
                try:
                    self._fetch_piece(number, *taken, room)
                except Broken as error:
                    line.close()
                    self._leave(number)
                    self._wait_after(error)
                except NoRanges:
                    line.close()
                    with self._turn:
                        self._one_stream = True
                    self._leave(number)
                else:
                    self._leave(number)
        finally:
            self._leave(number)
            line.close()

    def _take(self, number: int) -> tuple[Range, bool] | None:
        """The next piece for this thread, and whether it is alone; None when there is nothing to do any more."""
        with self._turn:
            while True:
                missing = self._done.gaps(0, self._file.size_bytes)
                if self._stopped or not missing:
                    self._turn.notify_all()
                    return None
                active = list(self._active.values())
                piece = None
                if not (self._one_stream and active):
                    piece = next_piece(missing, active, self._tuning.piece_bytes)
                if piece is not None:
                    self._active[number] = piece
                    return piece, self._one_stream
                # Another may fail, and leave its piece to us.
                self._turn.wait()

    def _leave(self, number: int) -> None:
        with self._turn:
            self._active.pop(number, None)
            self._turn.notify_all()

    def _fetch_piece(self, number: int, piece: Range, alone: bool, room: memoryview) -> None:
        line = self._lines[number]
        self._landed_s[number] = time.monotonic()
        answer, at, end = self._asker.ask(line, piece, whole=alone)
        if alone:
            with self._turn:
                # A range: the others may begin. The whole file: they must not, for it is written as it comes.
                self._one_stream = answer.status == 200
                self._active[number] = (at, end)
                end = max(gap_end for _, gap_end in self._done.gaps(at, end))
                self._turn.notify_all()
        want = _SMALLEST_READ
        while at < end and not self._stopped:
            wanted = min(want, end - at)
            began = time.monotonic()
            got = answer.read_into(room[:wanted])
            self._land(room[:got], at)
            self._landed_s[number] = time.monotonic()
            at += got
            if got < wanted:
                raise Broken("the connection was cut")
            took = time.monotonic() - began
            want = min(want * 2, _LARGEST_READ) if took < 0.1 else max(want // 2, _SMALLEST_READ)
        if not answer.response.isclosed():
            line.close()

    def _land(self, data: memoryview, at: int) -> None:
        """Write what is missing of it, and count it."""
        with self._turn:
            gaps = self._done.gaps(at, at + len(data))
        for start, end in gaps:
            self._write(data[start - at : end - at], start)
            with self._turn:
                self._done.add(start, end)
                self._failures = 0
                self._turn.notify_all()

    def _write(self, data: memoryview, at: int) -> None:
        try:
            while data:
                wrote = self._tuning.write(self._partial.descriptor, data, at)
                data, at = data[wrote:], at + wrote
        except OSError as error:
            raise unwritable(self._partial.path, error) from error

    def _wait_after(self, error: Broken) -> None:
        with self._turn:
            if self._stopped:
                return
            self._failures += 1
            failures = self._failures
        if failures >= self._tuning.tries:
            raise ModelUnavailable(
                f"{self._file.name} does not arrive: {error}, {failures} times in a row",
                "pull again later: it goes on where it was",
            ) from error
        wait_s = max(error.after_s, self._tuning.backoff_s * 2 ** (failures - 1))
        self._over.wait(min(wait_s, _LONGEST_WAIT_S))

    # What the hashing thread does.

    def _hash(self) -> None:
        room = memoryview(bytearray(_LARGEST_READ))
        at = 0
        with self._partial.path.open("rb", buffering=0) as file:
            while at < self._file.size_bytes:
                with self._turn:
                    while self._done.front <= at and not self._stopped:
                        self._turn.wait()
                    if self._stopped:
                        return
                    front = self._done.front
                got = _read(file.readinto, room[: min(front - at, len(room))], self._partial)
                self._digest.update(room[:got])
                at += got
        self._over.set()


def _read(readinto: Callable[[memoryview], int | None], room: memoryview, partial: Partial) -> int:
    try:
        got = readinto(room) or 0
    except OSError as error:
        raise StateError(f"cannot read {partial.path}: {error.strerror}", "check the disk, and pull again") from error
    if not got:
        raise StateError(f"{partial.path} was cut short by somebody", "pull again")
    return got


def _piece(size: int, tuning: Tuning) -> int:
    """A small file is cut as well, so that all connections have something to do."""
    share = size // (max(1, tuning.connections) * 2)
    return max(1, min(tuning.piece_bytes, max(share, MIB)))
