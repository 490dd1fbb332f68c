"""What the hub on this machine serves, and what goes wrong with it by seed."""

from __future__ import annotations

import hashlib
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Content:
    """The bytes of one file: in memory, or a file on disk."""

    data: bytes | Path
    size: int
    sha256: str
    git_oid: str

    @staticmethod
    def of(data: bytes | Path) -> Content:
        if isinstance(data, bytes):
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            return Content(data, len(data), hashlib.sha256(data).hexdigest(), oid)
        with data.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Content(data, data.stat().st_size, sha256, hashlib.sha1(sha256.encode()).hexdigest())


@dataclass
class Faults:
    """How often, between 0 and 1, an answer is spoiled in which way. ``limit`` faults in all, then it behaves."""

    seed: int = 0
    cut: float = 0.0
    error: float = 0.0
    ignore_range: float = 0.0
    wrong: float = 0.0
    trickle: float = 0.0
    expired: float = 0.0
    new_etag: float = 0.0
    hub_error: float = 0.0
    limit: int = 1_000_000
    moves: bool = False
    random: random.Random = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def strikes(self, name: str) -> bool:
        """Whether this fault happens now."""
        with self.lock:
            struck = self.limit > 0 and self.random.random() < getattr(self, name)
            self.limit -= struck
            return struck

    def number(self, below: int) -> int:
        """A number from 0 to ``below``, not including it."""
        with self.lock:
            return self.random.randrange(max(1, below))
