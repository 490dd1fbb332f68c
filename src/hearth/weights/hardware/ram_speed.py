"""How fast this machine's RAM is, measured: no system tells it."""

from __future__ import annotations

import ctypes
import threading
import time

COPIED = 64 << 20
"""Bytes that each thread copies: more than its share of the processor's cache."""


def measure_ram_bandwidth(threads: int = 1, size: int = COPIED, rounds: int = 3) -> float:
    """Bytes/s of RAM, read and written together, while ``threads`` copy ``size`` bytes each; the best of some rounds.

    A rough figure, which decoding on the processor hardly exceeds. One thread does not reach what several memory
    channels give: ask for as many as there are physical cores. It holds ``2 * threads * size`` bytes and takes that
    many cores for some 0.1 s: never run it unasked.
    """
    # Written to beforehand, so that the pages are there.
    pairs = [
        (
            (ctypes.c_char * size).from_buffer(bytearray(b"1") * size),
            (ctypes.c_char * size).from_buffer(bytearray(size)),
        )
        for _ in range(threads)
    ]
    best_s = min(_round(pairs, size) for _ in range(rounds + 1))
    return 2 * size * threads / best_s


def _round(pairs: list[tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]], size: int) -> float:
    """Seconds for one copy in each thread; ctypes lets the other threads run meanwhile."""
    began: list[float] = []
    gate = threading.Barrier(len(pairs), action=lambda: began.append(time.perf_counter()))

    def copy(source: ctypes.Array[ctypes.c_char], target: ctypes.Array[ctypes.c_char]) -> None:
        gate.wait()
        ctypes.memmove(target, source, size)

    workers = [threading.Thread(target=copy, args=pair) for pair in pairs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(time.perf_counter() - began[0], 1e-9)
